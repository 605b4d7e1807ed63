"""What may be chosen of a measured search; loads neither torch nor scikit-learn."""

from dataclasses import dataclass
from enum import Enum

from hao.arguments import take_fields
from hao.errors import ArgumentError


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

    measure: int = 40
    per_turn: int = 8
    best: int = 2
    epochs: int = 0
    final_epochs: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        take_fields(self)
        for name, value, least in (
            ("measure", self.measure, 1),
            ("per_turn", self.per_turn, 1),
            ("best", self.best, 1),
            ("epochs", self.epochs, 0),
            ("final_epochs", self.final_epochs, 0),
            ("seed", self.seed, 0),
        ):
            if value < least:
                raise ArgumentError(f"`{name}` = {value}; must be at least {least}")
