"""What a co-design program is given, and the branches that it falls into.

A `Problem` is a network with the options of its layers, a board and the space of
engines. For every combination of stage widths it yields the scheme with the most bits
that those widths allow, what that costs in accuracy, and the branches to search.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise, product

from hao.cost.catalogue import PIXELS, pool_words
from hao.cost.columns import Scheme, Setting
from hao.cost.memory import ddr_cycles, layer_bytes, port_cycles
from hao.errors import UnsupportedError
from hao.hw.board import Board
from hao.ir.layer import Compute
from hao.ir.network import Network
from hao.ir.partition import Partition, Role, Segment, partition
from hao.ir.tensor import MAX_BITS, MIN_BITS
from hao.options.option import Option
from hao.program.branch import Branch, Space, build_branch, build_branch_within
from hao.program.rows import Choices

DEFAULT_SPACE = Space(pixels=PIXELS)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A co-design problem.

    Attributes:
        network: Layers.
        options: Options of every layer with weights, of one layer together.
        board: Limits, clock, memory.
        act_bits: Width of the activations.
        space: Free parameters of the engine.

    Raises:
        UnsupportedError: A layer that the engine cannot run, or bits it has none for.
    """

    network: Network
    options: tuple[Option, ...]
    board: Board
    act_bits: int = 8
    space: Space = field(default=DEFAULT_SPACE)

    def __post_init__(self) -> None:
        for option in self.options:
            if not MIN_BITS <= option.change.weight_bits <= MAX_BITS:
                raise UnsupportedError(
                    f"layer {option.layer!r}: {option.change.weight_bits}-bit weights; "
                    f"the engine runs {MIN_BITS} to {MAX_BITS} bits"
                )

    @cached_property
    def partition(self) -> Partition:
        """Return every legal segment of the network."""
        return partition(self.network)

    @cached_property
    def by_layer(self) -> Mapping[str, tuple[Option, ...]]:
        """Return the options of every layer, most bits first."""
        result: dict[str, list[Option]] = {}
        for option in self.options:
            result.setdefault(option.layer, []).append(option)
        return {
            layer: tuple(sorted(found, key=lambda o: -o.change.weight_bits))
            for layer, found in result.items()
        }

    @cached_property
    def choices(self) -> Choices:
        """Return the options as the integer program takes them."""
        return Choices(options=self.by_layer)

    @cached_property
    def layers(self) -> Mapping[str, Compute]:
        """Return the layers with weights by name."""
        return {layer.name: layer for layer in self.network.compute_layers}

    @property
    def residual(self) -> bool:
        """Return whether any segment adds a residual."""
        return any(s.invocation.residual for s in self.partition.segments)

    @cached_property
    def pool_words(self) -> int:
        """Return the words of sums that the largest global average pool keeps."""
        return max(
            pool_words(s.invocation, act_bits=self.act_bits, board=self.board)
            for s in self.partition.segments
        )

    @property
    def lowest(self) -> Scheme:
        """Return the fewest bits of every layer."""
        return {
            layer: options[-1].change.weight_bits
            for layer, options in self.by_layer.items()
        }

    def cost_micro(self, scheme: Scheme) -> int:
        """Return what a scheme costs [micro-points]."""
        return sum(
            option.cost_micro
            for layer, options in self.by_layer.items()
            for option in options
            if option.change.weight_bits == scheme[layer]
        )

    def on_board(self, board: Board) -> "Problem":
        """Return the same problem on another board."""
        return replace(self, board=board)


@dataclass(frozen=True, slots=True, kw_only=True)
class Widths:
    """One combination of stage widths.

    Attributes:
        bits: Weight width of each stage.
        partition: Segments that these widths can run.
        whole: The same whatever may be spent; what buffers are sized for.
        scheme: Most bits of every layer on some stage that can run it.
        fewest: Fewest bits of every layer.
        cost_micro: What that scheme costs; no design of these widths costs less.
    """

    bits: Mapping[Role, int]
    partition: Partition
    whole: Partition
    scheme: Scheme
    fewest: Scheme
    cost_micro: int


