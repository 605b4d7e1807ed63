"""Segments of known blocks by hand; what holds for every network; what is refused."""

from dataclasses import fields, make_dataclass, replace
from itertools import pairwise

import pytest

from hao.errors import UnsupportedError
from hao.ir.layer import (
    Activation,
    ActivationKind,
    Add,
    Affine,
    Conv,
    Depthwise,
    GlobalAveragePool,
    Input,
    Layer,
    Linear,
    Padding,
    Pool,
    PoolKind,
    Quantize,
    window_shape,
)
from hao.ir.network import Network
from hao.ir.partition import Partition, Role, Segment, partition
from hao.ir.tensor import QType, Shape
from hao.zoo.registry import build_network, network_names


class Builder:
    """Layers one after the other; each reads the one before unless told otherwise."""

    def __init__(self, channels: int = 8, size: int = 16) -> None:
        shape = Shape(channels=channels, height=size, width=size)
        self.layers: list[Layer] = [Input(name="image", ofm=shape)]

    def _ifm(self, source: str | None) -> tuple[str, Shape]:
        name = source or self.layers[-1].name
        return name, next(x.ofm for x in self.layers if x.name == name)

    def conv(
        self,
        name: str,
        channels: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        padding: Padding | None = None,
        source: str | None = None,
    ) -> "Builder":
        read, ifm = self._ifm(source)
        pad = Padding.same(kernel) if padding is None else padding
        ofm = window_shape(
            ifm, channels=channels, kernel=kernel, stride=stride, padding=pad
        )
        self.layers.append(
            Conv(
                name=name,
                input=read,
                ifm=ifm,
                ofm=ofm,
                kernel=kernel,
                stride=stride,
                padding=pad,
            )
        )
        return self

    def depthwise(
        self, name: str, *, stride: int = 1, source: str | None = None
    ) -> "Builder":
        read, ifm = self._ifm(source)
        pad = Padding.same(3)
        ofm = window_shape(
            ifm, channels=ifm.channels, kernel=3, stride=stride, padding=pad
        )
        self.layers.append(
            Depthwise(
                name=name,
                input=read,
                ifm=ifm,
                ofm=ofm,
                kernel=3,
                stride=stride,
                padding=pad,
            )
        )
        return self

    def pool(self, name: str, *, source: str | None = None) -> "Builder":
        read, ifm = self._ifm(source)
        ofm = window_shape(
            ifm, channels=ifm.channels, kernel=2, stride=2, padding=Padding()
        )
        self.layers.append(
            Pool(
                name=name,
                input=read,
                ifm=ifm,
                ofm=ofm,
                kernel=2,
                stride=2,
                kind=PoolKind.MAX,
            )
        )
        return self

    def mean(self, name: str, *, source: str | None = None) -> "Builder":
        read, ifm = self._ifm(source)
        ofm = Shape(channels=ifm.channels, height=1, width=1)
        self.layers.append(GlobalAveragePool(name=name, input=read, ifm=ifm, ofm=ofm))
        return self

    def linear(self, name: str, channels: int) -> "Builder":
        read, ifm = self._ifm(None)
        ofm = Shape(channels=channels, height=1, width=1)
        self.layers.append(Linear(name=name, input=read, ifm=ifm, ofm=ofm))
        return self

    def add(self, name: str, first: str, second: str) -> "Builder":
        _, shape = self._ifm(first)
        self.layers.append(Add(name=name, inputs=(first, second), ofm=shape))
        return self

    def affine(self, name: str, *, source: str | None = None) -> "Builder":
        read, shape = self._ifm(source)
        self.layers.append(Affine(name=name, input=read, ifm=shape, ofm=shape))
        return self

    def relu(self, name: str, *, source: str | None = None) -> "Builder":
        read, shape = self._ifm(source)
        self.layers.append(
            Activation(
                name=name,
                input=read,
                ifm=shape,
                ofm=shape,
                kind=ActivationKind.RELU,
            )
        )
        return self

    def quantize(self, name: str, *, source: str | None = None) -> "Builder":
        read, shape = self._ifm(source)
        self.layers.append(
            Quantize(
                name=name,
                input=read,
                ifm=shape,
                ofm=shape,
                quant=QType(bits=4, signed=False),
            )
        )
        return self

    def network(self) -> Network:
        return Network(name="built", layers=tuple(self.layers))

    def partition(self) -> Partition:
        return partition(self.network())


