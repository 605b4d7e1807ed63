// The way of feature maps from and to the memory, but for packing.

module read_ifm (
    input logic clk,
    input logic restart,
    input int cycle,
    input engine_pkg::read_step_t r,
    read_if.reader port,
    fifo_if.writer through,
    fifo_if.writer dense,
    fifo_if.writer depthwise,
    fifo_if.writer pointwise,
    output logic done,
    output int end_cycle
);
  import engine_pkg::*;
  int n, index;
  logic issue, put, can_write;
  beat_t out;
  loops #(.W(BEAT), .DEEPEST(DEPTH_BUS)) control (
      .clk, .restart, .cycle, .count(1), .depth(DEPTH_BUS), .empty(r.beats == 0),
      .bus(1'b0), .acknowledged(1'b0), .last(n == r.beats - 1),
      .can_read(port.can_take), .writes(1'b1), .word(port.head), .can_write, .index,
      .begun(port.begun), .issue, .put, .out, .done, .end_cycle);
  assign port.index = 0;
  assign port.base = r.base;
  assign port.beats = r.beats;
  assign port.take = issue;
  assign can_write = r.target == NONE ? through.can_put :
      r.target == DENSE ? dense.can_put :
      r.target == DEPTHWISE ? depthwise.can_put : pointwise.can_put;
  assign through.in = out;
  assign dense.in = out;
  assign depthwise.in = out;
  assign pointwise.in = out;
  assign through.put = put && r.target == NONE;
  assign dense.put = put && r.target == DENSE;
  assign depthwise.put = put && r.target == DEPTHWISE;
  assign pointwise.put = put && r.target == POINTWISE;
  always_ff @(posedge clk) n <= restart ? 0 : n + int'(issue);
endmodule

// The beats of a tile lie apart: a loop for each of its pixels.
module read_residual (
    input logic clk,
    input logic restart,
    input int cycle,
    input engine_pkg::residual_step_t r,
    read_if.reader port,
    fifo_if.writer beats,
    output logic done,
    output int end_cycle
);
  import engine_pkg::*;
  int n;
  logic issue;
  loops #(.W(BEAT), .DEEPEST(DEPTH_BUS)) control (
      .clk, .restart, .cycle, .count(r.pixels), .depth(DEPTH_BUS),
      .empty(r.run == 0), .bus(1'b0), .acknowledged(1'b0), .last(n == r.run - 1),
      .can_read(port.can_take), .writes(1'b1), .word(port.head),
      .can_write(beats.can_put), .index(port.index), .begun(port.begun), .issue,
      .put(beats.put), .out(beats.in), .done, .end_cycle);
  assign port.base = r.base + port.index * r.stride;
  assign port.beats = r.run;
  assign port.take = issue;
  always_ff @(posedge clk)
    if (restart) n <= 0;
    else if (issue) n <= n == r.run - 1 ? 0 : n + 1;
endmodule

