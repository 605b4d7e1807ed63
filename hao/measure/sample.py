"""What is measured: a scheme on a part of the data, and what came out.

A scheme is known by its key, which leaves out what matters to the hardware alone. Two
schemes of one key make the same network, so that neither is measured twice.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from hao.errors import InputError
from hao.ir.change import Change, Keep, Scheme, bare, change_of, change_text
from hao.ir.tensor import MAX_BITS, MIN_BITS

NO_CHANGES: Mapping[tuple[str, str], Change] = MappingProxyType({})


class Part(Enum):
    """Frames that a scheme is measured on."""

    SEARCH = "search"
    """Those that the loop chooses by."""
    TEST = "test"
    """Those that nothing was chosen, calibrated or trained with."""


class Origin(Enum):
    """Why a scheme was measured."""

    START = "start"
    """The optimum under what was known before any sample."""
    BEST = "best"
    """The proven optimum under the predictor, or one of its K best."""
    EXPLORE = "explore"
    """Next to a proven optimum."""
    RANDOM = "random"
    """Drawn at random, to fit a predictor to."""
    FINAL = "final"
    """One of the best by measurement, on frames never used before."""
    GIVEN = "given"
    """Named by whoever called the loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One scheme to measure.

    Attributes:
        scheme: Change by layer or block.
        act_bits: Width of the activations.
        part: Frames it is measured on.
        epochs: Of quantization-aware training; 0 for post-training quantization.
        seed: Of the training.
        origin: Why it is measured.
        turn: Turn of the loop, from 0.
        cycles: Latency of the design that it came with; `None` if there is none.
    """

    scheme: Scheme
    act_bits: int
    part: Part = Part.SEARCH
    epochs: int = 0
    seed: int = 0
    origin: Origin = Origin.GIVEN
    turn: int = 0
    cycles: int | None = None

    @property
    def label(self) -> str:
        """Return what progress calls it."""
        trained = f", {self.epochs} epochs" if self.epochs else ""
        return f"measuring a scheme ({self.origin.value}, {self.part.value}{trained})"

    @property
    def key(self) -> str:
        """Return what tells schemes that make different networks apart."""
        return scheme_key(self.scheme, self.act_bits)

    @property
    def identity(self) -> tuple[str, str, int, int]:
        """Return what tells measurements apart: key, part, epochs and seed."""
        return self.key, self.part.value, self.epochs, self.seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a measurement found.

    Attributes:
        frames: How many no weights were trained with: top-1, loss and agreement are of
            these, the divergence is of all.
        top1: Share that is classified as labelled [percent].
        loss: Mean cross-entropy towards the labels [nats].
        divergence: Mean Kullback-Leibler divergence of the outputs from those of the
            float network [nats]: what the loss towards its outputs rose by.
        agreement: Share in which the class is that of the float network [percent].
        seconds: That it took [s].
    """

    frames: int
    top1: float
    loss: float
    divergence: float
    agreement: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A trial and its outcome.

    Attributes:
        trial: What was measured.
        result: What was found; `None` where the scheme has none.
        failure: Why not, in a line; empty where there is a result.
    """

    trial: Trial
    result: Result | None
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """How well a predictor does on samples that it was not fitted to.

    Attributes:
        rows: Samples.
        spearman: Rank correlation with the measured divergence.
        spearman_top1: That with the measured top-1, negated.
        mae: Mean absolute error of top-1 [points].
        coverage: Share of measured top-1 inside its 90 % interval; `None` where the
            interval comes from the same samples.
    """

    rows: int
    spearman: float
    spearman_top1: float
    mae: float
    coverage: float | None = None


def scheme_key(scheme: Scheme, act_bits: int) -> str:
    """Return the key of a scheme: JSON of the changes in words, sorted by name."""
    changes = {
        name: change_text(bare(change))
        for name, change in sorted(scheme.items())
        if not isinstance(change, Keep)
    }
    return json.dumps({"act_bits": act_bits, "changes": changes}, sort_keys=True)


def scheme_of_key(
    key: str, known: Mapping[tuple[str, str], Change] = NO_CHANGES
) -> tuple[Scheme, int]:
    """Return the scheme of a key and the width of its activations.

    Args:
        key: Of `scheme_key`.
        known: Changes by block and word, of words that do not say all of them.

    Raises:
        InputError: It is no key.
    """
    try:
        values = json.loads(key)
        act_bits = values["act_bits"]
        changes = {
            name: known[name, text] if (name, text) in known else change_of(text)
            for name, text in values["changes"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"scheme {key[:60]!r}; must be a key of a scheme") from error
    if not isinstance(act_bits, int) or not MIN_BITS <= act_bits <= MAX_BITS:
        raise InputError(
            f"scheme {key[:60]!r}: act_bits; must be from {MIN_BITS} to {MAX_BITS}"
        )
    return changes, act_bits
