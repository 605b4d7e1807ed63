"""Schemes next to an optimum: what exploration measures.

- Steps: a few layers a step of bits to either side.
- Random bits, so that the predictor also knows what is bad.

Both take milliseconds, since they are priced on the optimum's engine and not searched
for.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hao.errors import InputError
from hao.ir.change import Bits, Scheme, bare, layer_bits
from hao.ir.passes import DIGIT_BITS
from hao.measure.predictors import Predictor, encoded
from hao.measure.propose import WITHIN, Ask, Proposal, by_layer
from hao.measure.sample import Origin

MOST_STEPS = 3
"""Most sites in which exploration differs from where it starts (chosen here)."""


class Around:
    """Schemes that the engine of another one may run.

    Args:
        ask: What is proposed for.
        start: Whose engine and other changes are kept.
        budget: Most latency [cycles].
    """

    def __init__(self, ask: Ask, start: Proposal, budget: int) -> None:
        self._start, self._budget = start, budget
        self._bits: dict[str, list[Bits]] = {}
        options = ask.problems[start.act_bits].options
        for layer, changes in sorted(by_layer(options).items()):
            own = start.scheme.get(layer)
            offers = [
                change
                for change in changes
                if isinstance(change, Bits)
                and isinstance(own, Bits)
                and change.density == own.density
            ]
            if len(offers) > 1:
                self._bits[layer] = offers

    def step(self, generator: np.random.Generator) -> Scheme:
        """Return a scheme of which a few layers are a step from the start."""
        scheme = dict(self._start.scheme)
        if not self._bits:
            return scheme
        steps = min(len(self._bits), int(generator.integers(1, MOST_STEPS + 1)))
        for layer in generator.choice(list(self._bits), size=steps, replace=False):
            offers = self._bits[layer]
            place = offers.index(layer_bits(bare(scheme[layer])))
            place += 1 if generator.random() < 0.5 else -1
            scheme[layer] = offers[min(max(place, 0), len(offers) - 1)]
        return scheme

    def random(self, generator: np.random.Generator) -> Scheme:
        """Return a scheme of random bits.

        How many bits are likely is drawn too, so that schemes are good and bad as
        wholes.
        """
        skew = generator.normal()
        scheme = dict(self._start.scheme)
        for layer, offers in self._bits.items():
            weights = np.exp(skew * np.linspace(-1, 1, len(offers)))
            place = generator.choice(len(offers), p=weights / weights.sum())
            scheme[layer] = offers[int(place)]
        return scheme

    def run(self, scheme: Scheme, origin: Origin) -> Proposal | None:
        """Return a scheme on the engine, `None` if that does not run it in time."""
        kept = dict(scheme)
        for layer, change in scheme.items():
            old = self._start.scheme[layer]
            if isinstance(change, Bits) and isinstance(old, Bits):
                # The network of the design has its layers in these passes.
                passes = old.passes if change.weight_bits > DIGIT_BITS else 1
                kept[layer] = replace(change, passes=passes)
        try:
            design = replace(self._start.design, scheme=kept)
            made = Proposal.of(design, self._start.act_bits, origin)
        except InputError:
            return None  # more bits than a stage of the engine takes, or fewer passes
        return made if made.cycles <= self._budget else None


def worth_pricing(
    predictor: Predictor, schemes: Sequence[Scheme], found: Sequence[Proposal]
) -> list[Scheme]:
    """Return the schemes that may run within a latency, the best by prediction first.

    What costs less than the optimum by the additive predictor does not: that is proven.

    Args:
        predictor: Fitted to samples.
        schemes: Of which some are worth pricing.
        found: The optimum at the latency, and others of the same activations.
    """
    if not schemes:
        return []
    act_bits = found[0].act_bits
    known = [(one.scheme, act_bits) for one in found if one.act_bits == act_bits]
    asked = [(scheme, act_bits) for scheme in schemes]
    cost = predictor.linear.predict(encoded(predictor.encoder, known + asked))
    proven = (1 - WITHIN) * cost[: len(known)].min()
    order = np.argsort(predictor.divergence(asked), kind="stable")
    return [schemes[int(p)] for p in order if cost[len(known) + p] >= proven]