def width_combinations(problem: Problem) -> list[Widths]:
    """Return every combination of stage widths that runs the network, cheapest first.

    Of equal cost, the widest come first.
    """
    roles: dict[str, set[Role]] = {}
    for segment in problem.partition.segments:
        for role, layer in segment.invocation.stages:
            if layer.name in problem.layers:
                roles.setdefault(layer.name, set()).add(role)
    offered = {
        role: sorted(
            {
                option.change.weight_bits
                for layer, used in roles.items()
                if role in used
                for option in problem.by_layer[layer]
            }
        )
        or [MIN_BITS]
        for role in Role
    }
    result: dict[tuple[object, ...], Widths] = {}
    for bits in product(*(offered[role] for role in Role)):
        widths = dict(zip(Role, bits, strict=True))
        part = _runnable(problem, widths, problem.lowest)
        if part is None:
            continue
        scheme = {}
        for name, options in problem.by_layer.items():
            widest = max(widths[role] for role in roles[name])
            scheme[name] = next(
                o.change.weight_bits for o in options if o.change.weight_bits <= widest
            )
        result[bits] = Widths(
            bits=widths,
            partition=part,
            whole=part,
            scheme=scheme,
            fewest=problem.lowest,
            cost_micro=problem.cost_micro(scheme),
        )
    return sorted(
        result.values(), key=lambda w: (w.cost_micro, [-w.bits[role] for role in Role])
    )


def affordable(problem: Problem, widths: Widths, spend: int) -> Widths | None:
    """Return what is left of a combination if only so much may be spent on it.

    Args:
        problem: The options.
        widths: A combination of stage widths.
        spend: Accuracy cost beyond that of its own scheme [micro-points].

    Returns:
        The combination with the bits and segments that any scheme within the limit can
        use, or `None` if they cannot run the network.
    """
    fewest = {}
    for layer, options in problem.by_layer.items():
        costs = {o.change.weight_bits: o.cost_micro for o in options}
        most = costs[widths.scheme[layer]] + spend
        fewest[layer] = min(bits for bits, cost in costs.items() if cost <= most)
    part = _runnable(problem, widths.bits, fewest)
    if part is None:
        return None
    return replace(widths, partition=part, fewest=fewest)


def _runnable(
    problem: Problem, widths: Mapping[Role, int], fewest: Scheme
) -> Partition | None:
    """Return the segments whose stages are wide enough for the fewest bits.

    `None` if they leave a gap.
    """
    kept = [
        segment
        for segment in problem.partition.segments
        if all(
            fewest.get(layer.name, 0) <= widths[role]
            for role, layer in segment.invocation.stages
        )
    ]
    positions = len(problem.partition.positions)
    reached = {0}
    for segment in sorted(kept, key=lambda s: s.start):
        if segment.start in reached:
            reached.add(segment.end + 1)
    if positions not in reached:
        return None
    return Partition(
        positions=problem.partition.positions,
        segments=tuple(_on_path(kept, positions)),
    )


def _on_path(segments: list[Segment], positions: int) -> list[Segment]:
    """Return the segments that lie on some way from the first to the last position."""
    forward, backward = {0}, {positions}
    for segment in sorted(segments, key=lambda s: s.start):
        if segment.start in forward:
            forward.add(segment.end + 1)
    for segment in sorted(segments, key=lambda s: -s.end):
        if segment.end + 1 in backward:
            backward.add(segment.start)
    return [s for s in segments if s.start in forward and s.end + 1 in backward]


def settings(problem: Problem) -> Iterator[Setting]:
    """Yield the settings of all branches."""
    for double in problem.space.buffering:
        for px in problem.space.pixels:
            yield Setting(
                board=problem.board,
                px=px,
                act_bits=problem.act_bits,
                double_buffered=double,
            )


def branch_at(
    problem: Problem, widths: Widths, setting: Setting, scheme: Scheme
) -> Branch:
    """Return one branch, priced at `scheme`."""
    return build_branch(
        widths.partition,
        scheme,
        setting,
        {role: (bits,) for role, bits in widths.bits.items()},
        problem.space,
        residual=problem.residual,
        pool_words=problem.pool_words,
        whole=widths.whole,
    )


