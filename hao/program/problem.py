"""What a co-design program is given: a network with options, a board, a space."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from hao.cost.area import fixed_area
from hao.cost.catalogue import PIXELS, pool_words
from hao.hw.board import Board
from hao.hw.resources import Resources
from hao.ir.integer import means_are_wide
from hao.ir.network import Network
from hao.options.build import build_frame
from hao.options.frame import Frame, Tie, Variant
from hao.options.option import Option
from hao.program.graph import Graph, build_graph
from hao.program.space import Space

DEFAULT_SPACE = Space(pixels=PIXELS)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A co-design problem.

    Attributes:
        network: Layers.
        options: Options of every layer with weights, and of blocks with a choice.
        ties: Layers that take the same change.
        board: Limits, clock, memory.
        act_bits: Width of the activations.
        space: Free parameters of the engine.

    Raises:
        InputError: A layer has no options, or ties do not suit them.
        UnsupportedError: A layer that the engine cannot run.
    """

    network: Network
    options: tuple[Option, ...]
    board: Board
    act_bits: int = 8
    space: Space = field(default=DEFAULT_SPACE)
    ties: tuple[Tie, ...] = ()

    @cached_property
    def frame(self) -> Frame:
        """Return the choices of the network."""
        frame = build_frame(self.network, self.options, self.ties)
        steps = [step for step in frame.steps if all(map(self._allows, step.variants))]
        return replace(frame, steps=tuple(steps))

    def _allows(self, variant: Variant) -> bool:
        return variant.run is None or self.space.allows(variant.run.invocation)

    @cached_property
    def graph(self) -> Graph:
        """Return every way to run the network."""
        return build_graph(self.frame)

    @cached_property
    def residual(self) -> bool:
        """Return whether any run adds a residual."""
        return any(run.invocation.residual for run in self.graph.runs)

    @cached_property
    def pool_words(self) -> int:
        """Return the words of sums that the largest global average pool keeps."""
        return max(
            pool_words(run.invocation, act_bits=self.act_bits, board=self.board)
            for run in self.graph.runs
        )

    @property
    def wide_mean(self) -> bool:
        """Return whether sums of a global average pool take a wide multiplier."""
        return means_are_wide(self.network)

    @property
    def fixed(self) -> Resources:
        """Return what an engine takes whatever its stages."""
        return fixed_area(
            self.board,
            act_bits=self.act_bits,
            residual=self.residual,
            pool_words=self.pool_words,
            wide_mean=self.wide_mean,
        )

    def __getstate__(self) -> dict[str, object]:
        """Return what travels to another process: no graph, tables or bounds."""
        kept = ("network", "options", "board", "act_bits", "space", "ties", "frame")
        return {name: self.__dict__[name] for name in kept if name in self.__dict__}

    def on_board(self, board: Board) -> "Problem":
        """Return the same problem on another board."""
        made = replace(self, board=board)
        # Neither depends on the board.
        made.__dict__["frame"], made.__dict__["graph"] = self.frame, self.graph
        return made

    def with_frame(self, frame: Frame) -> "Problem":
        """Return the problem with other choices than those of its options."""
        made = replace(self)
        made.__dict__["frame"] = frame
        return made

    def with_costs(self, costs: Sequence[Sequence[int]]) -> "Problem":
        """Return the problem with other accuracy costs, which keeps what was priced.

        Its field (`hao.program.codesign.field_of`) shares tables and areas with that of
        this problem.

        Args:
            costs: Of the options of every site of the frame [micro-points].
        """
        made = self.with_frame(self.frame.with_costs(costs))
        made.__dict__["graph"] = self.graph.with_costs(made.frame.sites)
        made.__dict__["like"] = self
        return made

    def with_option_costs(self, options: Sequence[Option]) -> "Problem":
        """Return the problem with other costs of its options, as `with_costs`.

        Args:
            options: The same options in the same order, each at any cost.
        """
        by_name: dict[str, list[int]] = {}
        for option in options:
            by_name.setdefault(option.layer, []).append(option.cost_micro)
        costs = [
            [sum(same) for same in zip(*(by_name[n] for n in site.names), strict=True)]
            for site in self.frame.sites
        ]
        made = self.with_costs(costs)
        object.__setattr__(made, "options", tuple(options))
        return made

    def choices(self, settled: Iterable[tuple[int, int]]) -> Sequence[int]:
        """Return an option for every site: those settled, else the first.

        A site that no run depends on, in a block left out, keeps its first option.
        """
        known: Mapping[int, int] = dict(settled)
        return [known.get(site, 0) for site in range(len(self.frame.sites))]

    @property
    def free_sites(self) -> tuple[int, ...]:
        """Return the sites with options of more than one kind."""
        return tuple(i for i, s in enumerate(self.frame.sites) if any(s.kinds))
