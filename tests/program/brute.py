"""Exhaustive search of small co-design spaces, sharing no search code with hao.program.

Every partition is a path found by recursion, every engine a tuple of columns with every
number of DSP steps, every scheme a product of bits. Cycles come from
`hao.cost.evaluate.evaluate`: a period that was seen before, of the same segment on the
same stages before the same segment, is looked up instead (`Periods.check` evaluates a
whole design to see that the sum is right). Areas come from `engine_resources`, stage by
stage, since the parts of an engine add up.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from hao.cost import blocks
from hao.cost.area import engine_resources
from hao.cost.bram import memory_lut
from hao.cost.catalogue import Needs, build_stages, pool_words
from hao.cost.columns import Columns, DenseColumns, DepthwiseColumns, Setting
from hao.cost.evaluate import evaluate
from hao.cost.memory import beat_channels, feature_bytes
from hao.engine.design import Design
from hao.engine.stages import DenseStage, DepthwiseStage, Engine, lanes_match
from hao.errors import InputError
from hao.hw.board import Board
from hao.hw.resources import Resources
from hao.ir.change import Bits
from hao.ir.layer import Depthwise, Linear, Pool
from hao.ir.network import Network
from hao.ir.partition import Partition, Role, Segment, partition
from hao.ir.sparsity import density_of
from hao.ir.tensor import MAX_BITS
from hao.program.problem import Problem
from tests.options.widths import width

Ints = NDArray[np.int64]
Path = tuple[int, ...]
Scheme = Mapping[str, int]
Values = tuple[int, ...]
"""Free parameters of a stage: (simd, pe, weight words, in URAM) or (pe, taps)."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One column of a stage: its values, lanes towards each side, and area per step."""

    values: Values
    lanes_in: int
    lanes_out: int
    area: Ints
    """(dsp, lut, ff, bram_18k, uram, lutram), of shape (steps + 1, 6)."""


def all_paths(part: Partition) -> list[Path]:
    """Return every partition as indices of segments."""
    end = len(part.positions)

    def onward(position: int) -> Iterator[Path]:
        if position == end:
            yield ()
        for index, segment in enumerate(part.segments):
            if segment.start == position:
                for rest in onward(segment.end + 1):
                    yield (index, *rest)

    return list(onward(0))


@dataclass(slots=True)
class Periods:
    """Periods of segments as `evaluate` reported them, by all that they depend on."""

    problem: Problem
    segments: tuple[Segment, ...]
    known: dict[tuple[object, ...], int] = field(default_factory=dict)
    refused: set[tuple[object, ...]] = field(default_factory=set)
    evaluations: int = 0

    def latency(
        self, path: Path, engine: Engine, stages: Mapping[Role, Stage], scheme: Scheme
    ) -> int | None:
        """Return the latency of one design [cycles], `None` if buffers are short."""
        total = 0
        keys = self._keys(path, engine, stages, scheme)
        for key in keys:
            if key[:-2] in self.refused:
                return None
            period = self.known.get(key)
            if period is None:
                return self._evaluate(path, engine, scheme, keys)
            total += period
        return total

    def _keys(
        self, path: Path, engine: Engine, stages: Mapping[Role, Stage], scheme: Scheme
    ) -> list[tuple[object, ...]]:
        bits = [
            tuple(
                scheme[layer.name]
                for _, layer in self.segments[index].invocation.stages
                if not isinstance(layer, Pool)
            )
            for index in path
        ]
        used = [
            tuple(
                stages[role].values
                for role, _ in self.segments[index].invocation.stages
            )
            for index in path
        ]
        setting = (engine.px, engine.double_buffered)
        alone: list[tuple[object, ...]] = [
            (*setting, index, bits[place], used[place])
            for place, index in enumerate(path)
        ]
        # The weights that the next segment opens with load during this one: all of
        # them, or those of a first tile, where a single stage may run in tiles. How
        # several frames share them depends on all stages.
        shared = self.problem.board.batch > 1
        opening: list[tuple[object, ...]] = [
            (index, bits[place], used[place] if shared or len(used[place]) == 1 else ())
            for place, index in enumerate(path)
        ]
        pairs = zip(alone, [*opening[1:], None], strict=True)
        first = (*setting, *opening[0], "first load", 0)
        return [first, *((*own, 0, after) for own, after in pairs)]

    def design(self, path: Path, engine: Engine, scheme: Scheme) -> Design:
        return Design(
            network=self.problem.network,
            scheme=self._scheme(scheme),
            engine=engine,
            segments=tuple(self.segments[index] for index in path),
            board=self.problem.board,
        )

    def _scheme(self, scheme: Scheme) -> dict[str, Bits]:
        """Return the change of every layer; any bits that take the same lanes do."""
        return {
            layer.name: Bits(weight_bits=scheme[layer.name], density=density_of(layer))
            if isinstance(layer, Depthwise) or layer.passes == 1
            else Bits(weight_bits=MAX_BITS, passes=layer.passes)
            for layer in self.problem.network.compute_layers
        }

    def _evaluate(
        self,
        path: Path,
        engine: Engine,
        scheme: Scheme,
        keys: list[tuple[object, ...]],
    ) -> int | None:
        self.evaluations += 1
        try:
            report = evaluate(self.design(path, engine, scheme))
        except InputError as error:
            (place,) = [
                place
                for place, index in enumerate(path)
                if f"{self.segments[index].invocation.name!r}: its weights do not fit"
                in str(error)
            ]
            self.refused.add(keys[place + 1][:-2])
            return None
        self.known[keys[0]] = report.first_load_cycles
        for key, cost in zip(keys[1:], report.invocations, strict=True):
            self.known[key] = cost.period_cycles
        return report.latency_cycles


