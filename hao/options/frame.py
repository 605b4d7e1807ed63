"""Options as an integer program sees them: sites, and what may run between positions.

A *site* is something that is chosen: one layer's change, that of layers tied together,
or whether a block stays. A *step* covers positions of the network's partition; each of
its *variants* names one option of every site that it depends on, and the run of the
engine (an invocation and the bits of its weights) under these options. No run at all
means that nothing happens between the positions: a block left out.

The frame tells the program nothing about kinds. A step may depend on a site whose layer
lies elsewhere, such as a neighbour whose width it reads: the site then spans both, and
every way from the first to the last position takes one option of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import assert_never

from hao.errors import InputError
from hao.ir.blocks import Block, residual_blocks, without_blocks
from hao.ir.change import (
    Bits,
    Change,
    Keep,
    LeaveOut,
    Scheme,
    bare,
    left_out,
    passes_of,
)
from hao.ir.layer import Pool
from hao.ir.network import Network
from hao.ir.partition import Invocation, Partition, Segment, partition
from hao.ir.passes import invocation_in_passes, run_in_passes
from hao.ir.tensor import MAX_BITS
from hao.options.option import Option

Tie = tuple[str, ...]
"""Names of layers that take the same change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Something that is chosen.

    Attributes:
        names: Layers that take the chosen change, or the one block.
        changes: Change of each option.
        costs: Top-1 that each option costs [1e-6 points].
        first: First position whose step depends on it.
        last: Last such position.
    """

    names: tuple[str, ...]
    changes: tuple[Change, ...]
    costs: tuple[int, ...]
    first: int
    last: int

    @property
    def kinds(self) -> tuple[int, ...]:
        """Return for each option the first one that is the same network.

        Options that differ in how the hardware runs a layer only are of one kind.
        """
        kinds = [bare(change) for change in self.changes]
        return tuple(kinds.index(kind) for kind in kinds)


@dataclass(frozen=True, slots=True)
class Run:
    """One invocation of the engine with the bits of its weights.

    Attributes:
        invocation: What runs.
        bits: Width of the weights of the layer in each stage in use, or of their
            digits where they run in two passes; 0 for a pool.
        most: Width of the lanes from which on there is no use in the passes.
    """

    invocation: Invocation
    bits: tuple[int, ...]
    most: tuple[int, ...]

    @property
    def weight_bits(self) -> dict[str, int]:
        """Return the bits of weights, or of their digits, by layer."""
        return {
            layer.name: bits
            for (_, layer), bits in zip(self.invocation.stages, self.bits, strict=True)
            if bits
        }


@dataclass(frozen=True, slots=True)
class Variant:
    """A step under one option of each of its sites, and what then runs, if anything."""

    choice: tuple[int, ...]
    run: Run | None


@dataclass(frozen=True, slots=True)
class Step:
    """What may happen between two positions.

    Attributes:
        start: First position covered.
        end: Last position covered.
        sites: Sites that it depends on, ascending.
        variants: One per combination of their options that is possible.
    """

    start: int
    end: int
    sites: tuple[int, ...]
    variants: tuple[Variant, ...]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """All choices of a network.

    Attributes:
        network: The network before any change.
        positions: Positions that steps cover.
        sites: What is chosen.
        steps: What may happen between positions.
    """

    network: Network
    positions: int
    sites: tuple[Site, ...]
    steps: tuple[Step, ...]

    @cached_property
    def _blocks(self) -> dict[str, Block]:
        return {block.name: block for block in residual_blocks(self.network)}

    def changed(
        self, choice: Sequence[int], runs: Iterable[Invocation]
    ) -> tuple[Network, Scheme, tuple[Segment, ...]]:
        """Return the network under a choice, its scheme, and its segments.

        Args:
            choice: Option of every site.
            runs: Invocations in order of execution, as steps name them.
        """
        chosen: dict[str, Change] = {}
        for site, index in zip(self.sites, choice, strict=True):
            chosen |= dict.fromkeys(site.names, site.changes[index])
        gone = left_out(chosen)
        network, part = self.network, partition(self.network)
        if gone:
            network = without_blocks(network, [self._blocks[name] for name in gone])
            part = partition(network)
        in_passes = passes_of(chosen)
        if in_passes:
            network = run_in_passes(network, in_passes)
            part = partition(network)
        names = {layer.name for layer in network.compute_layers}
        scheme: dict[str, Change] = {}
        for name, change in chosen.items():
            match change:
                case Bits():
                    if name in names:
                        scheme[name] = change
                case LeaveOut():
                    scheme[name] = change
                case Keep():
                    continue
                case _:
                    assert_never(change)
        known = {_key(segment.invocation): segment for segment in part.segments}
        return network, scheme, tuple(known[_key(run)] for run in runs)


def _key(run: Invocation) -> tuple[object, ...]:
    """Return what tells the invocations of one network apart."""
    stages = tuple((role, layer.name) for role, layer in run.stages)
    return stages or run.output_name, run.ofm != run.stage_ofm


def build_frame(
    network: Network, options: Iterable[Option], ties: Iterable[Tie] = ()
) -> Frame:
    """Return the frame of a network and the options of its layers and blocks.

    Args:
        network: Layers; parameters are not needed.
        options: Of every layer with weights, and of blocks that may be left out.
        ties: Layers that take the same change; their costs add up.

    Raises:
        InputError: A layer has no options, or ties join layers whose changes differ or
            that lie in a block which may be left out.
        UnsupportedError: A layer that the engine cannot run.
    """
    part = partition(network)
    by_name: dict[str, list[Option]] = {}
    for option in options:
        by_name.setdefault(option.layer, []).append(option)
    blocks: dict[str, Block] = {}
    if any(isinstance(o.change, Keep | LeaveOut) for o in options):
        blocks = {b.name: b for b in residual_blocks(network) if b.name in by_name}
    builder = _Builder(network, part, by_name, blocks, tuple(ties))
    return Frame(
        network=network,
        positions=len(part.positions),
        sites=builder.sites,
        steps=(*builder.kept(), *builder.dropped(), *builder.joined()),
    )


class _Builder:
    """Sites by name, and the steps that they shape."""

    def __init__(
        self,
        network: Network,
        part: Partition,
        by_name: Mapping[str, list[Option]],
        blocks: Mapping[str, Block],
        ties: tuple[Tie, ...],
    ) -> None:
        self._network, self._part, self._by_name = network, part, by_name
        self._blocks = sorted(blocks.values(), key=lambda block: block.first)
        place = {name: index for index, name in enumerate(part.positions)}
        self._place = place
        group: dict[str, tuple[str, ...]] = {name: (name,) for name in by_name}
        for tie in ties:
            joined = tuple(
                sorted(
                    {n for m in tie for n in group.get(m, (m,))},
                    key=lambda n: place.get(n, -1),
                )
            )
            for name in joined:
                if name not in by_name:
                    raise InputError(f"tie {tie}: {name!r} has no options")
                group[name] = joined
            self._check_tie(joined)
        sites: list[Site] = []
        self._site: dict[str, int] = {}
        for layer in network.compute_layers:
            if layer.name not in by_name:
                raise InputError(f"layer {layer.name!r} has no options")
        for name in by_name:
            if name in self._site:
                continue
            members = group[name]
            if name in blocks:
                first, last = blocks[name].first, blocks[name].last
            else:
                first, last = place[members[0]], place[members[-1]]
            self._site |= dict.fromkeys(members, len(sites))
            listed = [by_name[member] for member in members]
            sites.append(
                Site(
                    names=members,
                    changes=tuple(o.change for o in listed[0]),
                    costs=tuple(
                        sum(o.cost_micro for o in same)
                        for same in zip(*listed, strict=True)
                    ),
                    first=first,
                    last=last,
                )
            )
        self.sites = tuple(sites)

    def _check_tie(self, names: Tie) -> None:
        changes = [[o.change for o in self._by_name[name]] for name in names]
        if any(each != changes[0] for each in changes):
            raise InputError(
                f"layers {', '.join(names)} are tied; their options must be the same"
            )
        for block in self._blocks:
            inside = [block.first <= self._place[n] <= block.last for n in names]
            if any(inside) and not all(inside):
                raise InputError(
                    f"layers {', '.join(names)} are tied, and {block.name!r} with some "
                    "of them may be left out; tie layers of one block, or keep it"
                )

    def kept(self) -> list[Step]:
        """Return the steps of the network's own segments."""
        return [self._step(s.start, s.end, s.invocation) for s in self._part.segments]

    def dropped(self) -> list[Step]:
        """Return the steps in which nothing runs: blocks left out."""
        found = []
        for block in self._blocks:
            site = self._site[block.name]
            out = next(
                (
                    i
                    for i, change in enumerate(self.sites[site].changes)
                    if isinstance(change, LeaveOut)
                ),
                None,
            )
            if out is not None:
                found.append(
                    Step(block.first, block.last, (site,), (Variant((out,), None),))
                )
        return found

    def joined(self) -> list[Step]:
        """Return the segments that reach across a run of blocks that are left out."""
        names = {_key(segment.invocation) for segment in self._part.segments}
        found = []
        for start, _ in enumerate(self._blocks):
            run: list[Block] = []
            for block in self._blocks[start:]:
                if run and block.first != run[-1].last + 1:
                    break
                run.append(block)
                for segment in partition(without_blocks(self._network, run)).segments:
                    if _key(segment.invocation) in names:
                        continue
                    places = [
                        self._place[layer.name]
                        for _, layer in segment.invocation.stages
                    ]
                    low, high = places[0], places[-1]
                    if low < run[0].first and high > run[-1].last:
                        found.append(
                            self._step(low, high, segment.invocation, tuple(run))
                        )
        return found

    def _step(
        self, start: int, end: int, run: Invocation, gone: tuple[Block, ...] = ()
    ) -> Step:
        """Return a step with a variant for every combination of its sites' options."""
        layers = [
            None if isinstance(layer, Pool) else self._site[layer.name]
            for _, layer in run.stages
        ]
        wanted: dict[int, type[Keep] | type[LeaveOut]] = {}
        for block in self._blocks:
            if block.first <= end and block.last >= start:
                out = any(block is other for other in gone)
                wanted[self._site[block.name]] = LeaveOut if out else Keep
        sites = tuple(sorted({s for s in layers if s is not None} | set(wanted)))
        offered = [
            [
                index
                for index, change in enumerate(self.sites[site].changes)
                if site not in wanted or isinstance(change, wanted[site])
            ]
            for site in sites
        ]
        variants = []
        for choice in product(*offered):
            taken = dict(zip(sites, choice, strict=True))
            changes = [
                None if s is None else self._bits(self.sites[s].changes[taken[s]])
                for s in layers
            ]
            passes = {
                layer.name: change.passes
                for (_, layer), change in zip(run.stages, changes, strict=True)
                if change is not None and change.passes > 1
            }
            variants.append(
                Variant(
                    choice,
                    Run(
                        invocation_in_passes(run, passes) if passes else run,
                        tuple(0 if c is None else c.lane_bits for c in changes),
                        tuple(
                            MAX_BITS
                            if c is None or c.passes == 1
                            else c.weight_bits - 1
                            for c in changes
                        ),
                    ),
                )
            )
        return Step(start, end, sites, tuple(variants))

    @staticmethod
    def _bits(change: Change) -> Bits:
        match change:
            case Bits():
                return change
            case Keep() | LeaveOut():
                raise AssertionError("a block's change is no layer's")
            case _:
                assert_never(change)
