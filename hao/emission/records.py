"""What one step of the engine tells each of its processes.

The fields are those of the structs in the emitted `step.h`, which is rendered from
these classes: name, order and comment cannot differ. All are integers (or booleans);
an unused process gets zeros and ends at once. What they mean is in docs/engine.md.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

NONE = 0
"""DDR as a source, `pack` or the way straight through as a target."""
DENSE = 1
DEPTHWISE = 2
POINTWISE = 3


def _f(doc: str = "", *, rare: bool | str = False) -> Any:  # noqa: ANN401 - what dataclasses.field returns
    """Return a field; rare ones of a name are emitted where some step sets any."""
    return field(default=0, metadata={"doc": doc, "rare": rare})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadStep:
    """read_ifm: a run of beats."""

    base: int = _f("first beat in the arena")
    beats: int = _f()
    target: int = _f("0 write_ofm, 1 dense, 2 depthwise, 3 pointwise")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpackStep:
    """unpack: beats to words of channels."""

    trips: int = _f()
    words: int = _f("of a pixel")
    tail: int = _f("codes that the last word of a pixel takes from the beats")
    row_tail: int = _f("the same for the last word of a row")
    last_lanes: int = _f("channels in the last word of a pixel")
    channels: int = _f()
    pixel_channels: int = _f("codes of a pixel in DDR")
    taps: int = _f("pixels in a word, where taps are packed")
    pixels: int = _f("of a row; words, where taps are packed")


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowStep:
    """dense_window, depthwise_window: rows in, windows out."""

    source: int = _f("0 DDR, 1 dense")
    lead_words: int = _f("words before the first output row")
    row_trips: int = _f("iterations of all output rows")
    feed: int = _f("words of an input row")
    sweep: int = _f("iterations that send an output row")
    rows: int = _f("of the input")
    width: int = _f("of the input")
    rows_used: int = _f("input rows that any output needs")
    out_rows: int = _f()
    kernel: int = _f()
    stride: int = _f()
    pad_top: int = _f()
    pad_left: int = _f()
    groups: int = _f("channel groups of a pixel")
    out_groups: int = _f("groups of output channels")
    xgroups: int = _f("groups of pixels of an output row")
    period_one: int = _f("iterations of an output row while one input row comes")
    period_two: int = _f("the same while two come")
    period_three: int = _f("the same while three come", rare=True)
    columns: int = _f("columns of words of an input row")
    phases: int = _f("columns that share a place in a bank, one for each stride")
    row_words: int = _f("words of a bank that a row takes")
    ring_rows: int = _f()
    ring_base: int = _f("depthwise: row of the ring that kernel row 0 meets first")
    ring_words: int = _f("dense: words of a bank that all rows take")
    base_words: int = _f("dense: the first of those that kernel row 0 meets first")
    next_columns: int = _f("input columns to the next group of pixels")
    next_words: int = _f("words of a bank that they are")
    next_turn: int = _f("and banks, where taps are packed")
    next_offset: int = _f("and columns within a word, where taps are packed")
    first_word: int = _f(
        "word of a row, in its bank, that the first window begins with; depthwise: the "
        "second window, behind the columns that are kept"
    )
    first_block: int = _f("first word with that one's columns, phase by phase")
    first_turn: int = _f("bank of that word")
    first_phase: int = _f("column of that word, modulo the stride")
    first_offset: int = _f("first column within that word, where taps are packed")
    kept: int = _f("columns that the next group of pixels needs again")
    edge_reads: int = _f("reads of a step at the left edge")
    fill: int = _f("code outside the map")
    taps: int = _f("kernel taps in a word: above 1 where taps are packed")
    channels: int = _f("of a tap, where taps are packed")
    folds: int = _f("words of a window, where taps are packed")
    sends: int = _f("words sent for a group of pixels: packed taps, or listed")
    gathers: int = _f("reads that gather a window of packed taps")
    gathers_per_row: int = _f("the same for one kernel row")
    group_period: int = _f("the larger of sends and gathers")
    listed: int = _f("words are sent in the order of a list", rare=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorsStep:
    """pointwise_vectors: the channels of neighbouring pixels, sent again and again."""

    source: int = _f("0 DDR, 1 dense, 2 depthwise")
    trips: int = _f()
    folds: int = _f("words of a pixel")
    sends: int = _f("words sent for a group of pixels")
    words: int = _f("words that come in for a group of pixels")
    last_words: int = _f("the same for the last group of a row")
    lead_words: int = _f("the same for the first group of all")
    period: int = _f("iterations in which a group is sent and the next comes in")
    last_period: int = _f("the same where that is the last of a row")
    xgroups: int = _f("groups of pixels of a row")
    total: int = _f("groups of pixels of the map")
    listed: int = _f("words are sent in the order of a list", rare=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayStep:
    """dense_array, pointwise_array: multiply, add up, requantize."""

    trips: int = _f()
    folds: int = _f("words of weights for one group of output channels")
    pass_folds: int = _f("of these, those of one pass")
    up: int = _f("digits by which the sums of the first pass are moved up")
    groups: int = _f("groups of output channels")
    channels: int = _f("output channels that exist")
    is_signed: int = _f("the activations that come in")
    low: int = _f("smallest output")
    high: int = _f("largest output")
    weight_base: int = _f("first word of the weights in use")
    channel_base: int = _f("first word of the records in use")
    fill_weight_base: int = _f("first word that the next run's weights fill")
    fill_channel_base: int = _f()
    fill_units: int = _f("units of the next run")
    fill_records: int = _f("beats of records of the next run")
    target: int = _f("0 pack, 2 depthwise, 3 pointwise")
    resumes: int = _f("sums go on from those of the step before", rare="parts")
    holds: int = _f("sums go on in the next step", rare="parts")
    entries: int = _f("of the list of words that a group of pixels meets", rare=True)
    list_base: int = _f("first beat of the list in use", rare=True)
    fill_list_base: int = _f("first beat that the next run's list fills", rare=True)
    fill_lists: int = _f("beats of the next run's list", rare=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthwiseStep:
    """depthwise_array: multiply or pool."""

    trips: int = _f()
    passes: int = _f("iterations of a window")
    groups: int = _f("channel groups")
    channels: int = _f("channels that exist")
    kernel: int = _f()
    stride: int = _f()
    is_signed: int = _f("the activations that come in")
    low: int = _f("smallest output")
    high: int = _f("largest output")
    pools: int = _f()
    averages: int = _f()
    multiplier: int = _f("of an average")
    shift: int = _f("of an average")
    rounding: int = _f("of an average: 0 halves up, 1 to even, 2 down, 3 to odd")
    sum_bias: int = _f("added to the sum of an average", rare=True)
    code_bias: int = _f("added to its codes", rare=True)
    borders: int = _f("an average leaves out some padding", rare=True)
    first_row: int = _f(
        "row of the first window, from the first one counted", rare=True
    )
    first_column: int = _f("its column, likewise", rare=True)
    counted_rows: int = _f(rare=True)
    counted_columns: int = _f(rare=True)
    xgroups: int = _f("groups of pixels of a row", rare=True)
    next_columns: int = _f("columns to the next group of pixels", rare=True)
    weight_base: int = _f("first word of the weights in use")
    channel_base: int = _f("first word of the records in use")
    fill_weight_base: int = _f("first word that the next run's weights fill")
    fill_channel_base: int = _f()
    fill_units: int = _f("units of the next run")
    fill_records: int = _f("beats of records of the next run")
    target: int = _f("0 pack, 3 pointwise")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegroupStep:
    """regroup: words between two stages."""

    trips: int = _f()
    words: int = _f("of a group of pixels, on the side with more of them")
    words_in: int = _f("of a group of pixels")
    words_out: int = _f("of a group of pixels")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackStep:
    """pack: words of the last stage to beats."""

    trips: int = _f()
    groups: int = _f("words of a group of pixels")
    tail: int = _f("codes that the last word of a pixel gives")
    merges: int = _f("several pixels share a beat")
    sends: int = _f("iterations that a group of pixels takes to leave")
    last_sends: int = _f("the same for the last group of a row")
    period: int = _f("iterations in which a group leaves and the next comes in")
    last_period: int = _f("the same where the last of a row leaves")
    last_pixels: int = _f("pixels of the last group of a row")
    xgroups: int = _f("groups of pixels of a row")
    total: int = _f("groups of pixels of the map")


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteStep:
    """write_ofm: beats of the result."""

    base: int = _f("first beat in the arena")
    pixels: int = _f("runs of beats")
    run: int = _f("beats of each")
    stride: int = _f("beats from one run to the next")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualStep:
    """read_residual: beats of what is added."""

    base: int = _f("first beat in the arena")
    pixels: int = _f("runs of beats; 0 where nothing is added")
    run: int = _f("beats of each")
    stride: int = _f("beats from one run to the next")


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishStep:
    """finish: what is done to the result on its way out."""

    source: int = _f("0 read_ifm, 1 dense, 2 depthwise, 3 pointwise")
    beats: int = _f("that come")
    adds: int = _f("a residual is added")
    is_signed: int = _f("the stage's result")
    residual_signed: int = _f()
    shift_a: int = _f("left shift of the stage's result")
    shift_b: int = _f("left shift of the residual")
    shift: int = _f("right shift of their sum")
    rounding: int = _f("of the sum: 0 halves up, 1 to even, 2 down, 3 to odd")
    bias: int = _f("added to the sum", rare=True)
    unit: int = _f(
        "beats of a row, or of a pixel: of codes that are to be 0", rare=True
    )
    unit_lanes: int = _f("codes of its last beat before those", rare=True)
    pixel_lanes: int = _f("codes of a pixel in a beat", rare=True)
    pixel_codes: int = _f("and those of them that exist", rare=True)
    low: int = _f("smallest sum")
    high: int = _f("largest sum")
    pools: int = _f("a global average pool follows")
    pool_signed: int = _f()
    multiplier: int = _f("of the average")
    mean_shift: int = _f()
    mean_rounding: int = _f("of the average, likewise")
    sum_bias: int = _f("added to the sum of the average", rare=True)
    code_bias: int = _f("added to its codes", rare=True)
    mean_last: int = _f("codes that exist in its last beat", rare=True)
    pool_low: int = _f()
    pool_high: int = _f()
    mean_words: int = _f("beats of a pixel")
    mean_lanes: int = _f("codes of a pixel within a beat")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadStep:
    """load_weights: one stage's records and weights of the next run."""

    record_beats: int = _f()
    unit_trips: int = _f()
    bits: int = _f("of a weight")
    groups: int = _f("groups of output channels")
    lanes: int = _f("of a group")
    last_lanes: int = _f("of the last group")
    folds: int = _f("words of a group")
    inner_folds: int = _f("words of a kernel tap")
    rows: int = _f("lanes that a unit brings")
    tail_rows: int = _f("the same in the last word of a kernel tap")
    end_rows: int = _f("the same in the last word of a group")
    need: int = _f("bits of a unit")
    tail_need: int = _f("the same in the last word of a kernel tap")
    end_need: int = _f("the same in the last word of a group")
    rest_need: int = _f("the same for what is left of a word of full lanes")
    last_need: int = _f("the same in the last group")
    list_beats: int = _f("of the list of words, behind the records", rare=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchStep:
    """read_weights: records and weights of the next run, for all its stages."""

    base: int = _f("first beat of the packed weights")
    beats: int = _f()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One pass through the dataflow region."""

    fetch: FetchStep = FetchStep()
    dense_load: LoadStep = LoadStep()
    depthwise_load: LoadStep = LoadStep()
    pointwise_load: LoadStep = LoadStep()
    read: ReadStep = ReadStep()
    unpack: UnpackStep = UnpackStep()
    dense_window: WindowStep = WindowStep()
    dense_array: ArrayStep = ArrayStep()
    dense_regroup: RegroupStep = RegroupStep()
    depthwise_window: WindowStep = WindowStep()
    depthwise_array: DepthwiseStep = DepthwiseStep()
    depthwise_regroup: RegroupStep = RegroupStep()
    vectors: VectorsStep = VectorsStep()
    pointwise_array: ArrayStep = ArrayStep()
    pack: PackStep = PackStep()
    residual: ResidualStep = ResidualStep()
    finish: FinishStep = FinishStep()
    write: WriteStep = WriteStep()


STRUCTS: dict[type, str] = {
    kind: f"{re.sub(r'(?<!^)(?=[A-Z])', '_', kind.__name__).lower()}_t"
    for kind in (
        *(FetchStep, LoadStep, ReadStep, UnpackStep, WindowStep, ArrayStep),
        *(RegroupStep, DepthwiseStep, VectorsStep, PackStep, ResidualStep),
        *(FinishStep, WriteStep, Step),
    )
}
"""C++ struct of each record, in the order of definition."""

COUNTED: dict[type, str] = {
    WindowStep: "window_step_bits",
    ArrayStep: "array_step_bits",
    DepthwiseStep: "depthwise_step_bits",
}
"""Records whose processes count in registers as wide as the fields need."""

PARTS: dict[str, type] = {item.name: type(item.default) for item in fields(Step)}


@dataclass(frozen=True, slots=True, kw_only=True)
class StructField:
    """A field of an emitted struct.

    Attributes:
        type: In C++.
        name: Of the field.
        doc: What it means.
        bits: That a signed integer needs to hold all its values.
    """

    type: str
    name: str
    doc: str
    bits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Struct:
    """An emitted struct.

    Attributes:
        name: Of the struct.
        doc: Which processes read it.
        fields: In order.
        counted: The struct of the fields' widths, or nothing: processes that count up
            to the fields get registers of these widths.
    """

    name: str
    doc: str
    fields: tuple[StructField, ...]
    counted: str = ""


def structs(steps: Sequence[Step]) -> tuple[Struct, ...]:
    """Return the structs of `step.h`, in the order of definition.

    Each field has the narrowest native type that holds its values in all steps, since
    every process keeps the fields that it uses in registers.
    """
    seen: dict[tuple[type, str], set[int]] = {}
    for step in steps:
        for part in fields(step):
            record = getattr(step, part.name)
            for item in fields(record):
                key = (type(record), item.name)
                seen.setdefault(key, set()).add(int(getattr(record, item.name)))
    left = unset(steps)
    result = []
    for kind, name in STRUCTS.items():
        members = tuple(
            StructField(
                type=(
                    STRUCTS[PARTS[item.name]]
                    if kind is Step
                    else _narrowest(seen.get((kind, item.name), {0}))
                ),
                name=item.name,
                doc=str(item.metadata.get("doc", "")),
                bits=_bits(seen.get((kind, item.name), {0})),
            )
            for item in fields(kind)
            if (kind, item.name) not in left
        )
        doc = (kind.__doc__ or "").split("\n", 1)[0]
        counted = COUNTED.get(kind, "")
        result.append(Struct(name=name, doc=doc, fields=members, counted=counted))
    return tuple(result)


def unset(steps: Sequence[Step]) -> frozenset[tuple[type, str]]:
    """Return the rare fields of records in which no step sets any: not emitted."""
    records = [getattr(step, part.name) for step in steps for part in fields(step)]
    left: set[tuple[type, str]] = set()
    for kind in STRUCTS:
        some = [record for record in records if type(record) is kind]
        together: dict[bool | str, list[str]] = {}
        for item in fields(kind):
            if item.metadata.get("rare"):
                together.setdefault(item.metadata["rare"], []).append(item.name)
        for names in together.values():
            if not any(getattr(record, name) for record in some for name in names):
                left |= {(kind, name) for name in names}
    return frozenset(left)


def signed_bits(low: int, high: int) -> int:
    """Return the bits of a signed integer that holds `low` to `high`."""
    return 1 + max(high.bit_length(), (~low).bit_length() if low < 0 else 0)


def _bits(values: set[int]) -> int:
    return signed_bits(min(values), max(values))


def _narrowest(values: set[int]) -> str:
    """Return the narrowest native C++ type that holds all values."""
    low, high = min(values), max(values)
    for kind, least, most in (
        ("unsigned char", 0, 2**8 - 1),
        ("signed char", -(2**7), 2**7 - 1),
        ("unsigned short", 0, 2**16 - 1),
        ("short", -(2**15), 2**15 - 1),
    ):
        if least <= low and high <= most:
            return kind
    return "int"
