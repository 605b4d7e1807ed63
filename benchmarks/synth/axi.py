"""AXI masters with a 2-D address generator and FIFO, and the control slave.

A transfer is a number of rows of whole beats at a stride. Bursts have at most 16 beats
(the processor's ports split longer ones) and never cross 4 KB. The reader asks for no
more than its FIFO has room for; the writer announces no burst whose data it lacks.
"""

from benchmarks.synth.block import Block

REGISTERS = 20

_PORTS = """
  input clk, input rst, input start, input [39:0] base, input [15:0] beats,
  input [15:0] rows, input [23:0] stride, output busy,"""

# Burst generator of both masters: `go` lets the next burst be announced.
_GENERATOR = """
  reg [39:0] row_at, at; reg [15:0] left, rows_left; reg run, av;
  reg [39:0] a; reg [3:0] al;
  wire [12-SHIFT:0] to_edge = (1 << (12 - SHIFT)) - at[11:SHIFT];
  wire [4:0] most = left > 16 ? 16 : left;
  wire [4:0] burst = to_edge < most ? to_edge : most;
  wire issue = run & (~av | a_ready) & go;
  assign busy = run | av | pending;
  always @(posedge clk) begin
    if (av & a_ready) av <= 0;
    if (start) begin
      row_at <= base; at <= base; left <= beats; rows_left <= rows; run <= 1;
    end else if (issue) begin
      a <= at; al <= burst - 1; av <= 1;
      if (left == burst) begin
        row_at <= row_at + stride; at <= row_at + stride; left <= beats;
        rows_left <= rows_left - 1; if (rows_left == 1) run <= 0;
      end else begin at <= at + (burst << SHIFT); left <= left - burst; end
    end
    if (rst) begin run <= 0; av <= 0; end
  end
"""

_FIFO = """
module fifo #(parameter W = 64) (input clk, input rst, input push, input [W-1:0] d,
  output reg v, input pop, output reg [W-1:0] q, output [9:0] held);
  (* ram_style = "block" *) reg [W-1:0] m [0:511];
  reg [8:0] wp, rp; reg [9:0] n;
  wire get = n != 0 & (~v | pop);
  assign held = n;
  always @(posedge clk) begin
    if (push) m[wp] <= d;
    if (get) q <= m[rp];
  end
  always @(posedge clk) begin
    if (push) wp <= wp + 1;
    if (get) rp <= rp + 1;
    n <= n + push - get;
    v <= get | (v & ~pop);
    if (rst) begin wp <= 0; rp <= 0; n <= 0; v <= 0; end
  end
endmodule
"""


