"""The frame of a network and its options: sites by name, and the steps they shape.

Layers in the place of a block take the block's positions; where they need more, the
block gets more, and its last layer covers what it leaves. They begin and end runs of
their own: no run reaches across the edge of a block that is replaced.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import product

from hao.errors import InputError
from hao.ir.blocks import Block, residual_blocks, without_blocks
from hao.ir.change import Keep, LeaveOut, Replace, densities_of, layer_bits, passes_of
from hao.ir.layer import Input, Layer, Pool
from hao.ir.network import Network
from hao.ir.partition import Invocation, Partition, partition
from hao.ir.parts import replaceable_blocks
from hao.ir.passes import invocation_in_passes
from hao.ir.sparsity import invocation_with_densities
from hao.ir.tensor import MAX_BITS
from hao.options.frame import ChainStep, Frame, PricedRun, Site, Tie, Variant, run_key
from hao.options.option import Option
from hao.options.widths import WidthGroups


def build_frame(
    network: Network, options: Iterable[Option], ties: Iterable[Tie] = ()
) -> Frame:
    """Return the frame of a network and the options of its parts.

    Args:
        network: Layers; parameters are not needed.
        options: Of every layer with weights, of blocks that may be left out or
            replaced, and of groups of channels that may be narrower.
        ties: Layers that take the same change; their costs add up.

    Raises:
        InputError: A layer has no options, or ties join layers whose changes differ or
            that lie in a block which may be left out, or a group cannot be narrower.
        UnsupportedError: A layer that the engine cannot run.
    """
    part = partition(network)
    by_name: dict[str, list[Option]] = {}
    for option in options:
        by_name.setdefault(option.layer, []).append(option)
    blocks = _blocks(network, by_name)
    builder = _Builder(network, part, by_name, blocks, tuple(ties))
    return Frame(
        network=network,
        positions=builder.positions,
        sites=builder.sites,
        steps=(
            *builder.kept(),
            *builder.dropped(),
            *builder.joined(),
            *builder.replaced(),
        ),
        blocks=blocks,
    )


def _blocks(network: Network, by_name: Mapping[str, list[Option]]) -> dict[str, Block]:
    """Return the blocks with a choice, by name.

    Raises:
        InputError: A block is to be replaced that the network does not have.
        UnsupportedError: The network was quantized, and a block is to be replaced.
    """
    chosen = {
        name: options
        for name, options in by_name.items()
        if any(isinstance(o.change, Keep | LeaveOut | Replace) for o in options)
    }
    if not chosen:
        return {}
    found = {b.name: b for b in residual_blocks(network) if b.name in chosen}
    if found.keys() != chosen.keys() or any(
        isinstance(o.change, Replace) for os in chosen.values() for o in os
    ):
        found |= {b.name: b for b in replaceable_blocks(network) if b.name in chosen}
    for name in chosen:
        if name not in found:
            raise InputError(
                f"block {name!r}: network {network.name!r} has no such block that may "
                "be left out or replaced"
            )
    return found


@lru_cache(maxsize=4096)
def _inside(layers: tuple[Layer, ...]) -> Partition:
    """Return the partition of layers that stand in a block's place, by themselves."""
    first = layers[0]
    assert not isinstance(first, Input)
    entry = Input(name=first.inputs[0], ofm=first.ifm)
    return partition(Network(name=entry.name, layers=(entry, *layers)))


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
        self._widths = WidthGroups(network, by_name)
        place = {name: index for index, name in enumerate(part.positions)}
        self._place = place
        self._more = {
            block.last: max(
                [
                    len(_inside(o.change.layers).positions)
                    - (block.last - block.first + 1)
                    for o in by_name[block.name]
                    if isinstance(o.change, Replace)
                ],
                default=0,
            )
            for block in self._blocks
        }
        self.positions = self._end(len(part.positions) - 1) + 1
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
            first, last = self._span(name, members)
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

    def _start(self, place: int) -> int:
        """Return the position at which a layer of the network begins."""
        return place + sum(max(0, n) for p, n in self._more.items() if p < place)

    def _end(self, place: int) -> int:
        """Return the last position that a layer of the network covers."""
        return place + sum(max(0, n) for p, n in self._more.items() if p <= place)

    def _span(self, name: str, members: Tie) -> tuple[int, int]:
        """Return the positions whose steps depend on what goes by a name."""
        for block in self._blocks:
            if block.name == name:
                return self._start(block.first), self._end(block.last)
        if name in self._widths.groups:
            layers = self._widths.layers(name)
            found = [self._place[layer] for layer in layers if layer in self._place]
            return self._start(min(found)), self._start(max(found))
        places = [self._start(self._place[member]) for member in members]
        return places[0], places[-1]

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

    def kept(self) -> list[ChainStep]:
        """Return the steps of the network's own segments."""
        return [self._step(s.start, s.end, s.invocation) for s in self._part.segments]

    def dropped(self) -> list[ChainStep]:
        """Return the steps in which nothing runs: blocks left out."""
        found = []
        for block in self._blocks:
            first, last = self._start(block.first), self._end(block.last)
            site = self._site[block.name]
            found += [
                ChainStep(first, last, (site,), (Variant((index,), None),))
                for index, change in enumerate(self.sites[site].changes)
                if isinstance(change, LeaveOut)
            ]
        return found

    def replaced(self) -> list[ChainStep]:
        """Return the steps of the layers that may stand in the place of a block."""
        found = []
        for block in self._blocks:
            first, last = self._start(block.first), self._end(block.last)
            site = self._site[block.name]
            for index, change in enumerate(self.sites[site].changes):
                if not isinstance(change, Replace):
                    continue
                self._widths.check_edges(block)
                part = _inside(change.layers)
                for segment in part.segments:
                    run, end = segment.invocation, first + segment.end
                    if segment.end == len(part.positions) - 1:
                        end = last
                    bits = tuple(
                        0 if isinstance(layer, Pool) else change.weight_bits
                        for _, layer in run.stages
                    )
                    taken = PricedRun(run, bits, (MAX_BITS,) * len(bits))
                    variant = Variant((index,), taken)
                    start = first + segment.start
                    found.append(ChainStep(start, end, (site,), (variant,)))
        return found

    def joined(self) -> list[ChainStep]:
        """Return the segments that reach across a run of blocks that are left out."""
        names = {run_key(segment.invocation) for segment in self._part.segments}
        found = []
        may_go = [
            block
            for block in self._blocks
            if any(isinstance(o.change, LeaveOut) for o in self._by_name[block.name])
        ]
        for start, _ in enumerate(may_go):
            run: list[Block] = []
            for block in may_go[start:]:
                if run and block.first != run[-1].last + 1:
                    break
                run.append(block)
                for segment in partition(without_blocks(self._network, run)).segments:
                    if run_key(segment.invocation) in names:
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
    ) -> ChainStep:
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
        groups = {self._site[name]: name for name in self._widths.touched(run)}
        whole = {s for s in layers if s is not None} | set(wanted) | set(groups)
        sites = tuple(sorted(whole))
        offered = [
            [
                index
                for index, change in enumerate(self.sites[site].changes)
                if site not in wanted or isinstance(change, wanted[site])
            ]
            for site in sites
        ]
        variants = []
        narrowed: dict[tuple[int, ...], Invocation] = {}
        for choice in product(*offered):
            taken = dict(zip(sites, choice, strict=True))
            key = tuple(taken[site] for site in groups)
            if key not in narrowed:
                chosen = {n: self.sites[s].changes[taken[s]] for s, n in groups.items()}
                narrowed[key] = self._widths.narrowed(run, chosen)
            own = narrowed[key]
            changes = [
                None if s is None else layer_bits(self.sites[s].changes[taken[s]])
                for s in layers
            ]
            named = {
                layer.name: change
                for (_, layer), change in zip(run.stages, changes, strict=True)
                if change is not None
            }
            own = invocation_with_densities(own, densities_of(named))
            passes = passes_of(named)
            variants.append(
                Variant(
                    choice,
                    PricedRun(
                        invocation_in_passes(own, passes) if passes else own,
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
        return ChainStep(self._start(start), self._end(end), sites, tuple(variants))
