"""Multiply-accumulate lanes in Verilog: LUT multipliers and packed DSP slices.

The structure is the one that the vendor tools build from the templates: multipliers of
row pairs on carry chains, balanced adder trees with a register behind every second
level, DSP cascades whose operands are skewed, one correction for every field but the
lowest.
"""

import random
import re
from enum import Enum

from benchmarks.synth.block import Block, Vectors, pack, pipelined

CYCLES = 400

# Behaviour of the slice for the simulator; the synthesis run sees the primitive.
_DSP = """
module dsp_madd(input clk, input signed [26:0] a, input signed [26:0] d,
    input signed [17:0] b, input signed [47:0] pcin, output signed [47:0] p);
`ifdef SYNTHESIS
  (* keep *) DSP48E2 #(.AMULTSEL("AD"), .AREG(1), .DREG(1), .ADREG(1), .BREG(2),
    .MREG(1), .PREG(1)) u(.CLK(clk), .A({3'b0, a}), .D(d), .B(b), .PCIN(pcin),
    .OPMODE(9'b000010101), .ALUMODE(4'b0), .INMODE(5'b00101), .P(p));
`else
  reg signed [26:0] ar, dr, ad; reg signed [17:0] b1, b2;
  reg signed [44:0] m; reg signed [47:0] pr;
  always @(posedge clk) begin
    ar <= a; dr <= d; b1 <= b; ad <= ar + dr; b2 <= b1; m <= ad * b2; pr <= m + pcin;
  end
  assign p = pr;
`endif
endmodule
"""
_DSP_LATENCY = 4


class _Adders:
    """Adder modules of the widths that a lane uses, each written once."""

    def __init__(self) -> None:
        self._widths: set[tuple[int, int]] = set()

    def add(self, name: str, left: str, right: str, *, bits: int, out: int) -> str:
        """Return an instance adding two signed numbers of `bits` bits into `out`."""
        self._widths.add((bits, out))
        return f"  add_{bits}_{out} {name}_u(.a({left}), .b({right}), .s({name}));\n"

    @property
    def modules(self) -> str:
        return "".join(
            f"(* keep_hierarchy *) module add_{b}_{o}(input signed [{b - 1}:0] a, b,"
            f" output signed [{o - 1}:0] s); assign s = a + b; endmodule\n"
            for b, o in sorted(self._widths)
        )


def tree(
    adders: _Adders, terms: list[str], bits: int, *, prefix: str, every: int
) -> tuple[str, str, int, int]:
    """Return (Verilog, sum, its width, latency) of a balanced adder tree."""
    text, level, latency = "", 0, 0
    while len(terms) > 1:
        sums = []
        for index in range(0, len(terms) - 1, 2):
            name = f"{prefix}_{level}_{index}"
            text += f"  wire signed [{bits}:0] {name};\n"
            text += adders.add(
                name, terms[index], terms[index + 1], bits=bits, out=bits + 1
            )
            sums.append(name)
        if len(terms) % 2:
            name = f"{prefix}_{level}_odd"
            text += f"  wire signed [{bits}:0] {name} = {terms[-1]};\n"
            sums.append(name)
        bits, level = bits + 1, level + 1
        if level % every == 0:
            latency += 1
            held = [f"{name}_r" for name in sums]
            text += f"  reg signed [{bits - 1}:0] {', '.join(held)};\n"
            moves = " ".join(f"{r} <= {s};" for r, s in zip(held, sums, strict=True))
            text += f"  always @(posedge clk) begin {moves} end\n"
            sums = held
        terms = sums
    return text, terms[0], bits, latency


