// Reads the records and weights of the next run, of all its stages.
module read_weights (
    input logic clk,
    input logic restart,
    input int cycle,
    input engine_pkg::fetch_step_t r,
    read_if.reader port,
    fifo_if.writer beats,
    output logic done,
    output int end_cycle
);
  import engine_pkg::*;
  int n, index;
  logic issue;
  loops #(.W(BEAT), .DEEPEST(DEPTH_BUS)) control (
      .clk, .restart, .cycle, .count(1), .depth(DEPTH_BUS), .empty(r.beats == 0),
      .bus(1'b0), .acknowledged(1'b0), .last(n == r.beats - 1),
      .can_read(port.can_take), .writes(1'b1), .word(port.head),
      .can_write(beats.can_put), .index, .begun(port.begun), .issue, .put(beats.put),
      .out(beats.in), .done, .end_cycle);
  assign port.index = 0;
  assign port.base = r.base;
  assign port.beats = r.beats;
  assign port.take = issue;
  always_ff @(posedge clk) n <= restart ? 0 : n + int'(issue);
endmodule

// Hands each stage its records and units.
module load_weights (
    input logic clk,
    input logic restart,
    input int cycle,
    input engine_pkg::load_step_t dense,
    input engine_pkg::load_step_t depthwise,
    input engine_pkg::load_step_t pointwise,
    fifo_if.reader loaded,
    fifo_if.writer dense_units,
    fifo_if.writer dense_records,
    fifo_if.writer depthwise_units,
    fifo_if.writer depthwise_records,
    fifo_if.writer pointwise_units,
    fifo_if.writer pointwise_records,
    fifo_if.writer dense_lists,
    fifo_if.writer pointwise_lists,
    output logic done,
    output int end_cycle
);
  import engine_pkg::*;
  localparam int DEEPEST = DEPTH_UNITS > DEPTH_RECORDS ? DEPTH_UNITS : DEPTH_RECORDS;
  localparam int FUNNEL = UNIT_ITEMS * LOAD + 2 * BEAT;
  load_step_t r;
  logic [FUNNEL-1:0] funnel, filled;
  logic [UNIT_ITEMS-1:0][LOAD-1:0] unit;
  beat_t out_records;
  logic [UNIT_ITEMS*LOAD-1:0] out_units;
  logic [8:0] tag, out_tag;  // last, lane
  logic out_listing;
  int index, code, have, group, lane, fold, inner, listed;
  int lanes, rows, whole, needed, filled_have, raw;
  logic weights, listing, reads, sends, word_ends, last, empty, issue, put, begun, can_write;
  always_comb begin
    weights = index % 2 == 1;
    code = loading(index / 2);
    r = code == DENSE ? dense : code == DEPTHWISE ? depthwise : pointwise;
    lanes = group == r.groups - 1 ? r.last_lanes : r.lanes;
    // A word whose lanes hold fewer weights comes lane by lane.
    whole = r.need;
    if (inner == r.inner_folds - 1) whole = r.tail_need;
    if (fold == r.folds - 1) whole = r.end_need;
    rows = whole == r.need ? r.rows : 1;
    // A list follows the records of all groups.
    listing = !weights && group == r.groups;
    if (!weights) rows = RECORDS;
    if (rows > lanes - lane) rows = lanes - lane;
    needed = whole == r.need && r.rows != 0 ? rows * (r.need / r.rows) : whole;
    reads = !weights || have < needed;
    filled = reads ? funnel | FUNNEL'(loaded.head) << have : funnel;
    filled_have = reads ? have + BEAT : have;
    sends = !weights || filled_have >= needed;
    raw = 0;
    for (int i = 0; i < UNIT_ITEMS; ++i) begin
      raw = int'(LOAD'(filled >> (i * r.bits))) << (32 - r.bits);
      unit[i] = LOAD'(raw >>> (32 - r.bits));
    end
    word_ends = sends && !listing && lane + rows >= lanes;
    tag = {word_ends, 8'(lane)};
    empty = weights ? r.groups == 0 : r.record_beats == 0;
    last = word_ends && group == r.groups - 1 &&
        (weights ? fold == r.folds - 1 : r.list_beats == 0);
    if (listing) last = listed == ceil_div(r.groups * r.folds, PLACES) - 1;
    case (code)
      DENSE:
      can_write = weights ? dense_units.can_put :
          out_listing ? dense_lists.can_put : dense_records.can_put;
      DEPTHWISE:
      can_write = weights ? depthwise_units.can_put : depthwise_records.can_put;
      default:
      can_write = weights ? pointwise_units.can_put :
          out_listing ? pointwise_lists.can_put : pointwise_records.can_put;
    endcase
  end
  loops #(.W(10 + BEAT + UNIT_ITEMS * LOAD), .DEEPEST(DEEPEST)) control (
      .clk, .restart, .cycle, .count(2 * LOADING),
      .depth(weights ? DEPTH_UNITS : DEPTH_RECORDS), .empty, .bus(1'b0),
      .acknowledged(1'b0), .last, .can_read(!reads || loaded.can_take), .writes(sends),
      .word({listing, tag, loaded.head, unit}), .can_write, .index, .begun, .issue,
      .put, .out({out_listing, out_tag, out_records, out_units}), .done, .end_cycle);
  assign loaded.take = issue && reads;
  assign dense_units.in = {out_tag, out_units};
  assign depthwise_units.in = {out_tag, out_units};
  assign pointwise_units.in = {out_tag, out_units};
  assign dense_records.in = {out_tag, out_records};
  assign depthwise_records.in = {out_tag, out_records};
  assign pointwise_records.in = {out_tag, out_records};
  assign dense_units.put = put && weights && code == DENSE;
  assign depthwise_units.put = put && weights && code == DEPTHWISE;
  assign pointwise_units.put = put && weights && code == POINTWISE;
  assign dense_records.put = put && !weights && !out_listing && code == DENSE;
  assign depthwise_records.put = put && !weights && code == DEPTHWISE;
  assign pointwise_records.put = put && !weights && !out_listing && code == POINTWISE;
  assign dense_lists.in = out_records;
  assign pointwise_lists.in = out_records;
  assign dense_lists.put = put && out_listing && code == DENSE;
  assign pointwise_lists.put = put && out_listing && code == POINTWISE;
  always_ff @(posedge clk) begin
    if (restart || (issue && last)) begin
      {have, group, lane, fold, inner, listed} <= 0;
      funnel <= 0;
    end else if (issue) begin
      if (weights) begin
        funnel <= sends ? filled >> needed : filled;
        have <= sends ? filled_have - needed : filled_have;
      end
      if (listing) listed <= listed + 1;
      else if (sends) begin
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
