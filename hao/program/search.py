"""The best engine, partition and options of a problem: exact, over the whole space.

`find` looks for one design within a budget of cycles, a limit on accuracy cost and a
limit on blocks that has the least of one of them. It goes through groups of widths, or
through all of the same stages at once (`hao.program.field`), discards engines by their
cycles at the fewest bits, then by a Lagrangian bound of all engines at once
(`hao.program.sweep`), and closes what is left, engine by engine, by labels
(`hao.program.exact`). Nothing is passed over: where it finds no better design there is
none.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hao.ir.partition import Role
from hao.program.bounded import Bounded
from hao.program.by_price import engines_by_price, sieved_by_price, start
from hao.program.by_roster import list_engines, rosters_of, search_roster
from hao.program.closing import try_engines
from hao.program.engines import STEP, expand, priced
from hao.program.exact import Apart
from hao.program.field import Field, Group, Listed
from hao.program.fit import FEWEST_LUTS, Measure
from hao.program.graph import Widths
from hao.program.hunt import (
    NO_LIMIT,
    Counts,
    Found,
    Hunt,
    Least,
    Limits,
    Progress,
    bufferings,
)
from hao.program.quick import quick_limit
from hao.program.reach import (
    are_few,
    guess_price,
    most_ways,
    reach_of,
    within_reach,
)
from hao.program.rough import any_within, left_within, quickest
from hao.program.shapes import (
    is_far_above,
    is_loose,
    known_shapes,
    shapes_of,
    shapes_within,
)
from hao.program.smallest import search_smallest
from hao.program.tables import Choice, joined

Ints = NDArray[np.int64]

MOST_LISTED = 50_000
"""Most engines of a group that are kept for the next search (chosen here).