def multiplier(weight_bits: int, act_bits: int, *, always_signed: bool = False) -> str:
    """Return the module `mult`: a signed weight times an activation signed by `sgn`.

    With `always_signed` it does not look at `sgn`, which the caller sets to 1. Bits of
    the narrower operand select rows of the wider one; rows are added in pairs, one
    carry chain a pair, then the pairs in a tree.
    """
    product = weight_bits + act_bits
    by_weight = weight_bits < act_bits
    if by_weight:
        rows, wide = weight_bits, act_bits + (not always_signed)
        extended = "a" if always_signed else f"{{sgn & a[{act_bits - 1}], a}}"
        setup = f"wire signed [{wide - 1}:0] x = {extended};"
        y, sub = "w", "1'b1"
    else:
        rows, wide = act_bits, weight_bits
        setup = f"wire signed [{wide - 1}:0] x = w;"
        y, sub = "a", "1'b1" if always_signed else "sgn"
    modules: list[str] = []
    body: list[str] = []
    partial: list[tuple[str, int, int]] = []

    def adder(a: str, aw: int, b: str, bw: int, low: int, *, out: int, neg: str) -> str:
        """Add `b` (`bw` bits), `low` places up, to `a`; subtract where `neg`."""
        name = f"row{len(modules)}"
        flip = f"({{{bw}{{n}}}} ^ b)" if neg == "sgn" else "~b" if neg else "b"
        carry = {"": "1'b0", "1'b1": "1'b1", "sgn": "n"}[neg]
        keep = f"  assign s[{low - 1}:0] = a[{low - 1}:0];\n" if low else ""
        if carry == "1'b0":
            total = f"$signed(a[{aw - 1}:{low}]) + b"
            line = f"  assign s[{out - 1}:{low}] = {total};\n"
        elif carry == "1'b1":
            total = f"$signed(a[{aw - 1}:{low}]) - b"
            line = f"  assign s[{out - 1}:{low}] = {total};\n"
        else:
            line = (
                f"  wire signed [{bw}:0] f = {{{flip}, n}};\n"
                f"  wire signed [{out - low}:0] t ="
                f" $signed({{a[{aw - 1}:{low}], 1'b1}}) + f;\n"
                f"  assign s[{out - 1}:{low}] = t[{out - low}:1];\n"
            )
        gates = ""
        for operand, source, size in (("a", a, aw), ("b", b, bw)):
            row = f"y{operand} ? {operand}i : {size}'sd0"
            value = row if source.startswith("#") else f"{operand}i"
            gates += f"  wire signed [{size - 1}:0] {operand} = {value};\n"
        modules.append(
            f"(* keep_hierarchy *) module {name}(input n, input signed [{aw - 1}:0] ai,"
            f" input signed [{bw - 1}:0] bi, input ya, input yb,"
            f" output signed [{out - 1}:0] s);\n{gates}{keep}{line}endmodule\n"
        )
        ya = f"{y}[{a[1:]}]" if a.startswith("#") else "1'b1"
        yb = f"{y}[{b[1:]}]" if b.startswith("#") else "1'b1"
        body.append(
            f"  wire signed [{out - 1}:0] p_{name}; {name} u_{name}(.n(sgn),"
            f" .ai({'x' if a.startswith('#') else a}),"
            f" .bi({'x' if b.startswith('#') else b}),"
            f" .ya({ya}), .yb({yb}), .s(p_{name}));"
        )
        return f"p_{name}"

    for row in range(0, rows, 2):
        if row + 1 < rows:
            neg = sub if row + 2 == rows else ""
            name = adder(f"#{row}", wide, f"#{row + 1}", wide, 1, out=wide + 2, neg=neg)
            partial.append((name, wide + 2, row))
        else:
            partial.append((f"#{row}", wide, row))
    while len(partial) > 1:
        joined = []
        for index in range(0, len(partial) - 1, 2):
            (a, aw, al), (b, bw, bl) = partial[index], partial[index + 1]
            out = min(max(aw, bw + bl - al) + 1, product - al)
            last = b.startswith("#")
            name = adder(a, aw, b, bw, bl - al, out=out, neg=sub if last else "")
            joined.append((name, out, al))
        if len(partial) % 2:
            joined.append(partial[-1])
        partial = joined
    name, bits, _ = partial[0]
    return "".join(modules) + (
        f"module mult(input sgn, input signed [{weight_bits - 1}:0] w,"
        f" input [{act_bits - 1}:0] a, output signed [{product - 1}:0] p);\n  {setup}\n"
        + "\n".join(body)
        + f"\n  assign p = {name}{f'[{product - 1}:0]' if bits > product else ''};\n"
        "endmodule\n"
    )


