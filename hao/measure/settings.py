"""What may be chosen of a measured search; loads neither torch nor scikit-learn."""

from dataclasses import dataclass
from enum import Enum

from hao.arguments import AtLeast0, AtLeast1, take_fields


class Kind(Enum):
    """How a saliency is measured."""

    PLUG_IN = "plug-in"
    HESSIAN = "hessian"
    SQNR = "sqnr"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSettings:
    """How to spend the measurements.

    Attributes:
        measure: Most schemes to measure on the search frames, at least 1.
        per_turn: Schemes of a turn, at least 1.
        best: Designs of a latency that are proposed in a turn, at least 1.
        epochs: Of training before a scheme is measured; 0 for none.
        final_epochs: Of training with distillation before the last measurement.
        seed: Of exploration and training, at least 0.

    Raises:
        ArgumentError: A field is no whole number, or out of range.
    """

    measure: AtLeast1 = 40
    per_turn: AtLeast1 = 8
    best: AtLeast1 = 2
    epochs: AtLeast0 = 0
    final_epochs: AtLeast0 = 0
    seed: AtLeast0 = 0

    def __post_init__(self) -> None:
        take_fields(self)