@dataclass(frozen=True, slots=True)
class Optimum:
    """The least latency of a cost, and the design that has it."""

    latency: int
    design: Design


def front(problem: Problem) -> dict[int, Optimum]:
    """Return the fastest design of every accuracy cost that some design has."""
    best: dict[int, Optimum] = {}
    for scheme, optimum in by_scheme(problem).items():
        cost = cost_of(problem, dict(scheme))
        if cost not in best or optimum.latency < best[cost].latency:
            best[cost] = optimum
    return best


def cost_of(problem: Problem, scheme: Scheme) -> int:
    """Return the sum of what the options of a scheme cost."""
    return sum(
        option.cost_micro
        for option in problem.options
        if isinstance(option.change, Bits) and scheme.get(option.layer) == width(option)
    )


def by_scheme(
    problem: Problem, also: Sequence[Network] = ()
) -> dict[tuple[tuple[str, int], ...], Optimum]:
    """Return the fastest design of every scheme that some design has.

    Args:
        problem: What to design for; ties are not kept.
        also: Networks that the engine must have buffers for too.
    """
    part = partition(problem.network)
    periods = Periods(problem, part.segments)
    paths = all_paths(part)
    others = [(other, all_paths(other)) for other in map(partition, also)]
    best: dict[tuple[tuple[str, int], ...], tuple[int, Path, Engine, Scheme]] = {}
    for bits in _all_widths(problem, [part, *(other for other, _ in others)]):
        usable = [path for path in paths if _wide_enough(problem, part, path, bits)]
        if not usable:
            continue
        needs = _needs([(part, usable)], problem, bits, others)
        schemes = [
            [
                (tuple(sorted(scheme.items())), scheme)
                for _, scheme in _schemes(problem, part, path, bits)
            ]
            for path in usable
        ]
        for setting in _settings(problem):
            for engine, stages in _engines(problem, setting, needs, bits, also):
                for path, offered in zip(usable, schemes, strict=True):
                    for key, scheme in offered:
                        cycles = periods.latency(path, engine, stages, scheme)
                        if cycles is not None and (
                            key not in best or cycles < best[key][0]
                        ):
                            best[key] = (cycles, path, engine, scheme)
    result = {}
    for key, (cycles, path, engine, scheme) in best.items():
        design = periods.design(path, engine, scheme)
        assert evaluate(design).latency_cycles == cycles
        result[key] = Optimum(cycles, design)
    return result


