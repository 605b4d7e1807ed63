// A stream between two processes. A word can be read in the cycle after it was written;
// a place is free in the cycle after it was read.
interface fifo_if #(
    parameter int W = 1,
    parameter int DEPTH = 2
) (
    input logic clk,
    input logic restart
);
  logic put, take, can_put, can_take;
  logic [W-1:0] in, head;
  logic [W-1:0] words[DEPTH];
  int count = 0;
  int first = 0;
  int next = 0;

  modport writer(output put, output in, input can_put);
  modport reader(output take, input head, input can_take);

  assign can_put = count < DEPTH;
  assign can_take = count != 0;
  assign head = words[first];

  always_ff @(posedge clk) begin
    if (restart && count != 0) begin
      $display("error: %m holds %0d words at the end of a step", count);
      $finish;
    end
    if ((put && !can_put) || (take && !can_take)) begin
      $display("error: %m is not ready for what is done to it");
      $finish;
    end
    if (put) begin
      words[next] <= in;
      next <= next == DEPTH - 1 ? 0 : next + 1;
    end
    if (take) first <= first == DEPTH - 1 ? 0 : first + 1;
    count <= count + int'(put) - int'(take);
  end
endinterface
