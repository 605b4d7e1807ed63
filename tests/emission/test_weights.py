"""Packed weights: read again, bit by bit, as docs/engine.md says, and equal.

The reader below shares nothing with `hao.emission.weights`: it walks the loops of
"Weights in DDR" one weight at a time.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from hao.emission.runs import Run, StageRun, engine_stages
from hao.emission.steps import Table, make_table
from hao.emission.weights import record_bits
from hao.engine.stages import DenseStage, DepthwiseStage
from hao.ir.change import Bits, scheme_of
from hao.ir.integer import Requantization
from hao.ir.layer import Conv, Depthwise, Linear, Pool
from tests.emission.designs import SEEDS, sample, small
from tests.emission.random_designs import FIRST_PRUNED, Ints, Sample

PRUNED = range(FIRST_PRUNED, FIRST_PRUNED + 12)

Place = tuple[tuple[int, ...], int, int] | None
"""Where a weight stands in its parameter, by how many bits its digit is moved up, and
the plane of the frame that it meets; `None` for one that is filled up."""


class Reader:
    """Reads a run of bytes, lowest bit first."""

    def __init__(self, data: bytes, port: int) -> None:
        self.bits = np.unpackbits(
            np.frombuffer(data, dtype=np.uint8), bitorder="little"
        )
        self.at = 0
        self.beat = 8 * port

    def take(self, bits: int, count: int) -> Ints:
        """Return unsigned integers of `bits` bits each, without gaps."""
        part = self.bits[self.at : self.at + bits * count].reshape(count, bits)
        self.at += bits * count
        weights = 1 << np.arange(bits, dtype=np.int64)
        return np.asarray(part.astype(np.int64) @ weights, dtype=np.int64)

    def next_beat(self) -> None:
        """Skip to the next beat; what fills this one up is 0."""
        end = -(-self.at // self.beat) * self.beat
        assert not self.bits[self.at : end].any()
        self.at = end


def signed(values: Ints, bits: int) -> Ints:
    return values - ((values >> (bits - 1)) << bits)


def take_list(
    run: StageRun, stage: DenseStage, words: int, reader: Reader
) -> list[list[int]]:
    """Return the words of each group and pass that a list says are kept, in order.

    An entry: 10 bits for the group of channels, 3 each for column and row of a tap.
    """
    layer = run.layer
    assert isinstance(layer, Conv | Linear)
    kernel = 1 if isinstance(layer, Linear) else layer.kernel
    inner = words // kernel**2
    kept = -(-layer.density * words // 100)
    lists = []
    for _ in range(run.begin, run.end, stage.pe):
        for _ in range(layer.passes):
            entries = reader.take(16, kept)
            row, column = entries >> 13, entries >> 10 & 7
            assert max(row.max(), column.max()) < kernel
            found = (row * kernel + column) * inner + (entries & 1023)
            assert (np.diff(found) > 0).all()
            lists.append(found.tolist())
    reader.next_beat()
    return lists


def dense_places(
    run: StageRun, stage: DenseStage, port: int, act_bits: int, reader: Reader
) -> Iterator[Place]:
    """Yield the place of every weight in DDR, in order, behind a list if any."""
    layer = run.layer
    assert isinstance(layer, Conv | Linear)
    ifm = layer.ifm
    planes = layer.planes if isinstance(layer, Conv) else 1
    count = ifm.channels * planes
    across = isinstance(layer, Linear) and ifm.height * ifm.width > 1
    stored = 2 if act_bits <= 2 else 4 if act_bits <= 4 else 8
    beat = 8 * port // stored
    pixel = 4
    while pixel < count and pixel < beat:
        pixel *= 2
    pixel = max(pixel, -(-count // beat) * beat) if count > beat else min(pixel, beat)
    row = -(-ifm.width * pixel // beat) * beat
    if across:
        count = ifm.height * row
    kernel = 1 if isinstance(layer, Linear) else layer.kernel
    taps = [(i, j) for i in range(kernel) for j in range(kernel)]
    packed = stage.simd // count if kernel > 1 else 1

    def place(channel: int, tap: tuple[int, int], code: int, up: int) -> Place:
        if not isinstance(layer, Linear):
            plane, code = divmod(code, ifm.channels)
            # What meets high digits of the frame is 4 bits higher already.
            up -= 4 * (planes - 1 - plane)
            return ((channel, code, *tap), up, plane) if up >= 0 else None
        if not across:
            return (channel, code), up, 0
        height, rest = divmod(code, row)
        width, depth = divmod(rest, pixel)
        if width >= ifm.width or depth >= ifm.channels:
            return None
        return (channel, (depth * ifm.height + height) * ifm.width + width), up, 0

    folds: list[list[tuple[tuple[int, int], int] | None]] = []
    filled = 0
    if packed >= 2:
        for begin in range(0, len(taps), packed):
            part = taps[begin : begin + packed]
            folds.append([(tap, code) for tap in part for code in range(count)])
        if layer.passes > 1:
            filled = packed * count - len(folds[-1])
    else:
        for tap in taps:
            for begin in range(0, count, stage.simd):
                end = min(begin + stage.simd, count)
                folds.append([(tap, code) for code in range(begin, end)])
    whole = folds
    lists: list[list[int]] = []
    if layer.density < 100 and packed < 2 and planes == 1:
        whole = [fold + [None] * (stage.simd - len(fold)) for fold in folds]
        lists = take_list(run, stage, len(folds), reader)
    every = list(range(len(folds)))
    for group in range(run.begin, run.end, stage.pe):
        for up in range(4 * (layer.passes - 1), -1, -4):
            folds = [whole[number] for number in (lists.pop(0) if lists else every)]
            for number, fold in enumerate(folds):
                for channel in range(group, min(group + stage.pe, run.end)):
                    for item in fold:
                        yield None if item is None else place(channel, *item, up)
                    if number == len(folds) - 1:
                        yield from [None] * filled


def depthwise_places(run: StageRun, stage: DepthwiseStage) -> Iterator[Place]:
    layer = run.layer
    assert isinstance(layer, Depthwise)
    size = layer.kernel**2
    for group in range(0, run.end, stage.pe):
        for begin in range(0, size, stage.taps):
            for channel in range(group, min(group + stage.pe, run.end)):
                for tap in range(begin, begin + stage.taps):
                    known = (channel, 0, *divmod(tap, layer.kernel))
                    yield (known, 0, 0) if tap < size else None


def check_stage(found: Sample, run: StageRun, reader: Reader) -> None:
    """Read one stage's records and weights and compare them with the integers."""
    net, design = found.net, found.design
    name, stage = run.layer.name, engine_stages(design)[run.role]
    mode = net.requantization
    multiplies = mode is not Requantization.SHIFT
    cut = 13 if mode is Requantization.WIDE else 0
    for begin in range(run.begin, run.end, stage.pe):
        end = min(begin + stage.pe, run.end)
        words = reader.take(64 if multiplies else 32, end - begin)
        reader.next_beat()
        part = slice(begin, end)
        bits = 33 if cut else 40 if multiplies else 26
        bias = signed(words & (2**bits - 1), bits)
        np.testing.assert_array_equal(bias << cut, net.param(name, "bias")[part])
        shift = words >> bits & 31
        np.testing.assert_array_equal(shift + cut, net.param(name, "shift")[part])
        rounding = np.broadcast_to(net.rounding(name), run.layer.ofm.channels)[part]
        np.testing.assert_array_equal(words >> bits + 5 & 1, rounding)
        if multiplies:
            multiplier = net.param(name, "multiplier")[part]
            np.testing.assert_array_equal(words >> (39 if cut else 46), multiplier)
    weight = net.param(name, "weight")
    bits = design.weight_bits[name]
    twice = isinstance(run.layer, Conv | Linear) and run.layer.passes > 1
    change = design.scheme[name]
    assert isinstance(change, Bits)
    if twice and replace(change, density=100) != Bits(weight_bits=bits):
        bits = 4
    planes = run.layer.planes if isinstance(run.layer, Conv) else 1
    places = list(
        depthwise_places(run, stage)
        if isinstance(stage, DepthwiseStage)
        else dense_places(
            run, stage, design.board.port_bytes, design.engine.act_bits, reader
        )
    )
    values = signed(reader.take(bits, len(places)), bits)
    reader.next_beat()
    made = np.zeros((planes, *weight.shape), dtype=np.int64)
    seen = np.zeros((planes, *weight.shape), dtype=np.int64)
    for place, value in zip(places, values.tolist(), strict=True):
        if place is None:
            assert value == 0
        else:
            where, up, plane = place
            made[plane, *where] += value << up
            seen[plane, *where] += 1
    # Each of the run's weights as often as it has digits, and none of another tile; of
    # a pruned layer those that are not 0.
    own = seen[:, run.begin : run.end]
    pruned = isinstance(run.layer, Conv | Linear) and run.layer.density < 100
    assert own.min() >= (0 if pruned else 1)
    assert seen.sum() == own.sum()
    for plane in made:
        np.testing.assert_array_equal(
            plane[run.begin : run.end],
            weight[run.begin : run.end],
            err_msg=f"{found}: {name}",
        )


