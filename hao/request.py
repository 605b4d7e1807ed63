"""A search request: what a user may ask for, checked, and what follows from it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field, InstanceOf, TypeAdapter, ValidationError

from hao.accuracy.between import known_networks
from hao.accuracy.drops import load_drop_law
from hao.accuracy.published import Between
from hao.answer.candidates import (
    BitRules,
    Candidate,
    make_candidate,
    published_candidates,
    source_of,
)
from hao.answer.explain import held_in_words
from hao.answer.explore import budget_cycles
from hao.answer.objective import Objective, objective_faults
from hao.answer.workers import Progress, usable_cores
from hao.arguments import take_fields, takes_words
from hao.calibration.file import load_constants
from hao.cost.power import why_no_power
from hao.cost.uncertainty import latency_evidence
from hao.errors import ArgumentError, InfeasibleError, InputError
from hao.frontends.imported import ImportedNetwork
from hao.hw.board import MOST_BATCH, Board, Frames
from hao.hw.board_file import load_board
from hao.hw.budget import with_budget
from hao.hw.device import check_clock
from hao.ir.network import Network
from hao.ir.quantizers import stages_only
from hao.ir.tensor import ImageSize
from hao.layer_file import explain
from hao.model import check_buildable, load_buildable
from hao.options.option import MICRO
from hao.program.several import OVERLAP_PERCENT
from hao.program.solver import SolverName
from hao.runs.certificate import Certificate
from hao.runs.design_schema import to_network
from hao.runs.recorded import (
    recorded_channels,
    recorded_densities,
    recorded_operations,
    recorded_space,
)
from hao.zoo import build_network


def usual_margin() -> float:
    """Return what part of the frame time a prediction leaves free by default [percent].

    So much that the interval of its frame rate begins no lower than at what was asked.
    """
    return float(latency_evidence().margin_percent)


MODELS = (
    "a Path or its text, package.module:function that makes a torch module, or a "
    "Network; hao.from_torch(module, example) makes one of a torch.nn.Module"
)
"""What `SearchRequest.model` takes, in words."""

Most = Annotated[str | int | None, 'a count, or text such as "30000" or "50%"']
"""A count of blocks, or a share of the device."""

MOST_BEST = 50
"""Most designs listed of one network (chosen here)."""

MOST_WITHIN_PERCENT = 50
"""Largest part of its accuracy cost by which an answer may be beaten (chosen here)."""

FrameSize = Annotated[ImageSize | None, "a number, or a pair: height and width"]
"""Size of a frame [pixels]."""

MOST_FRONT = 200
"""Most points of a front (chosen here)."""

FRONT_POINTS = 6
"""Points of the front where networks compete (chosen here)."""

BATCHES = (1, 2, 4, 8)
"""Frames of a start that a search may choose.

