// The engine with its memory: runs all steps of the table, says what each took, and
// writes the map that each leaves to DIR/map_STEP.hex.
module top (
    input logic clk
);
  import engine_pkg::*;
  localparam int PROCESSES = 26;
  localparam int UNIT = 9 + UNIT_ITEMS * LOAD;
  localparam int RECORDS_WORD = 9 + BEAT;
  localparam int FILL = 3 + UNIT + RECORDS_WORD;

  logic [$bits(step_t)-1:0] steps[STEPS];
  int dumps[2*STEPS];
  beat_t arena[ARENA_BEATS], weights[WEIGHT_BEATS];
  int step = 0;
  int cycle = -1;
  logic restart = 1;
  step_t s;
  assign s = step_t'(steps[step]);
  logic [PROCESSES-1:0] done;
  int ends[PROCESSES];
  string dir;
  int file, longest;
  initial begin
    if (!$value$plusargs("dir=%s", dir)) $finish;
    $readmemh({dir, "/steps.hex"}, steps);
    $readmemh({dir, "/dumps.hex"}, dumps);
    $readmemh({dir, "/arena.hex"}, arena);
    $readmemh({dir, "/weights.hex"}, weights);
  end

  // ---- Memory ---------------------------------------------------------------------

  logic [3:0] wants, move;
  read_if weights_if ();
  read_if ifm_if ();
  read_if residual_if ();
  fifo_if #(.W(32 + BEAT), .DEPTH(OUTSTANDING * MAX_BURST)) ofm_if (clk, restart);
  int weights_address, ifm_address, residual_address, last_write;
  int ofm_address;
  beat_t ofm_beat;
  logic acknowledged;
  read_port weights_port (.clk, .restart, .cycle, .user(weights_if), .wants(wants[0]),
      .move(move[0]), .address(weights_address), .data(weights[weights_address]));
  read_port ifm_port (.clk, .restart, .cycle, .user(ifm_if), .wants(wants[1]),
      .move(move[1]), .address(ifm_address), .data(arena[ifm_address]));
  read_port residual_port (.clk, .restart, .cycle, .user(residual_if), .wants(wants[2]),
      .move(move[2]), .address(residual_address), .data(arena[residual_address]));
  int addresses[4];
  assign addresses = '{weights_address, ifm_address, residual_address, ofm_address};
  ddr #(.PORTS(4), .WRITES(4'b1000)) memory (
      .clk, .restart, .wants, .address(addresses), .move);
  assign wants[3] = ofm_if.can_take;
  assign ofm_if.take = move[3];
  assign {ofm_address, ofm_beat} = ofm_if.head;
  assign acknowledged = !ofm_if.can_take && cycle >= last_write + WRITE_LATENCY;
  always_ff @(posedge clk)
    if (move[3]) begin
      arena[ofm_address] <= ofm_beat;
      last_write <= cycle;
    end

  // ---- Streams --------------------------------------------------------------------

  fifo_if #(.W(BEAT), .DEPTH(BUS_DEPTH)) through_beats (clk, restart);
  fifo_if #(.W(BEAT), .DEPTH(BUS_DEPTH)) dense_beats (clk, restart);
  fifo_if #(.W(BEAT), .DEPTH(BUS_DEPTH)) depthwise_beats (clk, restart);
  fifo_if #(.W(BEAT), .DEPTH(BUS_DEPTH)) pointwise_beats (clk, restart);
  fifo_if #(.W(BEAT), .DEPTH(BUS_DEPTH)) residual_beats (clk, restart);
  fifo_if #(.W(BEAT), .DEPTH(BUS_DEPTH)) weight_beats (clk, restart);
  fifo_if #(.W(BEAT), .DEPTH(BUS_DEPTH)) finished_beats (clk, restart);
  fifo_if #(.W(UNIT), .DEPTH(UNIT_DEPTH)) dense_units (clk, restart);
  fifo_if #(.W(UNIT), .DEPTH(UNIT_DEPTH)) depthwise_units (clk, restart);
  fifo_if #(.W(UNIT), .DEPTH(UNIT_DEPTH)) pointwise_units (clk, restart);
  fifo_if #(.W(RECORDS_WORD), .DEPTH(UNIT_DEPTH)) dense_records (clk, restart);
  fifo_if #(.W(RECORDS_WORD), .DEPTH(UNIT_DEPTH)) depthwise_records (clk, restart);
  fifo_if #(.W(RECORDS_WORD), .DEPTH(UNIT_DEPTH)) pointwise_records (clk, restart);
  fifo_if #(.W(BEAT), .DEPTH(UNIT_DEPTH)) dense_lists (clk, restart);
  fifo_if #(.W(BEAT), .DEPTH(UNIT_DEPTH)) pointwise_lists (clk, restart);
  fifo_if #(.W(PLACE), .DEPTH(FIFO_DEPTH)) dense_places (clk, restart);
  fifo_if #(.W(PLACE), .DEPTH(FIFO_DEPTH)) pointwise_places (clk, restart);
  fifo_if #(.W(FILL), .DEPTH(FIFO_DEPTH)) dense_fills (clk, restart);
  fifo_if #(.W(FILL), .DEPTH(FIFO_DEPTH)) depthwise_fills (clk, restart);
  fifo_if #(.W(FILL), .DEPTH(FIFO_DEPTH)) pointwise_fills (clk, restart);
  fifo_if #(.W(DENSE_ITEMS*ACT), .DEPTH(FIFO_DEPTH)) dense_words (clk, restart);
  fifo_if #(.W(DEPTHWISE_PE*ACT), .DEPTH(FIFO_DEPTH)) depthwise_words (clk, restart);
  fifo_if #(.W(POINTWISE_ITEMS*ACT), .DEPTH(FIFO_DEPTH)) pointwise_words (clk, restart);
  fifo_if #(.W(PX*DENSE_ITEMS*ACT), .DEPTH(FIFO_DEPTH)) dense_operands (clk, restart);
  fifo_if #(.W(DEPTHWISE_KERNEL*DEPTHWISE_SPAN*DEPTHWISE_PE*ACT), .DEPTH(FIFO_DEPTH))
      depthwise_operands (clk, restart);
  fifo_if #(.W(PX*POINTWISE_ITEMS*ACT), .DEPTH(FIFO_DEPTH)) pointwise_operands (
      clk, restart);
  fifo_if #(.W(PX*DENSE_PE*ACT), .DEPTH(FIFO_DEPTH)) dense_to_pack (clk, restart);
  fifo_if #(.W(PX*DENSE_PE*ACT), .DEPTH(FIFO_DEPTH)) dense_to_depthwise (clk, restart);
  fifo_if #(.W(PX*DENSE_PE*ACT), .DEPTH(FIFO_DEPTH)) dense_to_pointwise (clk, restart);
  fifo_if #(.W(PX*DEPTHWISE_PE*ACT), .DEPTH(FIFO_DEPTH)) depthwise_from_dense (
      clk, restart);
  fifo_if #(.W(PX*POINTWISE_ITEMS*ACT), .DEPTH(FIFO_DEPTH)) pointwise_from_dense (
      clk, restart);
  fifo_if #(.W(PX*DEPTHWISE_PE*ACT), .DEPTH(FIFO_DEPTH)) depthwise_to_pack (clk, restart);
  fifo_if #(.W(PX*DEPTHWISE_PE*ACT), .DEPTH(FIFO_DEPTH)) depthwise_to_pointwise (
      clk, restart);
  fifo_if #(.W(PX*POINTWISE_ITEMS*ACT), .DEPTH(FIFO_DEPTH)) pointwise_from_depthwise (
      clk, restart);
  fifo_if #(.W(PX*POINTWISE_PE*ACT), .DEPTH(FIFO_DEPTH)) pointwise_to_pack (clk, restart);
  fifo_if #(.W(PX*POINTWISE_PE*ACT), .DEPTH(FIFO_DEPTH)) nowhere0 (clk, restart);
  fifo_if #(.W(PX*POINTWISE_PE*ACT), .DEPTH(FIFO_DEPTH)) nowhere1 (clk, restart);
  fifo_if #(.W(BEAT), .DEPTH(FIFO_DEPTH)) dense_packed (clk, restart);
  fifo_if #(.W(BEAT), .DEPTH(FIFO_DEPTH)) depthwise_packed (clk, restart);
  fifo_if #(.W(BEAT), .DEPTH(FIFO_DEPTH)) pointwise_packed (clk, restart);

  // ---- Processes ------------------------------------------------------------------

  read_weights read_weights_i (.clk, .restart, .cycle, .r(s.fetch), .port(weights_if),
      .beats(weight_beats), .done(done[19]), .end_cycle(ends[19]));
  load_weights load_weights_i (.clk, .restart, .cycle, .dense(s.dense_load),
      .depthwise(s.depthwise_load), .pointwise(s.pointwise_load), .loaded(weight_beats),
      .dense_units, .dense_records, .depthwise_units, .depthwise_records,
      .pointwise_units, .pointwise_records, .dense_lists, .pointwise_lists, .done(done[0]), .end_cycle(ends[0]));
  read_ifm read_ifm_i (.clk, .restart, .cycle, .r(s.read), .port(ifm_if),
      .through(through_beats), .dense(dense_beats), .depthwise(depthwise_beats),
      .pointwise(pointwise_beats), .done(done[1]), .end_cycle(ends[1]));
  read_residual read_residual_i (.clk, .restart, .cycle, .r(s.residual), .port(residual_if),
      .beats(residual_beats), .done(done[2]), .end_cycle(ends[2]));
  finish #(.MEAN_WORDS(MEAN_WORDS), .SUM(SUM_BITS)) finish_i (
      .clk, .restart, .cycle, .r(s.finish), .through(through_beats), .dense(dense_packed),
      .depthwise(depthwise_packed), .pointwise(pointwise_packed),
      .residual(residual_beats), .beats(finished_beats), .done(done[20]),
      .end_cycle(ends[20]));
  write_ofm write_ofm_i (.clk, .restart, .cycle, .r(s.write), .beats(finished_beats),
      .port(ofm_if), .acknowledged, .done(done[18]), .end_cycle(ends[18]));

  int dense_groups, depthwise_groups;  // groups of pixels of what they make
  assign dense_groups = s.dense_window.out_rows * s.dense_window.xgroups;
  assign depthwise_groups = s.depthwise_window.out_rows * s.depthwise_window.xgroups;

  generate
    if (HAS_DENSE) begin : dense
      unpack #(.LANES(DENSE_ITEMS), .HOLD(DENSE_HOLD)) unpack_i (
          .clk, .restart, .cycle, .used(s.read.target == DENSE && s.read.beats != 0),
          .beats_in_all(s.read.beats), .r(s.unpack), .beats(dense_beats),
          .words(dense_words), .done(done[3]), .end_cycle(ends[3]));
      dense_window #(.ITEMS(DENSE_ITEMS), .WORDS(DENSE_FEATURE_WORDS),
          .KERNEL(PACKED_KERNEL), .SPAN(PACKED_SPAN), .CHANNELS(PACKED_CHANNELS), .SKIPS(DENSE_SKIPS))
          window_i (.clk, .restart, .cycle, .r(s.dense_window),
          .listed_sends(listed_words(s.dense_array)),
          .places(dense_places), .words(dense_words),
          .operands(dense_operands), .done(done[6]), .end_cycle(ends[6]));
      if (DENSE_SKIPS) begin : skips
        order #(.WORDS(DENSE_LIST_WORDS)) order_i (.clk, .restart, .cycle,
            .pixel_groups(dense_groups), .r(s.dense_array), .beats(dense_lists),
            .places(dense_places), .done(done[24]), .end_cycle(ends[24]));
      end else begin : skips_none
        assign done[24] = 1;
      end
      fill #(.UNIT(UNIT), .SOME(RECORDS_WORD)) fill_i (.clk, .restart, .cycle,
          .iterations(with_turns(dense_groups * s.dense_array.groups * s.dense_array.folds, DENSE_TURNS)),
          .fill_units(s.dense_array.fill_units), .fill_records(s.dense_array.fill_records),
          .units(dense_units), .records(dense_records), .fills(dense_fills),
          .done(done[21]), .end_cycle(ends[21]));
      array #(.PE(DENSE_PE), .ITEMS(DENSE_ITEMS), .WB(DENSE_WEIGHT_BITS),
          .ACC(DENSE_ACC_BITS), .UNIT_ROWS(DENSE_UNIT_ROWS),
          .WEIGHT_WORDS(DENSE_WEIGHT_WORDS), .CHANNEL_WORDS(DENSE_CHANNEL_WORDS), .TURNS(DENSE_TURNS))
          array_i (.clk, .restart, .cycle, .pixel_groups(dense_groups), .r(s.dense_array),
          .operands(dense_operands), .fills(dense_fills),
          .to_pack(dense_to_pack), .to_depthwise(dense_to_depthwise),
          .to_pointwise(dense_to_pointwise), .done(done[7]), .end_cycle(ends[7]));
      pack #(.PE(DENSE_PE), .WORDS(DENSE_PACK_WORDS)) pack_i (
          .clk, .restart, .cycle, .used(s.finish.source == DENSE && s.pack.total != 0),
          .r(s.pack), .words(dense_to_pack), .beats(dense_packed), .done(done[15]),
          .end_cycle(ends[15]));
    end else begin : no_dense
      assign {done[3], done[6], done[7], done[15], done[21], done[24]} = '1;
    end
    if (HAS_DEPTHWISE) begin : depthwise
      unpack #(.LANES(DEPTHWISE_PE), .HOLD(DEPTHWISE_HOLD)) unpack_i (
          .clk, .restart, .cycle, .used(s.read.target == DEPTHWISE && s.read.beats != 0),
          .beats_in_all(s.read.beats), .r(s.unpack), .beats(depthwise_beats),
          .words(depthwise_words), .done(done[4]), .end_cycle(ends[4]));
      depthwise_window #(.PE(DEPTHWISE_PE), .ROWS(DEPTHWISE_ROWS),
          .ROW_WORDS(DEPTHWISE_ROW_WORDS), .GROUPS(DEPTHWISE_GROUPS),
          .KERNEL(DEPTHWISE_KERNEL), .SPAN(DEPTHWISE_SPAN), .KEPT(DEPTHWISE_KEPT))
          window_i (.clk, .restart, .cycle, .r(s.depthwise_window),
          .words(depthwise_words), .from_dense(depthwise_from_dense),
          .windows(depthwise_operands), .done(done[8]), .end_cycle(ends[8]));
      if (DEPTHWISE_LOADS) begin : loads
        fill #(.UNIT(UNIT), .SOME(RECORDS_WORD)) fill_i (.clk, .restart, .cycle,
            .iterations(with_turns(depthwise_groups * s.depthwise_array.groups * s.depthwise_array.passes, DEPTHWISE_TURNS)),
            .fill_units(s.depthwise_array.fill_units), .fill_records(s.depthwise_array.fill_records),
            .units(depthwise_units), .records(depthwise_records), .fills(depthwise_fills),
            .done(done[22]), .end_cycle(ends[22]));
      end else begin : loads_nothing
        assign done[22] = 1;
      end
      depthwise_array #(.PE(DEPTHWISE_PE), .ITEMS(DEPTHWISE_ITEMS),
          .WB(DEPTHWISE_WEIGHT_BITS), .ACC(DEPTHWISE_ACC_BITS), .SUM(DEPTHWISE_SUM_BITS),
          .UNIT_ROWS(DEPTHWISE_UNIT_ROWS), .WEIGHT_WORDS(DEPTHWISE_WEIGHT_WORDS),
          .CHANNEL_WORDS(DEPTHWISE_CHANNEL_WORDS), .KERNEL(DEPTHWISE_KERNEL),
          .SPAN(DEPTHWISE_SPAN), .LOADS(DEPTHWISE_LOADS), .TURNS(DEPTHWISE_TURNS)) array_i (
          .clk, .restart, .cycle, .pixel_groups(depthwise_groups), .r(s.depthwise_array),
          .windows(depthwise_operands), .fills(depthwise_fills), .to_pack(depthwise_to_pack),
          .to_pointwise(depthwise_to_pointwise), .done(done[9]), .end_cycle(ends[9]));
      pack #(.PE(DEPTHWISE_PE), .WORDS(DEPTHWISE_PACK_WORDS)) pack_i (
          .clk, .restart, .cycle, .used(s.finish.source == DEPTHWISE && s.pack.total != 0),
          .r(s.pack), .words(depthwise_to_pack), .beats(depthwise_packed),
          .done(done[16]), .end_cycle(ends[16]));
    end else begin : no_depthwise
      assign {done[4], done[8], done[9], done[16], done[22]} = '1;
    end
    if (HAS_POINTWISE) begin : pointwise
      unpack #(.LANES(POINTWISE_ITEMS), .HOLD(POINTWISE_HOLD)) unpack_i (
          .clk, .restart, .cycle, .used(s.read.target == POINTWISE && s.read.beats != 0),
          .beats_in_all(s.read.beats), .r(s.unpack), .beats(pointwise_beats),
          .words(pointwise_words), .done(done[5]), .end_cycle(ends[5]));
      pointwise_vectors #(.ITEMS(POINTWISE_ITEMS), .WORDS(POINTWISE_FEATURE_WORDS))
          vectors_i (.clk, .restart, .cycle, .r(s.vectors),
          .listed_sends(listed_words(s.pointwise_array)),
          .out_groups(s.pointwise_array.groups * (s.pointwise_array.up + 1)),
          .places(pointwise_places), .words(pointwise_words),
          .from_dense(pointwise_from_dense), .from_depthwise(pointwise_from_depthwise),
          .operands(pointwise_operands), .done(done[10]), .end_cycle(ends[10]));
      if (POINTWISE_SKIPS) begin : skips
        order #(.WORDS(POINTWISE_LIST_WORDS)) order_i (.clk, .restart, .cycle,
            .pixel_groups(s.vectors.total), .r(s.pointwise_array), .beats(pointwise_lists),
            .places(pointwise_places), .done(done[25]), .end_cycle(ends[25]));
      end else begin : skips_none
        assign done[25] = 1;
      end
      fill #(.UNIT(UNIT), .SOME(RECORDS_WORD)) fill_i (.clk, .restart, .cycle,
          .iterations(with_turns(s.vectors.total * s.pointwise_array.groups * s.pointwise_array.folds, POINTWISE_TURNS)),
          .fill_units(s.pointwise_array.fill_units), .fill_records(s.pointwise_array.fill_records),
          .units(pointwise_units), .records(pointwise_records), .fills(pointwise_fills),
          .done(done[23]), .end_cycle(ends[23]));
      array #(.PE(POINTWISE_PE), .ITEMS(POINTWISE_ITEMS), .WB(POINTWISE_WEIGHT_BITS),
          .ACC(POINTWISE_ACC_BITS), .UNIT_ROWS(POINTWISE_UNIT_ROWS),
          .WEIGHT_WORDS(POINTWISE_WEIGHT_WORDS), .CHANNEL_WORDS(POINTWISE_CHANNEL_WORDS), .TURNS(POINTWISE_TURNS))
          array_i (.clk, .restart, .cycle, .pixel_groups(s.vectors.total),
          .r(s.pointwise_array), .operands(pointwise_operands), .fills(pointwise_fills), .to_pack(pointwise_to_pack),
          .to_depthwise(nowhere0), .to_pointwise(nowhere1), .done(done[11]),
          .end_cycle(ends[11]));
      pack #(.PE(POINTWISE_PE), .WORDS(POINTWISE_PACK_WORDS)) pack_i (
          .clk, .restart, .cycle, .used(s.finish.source == POINTWISE && s.pack.total != 0),
          .r(s.pack), .words(pointwise_to_pack), .beats(pointwise_packed),
          .done(done[17]), .end_cycle(ends[17]));
    end else begin : no_pointwise
      assign {done[5], done[10], done[11], done[17], done[23], done[25]} = '1;
    end
    if (HAS_DENSE && HAS_DEPTHWISE) begin : regroup_dense_depthwise
      regroup #(.IN(DENSE_PE), .OUT(DEPTHWISE_PE)) regroup_i (
          .clk, .restart, .cycle,
          .used(s.dense_array.target == DEPTHWISE && s.dense_array.folds != 0),
          .pixel_groups(dense_groups), .r(s.dense_regroup), .words(dense_to_depthwise),
          .made(depthwise_from_dense), .done(done[12]), .end_cycle(ends[12]));
    end else begin : no_regroup_dense_depthwise
      assign done[12] = 1;
    end
    if (HAS_DENSE && HAS_POINTWISE) begin : regroup_dense_pointwise
      regroup #(.IN(DENSE_PE), .OUT(POINTWISE_ITEMS)) regroup_i (
          .clk, .restart, .cycle,
          .used(s.dense_array.target == POINTWISE && s.dense_array.folds != 0),
          .pixel_groups(dense_groups), .r(s.dense_regroup), .words(dense_to_pointwise),
          .made(pointwise_from_dense), .done(done[13]), .end_cycle(ends[13]));
    end else begin : no_regroup_dense_pointwise
      assign done[13] = 1;
    end
    if (HAS_DEPTHWISE && HAS_POINTWISE) begin : regroup_depthwise_pointwise
      regroup #(.IN(DEPTHWISE_PE), .OUT(POINTWISE_ITEMS)) regroup_i (
          .clk, .restart, .cycle,
          .used(s.depthwise_array.target == POINTWISE && s.depthwise_array.passes != 0),
          .pixel_groups(depthwise_groups), .r(s.depthwise_regroup),
          .words(depthwise_to_pointwise), .made(pointwise_from_depthwise),
          .done(done[14]), .end_cycle(ends[14]));
    end else begin : no_regroup_depthwise_pointwise
      assign done[14] = 1;
    end
  endgenerate

  // ---- Steps ----------------------------------------------------------------------

  always_ff @(posedge clk) begin
    if (restart) begin
      restart <= 0;
      cycle <= 0;
    end else begin
      cycle <= cycle + 1;
      if (&done) begin
        longest = 0;
        for (int p = 0; p < PROCESSES; ++p) begin
          $display("end %0d %0d %0d", step, p, ends[p]);
          if (ends[p] > longest) longest = ends[p];
        end
        $display("step %0d %0d", step, longest + STEP_CYCLES);
        file = $fopen($sformatf("%s/map_%0d.hex", dir, step), "w");
        for (int i = 0; i < dumps[2*step+1]; ++i)
          $fdisplay(file, "%h", arena[dumps[2*step]+i]);
        $fclose(file);
        if (step == STEPS - 1) $finish;
        else step <= step + 1;
        restart <= 1;
      end
      if (cycle == LIMIT) begin
        $display("error: step %0d hangs, done %b", step, done);
        $finish;
      end
    end
  end
endmodule