// Beats to words of LANES channels; a row begins with a new beat.
module unpack #(
    parameter int LANES = 1,
    parameter int HOLD = 1
) (
    input logic clk,
    input logic restart,
    input int cycle,
    input logic used,
    input int beats_in_all,
    input engine_pkg::unpack_step_t r,
    fifo_if.reader beats,
    fifo_if.writer words,
    output logic done,
    output int end_cycle
);
  import engine_pkg::*;
  // Codes that wait, the oldest in lane 0.
  logic [HOLD-1:0][STORE-1:0] hold, filled;
  logic [LANES-1:0][ACT-1:0] word;
  int have, filled_have, slot, pixel, row_beats, all_beats, index;
  int needed, whole;
  logic reads, sends, row_ends, issue, begun;
  always_comb begin
    needed = slot == r.words - 1 ? r.tail : LANES;
    // Beats of a row: all its words, the last one as long as what is left.
    whole = r.pixels * (r.words - 1) * LANES + (r.pixels - 1) * r.tail + r.row_tail;
    whole = ceil_div(whole, CODES);
    reads = have < needed && row_beats < whole;
    filled = hold;
    filled_have = have;
    if (reads) begin
      for (int i = 0; i < CODES; ++i)
        filled[have+i] = beats.head[i*STORE+:STORE];
      filled_have = have + CODES;
    end
    sends = filled_have >= needed || row_beats + int'(reads) == whole;
    row_ends = sends && slot == r.words - 1 && pixel == r.pixels - 1;
    for (int i = 0; i < LANES; ++i) begin
      if (r.taps > 1) begin
        // Whole pixels, without the codes that fill them up.
        word[i] = 0;
        if (i / r.channels < r.taps)
          word[i] = ACT'(filled[i/r.channels*r.pixel_channels+i%r.channels]);
      end else begin
        word[i] = slot * LANES + i < r.channels ? ACT'(filled[i]) : 0;
      end
    end
  end
  loops #(.W(LANES * ACT), .DEEPEST(DEPTH_UNPACK)) control (
      .clk, .restart, .cycle, .count(1), .depth(DEPTH_UNPACK), .empty(!used),
      .bus(1'b0), .acknowledged(1'b0),
      .last(row_ends && all_beats + int'(reads) == beats_in_all),
      .can_read(!reads || beats.can_take), .writes(sends), .word,
      .can_write(words.can_put), .index, .begun, .issue, .put(words.put),
      .out(words.in), .done, .end_cycle);
  assign beats.take = issue && reads;
  always_ff @(posedge clk) begin
    if (restart) begin
      have <= 0;
      slot <= 0;
      pixel <= 0;
      row_beats <= 0;
      all_beats <= 0;
    end else if (issue) begin
      all_beats <= all_beats + int'(reads);
      row_beats <= row_ends ? 0 : row_beats + int'(reads);
      have <= row_ends ? 0 : sends ? filled_have - needed : filled_have;
      hold <= sends ? filled >> (needed * STORE) : filled;
      if (sends) begin
        slot <= slot == r.words - 1 ? 0 : slot + 1;
        if (slot == r.words - 1) pixel <= row_ends ? 0 : pixel + 1;
      end
    end
  end
endmodule

