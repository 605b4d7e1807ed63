// The read side of an AXI port: requests bursts ahead, and has a beat to deliver once
// the latency of its burst is over.
//
// DIR/port_ID.hex: [0] bursts, [1] bytes of a beat, then of each burst its beats and the
// loop of the process from whose beginning on it may be requested.
module read_port #(
    parameter ID = 0
) (
    input clk,
    input [31:0] cycle,
    input [31:0] latency,
    input [31:0] outstanding,
    input [31:0] loop_now,
    input loop_begun,
    input take,
    input move,
    output wants,
    output [31:0] bytes
);
  reg [31:0] table_[0:4095];
  reg [31:0] ready[0:4095];
  reg [31:0] requested, serving, served, consumed, consumed_beats;
  reg [8*256-1:0] dir;
  reg [8*300-1:0] file;
  integer i;

  initial begin
    if (!$value$plusargs("dir=%s", dir)) $finish;
    $sformat(file, "%0s/port_%0d.hex", dir, ID);
    for (i = 0; i < 4096; i = i + 1) table_[i] = 0;
    $readmemh(file, table_);
    requested = 0;
    serving = 0;
    served = 0;
    consumed = 0;
    consumed_beats = 0;
  end

  wire [31:0] bursts = table_[0];
  wire [31:0] serving_beats = table_[2+2*serving];
  wire [31:0] consumed_size = table_[2+2*consumed];
  wire [31:0] requested_loop = table_[3+2*requested];
  wire [31:0] ready_cycle = ready[serving];
  assign bytes = table_[1];
  assign wants = serving < requested && ready_cycle <= cycle;

  wire released = loop_now > requested_loop ||
      (loop_now == requested_loop && loop_begun);
  wire requests = requested < bursts && requested - consumed < outstanding && released;

  always @(posedge clk) begin
    if (requests) begin
      ready[requested] <= cycle + latency - 1;
      requested <= requested + 1;
    end
    if (move) begin
      served <= served + 1 == serving_beats ? 0 : served + 1;
      if (served + 1 == serving_beats) serving <= serving + 1;
    end
    if (take) begin
      consumed_beats <= consumed_beats + 1 == consumed_size ? 0 : consumed_beats + 1;
      if (consumed_beats + 1 == consumed_size) consumed <= consumed + 1;
    end
  end
endmodule