def check_all(found: Sample) -> Table:
    table = make_table(found.design, found.net)
    reader = Reader(table.weights.tobytes(), found.design.board.port_bytes)
    for run in table.runs:
        for stage in run.loaded if run is not None else ():
            if not isinstance(stage.layer, Pool):
                check_stage(found, stage, reader)
    if reader.at:  # without any weights, one empty beat is emitted
        assert reader.at == 8 * len(table.weights)
    return table


@pytest.mark.parametrize("seed", [*SEEDS, *PRUNED])
def test_weights_and_records_come_back(seed: int) -> None:
    check_all(sample(seed))


@pytest.mark.parametrize("bits", range(2, 9))
def test_weights_of_every_width_come_back(bits: int) -> None:
    found = small()
    design = replace(
        found.design, scheme=scheme_of(dict.fromkeys(found.design.scheme, bits))
    )
    rng = np.random.default_rng(bits)
    params = dict(found.net.network.params)
    layers = []
    for layer in found.net.network.layers:
        kept = layer
        if isinstance(layer, Conv | Depthwise | Linear):
            assert layer.weight is not None
            kept = replace(layer, weight=replace(layer.weight, bits=bits, narrow=False))
            key = f"{layer.name}.weight"
            low = -(2 ** (bits - 1))
            params[key] = rng.integers(low, -low, params[key].shape)
        layers.append(kept)
    network = replace(found.net.network, layers=tuple(layers), params=params)
    check_all(replace(found, design=design, net=replace(found.net, network=network)))