Chosen here: from 4 on, twice as many make the zoo's networks few percent faster
(docs/decisions/0042-frames-that-share-weights.md).
"""

USUAL_WORKERS = 4
"""Most processes unless asked for more (chosen here)."""

MOST_WORKERS = 256
"""Most processes on one machine (chosen here)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest:
    """What a user asks for.

    Attributes:
        board: Name of a board or path of a board file.
        fps: Frame rate to reach; for `Objective.ACCURACY`, `AREA` and `POWER`.
        network: One network of the zoo; `None` for all with published accuracy.
        image_size: Of that network, or of a `model` whose file leaves it open: a
            number of pixels, or height and width; `None` for the usual one.
        between_sizes: Where networks compete, offer them at image sizes between
            published ones too, with interpolated top-1.
        between_widths: The same of widths between published ones.
        model: Instead of the zoo an ONNX or QONNX file, `package.module:function` that
            makes a torch module, or a network; `hao.from_torch` makes one of a module.
        top1: Float top-1 of `model` [percent], if known.
        min_top1: Least top-1 [percent]; for `Objective.FPS`, and if wanted for `AREA`
            and `POWER`.
        clock_mhz: Clock instead of the board's.
        calibration: File of the cost model's constants for the board; `None` for those
            that ship with hao.
        max_lut: Most LUTs of a design: a count such as 30000, or a share of the
            device such as "50%"; `None` for the board's cap, which holds as well.
        max_ff: Most flip-flops, likewise.
        max_dsp: Most DSP slices, likewise.
        max_bram: Most block RAMs in 18 Kb halves, likewise.
        max_uram: Most URAM blocks, likewise; none may be allowed.
        rules: Bits on offer, and whether blocks may be left out; `None` for the usual
            ones of the step: of a search, `BitRules()`.
        act_bits: Widths of the activations to choose from, distinct, from 4 to 8; empty
            for that of the rules alone.
        objective: What to optimise.
        frames: How frames follow each other: whether frame rates count what the host
            does for each, or the engine alone.
        batch: Frames that one start of the engine takes, from 1 to `MOST_BATCH`; their
            weights load once. More than 1 with frames back to back only. `None` lets
            the search choose of `BATCHES`, the fewest of equally good designs.
        max_latency_ms: Most time of the engine for a start [ms]; with `fps` only.
        margin_percent: Part of the frame time that the prediction must leave free
            [percent], from 0 to 90; counts where `fps` is asked for. By default so much
            that the interval of the frame rate begins at `fps`.
        within_percent: Part of its accuracy cost by which the answer may be beaten
            [percent], from 0, the best, to 50; for `Objective.ACCURACY` of one network.
            The search may then end much sooner, and the proof says how near it came.
        front_points: Points of the front to compute besides; 0 for none; `None` for 6
            where networks compete and not the smallest design is asked for, else none.
        best: Designs of the chosen network to list, the answer included, at least 1;
            more than 1 with `Objective.ACCURACY` only.
        overlap_percent: Share of the layers with a choice in which two of them may be
            alike [percent], from 0 to 100.
        solver: Who solves the integer programs.
        workers: Networks that are solved side by side on this machine, at least 1;
            `None` for its cores, at most 4, where networks compete, else 1.
        cluster: Address of a Dask scheduler, such as "tcp://host:8786", whose workers
            solve instead; `None` for this machine.

    Words stand for the members of enumerations, such as "highs", and text for paths.

    Raises:
        ArgumentError: A field is of a type that it cannot take; or fields are missing,
            out of range, or clash: it names all.
    """

    board: str | Path
    fps: float | None = None
    network: str | None = None
    image_size: FrameSize = None
    between_sizes: bool = False
    between_widths: bool = False
    model: Annotated[Path | InstanceOf[Network] | None, MODELS] = None
    top1: float | None = None
    min_top1: float | None = None
    clock_mhz: float | None = None
    calibration: Path | None = None
    max_lut: Most = None
    max_ff: Most = None
    max_dsp: Most = None
    max_bram: Most = None
    max_uram: Most = None
    rules: BitRules | None = None
    act_bits: tuple[int, ...] = ()
    objective: Objective = Objective.ACCURACY
    frames: Frames = Frames.ONE_AT_A_TIME
    batch: int | None = 1
    max_latency_ms: float | None = None
    margin_percent: float = field(default_factory=usual_margin)
    within_percent: float = 0.0
    front_points: Annotated[int, Field(ge=0, le=MOST_FRONT)] | None = None
    best: int = 1
    overlap_percent: int = OVERLAP_PERCENT
    solver: SolverName = SolverName.AUTO
    workers: int | None = None
    cluster: str | None = None

    def __post_init__(self) -> None:
        take_fields(self)
        if faults := [*_faults(self), *_best_faults(self)]:
            raise ArgumentError("; and ".join(faults))

    @property
    def bit_rules(self) -> BitRules:
        """Return the rules that a search goes by."""
        return BitRules() if self.rules is None else self.rules

    @property
    def promised_share(self) -> float:
        """Return the share of a predicted frame rate that is promised."""
        return 1 - self.margin_percent / 100

    @property
    def several(self) -> bool:
        """Return whether networks compete: those of the zoo."""
        return self.network is None and self.model is None

    @property
    def points(self) -> int:
        """Return how many points of the front to compute."""
        if self.front_points is not None:
            return self.front_points
        return FRONT_POINTS if self.several and not self.objective.is_smallest else 0

    @property
    def processes(self) -> int:
        """Return how many networks to solve side by side on this machine."""
        if self.workers is not None:
            return self.workers
        if self.several and self.cluster is None:
            return min(USUAL_WORKERS, usable_cores())
        return 1