def _accumulator(total: str, bits: int, acc_bits: int, name: str) -> str:
    return (
        f"  reg signed [{acc_bits - 1}:0] {name};\n"
        f"  wire signed [{acc_bits - 1}:0] {name}_n;\n"
        f"  accumulate_{bits} {name}_u(.a({name}), .b({total}), .clr(clr),"
        f" .s({name}_n));\n"
        f"  always @(posedge clk) {name} <= {name}_n;\n"
    )


def _accumulate_module(bits: int, acc_bits: int) -> str:
    return (
        f"(* keep_hierarchy *) module accumulate_{bits}(input signed [{acc_bits - 1}:0]"
        f" a, input signed [{bits - 1}:0] b, input clr,"
        f" output signed [{acc_bits - 1}:0] s);\n"
        f"  assign s = (clr ? {acc_bits}'sd0 : a) + b;\nendmodule\n"
    )


def _extreme(rng: random.Random, bits: int, count: int) -> list[int]:
    """Return codes of `bits` bits, often all at an extreme."""
    extremes = [0, 1 << (bits - 1), (1 << (bits - 1)) - 1, (1 << bits) - 1]
    match rng.randrange(4):
        case 0:
            return [rng.choice(extremes)] * count
        case 1:
            return [rng.choice(extremes) for _ in range(count)]
        case _:
            return [rng.getrandbits(bits) for _ in range(count)]


def _signed(code: int, bits: int) -> int:
    return code - (1 << bits) if code >> (bits - 1) else code


def lut_lane(
    simd: int,
    weight_bits: int,
    act_bits: int,
    acc_bits: int,
    *,
    always_signed: bool = False,
) -> Block:
    """Return a lane of LUT multipliers, tree and accumulator.

    Input: {clr, sgn, activations, weights}. The products are registered. With
    `always_signed`, `sgn` is 1 and no input.
    """
    adders = _Adders()
    product = weight_bits + act_bits
    w_all, a_all = simd * weight_bits, simd * act_bits
    text = f"  wire [{w_all - 1}:0] w = in[{w_all - 1}:0];\n"
    text += f"  wire [{a_all - 1}:0] a = in[{w_all + a_all - 1}:{w_all}];\n"
    sign = "1'b1" if always_signed else f"in[{w_all + a_all}]"
    text += f"  wire sgn = {sign};\n"
    terms = []
    for i in range(simd):
        text += (
            f"  wire signed [{product - 1}:0] m{i}; reg signed [{product - 1}:0] r{i};"
            f" mult u{i}(.sgn(sgn), .w(w[{i * weight_bits} +: {weight_bits}]),"
            f" .a(a[{i * act_bits} +: {act_bits}]), .p(m{i}));"
            f" always @(posedge clk) r{i} <= m{i};\n"
        )
        terms.append(f"r{i}")
    body, total, bits, delay = tree(adders, terms, product, prefix="t", every=2)
    latency = delay + 1
    # `clr` is delayed by the control, not by the lane: the input comes in step.
    text += body + f"  wire clr = in[{w_all + a_all + 1}];\n"
    text += _accumulator(total, bits, acc_bits, "acc") + "  assign out = acc;\n"
    in_bits = w_all + a_all + 2
    source = (
        multiplier(weight_bits, act_bits, always_signed=always_signed)
        + adders.modules
        + _accumulate_module(bits, acc_bits)
        + f"module top(input clk, input [{in_bits - 1}:0] in,"
        f" output [{acc_bits - 1}:0] out);\n{text}endmodule\n"
    )
    rng = random.Random(f"{simd} {weight_bits} {act_bits}")
    sums, clears, inputs = [], [], []
    for _ in range(CYCLES):
        w, a = _extreme(rng, weight_bits, simd), _extreme(rng, act_bits, simd)
        sgn = 1 if always_signed else rng.randrange(2)
        clr = int(rng.randrange(5) == 0)
        values = [_signed(v, act_bits) if sgn else v for v in a]
        sums.append(
            sum(_signed(x, weight_bits) * y for x, y in zip(w, values, strict=True))
        )
        clears.append(clr)
        flags = sgn | clr << 1
        inputs.append(
            pack(w, weight_bits) | pack(a, act_bits) << w_all | flags << (w_all + a_all)
        )
    return Block(
        kind="lut_lane_signed" if always_signed else "lut_lane",
        params={"simd": simd, "w": weight_bits, "a": act_bits, "acc": acc_bits},
        source=source,
        in_bits=in_bits,
        out_bits=acc_bits,
        vectors=_accumulated(inputs, [sums], clears, latency=latency, acc=acc_bits),
    )


