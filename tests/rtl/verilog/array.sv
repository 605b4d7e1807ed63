// Says in every iteration of an array what has come of the next run's weights: it looks,
// never waits, and goes on after the array's own iterations until all has come.
module fill #(
    parameter int UNIT = 1,  // bits
    parameter int SOME = 1
) (
    input logic clk,
    input logic restart,
    input int cycle,
    input int iterations,  // of the array, those that make the last codes included
    input int fill_units,
    input int fill_records,
    fifo_if.reader units,
    fifo_if.reader records,
    fifo_if.writer fills,  // {last, unit is there, unit, records are there, records}
    output logic done,
    output int end_cycle
);
  import engine_pkg::*;
  int n, units_got, records_got, index;
  logic issue, begun, last, unit_there, records_there;
  assign unit_there = units.can_take;
  assign records_there = records.can_take;
  assign last = n + 1 >= iterations && units_got + int'(unit_there) == fill_units &&
      records_got + int'(records_there) == fill_records;
  loops #(.W(3 + UNIT + SOME), .DEEPEST(DEPTH_FILL)) control (
      .clk, .restart, .cycle, .count(1), .depth(DEPTH_FILL),
      .empty(iterations == 0 && fill_units == 0 && fill_records == 0), .bus(1'b0),
      .acknowledged(1'b0), .last, .can_read(1'b1), .writes(1'b1),
      .word({last, unit_there, units.head, records_there, records.head}),
      .can_write(fills.can_put), .index, .begun, .issue, .put(fills.put),
      .out(fills.in), .done, .end_cycle);
  assign units.take = issue && unit_there;
  assign records.take = issue && records_there;
  always_ff @(posedge clk) begin
    n <= restart ? 0 : n + int'(issue);
    units_got <= restart ? 0 : units_got + int'(units.take);
    records_got <= restart ? 0 : records_got + int'(records.take);
  end
endmodule

// Keeps the list of the words of a pruned layer, and says in every iteration of an array
// where the next one lies. Looks meanwhile whether beats of the next run's list have come.
module order #(
    parameter int WORDS = 1  // beats
) (
    input logic clk,
    input logic restart,
    input int cycle,
    input int pixel_groups,
    input engine_pkg::array_step_t r,
    fifo_if.reader beats,
    fifo_if.writer places,
    output logic done,
    output int end_cycle
);
  import engine_pkg::*;
  beat_t lists[WORDS];
  beat_t beat;
  int n, iterations, entries, entry, got, index;
  logic issue, begun, comes, sends;
  always_comb begin
    // A place an iteration, and one iteration more.
    entries = listed_words(r);
    iterations = pixel_groups * entries;
    sends = n < iterations;
    comes = beats.can_take;
    beat = lists[r.list_base+entry/PLACES];
  end
  loops #(.W(PLACE), .DEEPEST(DEPTH_ORDER)) control (
      .clk, .restart, .cycle, .count(1), .depth(DEPTH_ORDER),
      .empty(iterations == 0 && r.fill_lists == 0), .bus(1'b0), .acknowledged(1'b0),
      .last(!sends && got + int'(comes) == r.fill_lists), .can_read(1'b1), .writes(sends),
      .word(beat[entry%PLACES*PLACE+:PLACE]), .can_write(places.can_put), .index, .begun,
      .issue, .put(places.put), .out(places.in), .done, .end_cycle);
  assign beats.take = issue && comes;
  always_ff @(posedge clk) begin
    if (restart) begin
      {n, entry, got} <= 0;
    end else if (issue) begin
      n <= n + 1;
      entry <= entry == entries - 1 ? 0 : entry + 1;
      got <= got + int'(comes);
      if (comes) lists[r.fill_list_base+got] <= beats.head;
      if (comes && r.fill_list_base + got >= WORDS) begin
        $display("error: %m writes past its lists");
        $finish;
      end
    end
  end
endmodule