def test_samples_hold_every_way_to_pack() -> None:
    kinds = set()
    for seed in (*SEEDS, *PRUNED):
        found = sample(seed)
        for run in make_table(found.design, found.net).runs:
            for stage in run.stages if run is not None else ():
                assert run is not None
                kinds |= kinds_of(found, run, stage)
    assert kinds >= {
        *("depthwise", "packed", "dense", "pointwise", "linear", "linear on a map"),
        *("tile", "multiplier", "listed dense", "listed pointwise"),
    }


def kinds_of(found: Sample, run: Run, stage: StageRun) -> set[str]:
    layer = stage.layer
    if isinstance(layer, Pool):
        return {"pool"}
    kinds = {"tile"} if run.tiles > 1 else set[str]()
    if found.net.requantization is not Requantization.SHIFT:
        kinds.add("multiplier")
    if isinstance(layer, Linear):
        return kinds | {"linear on a map" if layer.ifm.pixels > 1 else "linear"}
    if isinstance(layer, Depthwise):
        return kinds | {"depthwise"}
    hardware = engine_stages(found.design)[stage.role]
    assert isinstance(hardware, DenseStage)
    packs = layer.kernel > 1 and hardware.simd >= 2 * layer.ifm.channels
    if layer.density < 100 and not packs:
        kinds.add(f"listed {stage.role.value}")
    if layer.kernel == 1:
        return kinds | {"pointwise"}
    return kinds | {"packed" if packs else "dense"}


def test_record_bits_depend_on_the_mode() -> None:
    net = small().net
    assert record_bits(net) == 32
    assert {record_bits(sample(seed).net) for seed in SEEDS} == {32, 64}


def test_records_by_hand() -> None:
    found = small()
    table = make_table(found.design, found.net)
    # The stem first: 12 channels on 4 lanes are 3 groups, a beat of 16 bytes each.
    for channel in range(12):
        word = int.from_bytes(table.weights[4 * channel : 4 * channel + 4], "little")
        bias = int(found.net.param("stem", "bias")[channel])
        shift = int(found.net.param("stem", "shift")[channel])
        assert word == (bias % 2**26) + shift * 2**26
    # Taps (0, 0) and (0, 1) of lane 0: 2 x 3 channels of 8 bits on 8 multipliers.
    weight = found.net.param("stem", "weight")
    first = np.concatenate([weight[0, :, 0, 0], weight[0, :, 0, 1]])
    data = table.weights[48:54].view(np.int8)
    assert data.tolist() == first.tolist()