def fastest(found: Mapping[int, Optimum], cost_limit: int | None = None) -> int | None:
    """Return the least latency within a cost limit, `None` if there is no design."""
    within = [
        optimum.latency
        for cost, optimum in found.items()
        if cost_limit is None or cost <= cost_limit
    ]
    return min(within, default=None)


def most_accurate(found: Mapping[int, Optimum], budget: int) -> tuple[int, int] | None:
    """Return the least cost within a latency budget, and the least latency of it."""
    within = [
        (cost, optimum.latency)
        for cost, optimum in found.items()
        if optimum.latency <= budget
    ]
    return min(within, default=None)


def _all_widths(
    problem: Problem, parts: Sequence[Partition]
) -> Iterator[dict[Role, int]]:
    """Yield every width per stage that some layer which may run there offers.

    0 is a stage that is not built.
    """
    offered: dict[Role, set[int]] = {}
    for segment in (segment for part in parts for segment in part.segments):
        for role, layer in segment.invocation.stages:
            found = {
                width(option)
                for option in problem.options
                if option.layer == layer.name
            }
            offered.setdefault(role, set()).update(found)
    roles = list(offered)
    for bits in product(*((0, *sorted(offered[role] or {2})) for role in roles)):
        yield dict(zip(roles, bits, strict=True))


def _bits(problem: Problem, layer: str) -> list[int]:
    return [width(o) for o in problem.options if o.layer == layer]


def _wide_enough(
    problem: Problem, part: Partition, path: Path, bits: Mapping[Role, int]
) -> bool:
    return all(
        bits[role] > 0
        and (isinstance(layer, Pool) or min(_bits(problem, layer.name)) <= bits[role])
        for index in path
        for role, layer in part.segments[index].invocation.stages
    )


def _needs(
    used: list[tuple[Partition, list[Path]]],
    problem: Problem,
    bits: Mapping[Role, int],
    others: list[tuple[Partition, list[Path]]],
) -> dict[Role, Needs]:
    """Return the layers that the buffers of each stage are sized for."""
    layers: dict[Role, dict[object, None]] = {}
    for part, paths in others:
        fine = [path for path in paths if _wide_enough(problem, part, path, bits)]
        used = [*used, (part, fine)]
    for part, paths in used:
        for index in sorted({index for path in paths for index in path}):
            for role, layer in part.segments[index].invocation.stages:
                layers.setdefault(role, {})[layer] = None
    return {
        role: Needs(tuple(found))  # type: ignore[arg-type]
        for role, found in layers.items()
    }


def _schemes(
    problem: Problem, part: Partition, path: Path, bits: Mapping[Role, int]
) -> list[tuple[int, Scheme]]:
    """Return every scheme that the stages of a path are wide enough for, with cost."""
    runs_on = {
        layer.name: role
        for index in path
        for role, layer in part.segments[index].invocation.stages
        if not isinstance(layer, Pool)
    }
    layers = [
        [
            option
            for option in problem.options
            if option.layer == name and width(option) <= bits[role]
        ]
        for name, role in runs_on.items()
    ]
    return [
        (
            sum(option.cost_micro for option in chosen),
            {option.layer: width(option) for option in chosen},
        )
        for chosen in product(*layers)
    ]


def _settings(problem: Problem) -> Iterator[Setting]:
    for px, double in product(problem.space.pixels, problem.space.buffering):
        yield Setting(
            board=problem.board,
            px=px,
            act_bits=problem.act_bits,
            double_buffered=double,
        )


