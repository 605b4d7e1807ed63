// Five processes, seven FIFOs and three ports; which of them are used, and when, stands
// in the tables of the processes. Prints the cycle after which each process has ended.
//
//   port 0 -> 0 -fifo 0-> 2 -fifo 4-> 3 -fifo 6-> 4 -> port 2
//             0 -fifo 1-> 3 (around 2)
//   port 1 -> 1 -fifo 2-> 3 (polled at last; then 4 follows fifo 6)
//             1 -fifo 3-> 2 -fifo 5-> 4 (around 3)
`timescale 1ns / 1ps
module top;
  reg clk = 0;
  reg [31:0] cycle = 0;
  reg [31:0] settings[0:31];
  reg [8*256-1:0] dir;
  reg [8*300-1:0] file;
  integer i;
  initial begin
    if (!$value$plusargs("dir=%s", dir)) $finish;
    $sformat(file, "%0s/settings.hex", dir);
    for (i = 0; i < 32; i = i + 1) settings[i] = 0;
    $readmemh(file, settings);
  end
  wire [31:0] limit = settings[0], start = settings[1], gap = settings[2];
  wire [31:0] finish = settings[3], rate = settings[4], latency = settings[5];
  wire [31:0] response = settings[6], outstanding = settings[7], buffer = settings[8];
  wire [31:0] write_bytes = settings[9];

  wire [6:0] put, take, can_put, can_take;
  wire [31:0] count[0:6];
  genvar g;
  generate
    for (g = 0; g < 7; g = g + 1) begin : fifos
      fifo fifo_i (.clk(clk), .depth(settings[16+g]), .put(put[g]), .can_put(can_put[g]),
                   .take(take[g]), .can_take(can_take[g]), .count(count[g]));
    end
  endgenerate

  wire [2:0] wants, move, port_put, port_take, port_can_put, port_can_take;
  wire [31:0] bytes0, bytes1, waiting0, waiting1, waiting2;
  wire [31:0] loop0, loop1, loop2, loop3, loop4;
  wire [4:0] begun, done;
  wire [31:0] end0, end1, end2, end3, end4;
  assign port_put[1:0] = move[1:0];
  assign port_take[2] = move[2];
  assign wants[2] = waiting2 != 0;
  fifo beats0 (.clk(clk), .depth(32'hffffffff), .put(port_put[0]),
               .can_put(port_can_put[0]), .take(port_take[0]),
               .can_take(port_can_take[0]), .count(waiting0));
  fifo beats1 (.clk(clk), .depth(32'hffffffff), .put(port_put[1]),
               .can_put(port_can_put[1]), .take(port_take[1]),
               .can_take(port_can_take[1]), .count(waiting1));
  fifo beats2 (.clk(clk), .depth(buffer), .put(port_put[2]), .can_put(port_can_put[2]),
               .take(port_take[2]), .can_take(port_can_take[2]), .count(waiting2));
  read_port #(.ID(0)) read0 (.clk(clk), .cycle(cycle), .latency(latency),
      .outstanding(outstanding), .loop_now(loop0), .loop_begun(begun[0]),
      .take(port_take[0]), .move(move[0]), .wants(wants[0]), .bytes(bytes0));
  read_port #(.ID(1)) read1 (.clk(clk), .cycle(cycle), .latency(latency),
      .outstanding(outstanding), .loop_now(loop1), .loop_begun(begun[1]),
      .take(port_take[1]), .move(move[1]), .wants(wants[1]), .bytes(bytes1));
  ddr ddr_i (.clk(clk), .rate(rate), .wants(wants), .bytes0(bytes0), .bytes1(bytes1),
             .bytes2(write_bytes), .move(move));
  reg [31:0] last_write = 0;
  wire acknowledged = waiting2 == 0 && cycle >= last_write + response;

  wire [2:0] unused_take0, unused_take1, unused_put4;
  wire [1:0] unused_take2, unused_take4, unused_put0, unused_put1, unused_put2;
  wire unused_take3, silent3;
  wire [2:0] unused_put3;
  hao_process #(.ID(0)) process0 (.clk(clk), .cycle(cycle), .start_cycles(start),
      .gap_cycles(gap), .finish_cycles(finish), .can_take({3'b0, port_can_take[0]}),
      .take({unused_take0, port_take[0]}), .can_put({2'b0, can_put[1:0]}),
      .put({unused_put0, put[1:0]}), .bus_acknowledged(1'b1), .source_silent(1'b0),
      .source_count(32'd0), .silent(), .loop_now(loop0),
      .loop_begun(begun[0]), .done(done[0]), .done_cycle(end0));
  hao_process #(.ID(1)) process1 (.clk(clk), .cycle(cycle), .start_cycles(start),
      .gap_cycles(gap), .finish_cycles(finish), .can_take({3'b0, port_can_take[1]}),
      .take({unused_take1, port_take[1]}), .can_put({2'b0, can_put[3:2]}),
      .put({unused_put1, put[3:2]}), .bus_acknowledged(1'b1), .source_silent(1'b0),
      .source_count(32'd0), .silent(), .loop_now(loop1),
      .loop_begun(begun[1]), .done(done[1]), .done_cycle(end1));
  hao_process #(.ID(2)) process2 (.clk(clk), .cycle(cycle), .start_cycles(start),
      .gap_cycles(gap), .finish_cycles(finish),
      .can_take({2'b0, can_take[3], can_take[0]}),
      .take({unused_take2, take[3], take[0]}), .can_put({2'b0, can_put[5:4]}),
      .put({unused_put2, put[5:4]}), .bus_acknowledged(1'b1), .source_silent(1'b0),
      .source_count(32'd0), .silent(), .loop_now(loop2),
      .loop_begun(begun[2]), .done(done[2]), .done_cycle(end2));
  hao_process #(.ID(3)) process3 (.clk(clk), .cycle(cycle), .start_cycles(start),
      .gap_cycles(gap), .finish_cycles(finish),
      .can_take({1'b0, can_take[2], can_take[1], can_take[4]}),
      .take({unused_take3, take[2], take[1], take[4]}), .can_put({3'b0, can_put[6]}),
      .put({unused_put3, put[6]}), .bus_acknowledged(1'b1), .source_silent(1'b0),
      .source_count(32'd0), .silent(silent3), .loop_now(loop3),
      .loop_begun(begun[3]), .done(done[3]), .done_cycle(end3));
  hao_process #(.ID(4)) process4 (.clk(clk), .cycle(cycle), .start_cycles(start),
      .gap_cycles(gap), .finish_cycles(finish),
      .can_take({2'b0, can_take[5], can_take[6]}),
      .take({unused_take4, take[5], take[6]}), .can_put({3'b0, port_can_put[2]}),
      .put({unused_put4, port_put[2]}), .bus_acknowledged(acknowledged), .source_silent(silent3),
      .source_count(count[6]), .silent(),
      .loop_now(loop4), .loop_begun(begun[4]), .done(done[4]), .done_cycle(end4));

  always #5 clk = !clk;
  always @(posedge clk) begin
    cycle <= cycle + 1;
    if (move[2]) last_write <= cycle;
    if (done == 5'b11111 || cycle == limit) begin
      $display("done %b ends %0d %0d %0d %0d %0d", done, end0, end1, end2, end3, end4);
      $finish;
    end
  end
endmodule
