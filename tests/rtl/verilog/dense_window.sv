// The ring of rows of the dense stage, and the windows that leave it.
module dense_window #(
    parameter int ITEMS = 1,
    parameter int WORDS = 1,    // of a bank
    parameter int KERNEL = 1,   // greatest of packed taps
    parameter int SPAN = 1,     // columns of a window of packed taps
    parameter int CHANNELS = 1, // of packed taps
    parameter int SKIPS = 0     // some layers are pruned
) (
    input logic clk,
    input logic restart,
    input int cycle,
    input engine_pkg::window_step_t r,
    input int listed_sends,  // words of a pruned layer that a group of pixels meets, or 0
    fifo_if.reader places,
    fifo_if.reader words,
    fifo_if.writer operands,
    output logic done,
    output int end_cycle
);
  import engine_pkg::*;
  typedef logic [ITEMS-1:0][ACT-1:0] slot_t;
  typedef logic [KERNEL-1:0][SPAN-1:0][CHANNELS-1:0][ACT-1:0] packed_t;
  slot_t ring[PX][WORDS];
  packed_t window, gathered, gathering;

  // Sizes that follow from the layer.
  int ring_rows, blocks, in_columns, feed_words, sweep, folds, sends, gathers, per_row;
  always_comb begin
    ring_rows = r.kernel + r.stride;
    folds = ceil_div(r.kernel * r.kernel, r.taps);
    per_row = ceil_div(
        ceil_div((PX - 1) * r.stride + r.kernel - 1, r.taps) + 1, PX);
    gathers = r.kernel * per_row;
    sends = r.out_groups * folds;
    if (r.taps == 1) begin
      in_columns = r.width;
      blocks = ceil_div(ceil_div(r.width, r.stride), PX) * r.stride;
      sweep = r.xgroups * r.out_groups * r.kernel * r.kernel * r.groups;
      if (listed_sends != 0) sweep = r.xgroups * listed_sends;
    end else begin
      in_columns = ceil_div(r.width, r.taps);
      blocks = ceil_div(in_columns, PX);
      sweep = gathers + (r.xgroups - 1) * (gathers > sends ? gathers : sends) + sends;
    end
    feed_words = in_columns * (r.taps == 1 ? r.groups : 1);
  end

  int index, row, tick;
  int in_row, in_column, in_group;
  int xgroup, out_group, ky, kx, group;        // of the window that is sent
  int listed;                                  // words sent of a pruned layer's
  int part;                                    // packed: iteration of a group of pixels
  int feed_error, sweep_error;
  logic lead, empty, last, issue, begun, feeds, sweeps, row_ends;
  int fresh, period;
  always_comb begin
    lead = index == 0;
    empty = r.out_rows == 0;
    fresh = (rows_needed(r, row + 1) - rows_needed(r, row)) * feed_words;
    period = fresh > sweep ? fresh : sweep;
    if (lead) begin
      period = rows_needed(r, 0) * feed_words;
      fresh = period;
    end
    feeds = feed_error + fresh >= period && fresh > 0;
    sweeps = !lead && sweep_error + sweep >= period;
    row_ends = tick == period - 1;
    last = row_ends && (lead || row == r.out_rows - 1);
  end

  // Where the word that comes in goes.
  int in_bank, in_address;
  always_comb begin
    in_bank = r.taps == 1 ? in_column / r.stride % PX : in_column % PX;
    in_address = r.taps == 1
        ? in_column / r.stride / PX * r.stride + in_column % r.stride : in_column / PX;
    in_address = (in_row * blocks + in_address) * r.groups + in_group;
  end

  // A word of a single tap.
  logic [PX-1:0][ITEMS-1:0][ACT-1:0] operand;
  int y, c, bank, address, slot, lane, tap, gather_row, gather_slot, pixel_start, tap_y, tap_x;
  int bank_address[PX];
  int row_sent, column_sent, group_sent;
  place_t place;
  logic reads_place, clash, sending, gathers_now, window_ends, beyond;
  int window_period, fold;
  always_comb begin
    operand = 0;
    clash = 0;
    beyond = 0;
    for (int b = 0; b < PX; ++b) bank_address[b] = -1;
    reads_place = sweeps && listed_sends != 0;
    place = places.head;
    {row_sent, column_sent, group_sent} = {ky, kx, group};
    if (listed_sends != 0) begin
      row_sent = int'(place.row);
      column_sent = int'(place.column);
      group_sent = int'(place.group);
    end
    y = row * r.stride + row_sent - r.pad_top;
    c = 0;
    bank = 0;
    address = 0;
    slot = 0;
    lane = 0;
    tap = 0;
    tap_y = 0;
    tap_x = 0;
    gathering = gathered;
    sending = r.taps == 1 || xgroup >= 0 && part < sends;
    gathers_now = xgroup < r.xgroups - 1 && part < gathers;
    window_period = xgroup >= 0 ? sends : 0;
    if (xgroup < r.xgroups - 1 && gathers > window_period) window_period = gathers;
    window_ends = part == window_period - 1;
    gather_row = per_row == 0 ? 0 : part / per_row;
    gather_slot = 0;
    pixel_start = (xgroup + 1) * PX * r.stride - r.pad_left;
    fold = folds == 0 ? 0 : part % folds;
    if (r.taps == 1) begin
      for (int q = 0; q < PX; ++q) begin
        c = (xgroup * PX + q) * r.stride + column_sent - r.pad_left;
        if (y >= 0 && y < r.rows && c >= 0 && c < r.width) begin
          bank = c / r.stride % PX;
          address = (y % ring_rows * blocks + c / r.stride / PX * r.stride + c % r.stride)
              * r.groups + group_sent;
          if (bank_address[bank] >= 0 && bank_address[bank] != address) clash = 1;
          bank_address[bank] = address;
          if (address >= WORDS) beyond = 1;
          operand[q] = ring[bank][address];
        end
      end
    end else if (r.taps > 1) begin
      if (gathers_now) begin
        y = row * r.stride + gather_row - r.pad_top;
        gather_slot = floor_div(pixel_start, r.taps) + part % per_row * PX;
        for (int j = 0; j < SPAN; ++j) begin
          c = pixel_start + j;
          slot = floor_div(c, r.taps);
          lane = (c - slot * r.taps) * r.channels;
          if (slot >= gather_slot && slot < gather_slot + PX) begin
            for (int ch = 0; ch < CHANNELS; ++ch)
                gathering[gather_row][j][ch] = ch < r.channels ? ACT'(r.fill) : 0;
            if (y >= 0 && y < r.rows && c >= 0 && c < r.width) begin
              bank = slot % PX;
              address = y % ring_rows * blocks + slot / PX;
              if (bank_address[bank] >= 0 && bank_address[bank] != address) clash = 1;
              bank_address[bank] = address;
              if (address >= WORDS) beyond = 1;
              for (int ch = 0; ch < CHANNELS; ++ch)
                if (ch < r.channels)
                  gathering[gather_row][j][ch] = ring[bank][address][lane+ch];
            end
          end
        end
      end
      for (int i = 0; i < ITEMS; ++i) begin
        tap = fold * r.taps + i / r.channels;
        tap_y = tap / r.kernel;
        tap_x = tap % r.kernel;
        if (i / r.channels < r.taps && tap < r.kernel * r.kernel)
          for (int q = 0; q < PX; ++q)
            operand[q][i] = window[tap_y][q*r.stride+tap_x][i%r.channels];
      end
    end
  end

  localparam int DEPTH_ROWS = SKIPS != 0 ? DEPTH_LISTED : DEPTH_WINDOW;
  loops #(.W(PX * ITEMS * ACT), .DEEPEST(DEPTH_ROWS)) control (
      .clk, .restart, .cycle, .count(2), .depth(lead ? DEPTH_FEED : DEPTH_ROWS),
      .empty, .bus(1'b0), .acknowledged(1'b0), .last,
      .can_read((!feeds || words.can_take) && (!reads_place || places.can_take)),
      .writes(sweeps && sending), .word(operand),
      .can_write(operands.can_put), .index, .begun, .issue, .put(operands.put),
      .out(operands.in), .done, .end_cycle);
  assign words.take = issue && feeds;
  assign places.take = issue && reads_place;

  always_ff @(posedge clk) begin
    if (restart) begin
      {row, tick, in_row, in_column, in_group} <= 0;
      {out_group, ky, kx, group, part, listed} <= 0;
      xgroup <= r.taps > 1 ? -1 : 0;
      feed_error <= 0;
      sweep_error <= 0;
    end else if (issue) begin
      if (sweeps && (clash || beyond)) begin
        $display("error: %m reads %s", clash ? "a bank twice" : "past its end");
        $finish;
      end
      if (feeds) begin
        if (in_address >= WORDS) begin
          $display("error: %m writes past its end");
          $finish;
        end
        ring[in_bank][in_address] <= words.head;
        in_group <= in_group == r.groups - 1 ? 0 : in_group + 1;
        if (in_group == r.groups - 1) begin
          in_column <= in_column == in_columns - 1 ? 0 : in_column + 1;
          if (in_column == in_columns - 1)
            in_row <= in_row == ring_rows - 1 ? 0 : in_row + 1;
        end
      end
      if (reads_place) begin
        listed <= listed == listed_sends - 1 ? 0 : listed + 1;
        if (listed == listed_sends - 1) xgroup <= xgroup == r.xgroups - 1 ? 0 : xgroup + 1;
      end else if (sweeps && r.taps == 1) begin
        group <= group == r.groups - 1 ? 0 : group + 1;
        if (group == r.groups - 1) begin
          kx <= kx == r.kernel - 1 ? 0 : kx + 1;
          if (kx == r.kernel - 1) begin
            ky <= ky == r.kernel - 1 ? 0 : ky + 1;
            if (ky == r.kernel - 1) begin
              out_group <= out_group == r.out_groups - 1 ? 0 : out_group + 1;
              if (out_group == r.out_groups - 1)
                xgroup <= xgroup == r.xgroups - 1 ? 0 : xgroup + 1;
            end
          end
        end
      end
      if (sweeps && r.taps > 1) begin
        gathered <= gathering;
        part <= window_ends ? 0 : part + 1;
        if (window_ends) begin
          window <= gathering;
          xgroup <= xgroup == r.xgroups - 1 ? -1 : xgroup + 1;
        end
      end
      tick <= row_ends ? 0 : tick + 1;
      feed_error <= row_ends ? 0 : feed_error + fresh - (feeds ? period : 0);
      sweep_error <= row_ends || lead ? 0 : sweep_error + sweep - (sweeps ? period : 0);
      if (row_ends && !lead) row <= row + 1;
    end
  end
endmodule
