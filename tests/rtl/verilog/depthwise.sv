// The depthwise stage: the ring with its windows, and the array that multiplies or pools.

module depthwise_window #(
    parameter int PE = 1,
    parameter int ROWS = 1,
    parameter int ROW_WORDS = 1,  // of a bank of a row
    parameter int GROUPS = 1,
    parameter int KERNEL = 1,
    parameter int SPAN = 1,
    parameter int KEPT = 1
) (
    input logic clk,
    input logic restart,
    input int cycle,
    input engine_pkg::window_step_t r,
    fifo_if.reader words,       // of one pixel, from the memory
    fifo_if.reader from_dense,  // of PX pixels
    fifo_if.writer windows,
    output logic done,
    output int end_cycle
);
  import engine_pkg::*;
  typedef logic [PX-1:0][PE-1:0][ACT-1:0] pixels_t;
  typedef logic [KERNEL-1:0][SPAN-1:0][PE-1:0][ACT-1:0] window_t;
  pixels_t ring[ROWS][ROW_WORDS], merged;
  window_t kept[GROUPS];  // a window as it was last, by group of channels
  window_t window, made;

  int ring_rows, in_columns, feed_words, sweep, kept_columns, edge_reads, columns_needed;
  logic whole;  // a word that comes in has PX pixels
  always_comb begin
    ring_rows = r.kernel + r.stride;
    whole = r.source != NONE;
    in_columns = whole ? ceil_div(r.width, PX) : r.width;
    feed_words = in_columns * r.groups;
    kept_columns = r.kernel > r.stride ? r.kernel - r.stride : 0;
    columns_needed = (PX - 1) * r.stride + r.kernel - r.pad_left;
    if (r.width < columns_needed) columns_needed = r.width;
    edge_reads = ceil_div(columns_needed, PX);
    if (edge_reads < 1) edge_reads = 1;
    sweep = r.groups * (edge_reads + (r.xgroups - 1) * r.stride);
  end

  int index, row, tick;  // row -1: the lead
  int in_row, in_column, in_group, xgroup, group, read;
  int feed_error, sweep_error, fresh, period;
  logic empty, last, issue, begun, feeds, sweeps, row_ends, step_ends;
  always_comb begin
    empty = r.out_rows == 0;
    fresh = (rows_needed(r, row + 1) - (row < 0 ? 0 : rows_needed(r, row))) * feed_words;
    period = row >= 0 && sweep > fresh ? sweep : fresh;
    feeds = feed_error + fresh >= period && fresh > 0;
    sweeps = row >= 0 && sweep_error + sweep >= period;
    row_ends = tick == period - 1;
    last = row_ends && row == r.out_rows - 1;
    step_ends = read == (xgroup == 0 ? edge_reads : r.stride) - 1;
  end

  // What comes in: all banks of a word, or one.
  int in_address;
  always_comb begin
    in_address = (whole ? in_column : in_column / PX) * r.groups + in_group;
    merged = ring[in_row][in_address];
    if (whole) merged = from_dense.head;
    else merged[in_column%PX] = words.head;
  end

  // The window with the PX columns that this iteration reads.
  int first, begin_column, y, c;
  logic beyond;
  always_comb begin
    made = window;
    beyond = 0;
    y = 0;
    c = 0;
    first = (xgroup == 0 ? r.pad_left : kept_columns) + read * PX;
    begin_column = xgroup * PX * r.stride - r.pad_left;
    if (read == 0) begin
      for (int k = 0; k < KERNEL; ++k)
        for (int j = 0; j < SPAN; ++j) begin
          for (int i = 0; i < PE; ++i) made[k][j][i] = ACT'(r.fill);
          if (xgroup > 0 && j < kept_columns)
            made[k][j] = kept[group][k][j+PX*r.stride];
        end
    end
    for (int k = 0; k < KERNEL; ++k) begin
      y = row * r.stride + k - r.pad_top;
      for (int j = 0; j < SPAN; ++j) begin
        c = begin_column + j;
        if (k < r.kernel && j >= first && j < first + PX) begin
          for (int i = 0; i < PE; ++i) made[k][j][i] = ACT'(r.fill);
          if (y >= 0 && y < r.rows && c >= 0 && c < r.width) begin
            if (c / PX * r.groups + group >= ROW_WORDS) beyond = 1;
            made[k][j] = ring[y%ring_rows][c/PX*r.groups+group][c%PX];
          end
        end
      end
    end
  end

  loops #(.W($bits(window_t)), .DEEPEST(DEPTH_WINDOW)) control (
      .clk, .restart, .cycle, .count(1), .depth(DEPTH_WINDOW), .empty, .bus(1'b0),
      .acknowledged(1'b0), .last,
      .can_read(!feeds || (whole ? from_dense.can_take : words.can_take)),
      .writes(sweeps && step_ends), .word(made), .can_write(windows.can_put), .index,
      .begun, .issue, .put(windows.put), .out(windows.in), .done, .end_cycle);
  assign words.take = issue && feeds && !whole;
  assign from_dense.take = issue && feeds && whole;

  always_ff @(posedge clk) begin
    if (restart) begin
      row <= -1;
      {tick, in_row, in_column, in_group, xgroup, group, read} <= 0;
      feed_error <= 0;
      sweep_error <= 0;
    end else if (issue) begin
      if ((sweeps && beyond) || (feeds && in_address >= ROW_WORDS)) begin
        $display("error: %m goes past its end");
        $finish;
      end
      if (feeds) begin
        ring[in_row][in_address] <= merged;
        in_group <= in_group == r.groups - 1 ? 0 : in_group + 1;
        if (in_group == r.groups - 1) begin
          in_column <= in_column == in_columns - 1 ? 0 : in_column + 1;
          if (in_column == in_columns - 1)
            in_row <= in_row == ring_rows - 1 ? 0 : in_row + 1;
        end
      end
      if (sweeps) begin
        window <= made;
        read <= step_ends ? 0 : read + 1;
        if (step_ends) begin
          kept[group] <= made;
          group <= group == r.groups - 1 ? 0 : group + 1;
          if (group == r.groups - 1) xgroup <= xgroup == r.xgroups - 1 ? 0 : xgroup + 1;
        end
      end
      tick <= row_ends ? 0 : tick + 1;
      feed_error <= row_ends ? 0 : feed_error + fresh - (feeds ? period : 0);
      sweep_error <= row_ends || row < 0 ? 0
          : sweep_error + sweep - (sweeps ? period : 0);
      if (row_ends) row <= row + 1;
    end
  end
endmodule

module depthwise_array #(
    parameter int PE = 1,
    parameter int ITEMS = 1,  // taps
    parameter int WB = 8,
    parameter int ACC = 32,
    parameter int SUM = 16,
    parameter int UNIT_ROWS = 1,
    parameter int WEIGHT_WORDS = 1,
    parameter int CHANNEL_WORDS = 1,
    parameter int KERNEL = 1,
    parameter int SPAN = 1,
    parameter bit LOADS = 1,
    parameter int TURNS = 1  // lanes that a multiplier of codes serves
) (
    input logic clk,
    input logic restart,
    input int cycle,
    input int pixel_groups,  // of the map that is made
    input engine_pkg::depthwise_step_t r,
    fifo_if.reader windows,
    fifo_if.reader fills,
    fifo_if.writer to_pack,
    fifo_if.writer to_pointwise,
    output logic done,
    output int end_cycle
);
  import engine_pkg::*;
  typedef logic [KERNEL-1:0][SPAN-1:0][PE-1:0][ACT-1:0] window_t;
  typedef logic [PX-1:0][PE-1:0][ACT-1:0] pixels_t;
  window_t window, current;
  pixels_t result, out, kept;
  int turn;  // of the codes that are kept; TURNS: all are made
  logic signed [ACC-1:0] acc[PX][PE], sum[PX][PE];
  int pooled[PX][PE], pool[PX][PE];
  int index, pass, group, pixel_group;
  logic issue, begun, put, empty, last, complete, computes, can_read;
  logic unit_there, records_there, nothing_left;
  logic [8+UNIT_ITEMS*LOAD:0] unit_word;
  logic [8+RECORDS*RECORD:0] records_word;

  logic [PE-1:0][ITEMS-1:0][WB-1:0] weights;
  logic [PE-1:0][RECORD-1:0] channels;
  weight_buffer #(.PE(PE), .ITEMS(ITEMS), .WB(WB), .UNIT_ROWS(UNIT_ROWS),
      .WEIGHT_WORDS(WEIGHT_WORDS), .CHANNEL_WORDS(CHANNEL_WORDS)) buffer (
      .clk, .restart, .fill_weight_base(r.fill_weight_base),
      .fill_channel_base(r.fill_channel_base), .takes_unit(issue && unit_there),
      .unit_word, .takes_records(issue && records_there), .records_word,
      .weight_word(r.weight_base + group * r.passes + pass), .weights,
      .channel_word(r.channel_base + group), .channels);

  int tap, ky, kx, x;
  longint scaled;
  // How often a window counts, of which some rows or columns are not counted.
  function automatic longint counts(int q);
    longint whole, rows, columns;
    int y, x;
    if (r.borders == 0) return 1;
    whole = 1;
    for (int n = 2; n <= r.kernel; ++n) begin
      longint more = whole;
      while (more % n != 0) more = more + whole;
      whole = more;
    end
    y = pixel_group / r.xgroups * r.stride + r.first_row;
    x = (pixel_group % r.xgroups * PX + q) * r.stride + r.first_column;
    rows = 0;
    columns = 0;
    for (int k = 0; k < r.kernel; ++k) begin
      if (y + k >= 0 && y + k < r.counted_rows) rows = rows + 1;
      if (x + k >= 0 && x + k < r.counted_columns) columns = columns + 1;
    end
    return rows == 0 || columns == 0 ? 0 : (whole / rows) * (whole / columns);
  endfunction

  always_comb begin
    current = pass == 0 ? windows.head : window;
    complete = pass == r.passes - 1;
    result = 0;
    tap = 0;
    ky = 0;
    kx = 0;
    x = 0;
    scaled = 0;
    for (int q = 0; q < PX; ++q)
      for (int p = 0; p < PE; ++p) begin
        sum[q][p] = pass == 0 ? ACC'(first_sum(channels[p])) : acc[q][p];
        pool[q][p] = pooled[q][p];
        for (int t = 0; t < ITEMS; ++t) begin
          tap = pass * ITEMS + t;
          if (tap < r.kernel * r.kernel) begin
            ky = tap / r.kernel;
            kx = tap % r.kernel;
            x = number(current[ky][q*r.stride+kx][p], r.is_signed != 0);
            sum[q][p] = sum[q][p] + ACC'(x * int'($signed(weights[p][t])));
            if (tap == 0) pool[q][p] = x;
            else if (r.averages != 0) pool[q][p] = pool[q][p] + x;
            else if (x > pool[q][p]) pool[q][p] = x;
          end
        end
        if (r.pools == 0)
          scaled = requantized(longint'(sum[q][p]), channels[p], r.low, r.high);
        else if (r.averages != 0)
          scaled = limited(rounded(
              product((longint'(SUM'(pool[q][p])) + longint'(r.sum_bias)) * counts(q), r.multiplier)
                  + (longint'(r.code_bias) <<< r.shift),
              r.shift, r.rounding), r.low, r.high);
        else scaled = longint'(pool[q][p]);
        if (group * PE + p < r.channels) result[q][p] = ACT'(scaled);
      end
    {nothing_left, unit_there, unit_word, records_there, records_word} = fills.head;
    computes = pixel_group < pixel_groups && r.passes != 0;
    empty = pixel_groups == 0 || r.passes == 0;
    can_read = !computes || pass != 0 || windows.can_take;
    if (LOADS) begin
      last = nothing_left;
      empty = empty && r.fill_units == 0 && r.fill_records == 0;
      can_read = can_read && fills.can_take;
    end else begin
      last = complete && group == r.groups - 1 && pixel_group == pixel_groups - 1;
      unit_there = 0;
      records_there = 0;
    end
  end

  loops #(.W($bits(pixels_t)), .DEEPEST(DEPTH_ARRAY)) control (
      .clk, .restart, .cycle, .count(1), .depth(DEPTH_ARRAY), .empty, .bus(1'b0),
      .acknowledged(1'b0), .last, .can_read, .writes(TURNS > 1 ? turn == TURNS - 1 : computes && complete),
      .word(TURNS > 1 ? kept : result),
      .can_write(r.target == NONE ? to_pack.can_put : to_pointwise.can_put),
      .index, .begun, .issue, .put, .out, .done, .end_cycle);
  assign windows.take = issue && computes && pass == 0;
  assign fills.take = issue && LOADS;
  assign to_pack.in = out;
  assign to_pointwise.in = out;
  assign to_pack.put = put && r.target == NONE;
  assign to_pointwise.put = put && r.target == POINTWISE;

  always_ff @(posedge clk) begin
    if (restart) turn <= TURNS;
    else if (issue) begin
      turn <= computes && complete ? 0 : turn == TURNS ? TURNS : turn + 1;
      if (computes && complete) kept <= result;
    end
    if (restart) begin
      pass <= 0;
      group <= 0;
      pixel_group <= 0;
    end else if (issue && computes) begin
      window <= current;
      acc <= sum;
      pooled <= pool;
      pass <= complete ? 0 : pass + 1;
      if (complete) begin
        group <= group == r.groups - 1 ? 0 : group + 1;
        if (group == r.groups - 1) pixel_group <= pixel_group + 1;
      end
    end
  end
endmodule
