// Runs the clock until the model says that it has finished.
#include <verilated.h>

#include "Vtop.h"

int main(int argc, char** argv) {
  VerilatedContext context;
  context.commandArgs(argc, argv);
  Vtop top(&context);
  while (!context.gotFinish()) {
    top.clk = 0;
    top.eval();
    top.clk = 1;
    top.eval();
  }
  top.final();
}
