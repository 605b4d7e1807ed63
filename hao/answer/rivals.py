"""Random legal designs beside an answer: does one of them beat what was proven?

A rival has an engine of the space, drawn at random or a few steps from the answer's,
bits of every layer within a limit on cost, and the answer's partition; some that come
near get the best partition of their engine. None of the search's bounds, tables or
programs takes part: blocks come from the catalogue, cycles from
`hao.cost.evaluate.evaluate` alone. A period depends on an invocation and the next one
only, so that whole designs in which every such pair occurs tell the periods of all
partitions.

The network is the answer's: blocks that it leaves out stay out. Buffers are sized for
all that a stage may have to run with the block or without it, so a rival is never
smaller than what the search may build.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from hao.answer.drawn import Values, column, values_of
from hao.cost.area import engine_resources, pool_lutram
from hao.cost.catalogue import Needs, build_stages, column_area, pool_words, word_bits
from hao.cost.columns import Setting, engine_columns
from hao.cost.evaluate import CostReport, evaluate
from hao.cost.prices import price_segment
from hao.cost.widths import MAX_WORD_BITS
from hao.engine.design import Design
from hao.engine.stages import Engine, lanes_match
from hao.errors import InputError
from hao.hw.resources import Resources
from hao.ir.change import Bits, Keep, Scheme, replaced
from hao.ir.integer import means_are_wide
from hao.ir.partition import Partition, Role, Segment, partition
from hao.ir.tensor import MIN_BITS
from hao.options.frame import Site
from hao.program.problem import Problem

DRAWS = 60
"""Draws for each rival that is asked for, at most: most do not fit (chosen here)."""

FAR_PERCENT = 3
"""A rival so much slower in the answer's partition gets no other one (chosen here)."""

MANY = 3
"""Times the answer's multipliers that a rival may have (chosen here)."""

ROLES = (Role.DENSE, Role.DEPTHWISE, Role.POINTWISE)
"""The stages in the order in which channels pass through them."""

SHARE = 20
"""One in so many rivals gets its best partition: some 25 evaluations (chosen here)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """A legal design with what it costs; its accuracy cost in micro-points."""

    design: Design
    cost: CostReport
    cost_micro: int


Pair = tuple[int | None, int | None]
"""Two segments in a row; `None` before the first and after the last."""

_NEVER = 1 << 40
"""Above any latency [cycles]: a pair in no whole partition."""


def rivals(
    problem: Problem, answer: Design, *, cost_limit: int, count: int, seed: int = 0
) -> Iterator[Rival]:
    """Yield designs that fit the board, some with their engine's best partition.

    Args:
        problem: What the answer was chosen for.
        answer: The chosen design.
        cost_limit: Most accuracy cost [micro-points], at least the least possible.
        count: How many at most, at least 0; fewer where few fit.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    draw = _Draw(problem, answer)
    far = evaluate(answer).latency_cycles * (100 + FAR_PERCENT) // 100
    found = searched = 0
    for number in range(DRAWS * count):
        if found == count:
            return
        values = draw.values(rng, near=number % 2 == 0)
        if not draw.may_fit(values):
            continue
        scheme, cost_micro = draw.scheme(rng, cost_limit, keep=number % 4 < 2)
        design = draw.design(rng, values, scheme)
        if design is None:
            continue
        taken = sum(
            engine_resources(design.engine, problem.board).values(), Resources()
        )
        if not taken <= problem.board.usable:
            continue
        try:
            cost = evaluate(design)
        except InputError:  # A layer's weights are more than its buffer holds.
            continue
        found += 1
        if cost.latency_cycles <= far and searched < count / SHARE:
            searched += 1
            design = _best_partition(design, draw.part)
            cost = evaluate(design)
        yield Rival(design=design, cost=cost, cost_micro=cost_micro)


def settled(problem: Problem, scheme: Scheme) -> tuple[int | None, ...]:
    """Return the option of every site that a scheme takes; `None` in a block left out.

    Raises:
        InputError: A change that the site does not offer.
    """
    taken: list[int | None] = []
    for site in problem.frame.sites:
        change = scheme.get(site.names[0], Keep())
        if change in site.changes:
            taken.append(site.changes.index(change))
        elif site.names[0] in scheme:
            raise InputError(
                f"layer {site.names[0]!r}: {change}; must be one of "
                f"{', '.join(map(str, site.changes))}"
            )
        else:
            taken.append(None)
    return tuple(taken)


