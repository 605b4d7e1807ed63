"""Address control, read multiplexers and small memories of line buffers in Verilog."""

import random

from benchmarks.synth.block import Block, Vectors, pack

CYCLES = 1500
ADDRESS_BITS = 12
COLUMN_BITS = 10


def _driver(parts: list[tuple[str, int]]) -> tuple[str, int]:
    """Return (wires that name the fields of `in`, lowest first; bits in all)."""
    text, at = "", 0
    for name, bits in parts:
        text += f"  wire [{bits - 1}:0] {name} = in[{at} +: {bits}];\n"
        at += bits
    return text, at


def word_window(px: int, word_bits: int) -> Block:
    """Return the reader of `px` neighbouring columns from `px` column banks.

    Column c lies in bank c mod px, so the words come rotated; columns and rows outside
    the map read as zero. The address of a bank is the base, or one group set further
    where the bank is below the first column's. Control in, addresses out after one
    cycle, bank data in after two, words out after three.
    """
    rotate = max(1, (px - 1).bit_length())
    fields, in_bits = _driver(
        [
            ("data", px * word_bits),
            ("base", ADDRESS_BITS),
            ("step", ADDRESS_BITS),
            ("first", rotate),
            ("column", COLUMN_BITS + 1),
            ("width", COLUMN_BITS),
            ("row_ok", 1),
        ]
    )
    body = fields + f"  wire signed [{COLUMN_BITS}:0] c = column;\n"
    addresses, words = [], []
    for bank in range(px):
        body += (
            f"  reg [{ADDRESS_BITS - 1}:0] a{bank};"
            f" always @(posedge clk) a{bank} <= base"
            f" + (first > {bank} ? step : {ADDRESS_BITS}'d0);\n"
            f"  wire signed [{COLUMN_BITS + 1}:0] c{bank} = c + {bank};\n"
            f"  reg ok{bank}, ok{bank}_r; always @(posedge clk) begin"
            f" ok{bank} <= row_ok & ~c{bank}[{COLUMN_BITS + 1}]"
            f" & (c{bank} < $signed({{2'b0, width}})); ok{bank}_r <= ok{bank}; end\n"
        )
        addresses.append(f"a{bank}")
    body += (
        f"  reg [{rotate - 1}:0] f1, f2;"
        " always @(posedge clk) begin f1 <= first; f2 <= f1; end\n"
    )
    for word in range(px):
        cases = " ".join(
            f"{k}: m{word} = data[{(word + k) % px * word_bits} +: {word_bits}];"
            for k in range(px)
        )
        body += (
            f"  reg [{word_bits - 1}:0] m{word}, w{word};"
            f" always @* case (f2) {cases} default: m{word} = 'x; endcase\n"
            f"  always @(posedge clk) w{word} <= ok{word}_r ? m{word} : 0;\n"
        )
        words.append(f"w{word}")
    out_bits = px * (ADDRESS_BITS + word_bits)
    outputs = ", ".join([*reversed(addresses), *reversed(words)])
    body += f"  assign out = {{{outputs}}};\n"
    rng = random.Random(px * word_bits)
    inputs, expected = [], []
    history: list[tuple[int, int, int, int, int, int, int]] = []
    word_span = px * word_bits
    for t in range(CYCLES):
        data = rng.getrandbits(word_span)
        first, base, step = (
            rng.randrange(px),
            rng.randrange(1 << 11),
            rng.randrange(1 << 11),
        )
        column = rng.randrange(-8, 300)
        width, ok = rng.randrange(1, 300), int(rng.randrange(4) > 0)
        word = data
        at = word_span
        for value, bits in (
            (base, ADDRESS_BITS),
            (step, ADDRESS_BITS),
            (first, rotate),
            (column, COLUMN_BITS + 1),
            (width, COLUMN_BITS),
            (ok, 1),
        ):
            word |= (value & ((1 << bits) - 1)) << at
            at += bits
        result = 0
        if t >= 3:
            base1, step1, first1 = history[t - 1][1:4]
            addresses_now = [base1 + step1 * (first1 > b) for b in range(px)]
            data3 = history[t - 1][0]
            first3, column3, width3, ok3 = history[t - 3][3:]
            banks = [
                data3 >> (b * word_bits) & ((1 << word_bits) - 1) for b in range(px)
            ]
            read = [
                banks[(j + first3) % px] if ok3 and 0 <= column3 + j < width3 else 0
                for j in range(px)
            ]
            result = pack(read, word_bits)
            result |= pack(addresses_now, ADDRESS_BITS) << word_span
        history.append((data, base, step, first, column, width, ok))
        inputs.append(word)
        expected.append(result)
    full = (1 << out_bits) - 1
    # Data arrives with its own cycle, control two cycles before it.
    return Block(
        kind="word_window",
        params={"px": px, "word": word_bits},
        source=(
            f"module top(input clk, input [{in_bits - 1}:0] in,"
            f" output [{out_bits - 1}:0] out);\n{body}endmodule\n"
        ),
        in_bits=in_bits,
        out_bits=out_bits,
        vectors=Vectors(
            inputs=inputs, expected=expected, masks=[0] * 3 + [full] * (CYCLES - 3)
        ),
    )


