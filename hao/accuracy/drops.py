"""What drop of top-1 does the search reckon with, for a checkpoint at given bits?

Reads `data/drop_law.csv`, the law that benchmarks/accuracy_fit/law.py fits, and
evaluates it; that needs no scikit-learn. The terms of the law are those of
`hao.accuracy.terms`; `data/reference_drops.csv` counts what it rests on.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from math import exp, sinh, sqrt
from pathlib import Path

from hao.accuracy.records import read_records
from hao.accuracy.reference import Reference, shipped_references
from hao.accuracy.terms import (
    CHANCE,
    UNIT,
    Checkpoint,
    QuantSetting,
    Recipe,
    log_noise,
    mean_terms,
    prior,
)
from hao.data import data_path
from hao.errors import InputError
from hao.ir.tensor import MAX_BITS, MIN_BITS

COLUMNS = ("part", "name", "value", "variance")
SHIPPED = "drop_law.csv"
MIN_ACT_BITS = 4
COVERED = 0.9
"""Share of results that an interval is to hold."""

FIT_NOISE = 0.45
"""Geometric mean of the noise of z that the fit of the weights reckons with, chosen
here: 0.35 is likelier, but 0.3 and 0.35 left fewer of the results that were left out by
source inside their intervals (docs/decisions/0059)."""

MOST_GAIN = 1.0
"""Most that training is expected to gain [points]: 2 of 98 results gained more."""

_LOWER_MISSES = (0.01, 0.02, 0.03, 0.04, 0.05)
_TAIL = (1 - COVERED) / 2
_LARGEST_Z = 20.0


class Evidence(Enum):
    """What a predicted drop rests on."""

    MEASURED = "measured"
    """This network was measured at these bits, or fewer, by this recipe."""
    FAMILY = "family"
    """Others of its family were, at these bits or fewer, by this recipe."""
    NONE = "none"
    """Neither was: other families or other bits only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """The published results nearest to a predicted drop.

    Attributes:
        recipe: By which they were quantized.
        weight_bits: Bits of a weight; below 8, results with fewer count as well.
        act_bits: Bits of an activation; results with fewer count as well.
        own: Results of the network itself.
        related: Results of its family, its own included.
        networks: Networks that these are of.
        sources: Sources that these are from.
    """

    recipe: Recipe
    weight_bits: int
    act_bits: int
    own: int
    related: int
    networks: int
    sources: int

    @property
    def evidence(self) -> Evidence:
        """Return how near the nearest results are."""
        if self.own:
            return Evidence.MEASURED
        return Evidence.FAMILY if self.related else Evidence.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """Drop of top-1 at uniform bits [points], with its 90 % interval.

    Attributes:
        mean: Expected drop, at least 0.
        low: Optimistic end, at most `mean`; negative where training may gain.
        high: Pessimistic end, at least `mean`, at most the float accuracy.
        noise: Mean of what a result lies above `mean`, 0 where it does not.
        out_of_range: No network of the family was measured at as few bits by the
            recipe, or the network does not classify ImageNet.
        basis: What it rests on.
    """

    mean: float
    low: float
    high: float
    noise: float
    out_of_range: bool
    basis: Basis

    @property
    def cautious(self) -> float:
        """Return the mean with the noise on top, by which a search ranks."""
        return self.mean + self.noise


@dataclass(frozen=True, slots=True)
class Effect:
    """Fitted weight of a term, with the variance that the data leave it."""

    weight: float
    variance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LawDrop:
    """What the law says of one setting [points]; `Drop` has the attributes."""

    mean: float
    low: float
    high: float
    noise: float

    @classmethod
    def of(cls, drops: Sequence[float], wide: Sequence[float]) -> "LawDrop":
        """Return the figures of evenly spaced quantiles, in ascending order.

        Mean and noise are of `drops` and count what is beyond the 5 % at either end as
        these ends; the interval is of `wide`.
        """
        low, high = min(
            ((_at(wide, p), _at(wide, p + COVERED)) for p in _LOWER_MISSES),
            key=lambda ends: ends[1] - ends[0],
        )
        ends = _at(drops, _TAIL), _at(drops, 1 - _TAIL)
        kept = [min(max(drop, ends[0]), ends[1]) for drop in drops]
        mean = max(sum(kept) / len(kept), 0.0)
        above = sum(max(drop - mean, 0.0) for drop in kept) / len(kept)
        return cls(mean=mean, low=min(low, mean), high=max(high, mean), noise=above)