class _Draw:
    """What rivals are drawn from."""

    def __init__(self, problem: Problem, answer: Design) -> None:
        self._problem, self._answer = problem, answer
        part = partition(answer.network)
        instead = replaced(answer.scheme).items()
        place = {x.name: name for name, change in instead for x in change.layers}
        # No run reaches across the edge of a block that was replaced (decision 22).
        allowed = [
            s
            for s in part.segments
            if problem.space.allows(s.invocation)
            and len({place.get(x.name) for _, x in s.invocation.stages}) <= 1
        ]
        self.part = replace(part, segments=tuple(allowed))
        # With and without the blocks that are left out.
        self._segments = partition(problem.network).segments + self.part.segments
        every = Partition(positions=(), segments=self._segments)
        roles = [role for role in Role if answer.engine.stage(role) is not None]
        self._needs = {role: Needs.of(every, role) for role in roles}
        self._pool_words = max(
            pool_words(s.invocation, act_bits=problem.act_bits, board=problem.board)
            for s in self._segments
        )
        self._own = [
            (site, index)
            for site, index in zip(
                problem.frame.sites, settled(problem, answer.scheme), strict=True
            )
            if index is not None
        ]

    def values(self, rng: np.random.Generator, *, near: bool) -> Values:
        """Return the parameters of an engine: near the answer's, or anywhere."""
        space = self._problem.space
        offered: dict[tuple[Role | None, str], tuple[int, ...]] = {
            (None, "px"): space.pixels,
            (None, "double"): tuple(int(b) for b in space.buffering),
        }
        for role, needs in self._needs.items():
            if role is Role.DEPTHWISE:
                most = needs.kernel**2
                taps = tuple(sorted({min(t, most) for t in space.taps}))
                own = {"pe": space.lanes, "taps": taps}
            else:
                lanes = space.lanes_of(role)
                own = {"simd": lanes[0], "pe": lanes[1], "words": space.depths}
                if self._problem.board.usable.uram:
                    own["uram"] = (0, 1)
            offered |= {(role, key): some for key, some in own.items()}
        drawn = {key: int(rng.choice(some)) for key, some in offered.items()}
        if near:
            moved = rng.permutation(len(offered))[: int(rng.integers(1, 4))]
            kept = values_of(self._answer.engine)
            for number, key in enumerate(offered):
                if number not in moved:
                    drawn[key] = kept[key]
        return drawn

    def may_fit(self, values: Values) -> bool:
        """Return whether lanes match and multipliers are not far more than a board's.

        Far more is `MANY` times the answer's: such draws do not fit, and are dear to
        price.
        """
        of: dict[Role, tuple[int, int]] = {}
        for role in self._needs:
            first = "pe" if role is Role.DEPTHWISE else "simd"
            second = "taps" if role is Role.DEPTHWISE else "pe"
            of[role] = values[role, first], values[role, second]
        built = values[None, "px"] * sum(a * b for a, b in of.values())
        chain = [of[role] for role in ROLES if role in of]
        return built <= MANY * self._answer.engine.multipliers and all(
            lanes_match(one[0] if one is of.get(Role.DEPTHWISE) else one[1], other[0])
            for one, other in pairwise(chain)
        )

    def scheme(
        self, rng: np.random.Generator, limit: int, *, keep: bool
    ) -> tuple[Scheme, int]:
        """Return bits within a cost limit and their cost; `keep` the answer's if so.

        Layers run in as many passes and keep as many words as in the answer.
        """
        taken = [
            (site, index)
            if keep or not isinstance(site.changes[index], Bits)
            else (site, int(rng.choice(_as_often(site, index))))
            for site, index in self._own
        ]
        cost = sum(site.costs[index] for site, index in taken)
        for place in rng.permutation(len(taken)):
            site, index = taken[place]
            if cost > limit and isinstance(site.changes[index], Bits):
                least = min(_as_often(site, index), key=site.costs.__getitem__)
                taken[place] = site, least
                cost += site.costs[least] - site.costs[index]
        scheme = dict(self._answer.scheme)
        for site, index in taken:
            if isinstance(site.changes[index], Bits):
                scheme |= dict.fromkeys(site.names, site.changes[index])
        return scheme, cost

    def design(
        self, rng: np.random.Generator, values: Values, scheme: Scheme
    ) -> Design | None:
        """Return the answer's partition on another engine, `None` if there is none."""
        problem, answer = self._problem, self._answer
        board, act_bits = problem.board, problem.act_bits
        setting = Setting(
            board=board,
            px=values[None, "px"],
            act_bits=act_bits,
            double_buffered=bool(values[None, "double"]),
        )
        columns = {
            role: column(role, values, width)
            for role, width in self._widths(scheme).items()
        }
        words = [word_bits(c, self._needs[r], setting) for r, c in columns.items()]
        if max(int(bits[0]) for bits in words) > MAX_WORD_BITS:
            return None
        steps: dict[Role, int] = {}
        dsp, memory = board.usable.dsp, board.lutram
        memory -= pool_lutram(board, act_bits=act_bits, pool_words=self._pool_words)
        for role in sorted(columns, key=lambda _: float(rng.random())):
            area = column_area(
                columns[role], self._needs[role], setting, ring=role is Role.DENSE
            )
            memory -= int(area.base.lutram[0])
            each = max(1, int(area.step.dsp[0]))
            dsp -= int(area.base.dsp[0])
            steps[role] = min(int(area.steps[0]), max(dsp, 0) // each)
            dsp -= steps[role] * each
        dense, depthwise, pointwise = build_stages(columns, steps, self._needs, setting)
        engine = Engine(
            dense=dense,
            depthwise=depthwise,
            pointwise=pointwise,
            px=setting.px,
            act_bits=act_bits,
            double_buffered=setting.double_buffered,
            residual=any(s.invocation.residual for s in self._segments),
            pool_words=self._pool_words,
            wide_mean=means_are_wide(problem.network),
        )
        if memory < 0:
            return None
        return replace(answer, scheme=scheme, engine=engine)

    def _widths(self, scheme: Scheme) -> dict[Role, int]:
        """Return the widths that the answer's partition asks for under a scheme."""
        bits = {n: c.lane_bits for n, c in scheme.items() if isinstance(c, Bits)}
        widths = dict.fromkeys(self._needs, MIN_BITS)
        for segment in self._answer.segments:
            for role, layer in segment.invocation.stages:
                widths[role] = max(widths[role], bits.get(layer.name, MIN_BITS))
        return widths


def _as_often(site: Site, index: int) -> list[int]:
    """Return the options of a site that run as often over as many words as one."""
    runs = [
        (c.passes, c.density) if isinstance(c, Bits) else (0, 0) for c in site.changes
    ]
    return [place for place, each in enumerate(runs) if each == runs[index]]


def _best_partition(design: Design, part: Partition) -> Design:
    """Return a design with the partition of least latency on its engine and bits."""
    segments = [s for s in part.segments if _runs(design, s)]
    periods: dict[Pair, int] = {}
    while True:
        # The partition with the most pairs whose periods are not known yet.
        path = _least_path(segments, lambda pair: -int(pair not in periods))
        known = len(periods)
        tried = replace(design, segments=tuple(segments[i] for i in path))
        cost = evaluate(tried)
        pairs = list(pairwise((None, *path, None)))
        periods[pairs[0]] = cost.first_load_cycles
        for pair, invocation in zip(pairs[1:], cost.invocations, strict=True):
            periods[pair] = invocation.period_cycles
        if len(periods) == known:
            break
    path = _least_path(segments, lambda pair: periods.get(pair, _NEVER))
    return replace(design, segments=tuple(segments[i] for i in path))


def _runs(design: Design, segment: Segment) -> bool:
    """Return whether a design's engine can run a segment of its network."""
    bits, engine = design.lane_bits, design.engine
    run = segment.invocation
    for role, layer in run.stages:
        stage = engine.stage(role)
        if stage is None or bits.get(layer.name, 0) > stage.weight_bits:
            return False
    setting = Setting.of(engine, design.board)
    price = price_segment(run, engine_columns(engine), bits, setting)
    return all(bool(fits[0]) for fits in price.feasible.values())


def _least_path(
    segments: Sequence[Segment], weight: Callable[[Pair], int]
) -> tuple[int, ...]:
    """Return the partition whose pairs, ends included, have the least weight."""
    end = max(segment.end for segment in segments) + 1
    best: dict[int, tuple[int, tuple[int, ...]]] = {}
    whole: list[tuple[int, tuple[int, ...]]] = []
    for number in sorted(range(len(segments)), key=lambda i: segments[i].start):
        segment = segments[number]
        ways = [
            (known + weight((path[-1], number)), (*path, number))
            for known, path in (
                best[other]
                for other in best
                if segments[other].end + 1 == segment.start
            )
        ]
        if segment.start == 0:
            ways.append((weight((None, number)), (number,)))
        if not ways:
            continue
        best[number] = min(ways)
        if segment.end + 1 == end:
            total, path = best[number]
            whole.append((total + weight((number, None)), path))
    return min(whole)[1]