def branch_within(
    problem: Problem, widths: Widths, setting: Setting, *, limit: int
) -> Branch | None:
    """Return one branch at full bits, or `None` if none of it can meet `limit`."""
    return build_branch_within(
        widths.partition,
        widths.scheme,
        setting,
        {role: (bits,) for role, bits in widths.bits.items()},
        problem.space,
        residual=problem.residual,
        pool_words=problem.pool_words,
        whole=widths.whole,
        limit=limit,
    )


def saving_steps(problem: Problem, widths: Widths) -> list[tuple[int, int]]:
    """Return what fewer bits may save: (cycles, micro-points) by falling yield.

    A layer's weights save at most the cycles of the slower of port and DDR. Steps of
    one layer follow the upper hull of its options, so that taking them in order bounds
    what any scheme saves.
    """
    board = problem.board
    steps: list[tuple[int, int]] = []
    for name, options in problem.by_layer.items():
        points = []
        for option in options:
            bits = option.change.weight_bits
            if not widths.fewest[name] <= bits <= widths.scheme[name]:
                continue
            moved = layer_bytes(problem.layers[name], bits, problem.act_bits, board)
            cycles = (port_cycles(moved, board), ddr_cycles(moved, board))
            points.append((cycles, option.cost_micro))
        (port, ddr), base = points[0]
        saved = [(max(port - p, ddr - d), cost - base) for (p, d), cost in points]
        steps += _hull(saved)
    return sorted(steps, key=lambda step: -step[0] / max(step[1], 1e-9))


def _hull(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the increments along the upper hull of (cycles saved, cost) points."""
    hull = [points[0]]
    for point in points[1:]:
        while len(hull) > 1 and _yield(hull[-2], hull[-1]) <= _yield(hull[-2], point):
            hull.pop()
        hull.append(point)
    return [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(hull)]


def _yield(start: tuple[int, int], end: tuple[int, int]) -> float:
    return (end[0] - start[0]) / max(end[1] - start[1], 1e-9)


def most_saved(steps: list[tuple[int, int]], cost_micro: int | None) -> int:
    """Return the most cycles that fewer bits save for an accuracy cost [cycles].

    Args:
        steps: Of `saving_steps`.
        cost_micro: Most that may be paid; `None` for no limit.
    """
    saved = 0.0
    left = float("inf") if cost_micro is None else float(cost_micro)
    for cycles, cost in steps:
        if cost <= max(left, 0):
            saved += cycles
            left -= cost
        else:
            saved += cycles * max(left, 0) / cost
            break
    return int(saved) + 1


def least_cost(steps: list[tuple[int, int]], cycles: int) -> int:
    """Return the least accuracy cost that saves so many cycles [micro-points].

    Args:
        steps: Of `saving_steps`.
        cycles: To be saved; more than all steps save cannot be had at any cost.
    """
    spent, left = 0.0, float(cycles)
    for saved, cost in steps:
        if saved >= left:
            return int(spent + cost * max(0.0, left) / max(saved, 1))
        spent += cost
        left -= saved
    return 1 << 40


def fused_scheme(problem: Problem, widths: Widths) -> Scheme:
    """Return the most bits of every layer on the stage that runs it in a fused block.

    That is its stage in the longest segment that holds it; a layer whose options are
    all wider than that stage keeps its fewest bits, and runs elsewhere.
    """
    place: dict[str, tuple[int, Role]] = {}
    for segment in problem.partition.segments:
        for role, layer in segment.invocation.stages:
            length = segment.end - segment.start
            if layer.name not in place or length > place[layer.name][0]:
                place[layer.name] = (length, role)
    return {
        layer: next(
            (
                o.change.weight_bits
                for o in options
                if o.change.weight_bits <= widths.bits[place[layer][1]]
            ),
            options[-1].change.weight_bits,
        )
        for layer, options in problem.by_layer.items()
    }