def _shown(segment: Segment) -> str:
    """Return a segment as "start-end D:x W:y P:z <input +residual >output"."""
    run = segment.invocation
    letters = {Role.DENSE: "D", Role.DEPTHWISE: "W", Role.POINTWISE: "P"}
    stages = " ".join(f"{letters[role]}:{layer.name}" for role, layer in run.stages)
    residual = f" +{run.residual_name}" if run.residual_name is not None else ""
    place = f"{segment.start}-{segment.end}"
    return f"{place} {stages} <{run.input_name}{residual} >{run.output_name}"


def _all_shown(parts: Partition) -> list[str]:
    return [_shown(segment) for segment in parts.segments]


def test_mobilenet_v2_block_by_hand() -> None:
    parts = (
        Builder()
        .conv("expand", 48)
        .depthwise("middle")
        .conv("project", 8)
        .add("sum", "project", "image")
        .partition()
    )
    assert parts.positions == ("expand", "middle", "project")
    assert _all_shown(parts) == [
        "0-0 D:expand <image >expand",
        "0-0 P:expand <image >expand",
        "0-1 D:expand W:middle <image >middle",
        "0-2 D:expand W:middle P:project <image +image >sum",
        "1-1 W:middle <expand >middle",
        "1-2 W:middle P:project <expand +image >sum",
        "2-2 D:project <middle +image >sum",
        "2-2 P:project <middle +image >sum",
    ]


def test_resnet_basic_block_with_downsample_by_hand() -> None:
    parts = (
        Builder()
        .conv("stem", 8, 3)
        .conv("first", 16, 3, stride=2)
        .conv("second", 16, 3)
        .conv("shortcut", 16, stride=2, source="stem")
        .add("sum", "second", "shortcut")
        .conv("next", 16, 3)
        .partition()
    )
    # The add rides on the later of its operands, so the shortcut adds, and the two
    # 3x3 convolutions come before it. A strided 1x1 runs on the dense stage alone.
    assert parts.positions == ("stem", "first", "second", "shortcut", "next")
    assert _all_shown(parts) == [
        "0-0 D:stem <image >stem",
        "1-1 D:first <stem >first",
        "2-2 D:second <first >second",
        "3-3 D:shortcut <stem +second >sum",
        "4-4 D:next <sum >next",
    ]


def test_resnet_basic_block_with_an_earlier_downsample_by_hand() -> None:
    parts = (
        Builder()
        .conv("shortcut", 16, stride=2)
        .conv("first", 16, 3, stride=2, source="image")
        .conv("second", 16, 3)
        .add("sum", "shortcut", "second")
        .partition()
    )
    assert _all_shown(parts) == [
        "0-0 D:shortcut <image >shortcut",
        "1-1 D:first <image >first",
        "2-2 D:second <first +shortcut >sum",
    ]


def test_mobilenet_v4_universal_block_by_hand() -> None:
    # Depthwise, 1x1, depthwise, 1x1 with an add: the middle pair fuses both ways.
    parts = (
        Builder()
        .depthwise("start")
        .conv("expand", 32)
        .depthwise("middle")
        .conv("project", 8)
        .add("sum", "image", "project")
        .partition()
    )
    assert parts.positions == ("start", "expand", "middle", "project")
    assert _all_shown(parts) == [
        "0-0 W:start <image >start",
        "0-1 W:start P:expand <image >expand",
        "1-1 D:expand <start >expand",
        "1-1 P:expand <start >expand",
        "1-2 D:expand W:middle <start >middle",
        "1-3 D:expand W:middle P:project <start +image >sum",
        "2-2 W:middle <expand >middle",
        "2-3 W:middle P:project <expand +image >sum",
        "3-3 D:project <middle +image >sum",
        "3-3 P:project <middle +image >sum",
    ]