def column_window(kernel: int, stride: int, px: int, word_bits: int) -> Block:
    """Return the reader of `kernel` rows of `px` aligned columns from a ring of rows.

    The ring has `kernel` + `stride` rows, each of `px` banks. Row i of the window is
    ring row (slot + i) mod rows; rows and columns outside the map read as zero. All
    banks share one address. Timing as in `word_window`.
    """
    rows = kernel + stride
    rotate = (rows - 1).bit_length()
    span = rows * px * word_bits
    fields, in_bits = _driver(
        [
            ("data", span),
            ("base", ADDRESS_BITS),
            ("step", ADDRESS_BITS),
            ("slot", rotate),
            ("row", COLUMN_BITS + 1),
            ("height", COLUMN_BITS),
            ("column", COLUMN_BITS + 1),
            ("width", COLUMN_BITS),
        ]
    )
    limit = COLUMN_BITS + 1
    body = fields + (
        f"  wire signed [{COLUMN_BITS}:0] c = column, r = row;\n"
        f"  reg [{ADDRESS_BITS - 1}:0] address;"
        " always @(posedge clk) address <= base + step;\n"
        f"  reg [{rotate - 1}:0] f1, f2;"
        " always @(posedge clk) begin f1 <= slot; f2 <= f1; end\n"
    )
    for kind, size, count in (("c", "width", px), ("r", "height", kernel)):
        for k in range(count):
            body += (
                f"  wire signed [{limit}:0] {kind}{k} = {kind} + {k};\n"
                f"  reg ok_{kind}{k}; always @(posedge clk)"
                f" ok_{kind}{k} <= ~{kind}{k}[{limit}]"
                f" & ({kind}{k} < $signed({{2'b0, {size}}}));\n"
            )
    words = []
    for i in range(kernel):
        for j in range(px):
            cases = " ".join(
                f"{k}: m{i}_{j} ="
                f" data[{((i + k) % rows * px + j) * word_bits} +: {word_bits}];"
                for k in range(rows)
            )
            body += (
                f"  reg [{word_bits - 1}:0] m{i}_{j}, w{i}_{j}; always @* case (f2)"
                f" {cases} default: m{i}_{j} = 'x; endcase\n"
                f"  always @(posedge clk)"
                f" w{i}_{j} <= in{i}_{j} ? m{i}_{j} : 0;\n"
                f"  reg in{i}_{j}; always @(posedge clk)"
                f" in{i}_{j} <= ok_c{j} & ok_r{i};\n"
            )
            words.append(f"w{i}_{j}")
    out_bits = kernel * px * word_bits + ADDRESS_BITS
    body += f"  assign out = {{address, {', '.join(reversed(words))}}};\n"
    rng = random.Random(f"{kernel} {stride} {px} {word_bits}")
    inputs, expected = [], []
    history: list[tuple[int, ...]] = []
    for t in range(CYCLES):
        data = rng.getrandbits(span)
        base, step = rng.randrange(1 << 11), rng.randrange(1 << 11)
        slot = rng.randrange(rows)
        row, column = rng.randrange(-8, 60), rng.randrange(-8, 60)
        height, width = rng.randrange(1, 60), rng.randrange(1, 60)
        word, at = data, span
        for value, bits in (
            (base, ADDRESS_BITS),
            (step, ADDRESS_BITS),
            (slot, rotate),
            (row, COLUMN_BITS + 1),
            (height, COLUMN_BITS),
            (column, COLUMN_BITS + 1),
            (width, COLUMN_BITS),
        ):
            word |= (value & ((1 << bits) - 1)) << at
            at += bits
        result = 0
        if t >= 3:
            old = history[t - 3]
            data_then = history[t - 1][0]
            read = []
            for i in range(kernel):
                for j in range(px):
                    bank = (i + old[3]) % rows * px + j
                    inside = 0 <= old[4] + i < old[5] and 0 <= old[6] + j < old[7]
                    value = data_then >> (bank * word_bits) & ((1 << word_bits) - 1)
                    read.append(value if inside else 0)
            result = pack(read, word_bits)
            result |= (history[t - 1][1] + history[t - 1][2]) << (
                kernel * px * word_bits
            )
        history.append((data, base, step, slot, row, height, column, width))
        inputs.append(word)
        expected.append(result)
    full = (1 << out_bits) - 1
    return Block(
        kind="column_window",
        params={"kernel": kernel, "stride": stride, "px": px, "word": word_bits},
        source=(
            f"module top(input clk, input [{in_bits - 1}:0] in,"
            f" output [{out_bits - 1}:0] out);\n{body}endmodule\n"
        ),
        in_bits=in_bits,
        out_bits=out_bits,
        vectors=Vectors(
            inputs=inputs, expected=expected, masks=[0] * 3 + [full] * (CYCLES - 3)
        ),
    )