def limits_of(request: SearchRequest, board: Board) -> tuple[int | None, int | None]:
    """Return the most cycles of a frame and the least top-1 that a request allows.

    Args:
        request: The request.
        board: Its board.

    Returns:
        Cycles, or `None` if no frame rate is asked for; micro-points, or `None`.
    """
    cycles = top1 = None
    if request.fps is not None:
        cycles = budget_cycles(board, request.fps / request.promised_share)
    if request.min_top1 is not None:
        top1 = round(request.min_top1 * MICRO)
    return cycles, top1


def _faults(request: SearchRequest) -> Iterator[str]:
    """Yield what is wrong with a request, a sentence each."""
    if request.fps is not None and not 0 < request.fps < 1e6:
        yield f"`fps` = {request.fps:g}; must be above 0 and below 1000000"
    yield from objective_faults(
        request.objective,
        fps=request.fps,
        min_top1=request.min_top1,
        front_points=request.points,
    )
    if len(set(request.act_bits)) != len(request.act_bits):
        yield f"`act_bits` = {request.act_bits}; must be distinct"
    points = request.bit_rules.block_points
    if points is not None and not 0 <= points <= 100:
        yield f"`block_points` = {points:g}; must be from 0 to 100 points"
    if not 0 <= request.margin_percent <= 90:
        yield (
            f"`margin_percent` = {request.margin_percent:g}; must be from 0 to 90 "
            "percent"
        )
    yield from _within_faults(request)
    for name, value in (("top1", request.top1), ("min_top1", request.min_top1)):
        if value is not None and not 0 < value <= 100:
            yield f"`{name}` = {value:g}; must be above 0, at most 100 percent"
    if request.network is not None and request.model is not None:
        yield "`network` and `model` exclude each other"
    if request.image_size is not None and not (request.network or request.model):
        yield "`image_size` needs `network` or `model`"
    for name, between in (
        ("between_sizes", request.between_sizes),
        ("between_widths", request.between_widths),
    ):
        if between and not request.several:
            yield f"`{name}` offers more networks; it excludes `network` and `model`"
    if request.network is not None and isinstance(request.image_size, tuple):
        yield (
            f"`image_size` = {request.image_size}; frames of a network of the zoo are "
            "square: one number"
        )
    if request.top1 is not None and request.model is None:
        yield "`top1` is the float accuracy of a `model`; none was given"
    yield from _start_faults(request)
    if request.clock_mhz is not None and not 10 <= request.clock_mhz <= 1000:
        yield f"`clock_mhz` = {request.clock_mhz:g} MHz; must be from 10 to 1000 MHz"
    if not 1 <= request.processes <= MOST_WORKERS:
        yield f"`workers` = {request.workers}; must be from 1 to {MOST_WORKERS}"
    if request.cluster is not None and request.processes != 1:
        yield "`workers` and `cluster` exclude each other"


def _within_faults(request: SearchRequest) -> Iterator[str]:
    """Yield what is wrong with how far from the best the answer may be."""
    within = request.within_percent
    if not 0 <= within <= MOST_WITHIN_PERCENT:
        yield (
            f"`within_percent` = {within:g}; must be from 0 to {MOST_WITHIN_PERCENT} "
            "percent"
        )
    elif within and (request.several or request.objective is not Objective.ACCURACY):
        yield (
            f"`within_percent` = {within:g}: a gap is left for the objective "
            "'accuracy' of one network (`network` or `model`); leave it out"
        )


def _start_faults(request: SearchRequest) -> Iterator[str]:
    """Yield what is wrong with the frames of a start, and with their time."""
    batch = "auto" if request.batch is None else str(request.batch)
    if request.batch is not None and not 1 <= request.batch <= MOST_BATCH:
        yield f"`batch` = {batch}; must be from 1 to {MOST_BATCH}"
    elif request.batch != 1 and request.frames is Frames.ONE_AT_A_TIME:
        yield (
            f"`batch` = {batch}: several frames of a start do not come one at "
            "a time; `frames` = back-to-back"
        )
    if request.batch is None:
        if request.fps is None:
            yield (
                "`batch` = auto is the fewest frames that reach `fps`; the fastest "
                "design takes as many as it may: give their number"
            )
        elif request.objective.is_smallest and request.min_top1 is None:
            yield (
                f"`batch` = auto: the objective {request.objective.value!r} needs "
                "`min_top1` with it"
            )
    most = request.max_latency_ms
    if most is not None and not 0.001 <= most <= 1e6:
        yield f"`max_latency_ms` = {most:g} ms; must be from 0.001 to 1000000 ms"
    if most is not None and request.fps is None:
        yield "`max_latency_ms` belongs to searches at `fps`; none was given"


