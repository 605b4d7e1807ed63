// Words that change their shape between the stages and behind the last one.

// Holds the channels of PX pixels and sends them once per group of output channels.
module pointwise_vectors #(
    parameter int ITEMS = 1,
    parameter int WORDS = 1
) (
    input logic clk,
    input logic restart,
    input int cycle,
    input engine_pkg::vectors_step_t r,
    input int listed_sends,  // words of a pruned layer that a group of pixels meets, or 0
    input int out_groups,
    fifo_if.reader places,
    fifo_if.reader words,  // of one pixel, from the memory
    fifo_if.reader from_dense,
    fifo_if.reader from_depthwise,
    fifo_if.writer operands,
    output logic done,
    output int end_cycle
);
  import engine_pkg::*;
  logic [PX-1:0][ITEMS-1:0][ACT-1:0] vectors[WORDS], operand, several;
  int index, taken, half, pixel, word, group, tick, feed_error, sweep_error;
  int fresh, sends, period;
  int sent;
  place_t place;
  logic issue, begun, feeds, sweeps, ends, can_take, listed;
  always_comb begin
    // Group of pixels `taken` comes in while the one before it is sent.
    fresh = r.source != NONE ? r.folds : r.words;
    if (taken % r.xgroups == r.xgroups - 1 && r.source == NONE) fresh = r.last_words;
    if (taken == r.total) fresh = 0;
    sends = listed_sends != 0 ? listed_sends : out_groups * r.folds;
    if (taken == 0) sends = 0;
    period = fresh > sends ? fresh : sends;
    feeds = feed_error + fresh >= period && fresh > 0;
    sweeps = sweep_error + sends >= period && sends > 0;
    ends = tick == period - 1;
    can_take = r.source == NONE ? words.can_take :
        r.source == DENSE ? from_dense.can_take : from_depthwise.can_take;
    several = r.source == DENSE ? from_dense.head : from_depthwise.head;
    if (r.source == NONE) begin
      // Pixels past the end of a row are copies of its last.
      several = vectors[half*r.folds+word];
      for (int q = 0; q < PX; ++q) if (q >= pixel) several[q] = words.head;
    end
    listed = sweeps && listed_sends != 0;
    place = places.head;
    sent = listed ? int'(place.group) : group;
    operand = vectors[(1-half)*r.folds+sent];
  end
  loops #(.W(PX * ITEMS * ACT), .DEEPEST(DEPTH_WINDOW)) control (
      .clk, .restart, .cycle, .count(1), .depth(DEPTH_WINDOW), .empty(r.total == 0),
      .bus(1'b0), .acknowledged(1'b0), .last(ends && taken == r.total),
      .can_read((!feeds || can_take) && (!listed || places.can_take)), .writes(sweeps),
      .word(operand),
      .can_write(operands.can_put), .index, .begun, .issue, .put(operands.put),
      .out(operands.in), .done, .end_cycle);
  assign places.take = issue && listed;
  assign words.take = issue && feeds && r.source == NONE;
  assign from_dense.take = issue && feeds && r.source == DENSE;
  assign from_depthwise.take = issue && feeds && r.source == DEPTHWISE;
  always_ff @(posedge clk) begin
    if (restart) begin
      {taken, half, pixel, word, group, tick} <= 0;
      feed_error <= 0;
      sweep_error <= 0;
    end else if (issue) begin
      if (feeds) begin
        if (half * r.folds + word >= WORDS) begin
          $display("error: %m writes past its end");
          $finish;
        end
        vectors[half*r.folds+word] <= several;
        word <= word == r.folds - 1 ? 0 : word + 1;
        if (word == r.folds - 1) pixel <= pixel + 1;
      end
      if (sweeps) group <= group == r.folds - 1 ? 0 : group + 1;
      tick <= ends ? 0 : tick + 1;
      feed_error <= ends ? 0 : feed_error + fresh - (feeds ? period : 0);
      sweep_error <= ends ? 0 : sweep_error + sends - (sweeps ? period : 0);
      if (ends) begin
        taken <= taken + 1;
        half <= 1 - half;
        {pixel, word} <= 0;
      end
    end
  end
endmodule

// From words of IN channels to words of OUT channels; a group of pixels ends with an
// incomplete one.
module regroup #(
    parameter int IN = 1,
    parameter int OUT = 1
) (
    input logic clk,
    input logic restart,
    input int cycle,
    input logic used,
    input int pixel_groups,
    input engine_pkg::regroup_step_t r,
    fifo_if.reader words,
    fifo_if.writer made,
    output logic done,
    output int end_cycle
);
  import engine_pkg::*;
  logic [PX-1:0][IN+OUT-1:0][ACT-1:0] hold, filled, rest;
  logic [PX-1:0][IN-1:0][ACT-1:0] word;
  logic [PX-1:0][OUT-1:0][ACT-1:0] out;
  int index, have, taken, given, pixel_group, filled_have;
  logic issue, begun, reads, sends, group_ends;
  always_comb begin
    reads = have < OUT && taken < r.words_in;
    word = words.head;
    filled = hold;
    filled_have = have;
    if (reads) begin
      for (int q = 0; q < PX; ++q)
        for (int i = 0; i < IN; ++i) filled[q][have+i] = word[q][i];
      filled_have = have + IN;
    end
    sends = filled_have >= OUT || taken + int'(reads) == r.words_in;
    group_ends = sends && given == r.words_out - 1;
    for (int q = 0; q < PX; ++q)
      for (int i = 0; i < OUT; ++i) out[q][i] = i < filled_have ? filled[q][i] : 0;
    for (int q = 0; q < PX; ++q) rest[q] = filled[q] >> (OUT * ACT);
  end
  loops #(.W(PX * OUT * ACT), .DEEPEST(DEPTH_REGROUP)) control (
      .clk, .restart, .cycle, .count(1), .depth(DEPTH_REGROUP), .empty(!used),
      .bus(1'b0), .acknowledged(1'b0),
      .last(group_ends && pixel_group == pixel_groups - 1),
      .can_read(!reads || words.can_take), .writes(sends), .word(out),
      .can_write(made.can_put), .index, .begun, .issue, .put(made.put), .out(made.in),
      .done, .end_cycle);
  assign words.take = issue && reads;
  always_ff @(posedge clk) begin
    if (restart) begin
      {have, taken, given, pixel_group} <= 0;
    end else if (issue) begin
      hold <= sends ? rest : filled;
      have <= sends ? (filled_have > OUT ? filled_have - OUT : 0) : filled_have;
      taken <= taken + int'(reads);
      given <= given + int'(sends);
      if (group_ends) begin
        {have, taken, given} <= 0;
        pixel_group <= pixel_group + 1;
      end
    end
  end
