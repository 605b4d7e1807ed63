// Reads the records and weights of the next run and hands each stage its units.
module load_weights (
    input logic clk,
    input logic restart,
    input int cycle,
    input engine_pkg::load_step_t dense,
    input engine_pkg::load_step_t depthwise,
    input engine_pkg::load_step_t pointwise,
    read_if.reader port,
    fifo_if.writer dense_units,
    fifo_if.writer dense_records,
    fifo_if.writer depthwise_units,
    fifo_if.writer depthwise_records,
    fifo_if.writer pointwise_units,
    fifo_if.writer pointwise_records,
    output logic done,
    output int end_cycle
);
  import engine_pkg::*;
  localparam int FUNNEL = UNIT_ITEMS * LOAD + 2 * BEAT;
  load_step_t r;
  logic [FUNNEL-1:0] funnel, filled;
  logic [UNIT_ITEMS-1:0][LOAD-1:0] unit;
  beat_t out_records;
  logic [UNIT_ITEMS*LOAD-1:0] out_units;
  logic [8:0] tag, out_tag;  // last, lane
  int index, code, have, beats, group, lane, fold, inner;
  int lanes, items, rows, needed, filled_have, raw;
  logic weights, reads, sends, word_ends, last, empty, issue, put, can_write;
  always_comb begin
    weights = index % 2 == 1;
    code = loading(index / 2);
    r = code == DENSE ? dense : code == DEPTHWISE ? depthwise : pointwise;
    lanes = group == r.groups - 1 ? r.last_lanes : r.lanes;
    items = r.items;
    if (inner == r.inner_folds - 1) items = r.tail_items;
    if (fold == r.folds - 1) items = r.end_items;
    rows = items == r.items ? r.unit_rows : 1;
    if (!weights) rows = RECORDS;
    if (rows > lanes - lane) rows = lanes - lane;
    needed = rows * items * r.bits;
    reads = !weights || (have < needed && beats < r.weight_beats);
    filled = reads ? funnel | FUNNEL'(port.head) << have : funnel;
    filled_have = reads ? have + BEAT : have;
    sends = !weights || filled_have >= needed;
    raw = 0;
    for (int i = 0; i < UNIT_ITEMS; ++i) begin
      raw = int'(LOAD'(filled >> (i * r.bits))) << (32 - r.bits);
      unit[i] = LOAD'(raw >>> (32 - r.bits));
    end
    word_ends = sends && lane + rows >= lanes;
    tag = {word_ends, 8'(lane)};
    empty = weights ? r.groups == 0 : r.record_beats == 0;
    last = word_ends && group == r.groups - 1 && (!weights || fold == r.folds - 1);
    case (code)
      DENSE: can_write = weights ? dense_units.can_put : dense_records.can_put;
      DEPTHWISE:
      can_write = weights ? depthwise_units.can_put : depthwise_records.can_put;
      default: can_write = weights ? pointwise_units.can_put : pointwise_records.can_put;
    endcase
  end
  loops #(.W(9 + BEAT + UNIT_ITEMS * LOAD), .DEEPEST(DEPTH_BUS)) control (
      .clk, .restart, .cycle, .count(2 * LOADING), .depth(DEPTH_BUS), .empty, .bus(1'b0),
      .acknowledged(1'b0), .last, .can_read(!reads || port.can_take), .writes(sends),
      .word({tag, port.head, unit}), .can_write, .index, .begun(port.begun), .issue,
      .put, .out({out_tag, out_records, out_units}), .done, .end_cycle);
  assign port.index = index;
  assign port.base = weights ? r.base + r.record_beats : r.base;
  assign port.beats = weights ? r.weight_beats : r.record_beats;
  assign port.take = issue && reads;
  assign dense_units.in = {out_tag, out_units};
  assign depthwise_units.in = {out_tag, out_units};
  assign pointwise_units.in = {out_tag, out_units};
  assign dense_records.in = {out_tag, out_records};
  assign depthwise_records.in = {out_tag, out_records};
  assign pointwise_records.in = {out_tag, out_records};
  assign dense_units.put = put && weights && code == DENSE;
  assign depthwise_units.put = put && weights && code == DEPTHWISE;
  assign pointwise_units.put = put && weights && code == POINTWISE;
  assign dense_records.put = put && !weights && code == DENSE;
  assign depthwise_records.put = put && !weights && code == DEPTHWISE;
  assign pointwise_records.put = put && !weights && code == POINTWISE;
  always_ff @(posedge clk) begin
    if (restart || (issue && last)) begin
      {have, beats, group, lane, fold, inner} <= 0;
      funnel <= 0;
    end else if (issue) begin
      beats <= beats + int'(reads);
      if (weights) begin
        funnel <= sends ? filled >> needed : filled;
        have <= sends ? filled_have - needed : filled_have;
      end
      if (sends) begin
        lane <= word_ends ? 0 : lane + rows;
        if (word_ends && !weights) group <= group + 1;
        if (word_ends && weights) begin
          inner <= inner == r.inner_folds - 1 ? 0 : inner + 1;
          fold <= fold == r.folds - 1 ? 0 : fold + 1;
          if (fold == r.folds - 1) group <= group + 1;
        end
      end
    end
  end
endmodule
