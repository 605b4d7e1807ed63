// The memory: read and write ports that share the bytes of the DDR.

// What the reading process says, and what it gets.
interface read_if;
  import engine_pkg::*;
  logic begun;             // the loop that reads
  int index, base, beats;  // of that loop: its number, what it reads
  logic take, can_take;
  beat_t head;
  modport reader(output begun, index, base, beats, take, input can_take, head);
  modport port(input begun, index, base, beats, take, output can_take, head);
endinterface

// Requests the bursts of a loop ahead, at most one a cycle; no burst crosses a page.
module read_port (
    input logic clk,
    input logic restart,
    input int cycle,
    read_if.port user,
    output logic wants,
    input logic move,
    output int address,
    input engine_pkg::beat_t data
);
  import engine_pkg::*;
  localparam int BURSTS = OUTSTANDING;
  localparam int ROOM = OUTSTANDING * MAX_BURST;
  int burst_beats[BURSTS], burst_ready[BURSTS], burst_base[BURSTS];
  int current, asked, requested, serving, served, consumed, consumed_beats;
  beat_t room[ROOM];
  int written, taken;

  int from, page_left, size;
  logic requests;
  always_comb begin
    from = user.index == current ? asked : 0;
    page_left = PAGE_BEATS - (user.base + from) % PAGE_BEATS;
    size = user.beats - from;
    if (size > MAX_BURST) size = MAX_BURST;
    if (size > page_left) size = page_left;
    requests = user.begun && from < user.beats && requested - consumed < OUTSTANDING;
  end
  assign wants = serving < requested && burst_ready[serving%BURSTS] <= cycle;
  assign address = burst_base[serving%BURSTS] + served;
  assign user.can_take = taken != written;
  assign user.head = room[taken%ROOM];

  always_ff @(posedge clk) begin
    if (restart) begin
      current <= -1;
      asked <= 0;
      requested <= 0;
      serving <= 0;
      served <= 0;
      consumed <= 0;
      consumed_beats <= 0;
      written <= 0;
      taken <= 0;
    end else begin
      if (requests) begin
        burst_beats[requested%BURSTS] <= size;
        burst_base[requested%BURSTS] <= user.base + from;
        burst_ready[requested%BURSTS] <= cycle + READ_LATENCY - 1;
        requested <= requested + 1;
        current <= user.index;
        asked <= from + size;
      end
      if (move) begin
        room[written%ROOM] <= data;
        written <= written + 1;
        served <= served + 1 == burst_beats[serving%BURSTS] ? 0 : served + 1;
        if (served + 1 == burst_beats[serving%BURSTS]) serving <= serving + 1;
      end
      if (user.take) begin
        taken <= taken + 1;
        if (consumed_beats + 1 == burst_beats[consumed%BURSTS]) begin
          consumed_beats <= 0;
          consumed <= consumed + 1;
        end else begin
          consumed_beats <= consumed_beats + 1;
        end
      end
    end
  end
endmodule

// Ports take turns, beat by beat; none overtakes one that waits for its bytes. The memory
// moves whole bursts: where addresses jump, the rest of the burst that is left and what
// lies before the new address in its burst are paid for with the beat that jumps.
module ddr #(
    parameter int PORTS = 4,
    parameter bit [PORTS-1:0] WRITES = 0
) (
    input logic clk,
    input logic restart,
    input logic [PORTS-1:0] wants,
    input int address[PORTS],  // of the beat that moves next
    output logic [PORTS-1:0] move
);
  import engine_pkg::*;
  localparam int READ_COST = 1000 * PORT_BYTES;
  localparam int WRITE_COST = DDR_WRITE_COST * PORT_BYTES;
  localparam int CAP = DDR_RATE + (WRITE_COST > READ_COST ? WRITE_COST : READ_COST);
  int tokens, turn, left, after, port, cost;
  int following[PORTS];  // beat behind the last one that moved, or -1
  logic blocked;

  // Beats between `address` and the begin of its burst below, or above.
  function automatic int below(int address);
    return address % DDR_BURST_BEATS;
  endfunction
  function automatic int above(int address);
    return (DDR_BURST_BEATS - below(address)) % DDR_BURST_BEATS;
  endfunction

  always_comb begin
    left = tokens + DDR_RATE > CAP ? CAP : tokens + DDR_RATE;
    after = turn;
    move = 0;
    blocked = 0;
    for (int i = 0; i < PORTS; ++i) begin
      port = (turn + i) % PORTS;
      cost = WRITES[port] ? WRITE_COST : READ_COST;
      if (wants[port] && left < cost) blocked = 1;
      if (wants[port] && !blocked) begin
        move[port] = 1;
        left = left - cost;
        if (address[port] != following[port]) begin
          left = left - cost * below(address[port]);
          if (following[port] >= 0) left = left - cost * above(following[port]);
        end
        after = (port + 1) % PORTS;
      end
    end
  end
  always_ff @(posedge clk) begin
    tokens <= restart ? 0 : left;
    turn <= restart ? 0 : after;
  end
  for (genvar i = 0; i < PORTS; ++i) begin : places
    always_ff @(posedge clk)
      if (restart) following[i] <= -1;
      else if (move[i]) following[i] <= address[i] + 1;
  end
endmodule