def _at(quantiles: Sequence[float], share: float) -> float:
    """Return the quantile at a share, between evenly spaced ones."""
    place = share * len(quantiles) - 0.5
    below = min(max(int(place), 0), len(quantiles) - 2)
    step = quantiles[below + 1] - quantiles[below]
    return quantiles[below] + step * (place - below)


@dataclass(frozen=True, kw_only=True)
class DropLaw:
    """The law as it was fitted (benchmarks/accuracy_fit/law.py), read from a file.

    Attributes:
        effects: By term.
        plain: Float top-1 that checkpoints of a network usually reach [percent].
        noise: Weights of the terms of the logarithm of the noise.
        distributions: Evenly spaced quantiles of the noise in units of the deviation,
            by kind and recipe, of few bits by kind, and of "all".
        wide: Quantiles of that noise with sources and families counted alike, by the
            names of `distributions`: intervals are read off them.
        references: What it was fitted to.
    """

    effects: Mapping[str, Effect]
    plain: Mapping[str, float]
    noise: Mapping[str, float] = field(default_factory=dict)
    distributions: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    wide: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    references: tuple[Reference, ...] = ()

    def centre(self, subject: Checkpoint, setting: QuantSetting) -> tuple[float, float]:
        """Return the centre of z, and its variance that the effects leave open."""
        z = variance = 0.0
        for term, value in mean_terms(subject, setting).items():
            effect = self.effects.get(term)
            z += 0.0 if effect is None else effect.weight * value
            known = prior(term) ** 2 if effect is None else effect.variance
            variance += known * value**2
        return z, variance

    def deviation(
        self, subject: Checkpoint, setting: QuantSetting, variance: float
    ) -> float:
        """Return the size of the noise around z, whose effects leave a variance."""
        log = log_noise(self.noise, subject, setting)
        return exp(log) * sqrt(1 + variance / FIT_NOISE**2)

    def predict(self, subject: Checkpoint, setting: QuantSetting) -> LawDrop:
        """Return expected drop, interval and noise of one setting [points]."""
        z, variance = self.centre(subject, setting)
        size = self.deviation(subject, setting, variance)
        name = distribution_name(subject, setting)
        most = (100.0 if subject.top1 is None else subject.top1) - CHANCE
        unit = UNIT[setting.recipe]

        def drops(scores: Mapping[str, Sequence[float]]) -> list[float]:
            zs = [z + size * score for score in scores.get(name, scores["all"])]
            return [min(unit * sinh(min(value, _LARGEST_Z)), most) for value in zs]

        return LawDrop.of(drops(self.distributions), drops(self.wide))

    def check_recipe(self, subject: Checkpoint, recipe: Recipe) -> None:
        """Check that some network of the kind was quantized by a recipe.

        Raises:
            InputError: None was; says by which recipe some were.
        """
        alike = {
            r.setting.recipe for r in self.references if _kind(r) == _kind(subject)
        }
        if recipe not in alike:
            possible = ", ".join(sorted(r.value for r in alike)) or "none"
            raise InputError(
                f"network {subject.network!r}: no {_kind(subject)} network was "
                f"published as quantized by the recipe {recipe.value!r}; "
                f"possible: {possible}"
            )

    def drops(
        self,
        subject: Checkpoint,
        setting: QuantSetting,
        choices: Iterable[int],
        *,
        imagenet: bool = True,
    ) -> dict[int, Drop]:
        """Return the drop at each of some weight bits; fewer never lose less.

        Args:
            subject: The checkpoint.
            setting: Recipe, scales, rounding, and activation bits from 4 to 8; its
                weight bits do not count.
            choices: Weight bits, from 2 to 8.
            imagenet: The network classifies ImageNet, on which all was measured.

        Raises:
            InputError: Bits outside these ranges, or a recipe by which no network of
                the kind was quantized.
        """
        act_bits = round(setting.act_bits)
        if not MIN_ACT_BITS <= act_bits <= MAX_BITS:
            raise InputError(
                f"act_bits = {act_bits}; must be from {MIN_ACT_BITS} to {MAX_BITS}"
            )
        self.check_recipe(subject, setting.recipe)
        grid: dict[int, LawDrop] = {}
        worst = [0.0, -100.0, 0.0, 0.0]
        for bits in range(MAX_BITS, MIN_BITS - 1, -1):
            for acts in range(MAX_BITS, act_bits - 1, -1):
                found = self.predict(subject, _at_bits(setting, bits, acts))
                ends = (found.mean, found.low, found.high, found.mean + found.noise)
                worst = [max(pair) for pair in zip(worst, ends, strict=True)]
            mean, low, high, cautious = worst
            grid[bits] = LawDrop(mean=mean, low=low, high=high, noise=cautious - mean)
        for bits in choices:
            if bits not in grid:
                raise InputError(
                    f"weight_bits = {bits}; must be from {MIN_BITS} to {MAX_BITS}"
                )
        return {
            bits: Drop(
                mean=grid[bits].mean,
                low=max(min(grid[bits].low, grid[bits].mean), -MOST_GAIN),
                high=grid[bits].high,
                noise=grid[bits].noise,
                out_of_range=not imagenet
                or self._beyond(subject, setting.recipe, bits, act_bits),
                basis=self._basis(subject, setting.recipe, bits, act_bits),
            )
            for bits in choices
        }

    def _beyond(
        self, subject: Checkpoint, recipe: Recipe, bits: int, acts: int
    ) -> bool:
        return not any(
            _related(r, subject)
            and r.setting.recipe is recipe
            and r.setting.weight_bits <= bits
            and r.setting.act_bits <= acts
            for r in self.references
        )

    def _basis(
        self, subject: Checkpoint, recipe: Recipe, bits: int, acts: int
    ) -> Basis:
        near = [
            r
            for r in self.references
            if _related(r, subject)
            and r.setting.recipe is recipe
            and r.setting.weight_bits <= bits + 0.5
            and (bits < MAX_BITS or r.setting.weight_bits > MAX_BITS - 1)
            and r.setting.act_bits <= acts + 0.5
        ]
        return Basis(
            recipe=recipe,
            weight_bits=bits,
            act_bits=acts,
            own=sum(r.network == subject.network for r in near),
            related=len(near),
            networks=len({r.network for r in near}),
            sources=len({r.source for r in near}),
        )


