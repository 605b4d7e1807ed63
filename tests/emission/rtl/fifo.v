// A FIFO with registered flags: a word is readable one cycle after it was written, a
// place is free one cycle after it was read. Only the number of words is kept.
module fifo (
    input clk,
    input [31:0] depth,
    input put,
    output can_put,
    input take,
    output can_take,
    output reg [31:0] count
);
  initial count = 0;
  assign can_put = count < depth;
  assign can_take = count != 0;
  always @(posedge clk) begin
    if ((put && !can_put) || (take && !can_take)) begin
      $display("error: access to a FIFO that is not ready");
      $finish;
    end
    count <= count + {31'b0, put} - {31'b0, take};
  end
endmodule