def _shift(data_bits: int) -> int:
    return (data_bits // 8).bit_length() - 1


def _reader_source(data_bits: int) -> str:
    return (
        _FIFO
        + f"module top #(parameter W = {data_bits}, SHIFT = {_shift(data_bits)}) ("
        + _PORTS
        + """
  output [39:0] a_addr, output [3:0] a_len, output a_valid, input a_ready,
  input [W-1:0] r_data, input r_valid, output r_ready,
  output [W-1:0] q, output q_valid, input q_ready);
  wire pending = asked != 0;
  reg [9:0] asked; wire [9:0] held;
  wire go = asked + held < 512 - 16 - 1;
  wire take = r_valid & r_ready;
"""
        + _GENERATOR
        + """
  always @(posedge clk) if (rst) asked <= 0;
    else asked <= asked + (issue ? burst : 5'd0) - take;
  assign a_addr = a; assign a_len = al; assign a_valid = av; assign r_ready = 1;
  fifo #(W) f(.clk(clk), .rst(rst), .push(take), .d(r_data), .v(q_valid),
    .pop(q_ready), .q(q), .held(held));
endmodule
"""
    )


def _writer_source(data_bits: int) -> str:
    return (
        _FIFO
        + f"module top #(parameter W = {data_bits}, SHIFT = {_shift(data_bits)}) ("
        + _PORTS
        + """
  output [39:0] a_addr, output [3:0] a_len, output a_valid, input a_ready,
  output [W-1:0] w_data, output w_valid, output w_last, input w_ready,
  input b_valid, output b_ready,
  input [W-1:0] d, input d_valid, output d_ready);
  reg [9:0] owed; reg [4:0] answers; reg [4:0] lens [0:15]; reg [3:0] lw, lr;
  reg [4:0] ln; reg [4:0] beat;
  wire [9:0] held; wire v; wire sent = w_valid & w_ready;
  wire pending = owed != 0 | answers != 0;
  wire go = $signed({1'b0, held} + v - {1'b0, owed}) >= $signed({7'b0, burst}) & ln < 15
    & answers < 15;
"""
        + _GENERATOR
        + """
  always @(posedge clk) begin
    if (issue) begin lens[lw] <= burst; lw <= lw + 1; end
    ln <= ln + issue - (sent & w_last);
    owed <= owed + (issue ? burst : 5'd0) - sent;
    answers <= answers + issue - (b_valid & b_ready);
    if (sent) begin beat <= w_last ? 0 : beat + 1; if (w_last) lr <= lr + 1; end
    if (rst) begin ln <= 0; owed <= 0; answers <= 0; beat <= 0; lw <= 0; lr <= 0; end
  end
  assign a_addr = a; assign a_len = al; assign a_valid = av; assign b_ready = 1;
  assign w_valid = v & ln != 0; assign w_last = beat + 1 == lens[lr];
  assign d_ready = held < 510;
  fifo #(W) f(.clk(clk), .rst(rst), .push(d_valid & d_ready), .d(d), .v(v),
    .pop(sent), .q(w_data), .held(held));
endmodule
"""
    )


# The memory answers bursts in order after a random wait; word k of the memory holds a
# value made of its address, so a wrong, lost or doubled beat shows.
_READER_BENCH = """
module bench;
  localparam W = {w}, B = W / 8;
  reg clk = 0; always #5 clk = ~clk;
  reg rst = 1, start = 0; reg [39:0] base; reg [15:0] beats, rows; reg [23:0] stride;
  wire busy, av, rr, qv; wire [39:0] aa; wire [3:0] al; wire [W-1:0] q;
  reg ar = 0, rv = 0, qr = 0; reg [W-1:0] rd;
  top u(.clk(clk), .rst(rst), .start(start), .base(base), .beats(beats), .rows(rows),
    .stride(stride), .busy(busy), .a_addr(aa), .a_len(al), .a_valid(av), .a_ready(ar),
    .r_data(rd), .r_valid(rv), .r_ready(rr), .q(q), .q_valid(qv), .q_ready(qr));
  function [W-1:0] word(input [39:0] at); word = {{(W/32){{at[31:0] ^ 32'h5bd1e995}}}};
  endfunction
  reg [39:0] todo [0:1023]; integer tw = 0, tr = 0, bad = 0, got, want, k, t;
  integer row, col; reg fast;
  task one; begin
    base = ($random & 40'h3fffff) / B * B; beats = 1 + ($random & 255);
    rows = 1 + ($random & 15); stride = (beats + ($random & 63)) * B; got = 0;
    want = beats * rows; fast = $random; @(negedge clk); start = 1; @(negedge clk);
    start = 0; t = 0;
    while (got < want & t < 60000) begin
      t = t + 1; ar = $random; qr = fast | ($random & 3) == 0;
      rv = tr != tw & ($random & 3) != 0; rd = word(todo[tr % 1024]); #4;
      if (av & ar) begin
        if (aa[39:12] != ((aa + (al + 1) * B - 1) >> 12)) bad = bad + 1;
        for (k = 0; k <= al; k = k + 1) begin todo[tw % 1024] = aa + k * B; tw = tw + 1;
        end
      end
      if (rv & rr) tr = tr + 1;
      if (qv & qr) begin
        row = got / beats; col = got % beats;
        if (q !== word(base + row * stride + col * B)) bad = bad + 1; got = got + 1;
      end
      @(negedge clk);
    end
    qr = 0; rv = 0; repeat (4) @(negedge clk);
    if (got != want | tr != tw | qv | busy) bad = bad + 1;
  end endtask
  initial begin repeat (4) @(negedge clk); rst = 0; repeat (40) one;
    if (bad == 0) $display("PASS"); else $display("FAIL %0d", bad); $finish; end
endmodule
"""

_WRITER_BENCH = """
module bench;
  localparam W = {w}, B = W / 8;
  reg clk = 0; always #5 clk = ~clk;
  reg rst = 1, start = 0; reg [39:0] base; reg [15:0] beats, rows; reg [23:0] stride;
  wire busy, av, wv, wl, br, dr; wire [39:0] aa; wire [3:0] al; wire [W-1:0] wd;
  reg ar = 0, wr = 0, bv = 0, dv = 0; reg [W-1:0] d;
  top u(.clk(clk), .rst(rst), .start(start), .base(base), .beats(beats), .rows(rows),
    .stride(stride), .busy(busy), .a_addr(aa), .a_len(al), .a_valid(av), .a_ready(ar),
    .w_data(wd), .w_valid(wv), .w_last(wl), .w_ready(wr), .b_valid(bv), .b_ready(br),
    .d(d), .d_valid(dv), .d_ready(dr));
  reg [39:0] todo [0:1023]; reg ends [0:1023];
  integer tw, tr, bad = 0, want, k, t, given, answers = 0, row, col; reg [39:0] at;
  task one; begin
    base = ($random & 40'h3fffff) / B * B; beats = 1 + ($random & 127);
    rows = 1 + ($random & 7); stride = (beats + ($random & 63)) * B;
    want = beats * rows; tw = 0; tr = 0; given = 0; t = 0;
    @(negedge clk); start = 1; @(negedge clk); start = 0;
    while ((tr < want | busy) & t < 60000) begin
      t = t + 1; ar = $random; wr = ($random & 3) != 0; dv = given < want & $random;
      bv = answers > 0 & $random; d = given + 1000 * want; #4;
      if (av & ar) begin
        if (aa[39:12] != ((aa + (al + 1) * B - 1) >> 12)) bad = bad + 1;
        for (k = 0; k <= al; k = k + 1) begin
          todo[tw % 1024] = aa + k * B; ends[tw % 1024] = k == al; tw = tw + 1; end
        // Announced only what it already has.
        if (tw > given) bad = bad + 1;
      end
      if (dv & dr) given = given + 1;
      if (bv & br) answers = answers - 1;
      if (wv & wr) begin
        row = tr / beats; col = tr % beats; at = base + row * stride + col * B;
        // Data may overtake its address by one announcement held in the register.
        if (tr < tw) if (todo[tr % 1024] != at | ends[tr % 1024] != wl) bad = bad + 1;
        if (wd !== tr + 1000 * want) bad = bad + 1;
        tr = tr + 1; if (wl) answers = answers + 1;
      end
      @(negedge clk);
    end
    if (tr != want | tw != want) bad = bad + 1; bv = 0; wr = 0; dv = 0;
  end endtask
  initial begin repeat (4) @(negedge clk); rst = 0; repeat (40) one;
    if (bad == 0) $display("PASS"); else $display("FAIL %0d", bad); $finish; end
endmodule
"""

_LITE = """
module top(input clk, input rst, input [6:0] aw, input aw_v, output aw_r,
  input [31:0] wd, input [3:0] ws, input w_v, output w_r, output reg b_v, input b_r,
  input [6:0] ar, input ar_v, output ar_r, output reg [31:0] rd, output reg r_v,
  input r_r, input [31:0] status, output [{n}*32-1:0] regs, output reg start);
  reg [31:0] m [0:{n}-1]; integer i, k;
  wire put = aw_v & w_v & (~b_v | b_r), get = ar_v & (~r_v | r_r);
  assign aw_r = put, w_r = put, ar_r = get;
  always @(posedge clk) begin
    start <= put & aw[6:2] == 0 & wd[0];
    if (b_r) b_v <= 0; if (put) b_v <= 1;
    if (r_r) r_v <= 0; if (get) r_v <= 1;
    for (i = 0; i < {n}; i = i + 1) for (k = 0; k < 4; k = k + 1)
      if (put & aw[6:2] == i & ws[k]) m[i][8*k +: 8] <= wd[8*k +: 8];
    if (get) rd <= ar[6:2] == 0 ? status : ar[6:2] < {n} ? m[ar[6:2]] : 0;
    if (rst) begin b_v <= 0; r_v <= 0; start <= 0; end
  end
  genvar g; generate for (g = 0; g < {n}; g = g + 1)
    assign regs[32*g +: 32] = m[g]; endgenerate
endmodule
"""

_LITE_BENCH = """
module bench;
  reg clk = 0; always #5 clk = ~clk;
  reg rst = 1, awv = 0, arv = 0; reg [6:0] a; reg [31:0] d, status; reg [3:0] s;
  wire awr, wr, bv, arr, rv, start; wire [31:0] rd; wire [{n}*32-1:0] regs;
  top u(.clk(clk), .rst(rst), .aw(a), .aw_v(awv), .aw_r(awr), .wd(d), .ws(s), .w_v(awv),
    .w_r(wr), .b_v(bv), .b_r(1'b1), .ar(a), .ar_v(arv), .ar_r(arr), .rd(rd), .r_v(rv),
    .r_r(1'b1), .status(status), .regs(regs), .start(start));
  reg [31:0] m [0:{n}-1]; integer i, k, t, bad = 0, index;
  initial begin
    repeat (4) @(negedge clk); rst = 0; s = 15; awv = 1;
    for (i = 0; i < {n}; i = i + 1) begin a = 4 * i; d = i * 77; m[i] = d; #4;
      if (~awr) bad = bad + 1; @(negedge clk); end
    for (t = 0; t < 2000; t = t + 1) begin
      index = $unsigned($random) % {n}; a = 4 * index; d = $random; s = $random;
      awv = 1; for (k = 0; k < 4; k = k + 1) if (s[k]) m[index][8*k +: 8] = d[8*k +: 8];
      @(negedge clk); awv = 0;
      if (start !== (index == 0 & d[0])) bad = bad + 1;
      index = $unsigned($random) % {n}; a = 4 * index; arv = 1; status = $random;
      @(negedge clk); arv = 0;
      if (~rv | rd !== (index == 0 ? status : m[index])) bad = bad + 1;
      if (regs[32*index +: 32] !== m[index]) bad = bad + 1;
    end
    if (bad == 0) $display("PASS"); else $display("FAIL %0d", bad); $finish;
  end
endmodule
"""


def reader(data_bits: int) -> Block:
    """Return the burst reader with its FIFO of 512 beats."""
    return Block(
        kind="axi_reader",
        params={"port": data_bits},
        source=_reader_source(data_bits),
        in_bits=0,
        out_bits=0,
        bench=_READER_BENCH.format(w=data_bits),
    )


def writer(data_bits: int) -> Block:
    """Return the burst writer with its FIFO of 512 beats."""
    return Block(
        kind="axi_writer",
        params={"port": data_bits},
        source=_writer_source(data_bits),
        in_bits=0,
        out_bits=0,
        bench=_WRITER_BENCH.format(w=data_bits),
    )


def lite() -> Block:
    """Return the control slave with its registers."""
    return Block(
        kind="axi_lite",
        params={"registers": REGISTERS},
        source=_LITE.replace("{n}", str(REGISTERS)),
        in_bits=0,
        out_bits=0,
        bench=_LITE_BENCH.replace("{n}", str(REGISTERS)),
    )
