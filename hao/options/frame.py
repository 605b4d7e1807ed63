"""Options as an integer program sees them: sites, and what may run between positions.

A *site* is something that is chosen: one layer's change, that of layers tied together,
the channels of a group, whether a block stays, or what stands in its place. A *step*
covers positions of the network's partition; each of its *variants* names one option of
every site that it depends on, and the run of the engine (an invocation and the bits of
its weights) under these options. No run at all means that nothing happens between the
positions: a block left out.

The frame tells the program nothing about kinds. A step may depend on a site whose layer
lies elsewhere, such as a neighbour whose width it reads: the site then spans both, and
every way from the first to the last position takes one option of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from hao.ir.blocks import Block, with_operations
from hao.ir.change import (
    Bits,
    Change,
    Channels,
    Keep,
    LeaveOut,
    Replace,
    Scheme,
    bare,
    densities_of,
    kept_channels,
    left_out,
    passes_of,
    replaced,
)
from hao.ir.channels import channel_groups, without_channels
from hao.ir.layer import Layer
from hao.ir.network import Network
from hao.ir.partition import Invocation, Segment, partition
from hao.ir.passes import run_in_passes
from hao.ir.sparsity import with_densities

Tie = tuple[str, ...]
"""Names of layers that take the same change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Something that is chosen.

    Attributes:
        names: Layers that take the chosen change, or the one block or group.
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
class PricedRun:
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
    run: PricedRun | None


@dataclass(frozen=True, slots=True)
class ChainStep:
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
        blocks: Those with a choice, by name.
    """

    network: Network
    positions: int
    sites: tuple[Site, ...]
    steps: tuple[ChainStep, ...]
    blocks: Mapping[str, Block]

    def with_costs(self, costs: Sequence[Sequence[int]]) -> "Frame":
        """Return the frame with other accuracy costs.

        Args:
            costs: Of the options of every site [micro-points].
        """
        sites = tuple(
            replace(site, costs=tuple(own))
            for site, own in zip(self.sites, costs, strict=True)
        )
        return replace(self, sites=sites)

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
        network = self.network
        if kept := kept_channels(chosen):
            network = without_channels(network, kept)
        operations: dict[Block, tuple[Layer, ...]] = {
            self.blocks[name]: () for name in left_out(chosen)
        }
        for name, instead in replaced(chosen).items():
            operations[self.blocks[name]] = instead.layers
        if operations:
            network = with_operations(network, operations)
        network = with_densities(network, densities_of(chosen))
        if in_passes := passes_of(chosen):
            network = run_in_passes(network, in_passes)
        part = partition(network)
        groups = {group.name for group in channel_groups(network)}
        layers = {layer.name: layer for layer in network.layers}
        scheme: dict[str, Change] = {}
        for name, change in chosen.items():
            match change:
                case Bits():
                    if name in layers:
                        scheme[name] = change
                case LeaveOut():
                    scheme[name] = change
                case Channels():
                    if name in groups:
                        scheme[name] = change
                case Replace():
                    own = tuple(layers[layer.name] for layer in change.layers)
                    scheme |= {name: replace(change, layers=own), **change.bits}
                case Keep():
                    continue
                case _:
                    assert_never(change)
        known = {run_key(segment.invocation): segment for segment in part.segments}
        return network, scheme, tuple(known[run_key(run)] for run in runs)


def run_key(run: Invocation) -> tuple[object, ...]:
    """Return what tells the invocations of one network apart."""
    stages = tuple((role, layer.name) for role, layer in run.stages)
    return stages or run.output_name, run.ofm != run.stage_ofm