Of small networks, millions are as good as the best: the fastest is then found anew.
"""

MOST_TIES = 4_096
"""Most engines that may be as cheap as the best that are kept so (chosen here)."""

SOUGHT = 64
"""Engines that are closed where the most promising are sought (chosen here)."""


def find(
    field: Field,
    least: Least,
    limits: Limits,
    *,
    measure: Measure = FEWEST_LUTS,
    counts: Counts | None = None,
    first: bool = False,
    together: bool = False,
    known: Found | None = None,
    apart: Apart | None = None,
    tolerance: float = 0.0,
    progress: Progress = lambda _: None,
) -> Found | None:
    """Return the design with the least of something within limits, or `None`.

    Args:
        field: Where to search.
        least: What to make small.
        limits: Most of everything.
        measure: How blocks are counted.
        counts: Added up to, if given.
        first: Whether the first within the limits will do.
        together: Whether all widths of the same stages are bounded at once also where
            the cost is not to be small: faster where limits are tight.
        known: A design within the limits: only better ones are sought, and it is
            returned if there are none.
        apart: Earlier answers to stay apart from; the field's costs hold its penalties.
        tolerance: Share of its accuracy cost by which a design that is found may be
            beaten, where that cost is to be small.
        progress: Told of each group of widths that is searched.
    """
    allowance = 0 if apart is None else apart.allowance
    hunt = Hunt(
        field=field,
        least=least,
        cycles=limits.cycles,
        cost=limits.cost + allowance,
        blocks=limits.blocks,
        measure=measure,
        counts=Counts() if counts is None else counts,
        asked=limits.cost + allowance,
        apart=apart,
        tolerance=tolerance,
    )
    if known is not None:
        hunt.take(known)
    rosters = rosters_of(hunt)
    if rosters is not None:
        for double, roster in rosters:
            search_roster(hunt, roster, double)
        return hunt.best
    open_ = [w for w in field.widths if w.floor <= hunt.cost]
    if least is not Least.COST and apart is None:
        list_engines(hunt)
    listed = [w for w in open_ if all(_listed(hunt, w, d) for d in bufferings(field))]
    _search_listed(hunt, listed)
    fresh = [w for w in open_ if not any(w is k for k in listed)]
    done = _search_by_price(hunt, fresh) if least is Least.COST else set()
    # All widths at once: an engine is bounded once, for those that it fits at. Fast
    # engines of wide stages are fewer: they come first where the fastest is sought.
    together |= least is Least.COST or (known is not None and _few_sums(hunt, fresh))
    grouped = field.by_stages if together else field.groups
    for group in grouped(fresh, hunt.cost_of_interest):
        if min(w.floor for w in group.widths) > hunt.cost:
            continue
        for double in bufferings(field):
            if (group.roles, double) in done:
                continue
            if first:
                _try_first(hunt, group, double)
            if not first or hunt.best is None:
                _search_group(hunt, group, double)
            if first and hunt.best is not None:
                return hunt.best
        progress(
            f"widths {_named(group)}: {hunt.counts.priced} engines priced, "
            + (
                "none yet"
                if hunt.best is None
                else f"best {hunt.best.way.cycles} cycles"
            )
        )
    return hunt.best


def _few_sums(hunt: Hunt, open_: Sequence[Widths]) -> bool:
    """Return whether few sums of costs occur at some widths: bounds are exact."""
    groups = hunt.field.by_stages(open_, hunt.cost_of_interest)
    unions = (most_ways(hunt, group) for group in groups)
    return all(union is None or union.sums is not None for union in unions)


def _listed(hunt: Hunt, widths: Widths, double: bool) -> Listed | None:
    """Return a list that holds all engines that the hunt is after, if one is known."""
    listed = hunt.field.listed.get((id(widths), double))
    if listed is None or hunt.cycles > listed.cycles or hunt.cost > listed.cost:
        return None
    return listed


def _search_listed(hunt: Hunt, open_: list[Widths]) -> None:
    """Search engines that an earlier search has listed."""
    for double in bufferings(hunt.field):
        lists: dict[int, tuple[Listed, list[Widths]]] = {}
        for widths in open_:
            listed = _listed(hunt, widths, double)
            assert listed is not None, "limits only tighten"
            lists.setdefault(id(listed), (listed, []))[1].append(widths)
        for listed, members in lists.values():
            fine = listed.least <= hunt.cycles
            rows = np.flatnonzero(fine & (listed.bound <= hunt.cost_of_interest + 1e-3))
            if rows.size:
                try_engines(
                    hunt, members, double, listed.choice.take(rows), listed.least[rows]
                )


def _search_by_price(
    hunt: Hunt, open_: Sequence[Widths]
) -> set[tuple[tuple[Role, ...], bool]]:
    """Search the engines of stages most of which are fast enough.

    Returns:
        The stages and bufferings that were searched, at all of the widths.
    """
    field, done = hunt.field, set()
    for roles in dict.fromkeys(tuple(widths.needs) for widths in open_):
        joint = field.joint(open_, roles, hunt.cost_of_interest)
        if joint is None:
            continue
        both = bufferings(field)
        # What one buffering finds makes the other the better to bound by cost.
        if not any(is_far_above(field, joint, each, hunt.cycles) for each in both):
            continue
        for double in both:
            if not hunt.rate:
                start(hunt, joint, double)
            if hunt.rate:
                _search_joint(hunt, joint, double)
                done.add((roles, double))
    return done


def seek(field: Field, cycles: int, tolerance: float) -> Found | None:
    """Return a design of low cost on the most promising engines of the whole space.

    Of each set of stages and each buffering, engines are tried in the order of their
    bounds until `SOUGHT` were closed: nothing is proven.

    Args:
        field: Where to search.
        cycles: Most cycles.
        tolerance: Share of its accuracy cost by which designs that differ may be close.
    """
    hunt = Hunt(field=field, least=Least.COST, cycles=cycles, tolerance=tolerance)
    for roles in dict.fromkeys(tuple(widths.needs) for widths in field.widths):
        joint = field.joint(field.widths, roles, NO_LIMIT)
        assert joint is not None, "the stages are of some widths"
        for double in bufferings(field):
            if not hunt.rate:
                start(hunt, joint, double)
            if hunt.rate:
                _search_joint(hunt, joint, double, hunt.counts.closed + SOUGHT)
    return hunt.best


def _search_joint(
    hunt: Hunt, joint: Group, double: bool, closed: int = NO_LIMIT
) -> None:
    """Search engines of some stages at one buffering, at a price of accuracy.

    Args:
        hunt: What is sought.
        joint: All widths of the stages.
        double: Whether the engines double-buffer.
        closed: Engines after which the search stops, those closed before included.
    """
    hunt.ties = True
    kept: list[tuple[Choice, Ints]] = []
    for choice, cycles in engines_by_price(hunt, joint, double):
        try_engines(hunt, joint.widths, double, choice, cycles)
        if hunt.counts.closed >= closed:
            return
        kept.append((choice, cycles))
        hunt.ties &= sum(c.size for _, c in kept) <= MOST_LISTED
    if hunt.ties and not hunt.tolerance:
        _list(hunt, joint, double, hunt.cycles_of_ties, kept)


def _named(group: Group) -> str:
    first = ",".join(str(b) for b in group.widths[0].bits.values())
    more = len(group.widths) - 1
    return first if not more else f"{first} and {more} more"


def _search_group(hunt: Hunt, group: Group, double: bool) -> None:
    """Search the engines of one group at one buffering."""
    if hunt.least is Least.BLOCKS:
        search_smallest(hunt, group, double)
        return
    field = hunt.field
    # Engines as good as the best are listed too, for what comes next.
    hunt.ties = True
    ties = hunt.best is not None and hunt.least is Least.CYCLES
    limit = hunt.cycles + ties
    if not any_within(field, group, double, limit):
        _list(hunt, group, double, limit, [])
        return
    new = hunt.best is None and _is_new(hunt, group, double, limit)
    if new and is_loose(field, group, double, limit):
        limit = min(limit, quick_limit(hunt, group, double))
    bounded = _shapes(hunt, group, double, limit)
    order = np.arange(bounded.bound.size)
    guess_price(hunt, group, double, bounded.choice)
    near = partial(within_reach, hunt, group, double)
    start, step = 0, 512
    kept: list[tuple[Choice, Ints]] = []
    sorted_ = False
    while start < order.size:
        if hunt.least is Least.COST and hunt.rate is not None and not sorted_:
            # With a price known, engines that may be cheap come first.
            order, sorted_ = order[start:], True
            reach = reach_of(hunt, group, double, bounded.choice.take(order))
            fine = np.flatnonzero(reach <= hunt.of_interest)
            order = order[fine[np.argsort(reach[fine], kind="stable")]]
            start = 0
        rows = order[start : start + step]
        start, step = start + step, min(STEP, 4 * step)
        limit = min(limit, hunt.cycles + 1)
        rows = rows[bounded.bound[rows] <= limit]
        if not rows.size:
            if sorted_:
                continue
            break
        hunt.counts.priced += rows.size
        shapes = bounded.choice.take(rows)
        for some in expand(field, group, double, shapes, limit, near=near):
            try_engines(hunt, group.widths, double, *some)
            if hunt.ties:
                kept.append(some)
                most = MOST_TIES if hunt.least is Least.COST else MOST_LISTED
                hunt.ties = are_few(hunt, group, double, kept, most)
    if hunt.ties:
        more = hunt.least is Least.CYCLES
        limit = min(limit, hunt.cycles_of_ties + more)
        _list(hunt, group, double, limit, kept)


def _try_first(hunt: Hunt, group: Group, double: bool) -> None:
    """Look for any design of a group where rough bounds exclude few lane shapes."""
    field, limit = hunt.field, hunt.cycles
    if left_within(field, group, double, limit) is None:
        some = quickest(field, group, double, limit, SOUGHT)
        for choice, cycles in expand(field, group, double, some, limit):
            try_engines(hunt, group.widths, double, choice, cycles)


def _is_new(hunt: Hunt, group: Group, double: bool, limit: int) -> bool:
    """Return whether fast engines are sought, and no lane shapes are known yet."""
    spend = hunt.cost_of_interest
    known = known_shapes(hunt.field, group.roles, double, limit, spend)
    return hunt.least is Least.CYCLES and known is None


def _shapes(hunt: Hunt, group: Group, double: bool, limit: int) -> Bounded:
    """Return the lane shapes of a group that bounds do not exclude.

    Where options make runs much faster, the lightest runs exclude next to nothing.
    Bounds with a price of accuracy then follow.

    Args:
        hunt: What is sought.
        group: Combinations of widths.
        double: Whether the engines double-buffer.
        limit: Most cycles.
    """
    field = hunt.field
    if hunt.least is Least.COST and hunt.cost_of_interest >= NO_LIMIT:
        # Any cost makes most engines fast enough; of one design's, few are.
        start(hunt, group, double)
    spend = hunt.cost_of_interest
    if _is_new(hunt, group, double, limit):
        # Of wide stages few engines fit, and the best known limits narrower ones.
        found = shapes_of(field, group, double, limit, spend)
    else:
        found = shapes_within(field, group.roles, double, limit, spend)
    if not found.bound.size:
        return found  # before what takes area
    found = priced(field, group, double, found.choice, limit)
    if hunt.apart is not None:
        return found
    return sieved_by_price(hunt, group, double, found, limit)


def _list(
    hunt: Hunt,
    group: Group,
    double: bool,
    cycles: int,
    kept: Sequence[tuple[Choice, Ints]],
) -> None:
    """Keep engines of a group for the next search, all that come near the best.

    Args:
        hunt: What found them.
        group: Combinations of widths.
        double: Whether the engines double-buffer.
        cycles: Every engine of at most so many cycles that may keep the hunt's limits
            is among them, and every one as good as the hunt's best design.
        kept: Engines, and their cycles at the fewest bits.
    """
    choice = joined([choice for choice, _ in kept], group.roles)
    least = np.concatenate([np.zeros(0, np.int64), *(c for _, c in kept)])
    # Most were kept before the best was known.
    reach = reach_of(hunt, group, double, choice)
    near = np.flatnonzero(reach <= hunt.of_interest)
    bound, cost = np.full(near.size, -np.inf), hunt.asked
    if hunt.least is Least.COST:
        bound, cost = reach[near], hunt.cost_of_interest
    listed = Listed(
        cycles=cycles,
        cost=cost,
        choice=choice.take(near),
        least=least[near],
        bound=bound,
    )
    for widths in group.widths:
        hunt.field.listed[id(widths), double] = listed