def test_resnet_bottleneck_fuses_the_3x3_with_the_1x1_behind_it() -> None:
    parts = Builder().conv("a", 4).conv("b", 4, 3).conv("c", 16).partition()
    fused = [s for s in _all_shown(parts) if not s.startswith(("0-0", "1-1", "2-2"))]
    assert fused == ["1-2 D:b P:c <a >c"]


def test_two_1x1_in_a_row_are_not_fused() -> None:
    parts = Builder().conv("a", 4).conv("b", 4).conv("c", 16).partition()
    assert {(s.start, s.end) for s in parts.segments} == {(0, 0), (1, 1), (2, 2)}


def test_a_pool_runs_on_the_depthwise_stage() -> None:
    parts = Builder().conv("stem", 8, 3).pool("pool").conv("next", 8).partition()
    fused = [s for s in _all_shown(parts) if s.startswith("0-")]
    assert fused == [
        "0-0 D:stem <image >stem",
        "0-1 D:stem W:pool <image >pool",
        "0-2 D:stem W:pool P:next <image >next",
    ]


def test_a_global_pool_rides_on_the_layer_before_and_ends_its_segment() -> None:
    parts = Builder().conv("head", 32).mean("mean").linear("classes", 10).partition()
    assert _all_shown(parts) == [
        "0-0 D:head <image >mean",
        "0-0 P:head <image >mean",
        "1-1 D:classes <mean >classes",
        "1-1 P:classes <mean >classes",
    ]
    run = parts.segments[0].invocation
    assert run.stage_ofm == Shape(channels=32, height=16, width=16)
    assert run.ofm == Shape(channels=32, height=1, width=1)


def test_a_global_pool_rides_on_an_add() -> None:
    parts = Builder().conv("a", 8).add("sum", "a", "image").mean("mean").partition()
    assert _all_shown(parts) == [
        "0-0 D:a <image +image >mean",
        "0-0 P:a <image +image >mean",
    ]


def test_a_global_pool_of_the_image_runs_alone() -> None:
    parts = Builder().mean("mean").linear("classes", 10).partition()
    assert parts.positions == ("mean", "classes")
    alone = parts.segments[0].invocation
    assert _shown(parts.segments[0]) == "0-0  <image >mean"
    assert alone.stages == ()
    assert alone.name == "mean"
    assert alone.macs == 0
    assert alone.ifm == alone.stage_ofm == Shape(channels=8, height=16, width=16)
    assert alone.ofm == Shape(channels=8, height=1, width=1)


def test_a_global_pool_of_a_map_that_others_read_runs_alone() -> None:
    parts = (
        Builder()
        .conv("a", 8)
        .mean("mean")
        .conv("narrow", 8, 16, padding=Padding(), source="a")
        .add("sum", "mean", "narrow")
    )
    with pytest.raises(UnsupportedError, match=r"'narrow': kernel 16, stride 1"):
        parts.partition()
    small = (
        Builder(size=4)
        .conv("a", 8)
        .mean("mean")
        .conv("narrow", 8, 4, padding=Padding(), source="a")
        .add("sum", "mean", "narrow")
        .partition()
    )
    assert small.positions == ("a", "mean", "narrow")
    assert _all_shown(small)[2:] == [
        "1-1  <a >mean",
        "2-2 D:narrow <a +mean >sum",
    ]


def test_macs_are_those_of_all_stages() -> None:
    parts = Builder().conv("stem", 8, 3).pool("pool").conv("next", 4).partition()
    whole = next(s for s in parts.segments if (s.start, s.end) == (0, 2))
    # 16 x 16 x 8 x 72 and 8 x 8 x 4 x 8; a pool has none.
    assert whole.invocation.macs == 147_456 + 2_048
    assert whole.invocation.name == "stem+pool+next"