def column_cache(width_bits: int, depth: int) -> Block:
    """Return a memory bound to LUTs, with one write port and a registered read."""
    address = max(1, (depth - 1).bit_length())
    fields, in_bits = _driver(
        [
            ("data", width_bits),
            ("write_at", address),
            ("read_at", address),
            ("write", 1),
        ]
    )
    body = fields + (
        f'  (* ram_style = "distributed" *) reg [{width_bits - 1}:0]'
        f" words [0:{depth - 1}];\n"
        f"  reg [{width_bits - 1}:0] q; always @(posedge clk) begin"
        " if (write) words[write_at] <= data; q <= words[read_at]; end\n"
        "  assign out = q;\n"
    )
    rng = random.Random(width_bits * depth)
    held: dict[int, int] = {}
    inputs, expected, masks = [], [], []
    result, known = 0, False
    full = (1 << width_bits) - 1
    for _ in range(CYCLES):
        data, write = rng.getrandbits(width_bits), int(rng.randrange(2))
        to, at = rng.randrange(depth), rng.randrange(depth)
        word = data | to << width_bits | at << (width_bits + address)
        inputs.append(word | write << (width_bits + 2 * address))
        expected.append(result)
        masks.append(full if known else 0)
        known, result = at in held, held.get(at, 0)
        if write:
            held[to] = data
    return Block(
        kind="column_cache",
        params={"width": width_bits, "depth": depth},
        source=(
            f"module top(input clk, input [{in_bits - 1}:0] in,"
            f" output [{width_bits - 1}:0] out);\n{body}endmodule\n"
        ),
        in_bits=in_bits,
        out_bits=width_bits,
        vectors=Vectors(inputs=inputs, expected=expected, masks=masks),
    )
