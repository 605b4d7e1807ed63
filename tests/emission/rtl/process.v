// A process: pipelined loops (II = 1) one after another, each with a shift register as
// deep as its pipeline. Nothing in it moves while a word or a place is missing.
//
// Its table comes from DIR/process_ID.hex: [0] loops, [1..4] words that are polled, by
// input; [8 + 8 l ..] of loop l: first iteration, trips, depth, followed input + 1 (0:
// none), polled inputs, writes to the bus; [64 ..] iterations: inputs in bits 0 to 3,
// outputs in bits 4 to 7. A loop that polls goes on as in its last iteration until all
// words have come; one that follows reads on until its writer, which says when it sends no
// more, has left nothing in the FIFO.
module hao_process #(
    parameter ID = 0
) (
    input clk,
    input [31:0] cycle,
    input [31:0] start_cycles,
    input [31:0] gap_cycles,
    input [31:0] finish_cycles,
    input [3:0] can_take,
    output [3:0] take,
    input [3:0] can_put,
    output [3:0] put,
    input bus_acknowledged,
    input source_silent,        // what it follows gets no more words
    input [31:0] source_count,  // words there
    output silent,
    output [31:0] loop_now,
    output loop_begun,
    output reg done,
    output reg [31:0] done_cycle
);
  reg [31:0] table_[0:16383];
  reg [8*256-1:0] dir;
  reg [8*300-1:0] file;
  reg [31:0] units[0:3];
  reg [31:0] index, begin_cycle, next_iteration;
  reg responding, sent;
  reg [63:0] valid;  // [i]: an iteration that began i + 1 moves ago
  reg [3:0] writes[0:63];
  integer i;

  wire [31:0] loops = table_[0];
  wire [31:0] base = 8 + 8 * index;
  wire [31:0] trips = table_[base+1];
  wire [31:0] depth = table_[base+2];
  wire [31:0] followed = table_[base+3];
  wire [3:0] polled = table_[base+4][3:0];
  wire bus = table_[base+5][0];

  wire begun = cycle != 0 && cycle >= begin_cycle;
  wire running = !done && begun && !responding && index < loops;
  wire [3:0] wanted = {units[3] != 0, units[2] != 0, units[1] != 0, units[0] != 0};
  wire follows = followed != 0;
  wire issues = running && trips != 0 && !sent;
  wire beyond = next_iteration >= trips;
  wire [1:0] followed_bit = followed[1:0] - 2'd1;
  wire [31:0] word = !beyond ? table_[64+table_[base]+next_iteration] :
      follows ? 32'd1 << followed_bit : table_[64+table_[base]+trips-1];
  wire [3:0] reads = issues ? word[3:0] : 4'd0;
  wire [3:0] issued_writes = issues ? word[7:4] : 4'd0;
  wire [5:0] last_stage = depth[5:0] - 6'd2;
  wire [3:0] puts = !running ? 4'd0 :
      depth == 1 ? issued_writes : valid[last_stage] ? writes[last_stage] : 4'd0;
  wire moves = running && (reads & ~can_take) == 0 && (puts & ~can_put) == 0;
  wire [3:0] polls = issues ? polled & wanted & can_take : 4'd0;
  // A word is left after this iteration, polled ones counted one by one.
  wire [3:0] left = {units[3] > polls[3], units[2] > polls[2], units[1] > polls[1],
                     units[0] > polls[0]};
  wire more = next_iteration + 1 < trips || (polled & left) != 0 ||
      (follows && !(source_silent && source_count == 1));
  assign take = moves ? reads | polls : 4'd0;
  assign put = moves ? puts : 4'd0;
  assign loop_now = index;
  assign loop_begun = begun;

  wire [63:0] shifted = {valid[62:0], issues};
  wire [63:0] early = (64'd1 << (depth - 1)) - 64'd1;
  wire ends = moves && !(issues && more) && (shifted & early) == 0;
  wire last = index + 1 == loops;
  // Nothing that has begun is still to write. (What is on its way may not write at all.)
  reg [31:0] on_their_way;
  always @* begin
    on_their_way = 0;
    for (i = 0; i < 63; i = i + 1)
      if (i + 1 < depth && valid[i] && writes[i] != 0) on_their_way = on_their_way + 1;
  end
  assign silent = index >= loops || (last && sent && on_their_way == 0);

  initial begin
    if (!$value$plusargs("dir=%s", dir)) $finish;
    $sformat(file, "%0s/process_%0d.hex", dir, ID);
    for (i = 0; i < 16384; i = i + 1) table_[i] = 0;
    $readmemh(file, table_);
    for (i = 0; i < 4; i = i + 1) units[i] = table_[1+i];
    for (i = 0; i < 64; i = i + 1) writes[i] = 0;
    index = 0;
    begin_cycle = 0;
    next_iteration = 0;
    responding = 0;
    sent = 0;
    valid = 0;
    done = 0;
    done_cycle = 0;
  end

  always @(posedge clk) begin
    if (cycle == 0) begin
      begin_cycle <= start_cycles;
    end else if (!done && begun && index == loops) begin
      done <= 1;
      done_cycle <= cycle;
    end
    if (moves) begin
      valid <= shifted;
      for (i = 63; i > 0; i = i - 1) writes[i] <= writes[i-1];
      writes[0] <= issued_writes;
      if (issues) next_iteration <= next_iteration + 1;
      if (issues && !more) sent <= 1;
      for (i = 0; i < 4; i = i + 1) if (polls[i]) units[i] <= units[i] - 1;
    end
    if (ends && bus && trips != 0) responding <= 1;
    if ((ends && !(bus && trips != 0)) || (responding && bus_acknowledged)) begin
      responding <= 0;
      sent <= 0;
      valid <= 0;
      next_iteration <= 0;
      index <= index + 1;
      begin_cycle <= cycle + 1 + (last ? finish_cycles : gap_cycles);
    end
  end
endmodule
