"""What the law of accuracy drops looks at, as named numbers.

A drop depends on the network (kind, family, line, capacity, how strong its float recipe
is) and on how it is quantized (post-training or by training, bits, kind of scales).
Each becomes terms: `mean_terms` says what the expected drop is a weighted sum of,
`noise_terms` what the scatter around it is. `PRIOR` holds how far a term's weight may
be from zero before anything was measured: a ridge with these as units is the mixed
model in which families, lines, networks, checkpoints and sources are random effects.

Reading a fitted law needs this module and no scikit-learn (`hao.accuracy.drops`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

PLAIN_TOP1 = 74.0
"""Float top-1 of a network of middling capacity [percent]."""

CHANCE = 0.1
"""Top-1 of guessing among ImageNet's classes [percent]."""


class Recipe(Enum):
    """How the weights of the quantized network are found."""

    PTQ = "ptq"
    """Post-training: from a few frames, without training."""
    QAT = "qat"
    """Quantization-aware training, or fine-tuning towards the float network."""


UNIT = {Recipe.PTQ: 0.5, Recipe.QAT: 1.0}
"""Drop at which the scale of the law turns from linear to logarithmic [points]: what
training gains or loses is off by points, what rounding loses by a factor. 1 is near
the maximum of the marginal likelihood of the references; below 0.5, which is likelier
post-training, means of few bits get too long tails (docs/decisions/0047, 0059)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint: a network with trained float weights.

    Attributes:
        network: Name in the zoo where it has the network, else any other name.
        family: Family, as `data/imagenet_quant_accuracy.csv` calls it; may be empty.
        depthwise: The network has depthwise convolutions.
        top1: Float top-1 [percent], or `None` if unknown.
        plain_top1: What checkpoints of this network usually reach [percent], or `None`
            if no other is known.
    """

    network: str
    family: str
    depthwise: bool
    top1: float | None
    plain_top1: float | None = None

    @property
    def line(self) -> str:
        """Return the line of the family, such as "mobilenet_v2"."""
        found = [line for line in LINES if self.network.startswith(line)]
        return max(found, key=len, default=self.family)

    @property
    def smallness(self) -> float:
        """Return how little capacity the float accuracy tells of: 0 at 74 %."""
        top1 = PLAIN_TOP1 if self.top1 is None else self.top1
        return min(max((PLAIN_TOP1 - top1) / 8, -1.25), 2.5)

    @property
    def strength(self) -> float:
        """Return how much stronger than usual the float recipe is, -1 to 2."""
        if self.top1 is None or self.plain_top1 is None:
            return 0.0
        return min(max((self.top1 - self.plain_top1) / 3, -1.0), 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantSetting:
    """How a network is quantized.

    Attributes:
        recipe: Post-training or by training.
        weight_bits: Bits of a weight, from 2 to 8.
        act_bits: Bits of an activation, from 2 to 8.
        power_of_two: Scales are powers of two.
        nearest: Weights are rounded to the nearest level; `False` where rounding
            directions are fitted to calibration data, or weights are trained.
        per_tensor: One weight scale for a whole layer.
    """

    recipe: Recipe
    weight_bits: float
    act_bits: float
    power_of_two: bool = False
    nearest: bool = False
    per_tensor: bool = False


LINES = (
    "chamnet",
    "darknet",
    "dla",
    "efficientnet_edgetpu",
    "efficientnet_lite",
    "fbnet",
    "fdmobilenet",
    "inception_resnet",
    "mnasnet",
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3",
    "mobilenet_v4",
    "mobileone",
    "preresnet",
    "proxylessnas",
    "repvgg",
    "resnetv2",
    "shufflenet_v2",
    "spnasnet",
    "squeezenext",
    "st_resnet",
)
"""Lines within families, by the beginning of a network's name."""

PRIOR = {
    "one": 1.0,
    "depthwise": 1.0,
    "trained": 1.0,
    "trained depthwise": 0.5,
    "reparameterized": 3.0,
    "weights": 2.0,
    "weights depthwise": 0.2,
    "weights trained": 1.0,
    "weights trained depthwise": 0.7,
    "weights steep": 2.0,
    "acts": 2.0,
    "acts depthwise": 0.2,
    "acts trained": 1.0,
    "acts trained depthwise": 0.7,
    "nearest": 2.0,
    "nearest depthwise": 1.0,
    "small": 0.3,
    "small depthwise": 0.3,
    "strong": 0.3,
    "weights power of two": 0.5,
    "per tensor": 0.5,
    "per tensor steep": 0.5,
    "family": 0.2,
    "family recipe": 0.15,
    "line recipe": 0.2,
    "network": 0.1,
    "checkpoint": 0.15,
    "source": 0.32,
    "source setting": 0.25,
    "source small": 0.3,
}
"""Standard deviation of a weight before anything was measured, in asinh(drop / unit);
those of the random effects are near the maximum of their marginal likelihood."""


def prior(term: str) -> float:
    """Return the standard deviation of a term's weight before the data."""
    return PRIOR[term.partition(":")[0]]


def random_terms(subject: Checkpoint, recipe: Recipe) -> tuple[str, ...]:
    """Return the random effects that a checkpoint shares with its relatives."""
    top1 = "" if subject.top1 is None else f"{subject.top1:.0f}"
    return (
        f"family:{subject.family}",
        f"family recipe:{subject.family} {recipe.value}",
        f"line recipe:{subject.line} {recipe.value}",
        f"network:{subject.network}",
        f"checkpoint:{subject.network} {top1}",
    )


def mean_terms(subject: Checkpoint, setting: QuantSetting) -> dict[str, float]:
    """Return the terms of the expected drop; those of no effect are left out."""
    depthwise = float(subject.depthwise)
    trained = float(setting.recipe is Recipe.QAT)
    weights = (8 - setting.weight_bits) / 4
    steep = 2.0 ** (4 - setting.weight_bits) - 0.0625
    acts = (8 - setting.act_bits) / 4
    nearest = steep * float(setting.nearest) * (1 - trained)
    small, strong = subject.smallness, subject.strength
    terms = {
        "one": 1.0,
        "depthwise": depthwise,
        "trained": trained,
        "trained depthwise": trained * depthwise,
        "reparameterized": float(subject.line == "repvgg") * (1 - trained),
        "weights": weights,
        "weights depthwise": weights * depthwise,
        "weights trained": weights * trained,
        "weights trained depthwise": weights * trained * depthwise,
        "weights steep": steep,
        "acts": acts,
        "acts depthwise": acts * depthwise,
        "acts trained": acts * trained,
        "acts trained depthwise": acts * trained * depthwise,
        "nearest": nearest,
        "nearest depthwise": nearest * depthwise,
        "small": small * (1 - trained),
        "small depthwise": small * depthwise * (1 - trained),
        "strong": strong,
        "weights power of two": weights * float(setting.power_of_two),
        "per tensor": float(setting.per_tensor) * (1 - trained),
        "per tensor steep": float(setting.per_tensor) * steep,
    }
    terms |= dict.fromkeys(random_terms(subject, setting.recipe), 1.0)
    return {term: value for term, value in terms.items() if value}


def noise_terms(subject: Checkpoint, setting: QuantSetting) -> dict[str, float]:
    """Return the terms of the logarithm of the scatter around the expected drop."""
    kind = "depthwise" if subject.depthwise else "dense"
    low = (16 - setting.weight_bits - setting.act_bits) / 8
    terms = {
        "noise": 1.0,
        f"noise:{kind} {setting.recipe.value}": 1.0,
        f"noise family:{subject.family} {setting.recipe.value}": 1.0,
        f"noise small:{kind}": max(subject.smallness, 0.0),
        f"noise low bits:{setting.recipe.value}": low,
        "noise nearest": float(setting.nearest and setting.weight_bits < 8),
    }
    return {term: value for term, value in terms.items() if value}


def log_noise(
    noise: Mapping[str, float], subject: Checkpoint, setting: QuantSetting
) -> float:
    """Return the logarithm of the noise, whose terms have some weights."""
    terms = noise_terms(subject, setting)
    return sum(noise.get(term, 0.0) * value for term, value in terms.items())