// Adds the residual, or sums up for the global average.
module finish #(
    parameter int MEAN_WORDS = 1,
    parameter int SUM = 32
) (
    input logic clk,
    input logic restart,
    input int cycle,
    input engine_pkg::finish_step_t r,
    fifo_if.reader through,
    fifo_if.reader dense,
    fifo_if.reader depthwise,
    fifo_if.reader pointwise,
    fifo_if.reader residual,
    fifo_if.writer beats,
    output logic done,
    output int end_cycle
);
  import engine_pkg::*;
  localparam int DEEPEST = DEPTH_MEAN > DEPTH_FINISH ? DEPTH_MEAN : DEPTH_FINISH;
  logic [CODES-1:0][SUM-1:0] sums[MEAN_WORDS], added;
  int index, n, word;
  logic issue, begun, mean, can_read, last;
  beat_t beat, other, result;
  longint value, total;
  assign mean = index == 1;
  assign last = mean ? n == r.mean_words * CODES - 1 : n == r.beats - 1;
  always_comb begin
    case (r.source)
      NONE: {can_read, beat} = {through.can_take, through.head};
      DENSE: {can_read, beat} = {dense.can_take, dense.head};
      DEPTHWISE: {can_read, beat} = {depthwise.can_take, depthwise.head};
      default: {can_read, beat} = {pointwise.can_take, pointwise.head};
    endcase
    if (r.adds != 0 && !residual.can_take) can_read = 0;
    if (mean) can_read = 1;
    other = residual.head;
    result = 0;
    value = 0;
    total = 0;
    added = sums[word];
    for (int i = 0; i < CODES; ++i) begin
      if (mean) begin
        // Pixels smaller than a beat: their channels stand in several lanes.
        total = 0;
        for (int j = 0; j < CODES; ++j)
          if (j % r.mean_lanes == i)
            total = total + longint'($signed(sums[n/CODES][j]));
        total = product(total + longint'(r.sum_bias), r.multiplier)
            + (longint'(r.code_bias) <<< r.mean_shift);
        value = limited(rounded(total, r.mean_shift, r.mean_rounding),
                        r.pool_low, r.pool_high);
        if (r.mean_last != 0 && n / CODES == r.mean_words - 1 && i >= r.mean_last)
          value = 0;
        if (i < r.mean_lanes) result[i*STORE+:STORE] = STORE'({ACT'(value)});
      end else if (r.adds != 0) begin
        total = (longint'(number(beat[i*STORE+:ACT], r.is_signed != 0)) <<< r.shift_a)
            + (longint'(number(other[i*STORE+:ACT], r.residual_signed != 0))
               <<< r.shift_b) + longint'(r.bias);
        value = limited(rounded(total, r.shift, r.rounding), r.low, r.high);
        // What only fills a pixel or a row up stays 0.
        if (r.unit != 0 && (i % r.pixel_lanes >= r.pixel_codes
            || (n % r.unit == r.unit - 1 && i >= r.unit_lanes))) value = 0;
        result[i*STORE+:STORE] = STORE'({ACT'(value)});
      end else begin
        result[i*STORE+:STORE] = beat[i*STORE+:STORE];
      end
      added[i] = (n < r.mean_words ? 0 : added[i]) +
          SUM'(number(result[i*STORE+:ACT], r.pool_signed != 0));
    end
  end
  // The mean takes a sum an iteration, and sends a beat of them.
  loops #(.W(BEAT), .DEEPEST(DEEPEST)) control (
      .clk, .restart, .cycle, .count(r.pools != 0 ? 2 : 1),
      .depth(mean ? DEPTH_MEAN : DEPTH_FINISH), .empty(!mean && r.beats == 0),
      .bus(1'b0), .acknowledged(1'b0), .last, .can_read,
      .writes(mean ? n % CODES == CODES - 1 : r.pools == 0), .word(result),
      .can_write(beats.can_put), .index, .begun, .issue, .put(beats.put),
      .out(beats.in), .done, .end_cycle);
  assign through.take = issue && !mean && r.source == NONE;
  assign dense.take = issue && !mean && r.source == DENSE;
  assign depthwise.take = issue && !mean && r.source == DEPTHWISE;
  assign pointwise.take = issue && !mean && r.source == POINTWISE;
  assign residual.take = issue && !mean && r.adds != 0;
  always_ff @(posedge clk) begin
    if (restart) begin
      n <= 0;
      word <= 0;
    end else if (issue) begin
      n <= last ? 0 : n + 1;
      if (!mean && r.pools != 0) begin
        sums[word] <= added;
        word <= word == r.mean_words - 1 ? 0 : word + 1;
      end
    end
  end
endmodule

// Beats to the memory; those of a tile lie apart, as those of its residual.
module write_ofm (
    input logic clk,
    input logic restart,
    input int cycle,
    input engine_pkg::write_step_t r,
    fifo_if.reader beats,
    fifo_if.writer port,  // {address, beat}
    input logic acknowledged,
    output logic done,
    output int end_cycle
);
  import engine_pkg::*;
  int index, n;
  logic issue, begun, last;
  assign last = n == r.run - 1;
  loops #(.W(32 + BEAT), .DEEPEST(DEPTH_BUS)) control (
      .clk, .restart, .cycle, .count(r.pixels), .depth(DEPTH_BUS), .empty(1'b0),
      .bus(1'b1), .acknowledged, .last, .can_read(beats.can_take), .writes(1'b1),
      .word({r.base + index * r.stride + n, beats.head}), .can_write(port.can_put),
      .index, .begun, .issue, .put(port.put), .out(port.in), .done, .end_cycle);
  assign beats.take = issue;
  always_ff @(posedge clk)
    if (restart) n <= 0;
    else if (issue) n <= last ? 0 : n + 1;
endmodule
