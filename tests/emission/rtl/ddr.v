// A DDR that three ports share: `rate` bytes in 1000 cycles (0: no limit), at most a
// beat a cycle for each port; they take turns, and none overtakes one that waits.
module ddr (
    input clk,
    input [31:0] rate,
    input [2:0] wants,
    input [31:0] bytes0,
    input [31:0] bytes1,
    input [31:0] bytes2,
    output reg [2:0] move
);
  reg [31:0] tokens, left, cost;
  reg [1:0] turn, after, p;
  reg blocked;
  integer i;
  wire [31:0] widest01 = bytes0 > bytes1 ? bytes0 : bytes1;
  wire [31:0] widest = widest01 > bytes2 ? widest01 : bytes2;
  wire [31:0] cap = rate + 1000 * widest;

  initial begin
    tokens = 0;
    turn = 0;
  end

  always @* begin
    left = tokens + rate > cap ? cap : tokens + rate;
    after = turn;
    move = 0;
    blocked = 0;
    p = turn;
    for (i = 0; i < 3; i = i + 1) begin
      cost = rate == 0 ? 0 : 1000 * (p == 0 ? bytes0 : p == 1 ? bytes1 : bytes2);
      if (wants[p] && cost > left) blocked = 1;
      if (wants[p] && !blocked) begin
        move[p] = 1;
        left = left - cost;
        after = p == 2 ? 0 : p + 1;
      end
      p = p == 2 ? 0 : p + 1;
    end
  end

  always @(posedge clk) begin
    tokens <= left;
    turn <= after;
  end
endmodule