def test_layers_that_requantization_takes_in_are_transparent() -> None:
    plain = Builder().conv("a", 8).depthwise("b").conv("c", 8).add("d", "c", "image")
    noisy = (
        Builder()
        .quantize("q0")
        .conv("a", 8, source="q0")
        .affine("a_norm")
        .relu("a_relu")
        .depthwise("b")
        .quantize("b_quant")
        .conv("c", 8)
        .affine("c_norm")
        .add("d", "c_norm", "q0")
        .relu("d_relu")
        .quantize("d_quant")
    )
    assert noisy.partition().positions == plain.partition().positions
    assert _all_shown(noisy.partition()) == _all_shown(plain.partition())


def test_two_quantizers_of_one_map_share_it() -> None:
    parts = (
        Builder()
        .conv("a", 8)
        .quantize("fine")
        .quantize("coarse", source="a")
        .conv("b", 8, source="fine")
        .add("sum", "b", "coarse")
        .partition()
    )
    assert _all_shown(parts)[-1] == "1-1 P:b <a +a >sum"


# What holds for every network of the zoo.


def _executes(parts: Partition, network: Network) -> None:
    """Run the single-stage segments in order, checking that all they read exists."""
    made = {network.input.name}
    for position in range(len(parts.positions)):
        run = next(
            s.invocation
            for s in parts.segments
            if (s.start, s.end) == (position, position)
        )
        assert run.input_name in made
        assert run.residual_name is None or run.residual_name in made
        made.add(run.output_name)
    last = network.output
    assert last.name in made


@pytest.mark.parametrize("name", network_names())
def test_every_zoo_network_is_covered_in_an_executable_order(name: str) -> None:
    network = build_network(name)
    parts = partition(network)
    _executes(parts, network)
    work = [
        x.name
        for x in network.layers
        if isinstance(x, Conv | Depthwise | Linear | Pool)
    ]
    assert sorted(parts.positions) == sorted(work)
    singles = [s for s in parts.segments if s.start == s.end]
    assert {s.start for s in singles} == set(range(len(work)))


@pytest.mark.parametrize("name", network_names())
def test_no_segment_reaches_across_a_map_that_two_layers_read(name: str) -> None:
    network = build_network(name)
    parts = partition(network)
    readers = network.consumers()
    for segment in parts.segments:
        covered = parts.positions[segment.start : segment.end + 1]
        run = segment.invocation
        assert tuple(layer.name for _, layer in run.stages) == covered
        # All but the last stage keep their result inside the engine.
        for inside, behind in pairwise(covered):
            assert readers[inside] == (behind,)
    total = sum(
        s.invocation.macs
        for s in parts.segments
        if s.start == s.end and _first_role(s, parts)
    )
    assert total == network.macs


def _first_role(segment: Segment, parts: Partition) -> bool:
    """Return whether a segment is the first of those that cover its position alone."""
    return segment == next(
        s for s in parts.segments if (s.start, s.end) == (segment.start, segment.end)
    )


@pytest.mark.parametrize("name", network_names())
def test_segments_are_legal_and_in_order(name: str) -> None:
    parts = partition(build_network(name))
    assert list(parts.segments) == sorted(
        parts.segments, key=lambda s: (s.start, s.end)
    )
    for segment in parts.segments:
        run = segment.invocation
        assert len(run.stages) == segment.end - segment.start + 1 <= 3
        layers = [layer for _, layer in run.stages]
        assert run.ifm == layers[0].ifm
        assert run.stage_ofm == layers[-1].ofm
        for before, behind in pairwise(layers):
            assert before.ofm == behind.ifm
        if run.pointwise is not None and isinstance(run.pointwise, Conv):
            assert run.pointwise.kernel == run.pointwise.stride == 1
            assert run.pointwise.padding == Padding()


# Refusals.