def _best_faults(request: SearchRequest) -> Iterator[str]:
    """Yield what is wrong with how many designs are asked for, and how alike."""
    if not 1 <= request.best <= MOST_BEST:
        yield f"`best` = {request.best}; must be from 1 to {MOST_BEST}"
    if not 0 <= request.overlap_percent <= 100:
        yield (
            f"`overlap_percent` = {request.overlap_percent}; must be from 0 to 100 "
            "percent"
        )
    if request.best > 1 and request.objective is not Objective.ACCURACY:
        yield (
            f"`best` = {request.best}: several designs are listed for the objective "
            f"'accuracy', not for {request.objective.value!r}; leave `best` out"
        )


@takes_words
def board_of(request: SearchRequest) -> Board:
    """Return the board of a request, at the clock, constants and budget asked for.

    Raises:
        InputError: The board is unknown, its file or that of the constants wrong, a
            budget is no count or share of it, its power is asked for but unknown, or
            the clock is beyond what its ports or speed grade allow.
    """
    board = with_budget(
        load_board(request.board),
        {
            "lut": request.max_lut,
            "ff": request.max_ff,
            "dsp": request.max_dsp,
            "bram_18k": request.max_bram,
            "uram": request.max_uram,
        },
    )
    no_power = why_no_power(board)
    if request.objective is Objective.POWER and no_power is not None:
        raise ArgumentError(f"`objective` = power: board {board.name!r}: {no_power}")
    if request.calibration is not None:
        constants = load_constants(request.calibration, board)
        board = replace(board, calibration=constants)
    most = request.max_latency_ms
    board = replace(
        board,
        frames=request.frames,
        batch=request.batch or 1,
        most_start_us=None if most is None else int(most * 1000),
    )
    if request.clock_mhz is not None:
        board = board.at_clock(round(request.clock_mhz * 1000))
        check_clock(board)
    return board


def check_rate(request: SearchRequest, board: Board) -> None:
    """Check that the host leaves the engine time, if a frame rate is asked for.

    Args:
        request: The request.
        board: Its board.

    Raises:
        InfeasibleError: What the host adds to a frame takes all of its time.
    """
    if request.fps is None or limits_of(request, board)[0] != 0:
        return
    most = int(request.promised_share * 1e6 / board.host_us)
    raise InfeasibleError(
        f"{request.fps:g} fps{held_in_words(request.margin_percent)} on {board.name}: "
        f"the host takes {board.host_us / 1000:g} ms of a frame, so that frames one at "
        f"a time come at {most} fps at most; `frames` = back-to-back leaves it out",
        conflicts=("latency",),
    )


@takes_words
def candidates_of(
    request: SearchRequest, progress: Progress = lambda _: None
) -> list[Candidate]:
    """Return the networks to choose from, most promising first.

    Raises:
        InputError: A name or file is wrong, or bits are outside the predictor's table.
        UnsupportedError: The model has something that is not handled.
    """
    widths = request.act_bits or (request.bit_rules.act_bits,)
    return [
        candidate
        for bits in sorted(widths, reverse=True)
        for candidate in _candidates(
            request, replace(request.bit_rules, act_bits=bits), progress
        )
    ]