def _columns(
    problem: Problem, setting: Setting, needs: Needs, role: Role, bits: int
) -> Iterator[tuple[Values, Columns]]:
    """Yield every column of a stage."""
    space = problem.space
    width = np.array([bits])
    if role is Role.DEPTHWISE:
        most = needs.kernel**2
        for pe in space.lanes:
            for taps in sorted({min(value, most) for value in space.taps}):
                yield (
                    (pe, taps),
                    DepthwiseColumns(
                        pe=np.array([pe]), taps=np.array([taps]), weight_bits=width
                    ),
                )
        return
    for simd, pe in product(space.lanes, space.lanes):
        # At least one fold of lanes, at most all weights, of whichever layer needs
        # most; both halves where there are two.
        halves = 2 if setting.double_buffered else 1
        folds = {layer: _folds(layer, simd, setting) for layer in needs.dense}
        least = halves * max(folds.values())
        useful = halves * max(
            folds[layer] * -(-layer.ofm.channels // pe) for layer in needs.dense
        )
        offers = [(min(depth, useful), 0) for depth in space.depths]
        if setting.board.usable.uram and least <= 4096:
            # A block of URAM is 4,096 words deep.
            offers.append((min(4096, useful), 1))
        for words, in_uram in sorted(set(offers)):
            if words < least:
                continue
            yield (
                (simd, pe, words, in_uram),
                DenseColumns(
                    simd=np.array([simd]),
                    pe=np.array([pe]),
                    weight_words=np.array([words]),
                    weight_bits=width,
                    in_uram=np.array([in_uram > 0]),
                ),
            )


def _folds(layer: object, simd: int, setting: Setting) -> int:
    """Return the words of `simd` weights that one output channel has."""
    if isinstance(layer, Linear):
        terms = layer.terms
        if layer.ifm.height * layer.ifm.width > 1:
            # The stored map, with what lies between its pixels and rows.
            code = next(bits for bits in (2, 4, 8) if bits >= setting.act_bits)
            stored = feature_bytes(layer.ifm, setting.act_bits, setting.board)
            terms = 8 * stored // code
        return layer.passes * -(-terms // simd)
    channels, kernel = layer.ifm.channels, layer.kernel  # type: ignore[attr-defined]
    taps = max(1, simd // channels)
    words = -(-(kernel**2) // taps) * -(-channels // simd)
    return int(words * layer.passes)  # type: ignore[attr-defined]


def _stages(
    problem: Problem, setting: Setting, needs: Needs, role: Role, bits: int
) -> list[tuple[Stage, DenseStage | DepthwiseStage]]:
    """Return every column of a stage, built and with the area of every DSP step."""
    result = []
    for values, columns in _columns(problem, setting, needs, role, bits):
        areas = []
        most = values[0] * needs.convolves if role is Role.DEPTHWISE else values[1] // 2
        for steps in range(most + 1):
            built = build_stages({role: columns}, {role: steps}, {role: needs}, setting)
            dense, depthwise, pointwise = built
            engine = Engine(
                dense=dense,
                depthwise=depthwise,
                pointwise=pointwise,
                px=setting.px,
                act_bits=setting.act_bits,
                double_buffered=setting.double_buffered,
                residual=False,
            )
            took = engine_resources(engine, problem.board)[role.value]
            blocks_ = took.dsp, took.lut, took.ff, took.bram_18k, took.uram
            areas.append((*blocks_, _lutram(engine)))
            if steps == 0:
                (stage,) = [stage for stage in built if stage is not None]
        ends = (values[0], values[1]) if role is not Role.DEPTHWISE else values[:1] * 2
        result.append((Stage(values, ends[0], ends[1], np.array(areas)), stage))
    return result


def _lutram(engine: Engine) -> int:
    """Return the LUTs used as memory: of all memories of at most 64 words."""
    total = 0
    for stage in (engine.dense, engine.pointwise):
        if stage is not None:
            width = stage.pe * stage.simd * stage.weight_bits
            total += memory_lut(width, stage.weight_words) * (not stage.weights_in_uram)
            feature = stage.simd * engine.act_bits
            total += engine.px * memory_lut(feature, stage.feature_words)
            total += _output_memories(stage, engine)
    if engine.depthwise is not None:
        stage_ = engine.depthwise
        total += memory_lut(
            stage_.pe * stage_.taps * stage_.weight_bits, stage_.weight_words
        )
        banks = stage_.rows * engine.px
        total += banks * memory_lut(stage_.pe * engine.act_bits, stage_.row_words)
        total += _column_cache(stage_, engine.act_bits)
        total += _output_memories(stage_, engine)
    return total


def _output_memories(stage: DenseStage | DepthwiseStage, engine: Engine) -> int:
    """Return the LUTs of a stage's records and of the banks of its way out."""
    total = engine.px * memory_lut(stage.pe * engine.act_bits, stage.pack_words)
    if isinstance(stage, DenseStage) or stage.convolves:
        total += memory_lut(32 * stage.pe, stage.channel_words)
    return total


def _column_cache(stage: DepthwiseStage, act_bits: int) -> int:
    values = (stage.kernel, stage.pe, act_bits, stage.groups)
    arrays = [np.array([value]) for value in values]
    return int(blocks.column_cache_lut(*arrays)[0])


def limits(board: Board, fixed: Resources, sums: int) -> Ints:
    """Return what the stages may take: (dsp, lut, ff, bram_18k, uram, lutram).

    Args:
        board: Sets the limits.
        fixed: What the engine takes without stages.
        sums: LUTs used as memory in it.
    """
    usable = board.usable
    return np.array(
        [
            usable.dsp - fixed.dsp,
            usable.lut - fixed.lut,
            usable.ff - fixed.ff,
            usable.bram_18k - fixed.bram_18k,
            usable.uram,
            board.lutram - sums,
        ]
    )


def fits_somehow(areas: list[Ints], limit: Ints) -> bool:
    """Return whether some steps of every stage together are within the limits."""
    if (sum(area.min(axis=0) for area in areas) > limit).any():
        return False
    if (sum(area[0] for area in areas) <= limit).all():
        return True
    total = np.zeros((1, limit.size), dtype=np.int64)
    for area in areas:
        total = (total[:, None, :] + area[None, :, :]).reshape(-1, limit.size)
    return bool((total <= limit).all(axis=1).any())


def _engines(
    problem: Problem,
    setting: Setting,
    needs: Mapping[Role, Needs],
    bits: Mapping[Role, int],
    also: Sequence[Network] = (),
) -> Iterator[tuple[Engine, dict[Role, Stage]]]:
    """Yield every engine that matches lanes and fits the board with some DSP steps."""
    segments = [
        segment
        for network in (problem.network, *also)
        for segment in partition(network).segments
    ]
    residual = any(segment.invocation.residual for segment in segments)
    sums = max(
        pool_words(s.invocation, act_bits=problem.act_bits, board=problem.board)
        for s in segments
    )
    empty = Engine(
        dense=None,
        depthwise=None,
        pointwise=None,
        px=setting.px,
        act_bits=setting.act_bits,
        double_buffered=setting.double_buffered,
        residual=residual,
        pool_words=sums,
    )
    fixed = engine_resources(empty, problem.board)["fixed"]
    # The sums of a beat's channels, 24 bits each.
    width = 24 * beat_channels(problem.act_bits, problem.board)
    limit = limits(problem.board, fixed, memory_lut(width, sums))
    roles = [role for role in Role if role in needs]
    columns = [
        _stages(problem, setting, needs[role], role, bits[role]) for role in roles
    ]
    for combination in product(*columns):
        stages = [stage for stage, _ in combination]
        if not all(
            lanes_match(left.lanes_out, right.lanes_in)
            for left, right in pairwise(stages)
        ):
            continue
        if not fits_somehow([stage.area for stage in stages], limit):
            continue
        built = dict(zip(roles, (stage for _, stage in combination), strict=True))
        dense, pointwise = built.get(Role.DENSE), built.get(Role.POINTWISE)
        depthwise = built.get(Role.DEPTHWISE)
        assert dense is None or isinstance(dense, DenseStage)
        assert pointwise is None or isinstance(pointwise, DenseStage)
        assert depthwise is None or isinstance(depthwise, DepthwiseStage)
        engine = Engine(
            dense=dense,
            depthwise=depthwise,
            pointwise=pointwise,
            px=setting.px,
            act_bits=setting.act_bits,
            double_buffered=setting.double_buffered,
            residual=residual,
            pool_words=sums,
        )
        yield engine, dict(zip(roles, stages, strict=True))