@pytest.mark.parametrize(
    ("kernel", "stride"), [(8, 1), (3, 5), (9, 4)], ids=["kernel", "stride", "both"]
)
def test_windows_that_no_stage_is_built_for_are_refused(
    kernel: int, stride: int
) -> None:
    with pytest.raises(
        UnsupportedError,
        match=rf"layer 'a': kernel {kernel}, stride {stride}; the engine runs kernels "
        r"up to 7 and strides up to 3",
    ):
        Builder().conv("a", 8, kernel, stride=stride).partition()


@pytest.mark.parametrize("kernel", [1, 2, 3])
def test_padding_by_a_whole_window_is_refused(kernel: int) -> None:
    pad = Padding(bottom=kernel)
    with pytest.raises(
        UnsupportedError,
        match=rf"layer 'a': padding .*; the engine pads by less than the kernel "
        rf"\({kernel}\)",
    ):
        Builder().conv("a", 8, kernel, padding=pad).partition()


def test_padding_by_less_than_a_window_is_run() -> None:
    pad = Padding(top=2, left=2, bottom=2, right=2)
    parts = Builder().conv("a", 8, 3, padding=pad).partition()
    assert parts.positions == ("a",)


@pytest.mark.parametrize("kind", ["Affine", "Activation"])
def test_a_layer_that_only_some_readers_see_is_refused(kind: str) -> None:
    builder = Builder().conv("a", 8)
    builder = builder.affine("only") if kind == "Affine" else builder.relu("only")
    builder = builder.conv("b", 8).add("sum", "b", "a")
    with pytest.raises(
        UnsupportedError,
        match=rf"layer 'only': {kind} on 'a', which other layers read too; handled",
    ):
        builder.partition()


def test_an_add_of_two_maps_that_others_read_is_refused() -> None:
    builder = (
        Builder()
        .conv("a", 8)
        .conv("b", 8)
        .add("sum", "a", "b")
        .conv("c", 8, source="b")
        .add("end", "sum", "c")
    )
    with pytest.raises(
        UnsupportedError,
        match=r"layer 'sum': Add of 'a' and 'b'; handled where one operand is read by "
        r"the add alone and comes from a convolution or pool",
    ):
        builder.partition()


def test_an_add_of_a_map_to_itself_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"layer 'sum': Add of 'a' and 'a'"):
        Builder().conv("a", 8).add("sum", "a", "a").partition()


def test_an_add_of_two_adds_is_refused() -> None:
    builder = (
        Builder()
        .conv("a", 8)
        .add("left", "a", "image")
        .conv("b", 8, source="image")
        .add("right", "b", "image")
        .add("sum", "left", "right")
    )
    with pytest.raises(
        UnsupportedError, match=r"layer 'sum': Add of 'left' and 'right'"
    ):
        builder.partition()


def test_an_add_of_the_image_alone_is_refused() -> None:
    with pytest.raises(
        UnsupportedError, match=r"layer 'sum': Add of 'image' and 'image'"
    ):
        Builder().add("sum", "image", "image").partition()


def test_a_layer_of_no_known_kind_is_named_where_it_is_met() -> None:
    network = Builder().conv("a", 8).conv("odd", 8).conv("c", 8).network()
    odd = network.layers[2]
    # Of no kind of the union: what a new kind is before the partition knows it.
    kind = make_dataclass("Odd", [field.name for field in fields(odd)])
    values = {field.name: getattr(odd, field.name) for field in fields(odd)}
    stranger = kind(**values)
    stranger.inputs = odd.inputs
    layers = tuple(stranger if layer is odd else layer for layer in network.layers)
    with pytest.raises(AssertionError, match=r"Odd\(name='odd'"):
        partition(replace(network, layers=layers))


def test_chains_whose_shortcut_comes_later_still_run_in_order() -> None:
    # The add rides on `a`, the only operand that it alone reads; `b` comes after it.
    network = (
        Builder()
        .conv("a", 8)
        .conv("b", 8, source="image")
        .add("sum", "a", "b")
        .conv("c", 8, source="b")
        .add("end", "c", "sum")
        .network()
    )
    parts = partition(network)
    assert parts.positions == ("b", "a", "c")
    _executes(parts, network)