def _at_bits(setting: QuantSetting, weight_bits: int, act_bits: int) -> QuantSetting:
    return QuantSetting(
        recipe=setting.recipe,
        weight_bits=weight_bits,
        act_bits=act_bits,
        power_of_two=setting.power_of_two,
        nearest=setting.nearest and weight_bits < MAX_BITS,
        per_tensor=setting.per_tensor,
    )


def _related(reference: Reference, subject: Checkpoint) -> bool:
    same_kind = reference.depthwise == subject.depthwise
    return same_kind and reference.family == subject.family


def _kind(network: Reference | Checkpoint) -> str:
    if network.network.startswith("repvgg"):
        return "re-parameterized"
    return "depthwise" if network.depthwise else "dense"


def distribution_name(subject: Checkpoint, setting: QuantSetting) -> str:
    """Return the name of the noise's distribution: kind and recipe, or few bits."""
    # At 7 and 8 bits recipes that collapse make its tails: little is lost otherwise.
    kind = "depthwise" if subject.depthwise else "dense"
    return f"{kind} {setting.recipe.value if setting.weight_bits >= 7 else 'few bits'}"


def load_law(path: Path, references: tuple[Reference, ...]) -> DropLaw:
    """Return the law of a file.

    Args:
        path: File with the columns `COLUMNS`.
        references: What the law was fitted to.

    Raises:
        InputError: A line is malformed, or the noise's distribution is missing; names
            file and line.
    """
    effects: dict[str, Effect] = {}
    numbers: dict[str, dict[str, float]] = {"plain": {}, "noise": {}}
    scores: dict[str, dict[str, list[float]]] = {
        part: defaultdict(list) for part in ("score", "wide")
    }
    for record in read_records(path, COLUMNS):
        part, name = record.text("part"), record.text("name")
        value = record.number("value", low=-100, high=100)
        match part:
            case "effect":
                variance = record.number("variance", low=0, high=100)
                effects[name] = Effect(value, variance)
            case "plain" | "noise":
                numbers[part][name] = value
            case "score" | "wide":
                given = scores[part][name]
                if given and value < given[-1]:
                    raise record.error("value", "at least the score before it")
                given.append(value)
            case _:
                raise record.error("part", "effect, plain, noise, score or wide")
    if min(len(found["all"]) for found in scores.values()) < 2:
        raise InputError(f"{path.name}: must give two rows 'score,all' and 'wide,all'")
    return DropLaw(
        effects=effects,
        plain=numbers["plain"],
        noise=numbers["noise"],
        distributions={name: tuple(v) for name, v in scores["score"].items()},
        wide={name: tuple(v) for name, v in scores["wide"].items()},
        references=references,
    )


@cache
def load_drop_law() -> DropLaw:
    """Return the shipped law.

    Raises:
        InputError: The shipped file is missing or malformed.
    """
    return load_law(data_path("data", SHIPPED), shipped_references())
