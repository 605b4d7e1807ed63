"""Requantizers, residual adder, width converters and loop counters in Verilog."""

import random

from benchmarks.synth.block import Block, Vectors, pack, pipelined

CYCLES = 2000
SHIFT_BITS = 4
MULTIPLIER_BITS = 18
LONG_SHIFT_BITS = 5
BIAS_BITS = 40
WIDE_BITS = 25
CUT_BITS = 13
WIDE_BIAS_BITS = 33
NARROW_PORT_BITS = 18
LOWER_BITS = 17


def _clamped(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


def _rounded(value: int, shift: int, *, even: bool = False) -> int:
    """Return value / 2^shift, halves rounded up or to the even number."""
    if shift == 0:
        return value
    less = even and not (value >> shift) & 1
    return (value + (1 << (shift - 1)) - less) >> shift


def _tail(bits_in: int, out_bits: int, *, clamp_first: bool, half: str = "1'b1") -> str:
    """Return what follows the shifter: `t` has one fraction bit, `bits_in` in all.

    Uses `cap`, the highest output, and `floor`, set where the lowest is 0. With
    `clamp_first` the value is limited to the output's range before it is rounded.
    `half` is added then.
    """
    if clamp_first and bits_in > out_bits + 2:
        keep = out_bits + 2
        top = f"t[{bits_in - 1}:{keep - 1}]"
        limited = (
            f"  wire fits = &{top} | ~|{top};\n"
            f"  reg signed [{keep - 1}:0] v; always @(posedge clk)"
            f" v <= fits ? t[{keep - 1}:0] : {{t[{bits_in - 1}],"
            f" {{{keep - 1}{{~t[{bits_in - 1}]}}}}}};\n"
        )
    else:
        keep = bits_in
        limited = f"  reg signed [{keep - 1}:0] v; always @(posedge clk) v <= t;\n"
    return (
        limited + f"  wire signed [{keep}:0] up = v + $signed({{1'b0, {half}}});\n"
        f"  wire signed [{keep - 1}:0] r = up[{keep}:1];\n"
        f"  wire signed [{out_bits}:0] low = floor ? {out_bits + 1}'sd0"
        f" : -{out_bits + 1}'sd{1 << (out_bits - 1)};\n"
        f"  wire signed [{out_bits}:0] high = {{1'b0, cap}};\n"
        f"  reg [{out_bits - 1}:0] y;\n"
        "  always @(posedge clk) y <= r < low ? low : r > high ? high : r;\n"
        "  assign out = y;\n"
    )


def requantizer(acc_bits: int, out_bits: int, *, clamp_first: bool = True) -> Block:
    """Return shift, rounding and clamp. Input: {floor, cap, shift, accumulator}."""
    in_bits = acc_bits + SHIFT_BITS + out_bits + 1
    source = (
        f"module top(input clk, input [{in_bits - 1}:0] in,"
        f" output [{out_bits - 1}:0] out);\n"
        f"  wire signed [{acc_bits}:0] wide = {{in[{acc_bits - 1}:0], 1'b0}};\n"
        f"  wire [{SHIFT_BITS - 1}:0] s = in[{acc_bits} +: {SHIFT_BITS}];\n"
        f"  wire [{out_bits - 1}:0] cap = in[{acc_bits + SHIFT_BITS} +: {out_bits}];\n"
        f"  wire floor = in[{in_bits - 1}];\n"
        f"  reg signed [{acc_bits}:0] t; always @(posedge clk) t <= wide >>> s;\n"
        + _tail(acc_bits + 1, out_bits, clamp_first=clamp_first)
        + "endmodule\n"
    )
    rng = random.Random(acc_bits * out_bits)
    inputs, outputs = [], []
    # `cap` and `floor` belong to the layer and stand still: the pipeline need not
    # carry them.
    floor = acc_bits % 8 == 0
    cap = (1 << out_bits) - 37 % (1 << out_bits) if floor else (1 << (out_bits - 1)) - 1
    for _ in range(CYCLES):
        scale = rng.randrange(2, acc_bits + 1)
        acc = rng.randrange(-(1 << (scale - 1)), 1 << (scale - 1))
        shift = rng.randrange(1 << SHIFT_BITS)
        low = 0 if floor else -(1 << (out_bits - 1))
        outputs.append(_clamped(_rounded(acc, shift), low, cap))
        word = acc & ((1 << acc_bits) - 1) | shift << acc_bits
        word |= cap << (acc_bits + SHIFT_BITS) | int(floor) << (in_bits - 1)
        inputs.append(word)
    return Block(
        kind="requantizer" if clamp_first else "requantizer_round_first",
        params={"acc": acc_bits, "out": out_bits},
        source=source,
        in_bits=in_bits,
        out_bits=out_bits,
        vectors=pipelined(inputs, outputs, latency=3, out_bits=out_bits),
    )


def even_requantizer(acc_bits: int, out_bits: int) -> Block:
    """Return a requantizer whose channels say where halves go.

    Input: {even, floor, cap, shift, accumulator}. Halves go up, or to the even code: a
    half that is alone below an even rest then adds nothing.
    """
    in_bits = acc_bits + SHIFT_BITS + out_bits + 2
    source = (
        f"module top(input clk, input [{in_bits - 1}:0] in,"
        f" output [{out_bits - 1}:0] out);\n"
        f"  wire signed [{acc_bits - 1}:0] acc = in[{acc_bits - 1}:0];\n"
        f"  wire signed [{acc_bits}:0] wide = {{acc, 1'b0}};\n"
        f"  wire [{SHIFT_BITS - 1}:0] s = in[{acc_bits} +: {SHIFT_BITS}];\n"
        f"  wire [{out_bits - 1}:0] cap = in[{acc_bits + SHIFT_BITS} +: {out_bits}];\n"
        f"  wire floor = in[{in_bits - 2}], even = in[{in_bits - 1}];\n"
        f"  reg signed [{acc_bits}:0] t; always @(posedge clk) t <= wide >>> s;\n"
        "  wire [15:0] below = ((16'd1 << s) >> 1) - 16'd1;\n"
        "  wire alone = s == 0 | ~|(acc[14:0] & below[14:0]);\n"
        "  wire odd = |(acc >>> s & 1);\n"
        "  reg first, half; always @(posedge clk) begin\n"
        "    first <= ~even | ~alone | odd; half <= first; end\n"
        + _tail(acc_bits + 1, out_bits, clamp_first=True, half="half")
        + "endmodule\n"
    )
    rng = random.Random(acc_bits * out_bits)
    inputs, outputs = [], []
    floor, even = acc_bits % 8 == 0, acc_bits % 3 > 0
    cap = (1 << out_bits) - 37 % (1 << out_bits) if floor else (1 << (out_bits - 1)) - 1
    low = 0 if floor else -(1 << (out_bits - 1))
    for _ in range(CYCLES):
        shift = rng.randrange(1 << SHIFT_BITS)
        scale = rng.randrange(2, acc_bits + 1)
        acc = rng.randrange(-(1 << (scale - 1)), 1 << (scale - 1))
        if rng.random() < 0.5:  # a half
            acc = (acc >> shift << shift) + (1 << shift >> 1)
        acc = _clamped(acc, -(1 << (acc_bits - 1)), (1 << (acc_bits - 1)) - 1)
        outputs.append(_clamped(_rounded(acc, shift, even=even), low, cap))
        word = acc & ((1 << acc_bits) - 1) | shift << acc_bits
        word |= cap << (acc_bits + SHIFT_BITS) | int(floor) << (in_bits - 2)
        inputs.append(word | int(even) << (in_bits - 1))
    return Block(
        kind="even_requantizer",
        params={"acc": acc_bits, "out": out_bits},
        source=source,
        in_bits=in_bits,
        out_bits=out_bits,
        vectors=pipelined(inputs, outputs, latency=3, out_bits=out_bits),
    )


def _multiplied(
    acc_bits: int, multiplier_bits: int, out_bits: int, at_shift: int, at_cap: int
) -> str:
    """Return how a requantizer that multiplies begins: its ports and what they hold."""
    floor = at_cap + out_bits
    return (
        f"module top(input clk, input [{floor}:0] in, output [{out_bits - 1}:0] out);\n"
        f"  wire signed [{acc_bits - 1}:0] acc = in[{acc_bits - 1}:0];\n"
        f"  wire signed [{multiplier_bits - 1}:0] m ="
        f" in[{acc_bits} +: {multiplier_bits}];\n"
        f"  wire [{LONG_SHIFT_BITS - 1}:0] s0 = in[{at_shift} +: {LONG_SHIFT_BITS}];\n"
        f"  wire [{out_bits - 1}:0] cap = in[{at_cap} +: {out_bits}];\n"
        f"  wire floor = in[{floor}];\n"
    )


def _ends(acc_bits: int, out_bits: int) -> tuple[bool, int, int]:
    """Return whether outputs begin at 0, their highest and their lowest."""
    if acc_bits % 8 == 0:
        return True, (1 << out_bits) - 1, 0
    return False, (1 << (out_bits - 1)) - 1, -(1 << (out_bits - 1))


def _factors(
    rng: random.Random, acc_bits: int, multiplier_bits: int
) -> tuple[int, int]:
    """Return a sum, small ones as often as large ones, and a multiplier."""
    scale = rng.randrange(2, acc_bits + 1)
    acc = rng.randrange(-(1 << (scale - 1)), 1 << (scale - 1))
    most = 1 << (multiplier_bits - 1)
    return acc, rng.randrange(-most, most)


def multiplier_requantizer(acc_bits: int, out_bits: int) -> Block:
    """Return multiply, shift by 0 to 31, rounding and clamp, as wide as with a bias.

    The multiplier has 18 bits, the bias 40. The slice adds it, which yosys does not
    see, so the bits on top of the product are inputs.

    Input: {floor, cap, top, shift, multiplier, accumulator}.
    """
    product = acc_bits + MULTIPLIER_BITS
    kept = max(product, BIAS_BITS) + 2
    top = kept - product
    at_shift = acc_bits + MULTIPLIER_BITS
    at_top = at_shift + LONG_SHIFT_BITS
    at_cap = at_top + top
    in_bits = at_cap + out_bits + 1
    source = (
        _multiplied(acc_bits, MULTIPLIER_BITS, out_bits, at_shift, at_cap)
        + f"  reg signed [{product - 1}:0] p; reg [{top - 1}:0] h;\n"
        f"  reg [{LONG_SHIFT_BITS - 1}:0] s;\n"
        f"  always @(posedge clk) begin p <= acc * m; s <= s0;"
        f" h <= in[{at_top} +: {top}]; end\n"
        f"  wire signed [{kept}:0] wide = {{h, p, 1'b0}};\n"
        f"  reg signed [{kept}:0] t; always @(posedge clk) t <= wide >>> s;\n"
        + _tail(kept + 1, out_bits, clamp_first=True)
        + "endmodule\n"
    )
    rng = random.Random(acc_bits * out_bits)
    inputs, outputs = [], []
    floor, cap, low = _ends(acc_bits, out_bits)
    for _ in range(CYCLES):
        acc, m = _factors(rng, acc_bits, MULTIPLIER_BITS)
        shift = rng.randrange(1 << LONG_SHIFT_BITS)
        above = rng.choice((0, acc * m >> product, rng.randrange(1 << top)))
        above &= (1 << top) - 1
        signed = above - (above >> (top - 1) << top)
        value = signed * (1 << product) + (acc * m & ((1 << product) - 1))
        outputs.append(_clamped(_rounded(value, shift), low, cap))
        word = acc & ((1 << acc_bits) - 1)
        word |= (m & ((1 << MULTIPLIER_BITS) - 1)) << acc_bits | shift << at_shift
        word |= above << at_top | cap << at_cap | int(floor) << (in_bits - 1)
        inputs.append(word)
    return Block(
        kind="multiplier_requantizer",
        params={"acc": acc_bits, "out": out_bits},
        source=source,
        in_bits=in_bits,
        out_bits=out_bits,
        vectors=pipelined(inputs, outputs, latency=4, out_bits=out_bits),
    )


def wide_requantizer(acc_bits: int, out_bits: int) -> Block:
    """Return multiply by 25 bits, add a bias, shift by 1 to 31, rounding and clamp.

    The bias has 33 bits; the 13 bits of the product below it are cut off. A sum of more
    than 18 bits is multiplied in two parts, the lower one of 17 bits.

    Input: {floor, cap, shift, bias, multiplier, accumulator}.
    """
    product, upper = acc_bits + WIDE_BITS, acc_bits - LOWER_BITS
    if acc_bits <= NARROW_PORT_BITS:
        times = "  always @(posedge clk) p <= acc * m;\n"
    else:
        times = (
            f"  reg signed [{upper + WIDE_BITS - 1}:0] above;"
            f" reg signed [{LOWER_BITS + WIDE_BITS}:0] below;\n"
            f"  wire signed [{upper - 1}:0] upper ="
            f" acc[{acc_bits - 1}:{LOWER_BITS}];\n"
            f"  wire signed [{LOWER_BITS}:0] lower ="
            f" {{1'b0, acc[{LOWER_BITS - 1}:0]}};\n"
            "  always @(posedge clk) begin above <= upper * m;"
            " below <= lower * m; end\n"
            f"  always @* p = (above <<< {LOWER_BITS}) + below;\n"
        )
    kept = max(product - CUT_BITS, WIDE_BIAS_BITS) + 1
    at_bias = acc_bits + WIDE_BITS
    at_shift = at_bias + WIDE_BIAS_BITS
    at_cap = at_shift + LONG_SHIFT_BITS
    in_bits = at_cap + out_bits + 1
    source = (
        _multiplied(acc_bits, WIDE_BITS, out_bits, at_shift, at_cap)
        + f"  reg signed [{product - 1}:0] p; reg signed [{WIDE_BIAS_BITS - 1}:0] b;\n"
        f"  reg [{LONG_SHIFT_BITS - 1}:0] s1, s;\n"
        + times
        + f"  always @(posedge clk) begin s1 <= s0; s <= s1;"
        f" b <= in[{at_bias} +: {WIDE_BIAS_BITS}]; end\n"
        f"  wire signed [{product - CUT_BITS - 1}:0] c = p[{product - 1}:{CUT_BITS}];\n"
        f"  reg signed [{kept - 1}:0] z; always @(posedge clk) z <= c + b;\n"
        f"  wire signed [{kept}:0] wide = {{z, 1'b0}};\n"
        f"  reg signed [{kept}:0] t; always @(posedge clk) t <= wide >>> s;\n"
        + _tail(kept + 1, out_bits, clamp_first=True)
        + "endmodule\n"
    )
    rng = random.Random(acc_bits * out_bits)
    inputs, outputs = [], []
    floor, cap, low = _ends(acc_bits, out_bits)
    for _ in range(CYCLES):
        acc, m = _factors(rng, acc_bits, WIDE_BITS)
        shift = rng.randrange(1, 1 << LONG_SHIFT_BITS)
        far = rng.randrange(1, WIDE_BIAS_BITS)
        bias = rng.randrange(-(1 << far), 1 << far)
        value = _rounded(acc * m + (bias << CUT_BITS), shift + CUT_BITS)
        outputs.append(_clamped(value, low, cap))
        word = acc & ((1 << acc_bits) - 1)
        word |= (m & ((1 << WIDE_BITS) - 1)) << acc_bits | shift << at_shift
        word |= (bias & ((1 << WIDE_BIAS_BITS) - 1)) << at_bias
        word |= cap << at_cap | int(floor) << (in_bits - 1)
        inputs.append(word)
    return Block(
        kind="wide_requantizer",
        params={"acc": acc_bits, "out": out_bits},
        source=source,
        in_bits=in_bits,
        out_bits=out_bits,
        vectors=pipelined(inputs, outputs, latency=5, out_bits=out_bits),
    )


def residual(bits: int) -> Block:
    """Return the residual adder: align both, add, shift, round, clamp.

    Input: {floor, cap, shift, left shift of b, left shift of a, b, a}; `a` and `b` are
    signed or unsigned, so they come with a sign bit of their own. The left shifts are
    0 to 7, the right one 0 to 15.
    """
    wide = bits + 1
    total = wide + 8
    at = 2 * wide
    in_bits = at + 6 + SHIFT_BITS + bits + 1
    source = (
        f"module top(input clk, input [{in_bits - 1}:0] in,"
        f" output [{bits - 1}:0] out);\n"
        f"  wire signed [{total - 1}:0] a = $signed(in[{wide - 1}:0]);\n"
        f"  wire signed [{total - 1}:0] b = $signed(in[{wide} +: {wide}]);\n"
        f"  wire [2:0] sa = in[{at} +: 3], sb = in[{at + 3} +: 3];\n"
        f"  wire [{SHIFT_BITS - 1}:0] s = in[{at + 6} +: {SHIFT_BITS}];\n"
        f"  wire [{bits - 1}:0] cap = in[{at + 6 + SHIFT_BITS} +: {bits}];\n"
        f"  wire floor = in[{in_bits - 1}];\n"
        f"  reg signed [{total - 2}:0] a_r, b_r; reg signed [{total - 1}:0] sum;\n"
        "  always @(posedge clk) begin a_r <= a <<< sa; b_r <= b <<< sb;"
        " sum <= a_r + b_r; end\n"
        f"  wire signed [{total}:0] half = {{sum, 1'b0}};\n"
        f"  reg signed [{total}:0] t; always @(posedge clk) t <= half >>> s;\n"
        + _tail(total + 1, bits, clamp_first=True)
        + "endmodule\n"
    )
    rng = random.Random(bits)
    inputs, outputs = [], []
    cap = (1 << (bits - 1)) - 1
    sa, sb, shift = 3, 7, 5
    for cycle in range(CYCLES):
        if cycle % 50 == 0:
            # Shifts belong to the layer: hold the operands still while they change.
            hold = 8
            sa, sb, shift = rng.randrange(8), rng.randrange(8), rng.randrange(16)
            a, b = (rng.randrange(-(1 << (bits - 1)), 1 << bits) for _ in range(2))
        elif hold:
            hold -= 1
        else:
            a, b = (rng.randrange(-(1 << (bits - 1)), 1 << bits) for _ in range(2))
        value = _rounded((a << sa) + (b << sb), shift)
        outputs.append(_clamped(value, -(1 << (bits - 1)), cap))
        word = pack([a, b], wide) | sa << at | sb << (at + 3) | shift << (at + 6)
        inputs.append(word | cap << (at + 6 + SHIFT_BITS))
    made = pipelined(inputs, outputs, latency=5, out_bits=bits)
    # Outputs whose operands and shifts differ in age are not defined.
    masks = [mask if cycle % 50 >= 8 else 0 for cycle, mask in enumerate(made.masks)]
    return Block(
        kind="residual",
        params={"bits": bits},
        source=source,
        in_bits=in_bits,
        out_bits=bits,
        vectors=Vectors(inputs=made.inputs, expected=made.expected, masks=masks),
    )


# Widths of the counters of a stage's loops, outermost first: row, pixel tile, output
# group, kernel row, kernel column, input group.
LOOP_BITS = (9, 9, 9, 3, 3, 9)


def loop_control() -> Block:
    """Return six nested counters with run-time bounds.

    Input: {enable, reset, bounds}; output: {last, first, counters}; `first` and `last`
    mark the first and the last pass of an accumulation (the three inner loops).
    """
    total = sum(LOOP_BITS)
    wires, steps = "", ""
    at = 0
    carry = "en"
    for index, bits in reversed(list(enumerate(LOOP_BITS))):
        low = sum(LOOP_BITS[:index])
        wires += (
            f"  reg [{bits - 1}:0] c{index}; wire e{index} ="
            f" c{index} == in[{low} +: {bits}];\n"
        )
        steps += (
            f"    if (rst) c{index} <= 0; else if ({carry})"
            f" c{index} <= e{index} ? 0 : c{index} + 1;\n"
        )
        carry += f" & e{index}"
        at += bits
    names = ", ".join(f"c{i}" for i in reversed(range(6)))
    source = (
        f"module top(input clk, input [{total + 1}:0] in,"
        f" output [{total + 1}:0] out);\n"
        f"  wire rst = in[{total}], en = in[{total + 1}];\n{wires}"
        f"  always @(posedge clk) begin\n{steps}  end\n"
        "  wire first = ~|{c3, c4, c5}, last = e3 & e4 & e5;\n"
        f"  assign out = {{last, first, {names}}};\nendmodule\n"
    )
    rng = random.Random(0)
    bounds = [1, 2, 1, 2, 2, 3]
    word = 0
    shift = 0
    for bits, bound in zip(LOOP_BITS, bounds, strict=True):
        word |= bound << shift
        shift += bits
    inputs, expected, masks = [], [], []
    state = [0] * 6
    for cycle in range(CYCLES):
        reset, enable = cycle == 0, rng.randrange(4) > 0
        inputs.append(word | int(reset) << total | int(enable) << (total + 1))
        packed = 0
        shift = 0
        for bits, value in zip(LOOP_BITS, state, strict=True):
            packed |= value << shift
            shift += bits
        inner = state[3:]
        packed |= int(not any(inner)) << total
        packed |= int(inner == bounds[3:]) << (total + 1)
        expected.append(packed)
        masks.append(0 if cycle == 0 else (1 << (total + 2)) - 1)
        if reset:
            state = [0] * 6
        elif enable:
            number = 0
            for value, bound in zip(state, bounds, strict=True):
                number = number * (bound + 1) + value
            number += 1
            for index in reversed(range(6)):
                number, state[index] = divmod(number, bounds[index] + 1)
    return Block(
        kind="loop_control",
        params={"loops": 6},
        source=source,
        in_bits=total + 2,
        out_bits=total + 2,
        vectors=Vectors(inputs=inputs, expected=expected, masks=masks),
    )
