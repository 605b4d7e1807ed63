// The buffers of a stage's weights and records, which fill while the stage computes.
module weight_buffer #(
    parameter int PE = 1,
    parameter int ITEMS = 1,
    parameter int WB = 8,
    parameter int UNIT_ROWS = 1,
    parameter int WEIGHT_WORDS = 1,
    parameter int CHANNEL_WORDS = 1
) (
    input logic clk,
    input logic restart,
    input int fill_weight_base,
    input int fill_channel_base,
    input int fill_units,
    input int fill_records,
    fifo_if.reader units,    // {last, lane, weights}
    fifo_if.reader records,  // {last, lane, records}
    input logic polls,       // an iteration starts that takes what is there
    input logic drains_records,
    input logic drains_units,
    output int records_left,
    output int units_left,
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

  assign units.take = (polls && units_left > 0 && units.can_take) || drains_units;
  assign records.take = (polls && records_left > 0 && records.can_take) || drains_records;
  // A pool needs neither, and may have more groups than they hold.
  assign weights = weight_words[weight_word<WEIGHT_WORDS?weight_word : 0];
  assign channels = channel_words[channel_word<CHANNEL_WORDS?channel_word : 0];

  always_comb begin
    {unit_last, unit_lane, unit} = units.head;
    {records_last, records_lane, some} = records.head;
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
      units_left <= fill_units;
      records_left <= fill_records;
    end else begin
      if (units.take) begin
        new_weights <= more_weights;
        units_left <= units_left - 1;
        if (unit_last) begin
          weight_words[next_weight] <= more_weights;
          next_weight <= next_weight + 1;
          if (next_weight >= WEIGHT_WORDS) begin
            $display("error: %m writes past its weights");
            $finish;
          end
        end
      end
      if (records.take) begin
        new_channels <= more_channels;
        records_left <= records_left - 1;
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
    parameter int CHANNEL_WORDS = 1
) (
    input logic clk,
    input logic restart,
    input int cycle,
    input int pixel_groups,  // of the map that is made
    input engine_pkg::array_step_t r,
    fifo_if.reader operands,
    fifo_if.reader units,
    fifo_if.reader records,
    fifo_if.writer to_pack,
    fifo_if.writer to_depthwise,
    fifo_if.writer to_pointwise,
    output logic done,
    output int end_cycle
);
  import engine_pkg::*;
  typedef logic [PX-1:0][PE-1:0][ACT-1:0] pixels_t;
  pixels_t result, out;
  logic signed [ACC-1:0] acc[PX][PE], sum[PX][PE];
  int index, fold, group, pixel_group;
  logic issue, begun, put, empty, last, complete, drains, can_read, can_write;

  logic [PE-1:0][ITEMS-1:0][WB-1:0] weights;
  logic [PE-1:0][RECORD-1:0] channels;
  int records_left, units_left;
  weight_buffer #(.PE(PE), .ITEMS(ITEMS), .WB(WB), .UNIT_ROWS(UNIT_ROWS),
      .WEIGHT_WORDS(WEIGHT_WORDS), .CHANNEL_WORDS(CHANNEL_WORDS)) buffer (
      .clk, .restart, .fill_weight_base(r.fill_weight_base),
      .fill_channel_base(r.fill_channel_base), .fill_units(r.fill_units),
      .fill_records(r.fill_records), .units, .records, .polls(issue && index == 0),
      .drains_records(issue && index == 1), .drains_units(issue && index == 2),
      .records_left, .units_left, .weight_word(r.weight_base + group * r.folds + fold),
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
        sum[q][p] = fold == 0 ? ACC'($signed(channels[p][25:0])) : acc[q][p];
        for (int i = 0; i < ITEMS; ++i)
          sum[q][p] = sum[q][p] + ACC'(x[q][i] * int'($signed(weights[p][i])));
        if (group * PE + p < r.channels)
          result[q][p] =
              ACT'(requantized(longint'(sum[q][p]), channels[p], r.low, r.high));
      end
    last = complete && group == r.groups - 1 && pixel_group == pixel_groups - 1;
    empty = pixel_groups == 0 || r.folds == 0;
    can_read = operands.can_take;
    if (index == 1) begin
      last = records_left == 1;
      empty = records_left == 0;
      can_read = records.can_take;
    end
    if (index == 2) begin
      last = units_left == 1;
      empty = units_left == 0;
      can_read = units.can_take;
    end
    drains = index != 0;
  end
  assign can_write = r.target == NONE ? to_pack.can_put :
      r.target == DEPTHWISE ? to_depthwise.can_put : to_pointwise.can_put;

  loops #(.W($bits(pixels_t)), .DEEPEST(DEPTH_ARRAY)) control (
      .clk, .restart, .cycle, .count(3), .depth(drains ? DEPTH_FILL : DEPTH_ARRAY),
      .empty, .bus(1'b0), .acknowledged(1'b0), .last, .can_read,
      .writes(!drains && complete), .word(result), .can_write, .index, .begun, .issue,
      .put, .out, .done, .end_cycle);
  assign operands.take = issue && !drains;
  assign to_pack.in = out;
  assign to_depthwise.in = out;
  assign to_pointwise.in = out;
  assign to_pack.put = put && r.target == NONE;
  assign to_depthwise.put = put && r.target == DEPTHWISE;
  assign to_pointwise.put = put && r.target == POINTWISE;

  always_ff @(posedge clk) begin
    if (restart) begin
      fold <= 0;
      group <= 0;
      pixel_group <= 0;
    end else if (issue && !drains) begin
      acc <= sum;
      fold <= complete ? 0 : fold + 1;
      if (complete) begin
        group <= group == r.groups - 1 ? 0 : group + 1;
        if (group == r.groups - 1) pixel_group <= pixel_group + 1;
      end
    end
  end
endmodule