def _accumulated(
    inputs: list[int],
    sums: list[list[int]],
    clears: list[int],
    *,
    latency: int,
    acc: int,
) -> Vectors:
    """Return vectors of accumulators fed `latency` cycles after the input.

    Args:
        inputs: Word of each cycle.
        sums: For each accumulator, what each cycle's operands add.
        clears: Whether a cycle's accumulation starts anew, in step with the input.
        latency: Cycles from an operand to its sum.
        acc: Width of an accumulator.
    """
    state = [0] * len(sums)
    known = False
    expected, masks = [], []
    full = (1 << (acc * len(sums))) - 1
    for t, clear in enumerate(clears):
        expected.append(pack(state, acc))
        masks.append(full if known else 0)
        if t < latency:
            continue
        known = known or bool(clear)
        state = [
            (0 if clear else old) + new[t - latency]
            for old, new in zip(state, sums, strict=True)
        ]
    return Vectors(inputs=inputs, expected=expected, masks=masks)


class Operands(Enum):
    """Which operands of a DSP slice come in twice."""

    SINGLE = "dsp_single"
    PAIR = "dsp_pair"
    PIXEL_PAIR = "dsp_pixel_pair"
    QUAD = "dsp_quad"

    @property
    def weights(self) -> int:
        """Return the weights of a slice."""
        return 2 if self in (Operands.PAIR, Operands.QUAD) else 1

    @property
    def acts(self) -> int:
        """Return the activations of a slice."""
        return 2 if self in (Operands.PIXEL_PAIR, Operands.QUAD) else 1


def _slice(operands: Operands, field: int) -> tuple[str, str, str]:
    """Return the expressions of the ports A, D and B of one slice."""
    match operands:
        case Operands.SINGLE:
            return "27'sd0", "x0", "w0"
        case Operands.PAIR:
            return f"(w1 <<< {field})", "w0", "x0"
        case Operands.PIXEL_PAIR:
            return f"(x1 <<< {field})", "x0", "w0"
        case Operands.QUAD:
            return f"(w1 <<< {2 * field})", "w0", f"(x1 <<< {field}) + x0"


