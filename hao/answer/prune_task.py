"""What is to be pruned, for what and how: where that can begin, what is in reach."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hao.arguments import AtLeast1, take_fields
from hao.errors import InfeasibleError, InputError
from hao.hw.board import Board
from hao.ir.network import Network
from hao.options.option import Option
from hao.program.codesign import SolveReport, choose_fastest
from hao.program.problem import DEFAULT_SPACE, Problem
from hao.program.space import Space
from hao.quant.dataset import Dataset
from hao.quant.distill import Teacher
from hao.quant.train import TrainSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneSettings:
    """How a network is trained while it is pruned.

    Attributes:
        steps: Times that channels go, or projections of weights, at least 1.
        iterations: Training steps before each time that channels go, over which scores
            are averaged; or behind each projection. At least 1.
        training: Learning rate, batch and seed of these steps.

    Raises:
        ArgumentError: A field is of another type, or out of range.
    """

    steps: AtLeast1 = 1
    iterations: AtLeast1
    training: TrainSettings = field(
        default_factory=lambda: TrainSettings(epochs=1, learning_rate=1e-3)
    )

    def __post_init__(self) -> None:
        take_fields(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneTask:
    """What is to be pruned, and for what.

    Attributes:
        network: With parameters.
        dataset: Only its train and validation frames are used.
        board: Where it is to run.
        budget: Most cycles of a frame.
        layer_options: Options of the layers of a network, such as their bits.
        act_bits: Width of the activations.
        teacher: Whose outputs count beside the labels.
        space: Engines to choose from.
        promised: Share of a predicted frame rate that may be asked for.
    """

    network: Network
    dataset: Dataset
    board: Board
    budget: int
    layer_options: Callable[[Network], tuple[Option, ...]]
    act_bits: int
    teacher: Teacher
    space: Space = DEFAULT_SPACE
    promised: float = 1.0

    def problem(self, network: Network, more: Sequence[Option] = ()) -> Problem:
        """Return the problem of a network with options of its groups beside."""
        return Problem(
            network=network,
            options=(*self.layer_options(network), *more),
            board=self.board,
            act_bits=self.act_bits,
            space=self.space,
        )

    def started(self) -> SolveReport:
        """Return the whole network's fastest design, where pruning begins.

        Raises:
            InputError: It is fast enough as it is.
        """
        report = choose_fastest(self.problem(self.network))
        start = report.cost.latency_cycles
        if start <= self.budget:
            raise InputError(
                f"network {self.network.name!r} takes {start} cycles a frame as it is, "
                f"of {self.budget} allowed; ask for a higher frame rate, or search "
                "without pruning"
            )
        return report

    def check_reach(self, least: int, kept: str) -> None:
        """Check that the frame time is in reach.

        Args:
            least: Frame time with the least that is on offer [cycles].
            kept: What is kept then.

        Raises:
            InfeasibleError: It is not; the error names the nearest frame rate.
        """
        if least > self.budget:
            nearest = self.promised * self.board.frames_per_s(least)
            raise InfeasibleError(
                f"{self.network.name}: the frame rate is out of reach on "
                f"{self.board.title}; with {kept} the most to ask for is "
                f"{int(10 * nearest) / 10} fps",
                conflicts=("latency",),
            )
