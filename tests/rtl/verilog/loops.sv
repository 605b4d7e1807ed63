// What all processes share: pipelined loops with II = 1, one after another.
//
// An iteration reads when it starts and writes `depth - 1` moves later; nothing of the
// pipeline moves while a word or a place is missing. A loop without iterations takes the
// cycle in which its condition fails. A loop that writes to a port ends when the memory
// has acknowledged its last beat.
module loops #(
    parameter int W = 1,
    parameter int DEEPEST = 16
) (
    input logic clk,
    input logic restart,
    input int cycle,
    input int count,         // loops in this step
    // The current loop:
    input int depth,
    input logic empty,       // no iteration comes; looked at before the first one
    input logic bus,         // it writes to a port
    input logic acknowledged,
    // The iteration that comes next:
    input logic last,
    input logic can_read,    // what it reads is there
    input logic writes,
    input logic [W-1:0] word,
    input logic can_write,   // a place for what leaves the pipeline
    output int index,        // of the current loop
    output logic begun,
    output logic issue,      // the iteration starts in this cycle
    output logic put,        // `out` is written in this cycle
    output logic [W-1:0] out,
    output logic done,
    output int end_cycle
);
  int begin_cycle, flush;
  logic exhausted, responding, leaves, moves, ends, running, skips;
  logic [DEEPEST-1:0] valid;
  logic [DEEPEST-1:0][W-1:0] words;

  assign begun = cycle >= begin_cycle && index < count && !done;
  assign skips = begun && empty && !exhausted && !responding;
  assign running = begun && !responding && !skips;
  assign leaves = running && valid[depth-2];
  assign moves = running && (exhausted || can_read) && (!leaves || can_write);
  assign issue = moves && !exhausted;
  assign put = moves && leaves;
  assign out = words[depth-2];
  assign ends = moves && exhausted && flush == 1;

  always_ff @(posedge clk) begin
    if (restart) begin
      index <= 0;
      begin_cycle <= engine_pkg::START_CYCLES;
      exhausted <= 0;
      responding <= 0;
      valid <= 0;
      done <= 0;
      end_cycle <= 0;
    end else begin
      if (moves) begin
        words <= {words[DEEPEST-2:0], word};
        valid <= {valid[DEEPEST-2:0], issue && writes};
        if (issue && last) begin
          exhausted <= 1;
          flush <= depth - 1;
        end else begin
          flush <= flush - 1;
        end
      end
      if (ends && bus) responding <= 1;
      if ((ends && !bus) || (responding && acknowledged) || skips) begin
        responding <= 0;
        exhausted <= 0;
        valid <= 0;
        index <= index + 1;
        begin_cycle <= cycle + 1 +
            (index + 1 == count ? engine_pkg::FINISH_CYCLES : engine_pkg::GAP_CYCLES);
      end
      if (!done && index == count && cycle >= begin_cycle) begin
        done <= 1;
        end_cycle <= cycle;
      end
    end
  end
endmodule