def _candidates(
    request: SearchRequest, rules: BitRules, progress: Progress
) -> list[Candidate]:
    """Return the networks to choose from at some rules."""
    law = load_drop_law()
    if request.model is not None:
        imported = _imported(request.model, request.image_size)
        for note in imported.notes:
            progress(f"note: {note}")
        network = stages_only(imported.network)
        top1, source = request.top1, "given by the user"
    elif request.network is not None:
        assert not isinstance(request.image_size, tuple)  # the request refuses it
        network = build_network(request.network, request.image_size)
        known = known_networks().get((network.name, network.input.ofm.width))
        top1, source = (None, "") if known is None else (known.top1, source_of(known))
        if known is None:
            _tell_known_sizes(network, progress)
    else:
        wanted = {
            None: True,
            Between.SIZES: request.between_sizes,
            Between.WIDTHS: request.between_widths,
        }
        offered = [x for x in known_networks().values() if wanted[x.interpolated]]
        return published_candidates(offered, law, rules)
    return [make_candidate(network, top1=top1, source=source, law=law, rules=rules)]


def with_batches(
    request: SearchRequest, candidates: Sequence[Candidate]
) -> list[Candidate]:
    """Return candidates, one for each number of frames of a start on offer."""
    if request.batch is not None:
        return list(candidates)
    return [replace(c, batch=batch) for c in candidates for batch in BATCHES]


def _tell_known_sizes(network: Network, progress: Progress) -> None:
    """Say at which image sizes the accuracy of a network is known, if at any."""
    size = network.input.ofm.width
    sizes = sorted(known for name, known in known_networks() if name == network.name)
    if sizes:
        progress(
            f"note: {network.name}@{size}: top-1 is unknown; published or interpolated "
            f"at image sizes {', '.join(map(str, sizes))}"
        )


def _imported(model: Path | Network, image_size: ImageSize | None) -> ImportedNetwork:
    """Return the network of a file, or one that is given."""
    if isinstance(model, Network):
        return check_buildable(ImportedNetwork(network=model, notes=()), model.name)
    return load_buildable(model, image_size=image_size)


def check_min_top1(request: SearchRequest, candidates: Sequence[Candidate]) -> None:
    """Check that a least top-1 is asked only where it is known, and one may keep it.

    Raises:
        ArgumentError: A float top-1 is not known.
        InfeasibleError: No network keeps so much at any bits on offer.
    """
    if request.min_top1 is None:
        return
    for candidate in candidates:
        if candidate.top1 is None:
            remedy = "" if request.model is None else "; `top1` gives it"
            raise ArgumentError(
                f"`min_top1` = {request.min_top1:g}: the float top-1 of "
                f"{candidate.label} is unknown{remedy}"
            )
    most = max(candidates, key=lambda c: c.bound_micro)
    if most.bound_micro < round(request.min_top1 * MICRO):
        raise InfeasibleError(
            f"no network keeps {request.min_top1:g} % top-1 at any frame rate; the "
            f"most that one keeps is {most.bound_micro / MICRO:.2f} % ({most.label})",
            conflicts=("accuracy",),
        )


def asked_again(
    certificate: Certificate, board: str
) -> tuple[SearchRequest, dict[str, Candidate]]:
    """Return the request that a certificate records, and its candidates by label.

    Those of the zoo are made anew; that of a model file has the recorded layers, and so
    has one that was changed and trained, with the recorded top-1. What channels cost
    was measured, so their options are the recorded ones.

    Args:
        certificate: Of a run.
        board: Name of its board.

    Raises:
        InputError: The request is malformed, or not a legal one.
        UnsupportedError: A layer that the engine cannot run.
    """
    asked = {**certificate.asked, "board": board}
    try:
        request = TypeAdapter(SearchRequest).validate_json(json.dumps(asked))
    except ValidationError as error:
        raise InputError(f"asked.{explain(error)}") from error
    changed = certificate.changed
    if request.model is None and changed is None:
        found = candidates_of(request)
    else:
        found = [
            make_candidate(
                to_network(certificate.problem.network),
                top1=request.top1 if changed is None else changed.top1,
                source="",
                law=load_drop_law(),
                rules=replace(request.bit_rules, act_bits=bits),
            )
            for bits in request.act_bits or (request.bit_rules.act_bits,)
        ]
    rules, problem = request.bit_rules, certificate.problem
    channels, densities = recorded_channels(problem), recorded_densities(problem)
    blocks = recorded_operations(problem) if rules.block_points is None else ()
    space = recorded_space(problem)
    found = [
        replace(
            c, channels=channels, densities=densities, operations=blocks, space=space
        )
        for c in found
    ]
    return request, {c.label: c for c in with_batches(request, found)}