def dsp_lane(
    operands: Operands,
    simd: int,
    *,
    bits: tuple[int, int],
    acc_bits: int,
    field: int,
    chain: int,
) -> Block:
    """Return lanes that share DSP slices.

    Input: {clr, sgn, activations, weights}, both with the second operand on top.

    Args:
        operands: What a slice multiplies.
        simd: Slices.
        bits: (weight bits, activation bits).
        acc_bits: Width of an accumulator.
        field: Distance of neighbouring products [bits].
        chain: Most slices of a cascade.
    """
    weight_bits, act_bits = bits
    w_all = operands.weights * simd * weight_bits
    a_all = operands.acts * simd * act_bits
    chains = -(-simd // chain)
    sizes = [simd // chains + (c < simd % chains) for c in range(chains)]
    longest = max(sizes)
    outputs = operands.weights * operands.acts
    used = weight_bits + act_bits + (longest - 1).bit_length()
    text = f"  wire [{w_all - 1}:0] w = in[{w_all - 1}:0];\n"
    text += f"  wire [{a_all - 1}:0] a = in[{w_all + a_all - 1}:{w_all}];\n"
    text += f"  wire sgn = in[{w_all + a_all}], clr = in[{w_all + a_all + 1}];\n"
    at = 0
    adders = _Adders()
    fields: list[list[str]] = [[] for _ in range(outputs)]
    for c, size in enumerate(sizes):
        previous = "48'sd0"
        for place in range(size):
            # The operands of a short cascade wait so that all cascades end together.
            wait = place + longest - size
            names = []
            for kind, count, width in (
                ("w", operands.weights, weight_bits),
                ("a", operands.acts, act_bits),
            ):
                for n in range(count):
                    now = f"{kind}{n}_{at}_0"
                    position = (n * simd + at) * width
                    text += (
                        f"  wire [{width - 1}:0] {now} ="
                        f" {kind}[{position} +: {width}];\n"
                    )
                    for d in range(1, wait + 1):
                        later = f"{kind}{n}_{at}_{d}"
                        text += (
                            f"  reg [{width - 1}:0] {later};"
                            f" always @(posedge clk) {later} <= {now};\n"
                        )
                        now = later
                    names.append(now)
            weights = names[: operands.weights]
            acts = names[operands.weights :]
            ports = [f".w{n}({name})" for n, name in enumerate(weights)]
            ports += [f".x{n}({name})" for n, name in enumerate(acts)]
            text += (
                f"  wire signed [47:0] p{at}; one u{at}(.clk(clk), .sgn(sgn),"
                f" {', '.join(ports)}, .pcin({previous}), .p(p{at}));\n"
            )
            previous = f"p{at}"
            at += 1
        for n in range(outputs):
            name = f"f{n}_{c}"
            low = n * field
            text += f"  wire signed [{used - 1}:0] {name};\n"
            if n == 0:
                text += f"  assign {name} = {previous}[{used - 1}:0];\n"
            else:
                text += (
                    f"  correct {name}_u(.a({previous}[{low} +: {used}]),"
                    f" .c({previous}[{low - 1}]), .s({name}));\n"
                )
            fields[n].append(name)
    delay = total_bits = 0
    for n, terms in enumerate(fields):
        body, total, total_bits, delay = tree(
            adders, terms, used, prefix=f"t{n}", every=1
        )
        text += body + _accumulator(total, total_bits, acc_bits, f"acc{n}")
    accs = ", ".join(f"acc{n}" for n in reversed(range(outputs)))
    text += f"  assign out = {{{accs}}};\n"
    in_bits = w_all + a_all + 2
    a_port, d_port, b_port = _slice(operands, field)
    decls = "".join(
        f" input signed [{weight_bits - 1}:0] w{n}," for n in range(operands.weights)
    ) + "".join(f" input [{act_bits - 1}:0] x{n}," for n in range(operands.acts))
    wires = "".join(
        f"  wire signed [26:0] w{n}e = w{n};\n" for n in range(operands.weights)
    ) + "".join(
        f"  wire signed [26:0] x{n}e = $signed({{sgn & x{n}[{act_bits - 1}], x{n}}});\n"
        for n in range(operands.acts)
    )
    extended = [re.sub(r"\b([wx][01])\b", r"\1e", e) for e in (a_port, d_port, b_port)]
    one = (
        f"module one(input clk, input sgn,{decls} input signed [47:0] pcin,"
        f" output signed [47:0] p);\n{wires}"
        f"  wire signed [26:0] pa = {extended[0]};\n"
        f"  wire signed [26:0] pd = {extended[1]};\n"
        f"  wire signed [17:0] pb = {extended[2]};\n"
        "  dsp_madd u(.clk(clk), .a(pa), .d(pd), .b(pb), .pcin(pcin), .p(p));\n"
        "endmodule\n"
    )
    correct = (
        f"(* keep_hierarchy *) module correct(input [{used - 1}:0] a, input c,"
        f" output [{used - 1}:0] s); assign s = a + c; endmodule\n"
    )
    source = (
        _DSP
        + one
        + correct
        + adders.modules
        + _accumulate_module(total_bits, acc_bits)
        + f"module top(input clk, input [{in_bits - 1}:0] in,"
        f" output [{outputs * acc_bits - 1}:0] out);\n{text}endmodule\n"
    )
    return Block(
        kind=operands.value,
        params={
            "simd": simd,
            "w": weight_bits,
            "a": act_bits,
            "acc": acc_bits,
            "chain": chain,
        },
        source=source,
        in_bits=in_bits,
        out_bits=outputs * acc_bits,
        vectors=_dsp_vectors(
            operands,
            simd,
            bits=bits,
            acc_bits=acc_bits,
            latency=_DSP_LATENCY + longest - 1 + delay,
        ),
    )


def _dsp_vectors(
    operands: Operands, simd: int, *, bits: tuple[int, int], acc_bits: int, latency: int
) -> Vectors:
    """Return vectors of `dsp_lane`; signedness is fixed, as within a layer."""
    weight_bits, act_bits = bits
    w_all = operands.weights * simd * weight_bits
    a_all = operands.acts * simd * act_bits
    rng = random.Random(f"{operands} {simd} {bits}")
    sums: list[list[int]] = [[] for _ in range(operands.weights * operands.acts)]
    clears, inputs = [], []
    sgn = simd % 2
    for _ in range(CYCLES):
        ws = [_extreme(rng, weight_bits, simd) for _ in range(operands.weights)]
        xs = [_extreme(rng, act_bits, simd) for _ in range(operands.acts)]
        clr = int(rng.randrange(5) == 0)
        clears.append(clr)
        for i, w in enumerate(ws):
            for j, x in enumerate(xs):
                sums[i * operands.acts + j].append(
                    sum(
                        _signed(u, weight_bits) * (_signed(v, act_bits) if sgn else v)
                        for u, v in zip(w, x, strict=True)
                    )
                )
        word = pack([v for w in ws for v in w], weight_bits)
        word |= pack([v for x in xs for v in x], act_bits) << w_all
        inputs.append(word | (sgn | clr << 1) << (w_all + a_all))
    return _accumulated(inputs, sums, clears, latency=latency, acc=acc_bits)


def product(weight_bits: int, act_bits: int) -> Block:
    """Return one registered product of a lane. Input: {sgn, activation, weight}."""
    bits = weight_bits + act_bits
    source = multiplier(weight_bits, act_bits) + (
        f"module top(input clk, input [{bits}:0] in, output reg [{bits - 1}:0] out);\n"
        f"  wire signed [{bits - 1}:0] p; mult u(.sgn(in[{bits}]),"
        f" .w(in[{weight_bits - 1}:0]), .a(in[{bits - 1}:{weight_bits}]), .p(p));\n"
        "  always @(posedge clk) out <= p;\nendmodule\n"
    )
    inputs = range(1 << (bits + 1))
    outputs = []
    for word in inputs:
        w = _signed(word & ((1 << weight_bits) - 1), weight_bits)
        a = (word >> weight_bits) & ((1 << act_bits) - 1)
        outputs.append(w * (_signed(a, act_bits) if word >> bits else a))
    return Block(
        kind="product",
        params={"w": weight_bits, "a": act_bits},
        source=source,
        in_bits=bits + 1,
        out_bits=bits,
        vectors=pipelined(inputs, outputs, latency=1, out_bits=bits),
    )
