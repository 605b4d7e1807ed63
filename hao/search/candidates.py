"""The networks that a search chooses from, and what is known of their accuracy.

A candidate is a network at one image size with its float top-1 and the predicted drop
under quantization, each from published results or, for a user's own model, as given.
Accuracy objectives are integers (micro-points of top-1): float top-1 less the cost of
every layer's bits, taken at the pessimistic end of the drop's interval or at its mean.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property

from hao.accuracy.drops import Drop, DropTable
from hao.accuracy.published import PublishedNetwork
from hao.hw.board import Board
from hao.ir.blocks import residual_blocks
from hao.ir.change import Scheme
from hao.ir.layer import Depthwise
from hao.ir.network import Network
from hao.options.bits import bit_options
from hao.options.blocks import block_options
from hao.options.option import MICRO, Option
from hao.program.problem import Problem
from hao.zoo import build_network


class Stance(Enum):
    """Which end of the predicted drop an objective uses."""

    PESSIMISTIC = "pessimistic"
    MEAN = "mean"


@dataclass(frozen=True, slots=True, kw_only=True)
class BitRules:
    """Which bits a search may choose, and which blocks it may leave out.

    Attributes:
        choices: Weight bits on offer, from 2 to 8.
        act_bits: Width of the activations, from 4 to 8.
        keep_first_last: The first and last layer keep the highest choice.
        stance: Which end of the predicted drop counts.
        block_points: Top-1 that leaving out a residual block costs [points], as the
            caller reckons; `None` keeps all blocks.
    """

    choices: tuple[int, ...] = (4, 6, 8)
    act_bits: int = 8
    keep_first_last: bool = True
    stance: Stance = Stance.PESSIMISTIC
    block_points: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Top-1 of a candidate under a scheme [percent].

    Attributes:
        mean: Central estimate.
        low: Pessimistic end of the 90 % interval.
        high: Optimistic end.
    """

    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A network that may be chosen.

    Attributes:
        network: Its layers at this image size.
        image_size: Height and width of the frame [pixels].
        top1: Float top-1 [percent], or `None` if unknown.
        source: Where `top1` comes from.
        drops: Predicted drop at uniform bits, by bits.
        rules: Bits on offer.
    """

    network: Network
    image_size: int
    top1: float | None
    source: str
    drops: Mapping[int, Drop]
    rules: BitRules

    @property
    def label(self) -> str:
        """Return the name with the image size."""
        return f"{self.network.name}@{self.image_size}"

    @cached_property
    def options(self) -> tuple[Option, ...]:
        """Return the options of every layer at the stance's end of the drop."""
        mean = self.rules.stance is Stance.MEAN
        return self._options(
            {b: d.mean if mean else d.high for b, d in self.drops.items()}
        )

    def _options(self, drops: Mapping[int, float]) -> tuple[Option, ...]:
        options = bit_options(
            self.network,
            choices=self.rules.choices,
            drop_by_bits=drops,
            keep_first_last=self.rules.keep_first_last,
        )
        if self.rules.block_points is None:
            return options
        return options + block_options(
            self.network, cost_points=self.rules.block_points, layers=options
        )

    @property
    def top1_micro(self) -> int:
        """Return the float top-1 [micro-points]; 100 points if unknown."""
        return round((100.0 if self.top1 is None else self.top1) * MICRO)

    @cached_property
    def bound_micro(self) -> int:
        """Return the most that any scheme leaves of the top-1 [micro-points]."""
        cheapest: dict[str, int] = {}
        for option in self.options:
            known = cheapest.get(option.layer, option.cost_micro)
            cheapest[option.layer] = min(known, option.cost_micro)
        return self.top1_micro - sum(cheapest.values())

    def accuracy(self, scheme: Scheme) -> Accuracy | None:
        """Return the top-1 under a scheme, or `None` if the float one is unknown."""
        if self.top1 is None:
            return None
        left = []
        for drops in (
            {bits: drop.mean for bits, drop in self.drops.items()},
            {bits: drop.high for bits, drop in self.drops.items()},
            {bits: drop.low for bits, drop in self.drops.items()},
        ):
            spent = sum(
                option.cost_micro
                for option in self._options(drops)
                if option.change == scheme.get(option.layer)
            )
            left.append(max(0.0, self.top1 - spent / MICRO))
        return Accuracy(mean=left[0], low=left[1], high=left[2])

    def problem(self, board: Board) -> Problem:
        """Return the co-design problem of this candidate on a board."""
        return Problem(
            network=self.network,
            options=self.options,
            board=board,
            act_bits=self.rules.act_bits,
        )

    def problem_at_most_bits(self, board: Board) -> Problem:
        """Return the problem in which every layer has its first option: most bits."""
        most: dict[str, Option] = {}
        for option in self.options:
            most.setdefault(option.layer, option)
        return Problem(
            network=self.network,
            options=tuple(most.values()),
            board=board,
            act_bits=self.rules.act_bits,
        )


def make_candidate(
    network: Network,
    *,
    top1: float | None,
    source: str,
    table: DropTable,
    rules: BitRules,
) -> Candidate:
    """Return a candidate with its predicted drops looked up.

    Args:
        network: Layers; its name is looked up in the table.
        top1: Float top-1 [percent], or `None` if unknown.
        source: Where it comes from.
        table: Predicted drops.
        rules: Bits on offer.

    Raises:
        InputError: Bits outside the table.
    """
    depthwise = any(isinstance(layer, Depthwise) for layer in network.layers)
    return Candidate(
        network=network,
        image_size=network.input.ofm.width,
        top1=top1,
        source=source,
        drops={
            bits: table.drop(
                network.name, bits, rules.act_bits, has_depthwise=depthwise
            )
            for bits in rules.choices
        },
        rules=rules,
    )


def published_candidates(
    published: Sequence[PublishedNetwork], table: DropTable, rules: BitRules
) -> list[Candidate]:
    """Return a candidate per published network and image size, most promising first.

    A network without a block that may be left out keeps all, whatever the rules.
    """
    networks = [build_network(entry.name, entry.image_size) for entry in published]
    candidates = [
        make_candidate(
            network,
            top1=entry.top1,
            source=(
                f"{entry.best.architecture} {entry.best.recipe}: {entry.best.source}"
            ),
            table=table,
            rules=rules
            if rules.block_points is None or residual_blocks(network)
            else replace(rules, block_points=None),
        )
        for entry, network in zip(published, networks, strict=True)
    ]
    return sorted(candidates, key=lambda c: (-c.bound_micro, c.label))
