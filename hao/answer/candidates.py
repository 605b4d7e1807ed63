"""The networks that a search chooses from, and what is known of their accuracy.

A candidate is a network at one image size with its float top-1 and the predicted drop
under quantization, each from published results or, for a user's own model, as given.
Accuracy objectives are integers (micro-points of top-1): float top-1 less the cost of
every layer's bits. What is reckoned with for the whole network is the mean of the
predicted drop with its noise on top, unless the request takes another stance.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from typing import assert_never

from hao.accuracy.between import ERRORS
from hao.accuracy.checkpoint import checkpoint_of, classifies_imagenet
from hao.accuracy.drops import MIN_ACT_BITS, Basis, Drop, DropLaw, Evidence
from hao.accuracy.published import PublishedNetwork
from hao.accuracy.terms import QuantSetting, Recipe
from hao.arguments import take_fields
from hao.errors import ArgumentError, InputError
from hao.hw.board import Board
from hao.ir.blocks import residual_blocks
from hao.ir.change import Scheme, bits_of
from hao.ir.integer import Requantization, requantization_of, with_multipliers
from hao.ir.layer import Depthwise, Quantize
from hao.ir.network import Network
from hao.ir.passes import FRAME_BITS, frame_in_planes
from hao.ir.tensor import MAX_BITS, MIN_BITS
from hao.options.bits import bit_options
from hao.options.blocks import block_options
from hao.options.option import MICRO, Option
from hao.options.sparsity import DensityCosts, density_options
from hao.program.problem import Problem
from hao.program.space import Space
from hao.zoo import build_network


class Stance(Enum):
    """What of the predicted drop an objective reckons with."""

    CAUTIOUS = "cautious"
    """Its mean, and what results lie above it on average: the noise."""
    PESSIMISTIC = "pessimistic"
    """The high end of its interval."""
    MEAN = "mean"
    """Its mean."""

    def of(self, drop: Drop) -> float:
        """Return what it reckons with [points]."""
        match self:
            case Stance.CAUTIOUS:
                return drop.cautious
            case Stance.PESSIMISTIC:
                return drop.high
            case Stance.MEAN:
                return drop.mean
            case _:
                assert_never(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class BitRules:
    """Which bits a search may choose, and which blocks it may leave out.

    Attributes:
        choices: Weight bits on offer, from 2 to 8.
        act_bits: Width of the activations, from 4 to 8; the frame keeps 8.
        keep_first_last: The first and last layer keep the highest choice.
        stance: What of the predicted drop counts.
        recipe: How the network is to be quantized.
        free_scales: Whether the scales of weights may be any number, so that every sum
            takes a multiplier; else they are powers of two.
        block_points: Top-1 that leaving out a residual block costs [points], as the
            caller reckons; `None` keeps all blocks.

    Raises:
        ArgumentError: A field is of a type that it cannot take, or bits are out of
            range.
    """

    choices: tuple[int, ...] = (4, 6, 8)
    act_bits: int = 8
    keep_first_last: bool = True
    stance: Stance = Stance.CAUTIOUS
    recipe: Recipe = Recipe.QAT
    free_scales: bool = False
    block_points: float | None = None

    def __post_init__(self) -> None:
        take_fields(self)
        for name, bits, least in (
            ("choices", self.choices, MIN_BITS),
            ("act_bits", (self.act_bits,), MIN_ACT_BITS),
        ):
            if not bits or not all(least <= each <= MAX_BITS for each in bits):
                raise ArgumentError(
                    f"`{name}` = {', '.join(map(str, bits)) or 'none'}; must be from "
                    f"{least} to {MAX_BITS} bits"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Top-1 of a candidate under a scheme [percent].

    Attributes:
        mean: Central estimate.
        low: Pessimistic end of the 90 % interval.
        high: Optimistic end; above the float top-1 where training may gain.
        ranked: What the search ranks by.
    """

    mean: float
    low: float
    high: float
    ranked: float


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
        channels: Options of groups of channels, if any.
        densities: What keeping fewer words costs, of layers that may.
        operations: Options of blocks that other layers may stand in the place of.
        space: Engines to choose from; `None` for all.
        changes: What made the network out of the one that the request names, if it is
            another: it was changed and trained, and its top-1 measured.
        batch: Frames of a start, where the search chooses them; `None` for the board's.
    """

    network: Network
    image_size: int
    top1: float | None
    source: str
    drops: Mapping[int, Drop]
    rules: BitRules
    channels: tuple[Option, ...] = ()
    densities: DensityCosts = field(default_factory=dict)
    operations: tuple[Option, ...] = ()
    space: Space | None = None
    changes: Scheme | None = None
    batch: int | None = None

    @property
    def label(self) -> str:
        """Return the name with the image size and what else tells candidates apart.

        These are fewer bits of activations than 8, and several frames of a start where
        the search chooses them.
        """
        label = self.network.label
        bits = self.rules.act_bits
        label = label if bits == MAX_BITS else f"{label} A{bits}"
        return label if (self.batch or 1) == 1 else f"{label}, {self.batch} frames"

    def on(self, board: Board) -> Board:
        """Return a board whose starts take as many frames as the candidate's."""
        return board if self.batch is None else replace(board, batch=self.batch)

    @cached_property
    def options(self) -> tuple[Option, ...]:
        """Return the options of every layer at what the stance reckons with."""
        stance = self.rules.stance
        return self._options({b: stance.of(d) for b, d in self.drops.items()})

    def _options(self, drops: Mapping[int, float]) -> tuple[Option, ...]:
        options = bit_options(
            self.network,
            choices=self.rules.choices,
            drop_by_bits=drops,
            keep_first_last=self.rules.keep_first_last,
            two_passes=True,
        )
        options = density_options(options, self.densities)
        options += self.channels + self.operations
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

        def left(of: Callable[[Drop], float]) -> float:
            assert self.top1 is not None
            drops = {bits: of(drop) for bits, drop in self.drops.items()}
            # A drop below zero is a gain of the whole network, not a layer's.
            gain = min(0.0, *drops.values())
            spent = sum(
                option.cost_micro
                for option in self._options({b: d - gain for b, d in drops.items()})
                if option.change == scheme.get(option.layer)
            )
            return min(max(0.0, self.top1 - spent / MICRO - gain), 100.0)

        return Accuracy(
            mean=left(lambda drop: drop.mean),
            low=left(lambda drop: drop.high),
            high=left(lambda drop: drop.low),
            ranked=left(self.rules.stance.of),
        )

    def basis(self, scheme: Scheme) -> Basis:
        """Return what the drop of a scheme rests on: the weakest of its bits."""
        lowest = min(bits_of(scheme).values())
        used = [drop.basis for bits, drop in self.drops.items() if bits >= lowest]
        order = list(Evidence)
        return max(used, key=lambda b: (order.index(b.evidence), -b.weight_bits))

    def problem(self, board: Board) -> Problem:
        """Return the co-design problem of this candidate on a board."""
        return self._problem(board, self.options)

    def problem_at_most_bits(self, board: Board) -> Problem:
        """Return the problem in which every layer has its first option: most bits."""
        most: dict[str, Option] = {}
        for option in self.options:
            most.setdefault(option.layer, option)
        return self._problem(board, tuple(most.values()))

    def _problem(self, board: Board, options: tuple[Option, ...]) -> Problem:
        problem = Problem(
            network=self.network,
            options=options,
            board=self.on(board),
            act_bits=self.rules.act_bits,
        )
        return problem if self.space is None else replace(problem, space=self.space)