// The buffers of a stage's weights and records, which fill while the stage computes.
module weight_buffer #(
    parameter int PE = 1,
    parameter int ITEMS = 1,
    parameter int WB = 8,
    parameter int UNIT_ROWS = 1,
    parameter int WEIGHT_WORDS = 1,
    parameter int CHANNEL_WORDS = 1,
    localparam int UNIT_BITS = engine_pkg::UNIT_ITEMS * engine_pkg::LOAD,
    localparam int SOME_BITS = engine_pkg::RECORDS * engine_pkg::RECORD
) (
    input logic clk,
    input logic restart,
    input int fill_weight_base,
    input int fill_channel_base,
    input logic takes_unit,
    input logic [8+UNIT_BITS:0] unit_word,     // {last, lane, weights}
    input logic takes_records,
    input logic [8+SOME_BITS:0] records_word,  // {last, lane, records}
    input int weight_word,
    output logic [PE-1:0][ITEMS-1:0][WB-1:0] weights,
    input int channel_word,
    output logic [PE-1:0][engine_pkg::RECORD-1:0] channels
);
  import engine_pkg::*;
  logic [PE-1:0][ITEMS-1:0][WB-1:0] weight_words[WEIGHT_WORDS], new_weights, more_weights;
  logic [PE-1:0][RECORD-1:0] channel_words[CHANNEL_WORDS], new_channels, more_channels;
  logic [UNIT_ITEMS-1:0][LOAD-1:0] unit;
  logic [RECORDS-1:0][RECORD-1:0] some;
  logic unit_last, records_last;
  logic [7:0] unit_lane, records_lane;
  int next_weight, next_channel;

  // A pool needs neither, and may have more groups than they hold.
  assign weights = weight_words[weight_word<WEIGHT_WORDS?weight_word : 0];
  assign channels = channel_words[channel_word<CHANNEL_WORDS?channel_word : 0];

  always_comb begin
    {unit_last, unit_lane, unit} = unit_word;
    {records_last, records_lane, some} = records_word;
    more_weights = new_weights;
    more_channels = new_channels;
    for (int row = 0; row < UNIT_ROWS; ++row)
      if (int'(unit_lane) + row < PE)
        for (int i = 0; i < ITEMS; ++i)
          more_weights[int'(unit_lane)+row][i] = WB'($signed(unit[row*ITEMS+i]));
    for (int i = 0; i < RECORDS; ++i)
      if (int'(records_lane) + i < PE) more_channels[int'(records_lane)+i] = some[i];
  end

  always_ff @(posedge clk) begin
    if (restart) begin
      next_weight <= fill_weight_base;
      next_channel <= fill_channel_base;
    end else begin
      if (takes_unit) begin
        new_weights <= more_weights;
        if (unit_last) begin
          weight_words[next_weight] <= more_weights;
          next_weight <= next_weight + 1;
          if (next_weight >= WEIGHT_WORDS) begin
            $display("error: %m writes past its weights");
            $finish;
          end
        end
      end
      if (takes_records) begin
        new_channels <= more_channels;
        if (records_last) begin
          channel_words[next_channel] <= more_channels;
          next_channel <= next_channel + 1;
          if (next_channel >= CHANNEL_WORDS) begin
            $display("error: %m writes past its records");
            $finish;
          end
        end
      end
    end
  end
endmodule

// The multiplying process of the dense and of the pointwise stage.
module array #(
    parameter int PE = 1,
    parameter int ITEMS = 1,
    parameter int WB = 8,
    parameter int ACC = 32,
    parameter int UNIT_ROWS = 1,
    parameter int WEIGHT_WORDS = 1,
    parameter int CHANNEL_WORDS = 1,
    parameter int TURNS = 1  // lanes that a multiplier of codes serves
) (
    input logic clk,
    input logic restart,
    input int cycle,
    input int pixel_groups,  // of the map that is made
    input engine_pkg::array_step_t r,
    fifo_if.reader operands,
    fifo_if.reader fills,
    fifo_if.writer to_pack,
    fifo_if.writer to_depthwise,
    fifo_if.writer to_pointwise,
    output logic done,
    output int end_cycle
);
  import engine_pkg::*;
  typedef logic [PX-1:0][PE-1:0][ACT-1:0] pixels_t;
  pixels_t result, out, kept;
  int turn;  // of the codes that are kept; TURNS: all are made
  logic signed [ACC-1:0] acc[PX][PE], sum[PX][PE];
  int index, fold, group, pixel_group;
  logic issue, begun, put, empty, last, complete, computes, can_read, can_write;
  logic unit_there, records_there, nothing_left;
  logic [8+UNIT_ITEMS*LOAD:0] unit_word;
  logic [8+RECORDS*RECORD:0] records_word;

  logic [PE-1:0][ITEMS-1:0][WB-1:0] weights;
  logic [PE-1:0][RECORD-1:0] channels;
  weight_buffer #(.PE(PE), .ITEMS(ITEMS), .WB(WB), .UNIT_ROWS(UNIT_ROWS),
      .WEIGHT_WORDS(WEIGHT_WORDS), .CHANNEL_WORDS(CHANNEL_WORDS)) buffer (
      .clk, .restart, .fill_weight_base(r.fill_weight_base),
      .fill_channel_base(r.fill_channel_base), .takes_unit(issue && unit_there),
      .unit_word, .takes_records(issue && records_there), .records_word, .weight_word(r.weight_base + group * r.folds + fold),
      .weights, .channel_word(r.channel_base + group), .channels);

  logic [PX-1:0][ITEMS-1:0][ACT-1:0] codes;
  int x[PX][ITEMS];
  always_comb begin
    codes = operands.head;
    complete = fold == r.folds - 1;
    result = 0;
    for (int q = 0; q < PX; ++q)
      for (int i = 0; i < ITEMS; ++i) x[q][i] = number(codes[q][i], r.is_signed != 0);
    for (int q = 0; q < PX; ++q)
      for (int p = 0; p < PE; ++p) begin
        sum[q][p] = fold == 0 && r.resumes == 0 ? ACC'(first_sum(channels[p])) : acc[q][p];
        for (int i = 0; i < ITEMS; ++i)
          sum[q][p] = sum[q][p]
              + ACC'((x[q][i] * int'($signed(weights[p][i]))) <<< (4 * (r.up - fold / r.pass_folds)));
        if (group * PE + p < r.channels)
          result[q][p] =
              ACT'(requantized(longint'(sum[q][p]), channels[p], r.low, r.high));
      end
    {nothing_left, unit_there, unit_word, records_there, records_word} = fills.head;
    last = nothing_left;
    empty = (pixel_groups == 0 || r.folds == 0) && r.fill_units == 0 && r.fill_records == 0;
    computes = pixel_group < pixel_groups && r.folds != 0;
    can_read = fills.can_take && (!computes || operands.can_take);
  end
  assign can_write = r.target == NONE ? to_pack.can_put :
      r.target == DEPTHWISE ? to_depthwise.can_put : to_pointwise.can_put;

  loops #(.W($bits(pixels_t)), .DEEPEST(DEPTH_ARRAY)) control (
      .clk, .restart, .cycle, .count(1), .depth(DEPTH_ARRAY), .empty, .bus(1'b0),
      .acknowledged(1'b0), .last, .can_read, .writes(TURNS > 1 ? turn == TURNS - 1 : computes && complete && r.holds == 0),
      .word(TURNS > 1 ? kept : result), .can_write, .index, .begun, .issue,
      .put, .out, .done, .end_cycle);
  assign operands.take = issue && computes;
  assign fills.take = issue;
  assign to_pack.in = out;
  assign to_depthwise.in = out;
  assign to_pointwise.in = out;
  assign to_pack.put = put && r.target == NONE;
  assign to_depthwise.put = put && r.target == DEPTHWISE;
  assign to_pointwise.put = put && r.target == POINTWISE;

  always_ff @(posedge clk) begin
    if (restart) turn <= TURNS;
    else if (issue) begin
      turn <= computes && complete && r.holds == 0 ? 0 : turn == TURNS ? TURNS : turn + 1;
      if (computes && complete) kept <= result;
    end
    if (restart) begin
      fold <= 0;
      group <= 0;
      pixel_group <= 0;
    end else if (issue && computes) begin
      acc <= sum;
      fold <= complete ? 0 : fold + 1;
      if (complete) begin
        group <= group == r.groups - 1 ? 0 : group + 1;
        if (group == r.groups - 1) pixel_group <= pixel_group + 1;
      end
    end
  end
endmodule