endmodule

// From words of PE channels of PX pixels to beats.
module pack #(
    parameter int PE = 1,
    parameter int WORDS = 1
) (
    input logic clk,
    input logic restart,
    input int cycle,
    input logic used,
    input engine_pkg::pack_step_t r,
    fifo_if.reader words,
    fifo_if.writer beats,
    output logic done,
    output int end_cycle
);
  import engine_pkg::*;
  localparam int HOLD = PE + 2 * CODES;
  logic [PX-1:0][PE-1:0][ACT-1:0] kept[WORDS];
  logic [PE-1:0][ACT-1:0] slot;
  logic [HOLD-1:0][ACT-1:0] hold, filled;
  beat_t beat;
  int index, came, half, in_word, pixel, word, sent, have, tick, feed_error;
  int fresh, leaving, period, pixels, filled_have, next_word, column;
  logic issue, begun, feeds, reads, sends, ends, row_ends, pixel_ends;
  always_comb begin
    // Group of pixels `came` comes in while the one before it leaves.
    column = (came - 1) % r.xgroups;
    pixels = column == r.xgroups - 1 ? r.last_pixels : PX;
    leaving = came == 0 ? 0 : column == r.xgroups - 1 ? r.last_sends : r.sends;
    fresh = came == r.total ? 0 : r.groups;
    period = leaving > fresh ? leaving : fresh;
    ends = tick == period - 1;
    feeds = feed_error + fresh >= period && fresh > 0;
    slot = kept[(1-half)*r.groups+word][pixel];
    filled = hold;
    filled_have = have;
    reads = came > 0 && pixel < pixels && have < CODES && word < r.groups;
    if (reads) begin
      // A last word that is longer than PE ends with codes that fill up the pixel.
      for (int i = 0; i < HOLD; ++i)
        if (i >= have) filled[i] = i - have < PE ? slot[i-have] : 0;
      filled_have = have + (word == r.groups - 1 ? r.tail : PE);
    end
    next_word = word + int'(reads);
    row_ends = r.merges != 0 && next_word == r.groups && pixel == pixels - 1 &&
        column == r.xgroups - 1;
    sends = came > 0 && pixel < pixels && (filled_have >= CODES || row_ends);
    pixel_ends = came > 0 && pixel < pixels &&
        (r.merges != 0 ? next_word == r.groups
                       : sent + (sends ? CODES : 0) >= (r.groups - 1) * PE + r.tail);
    beat = 0;
    for (int i = 0; i < CODES; ++i)
      if (i < filled_have) beat[i*STORE+:STORE] = STORE'(filled[i]);
  end
  loops #(.W(BEAT), .DEEPEST(DEPTH_PACK)) control (
      .clk, .restart, .cycle, .count(1), .depth(DEPTH_PACK), .empty(!used), .bus(1'b0),
      .acknowledged(1'b0), .last(ends && came == r.total),
      .can_read(!feeds || words.can_take), .writes(sends), .word(beat),
      .can_write(beats.can_put), .index, .begun, .issue, .put(beats.put),
      .out(beats.in), .done, .end_cycle);
  assign words.take = issue && feeds;
  always_ff @(posedge clk) begin
    if (restart) begin
      {came, half, in_word, pixel, word, sent, have, tick} <= 0;
      feed_error <= 0;
    end else if (issue) begin
      if (feeds) begin
        kept[half*r.groups+in_word] <= words.head;
        in_word <= in_word + 1;
      end
      hold <= sends ? filled >> (CODES * ACT) : filled;
      have <= sends ? (filled_have > CODES ? filled_have - CODES : 0) : filled_have;
      if (pixel_ends) begin
        pixel <= pixel + 1;
        {word, sent} <= 0;
      end else begin
        word <= next_word;
        sent <= sent + (sends ? CODES : 0);
      end
      tick <= ends ? 0 : tick + 1;
      feed_error <= ends ? 0 : feed_error + fresh - (feeds ? period : 0);
      if (ends) begin
        if (came > 0 && pixel + int'(pixel_ends) != pixels) begin
          $display("error: %m ends before its pixels have left");
          $finish;
        end
        came <= came + 1;
        half <= 1 - half;
        {in_word, pixel, word, sent} <= 0;
      end
    end
  end
endmodule