def make_candidate(
    network: Network,
    *,
    top1: float | None,
    source: str,
    law: DropLaw,
    rules: BitRules,
) -> Candidate:
    """Return a candidate with its predicted drops looked up.

    Args:
        network: Layers; its name says of which family it is.
        top1: Float top-1 [percent], or `None` if unknown.
        source: Where it comes from.
        law: Of the drops.
        rules: Bits on offer, and the recipe.

    Raises:
        InputError: Bits out of range, a recipe by which no network of the kind was
            published as quantized, or free scales for a file that has its own.
        UnsupportedError: Fewer than 8 bits of activations, and a frame that something
            else than one convolution reads.
    """
    imported = any(isinstance(layer, Quantize) for layer in network.layers)
    if imported and rules.free_scales:
        raise InputError(
            f"network {network.name!r}: quantized by its file, whose scales it keeps; "
            "free scales are for networks without"
        )
    if not imported:
        planes = 2 if rules.act_bits < FRAME_BITS else 1
        network = frame_in_planes(network, planes)
        if rules.free_scales:
            network = with_multipliers(network)
    shifted = requantization_of(network) is Requantization.SHIFT
    depthwise = any(isinstance(layer, Depthwise) for layer in network.layers)
    image_size = network.input.ofm.width
    subject = checkpoint_of(
        network.name, image_size, depthwise=depthwise, top1=top1, plain=law.plain
    )
    return Candidate(
        network=network,
        image_size=image_size,
        top1=top1,
        source=source,
        drops=law.drops(
            subject,
            QuantSetting(
                recipe=rules.recipe,
                weight_bits=max(rules.choices),
                act_bits=rules.act_bits,
                power_of_two=shifted,
            ),
            rules.choices,
            imagenet=classifies_imagenet(network.name),
        ),
        rules=rules,
    )


def source_of(entry: PublishedNetwork) -> str:
    """Return where the float accuracy of a network comes from, in words."""
    origin = f"{entry.best.architecture} {entry.best.recipe}: {entry.best.source}"
    if entry.interpolated is None:
        return origin
    mean, largest = ERRORS[entry.interpolated]
    return (
        f"interpolated between published {entry.interpolated.value}, which are hit "
        f"within {mean} points on average when left out, {largest} at most; "
        f"{origin}"
    )


def published_candidates(
    published: Sequence[PublishedNetwork], law: DropLaw, rules: BitRules
) -> list[Candidate]:
    """Return a candidate per published network and image size, most promising first.

    A network without a block that may be left out keeps all, whatever the rules.
    """
    networks = [build_network(entry.name, entry.image_size) for entry in published]
    candidates = [
        make_candidate(
            network,
            top1=entry.top1,
            source=source_of(entry),
            law=law,
            rules=rules
            if rules.block_points is None or residual_blocks(network)
            else replace(rules, block_points=None),
        )
        for entry, network in zip(published, networks, strict=True)
    ]
    return sorted(candidates, key=lambda c: (-c.bound_micro, c.label))
