"""The certificate of a run: what was asked, what was claimed, and what proves it.

`certificate.json` lies beside the design. It holds the request, the limits that follow
from it, the answer's value and bound, why every other network is not the answer, and
the answer's problem: the network before any change and the options of its layers. With
the board of the design file that is all that a second solve needs. `hao.steps.verify`
reads it again; nothing in it is believed because it stands there.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError
from pydantic_core import to_jsonable_python

import hao
from hao.answer.ledger import Fate, Outcome
from hao.errors import InputError, UnsupportedError
from hao.hw.board import Board
from hao.ir.change import Replace, change_text
from hao.ir.layer import Input
from hao.ir.network import Network
from hao.ir.partition import Role
from hao.layer_file import FileTable, explain
from hao.options.option import Option
from hao.program.problem import Problem
from hao.program.solver import SolverName, Status
from hao.program.space import Space
from hao.report.result import SearchResult
from hao.runs.design_file import (
    check_leaves,
    read_json,
    render_design,
    take_schema,
    with_tagged_layers,
)
from hao.runs.design_schema import NetworkTable, network_document

CERTIFICATE_FILE = "certificate.json"

CERTIFICATE_SCHEMA = "hao.certificate/1"
"""Name and version of the format; a change of its keys or their meaning raises it."""


class NetworkEntry(FileTable):
    """Why one network is the answer, or is not.

    Attributes:
        label: Name and image size.
        float_top1_micro: Float top-1 [micro-points]; 100 points if unknown.
        most_top1_micro: Most that any scheme leaves of it [micro-points].
        best: Objective of its best design that was found, or `None`.
        fate: What became of it.
        cycles_limit: No design of it has at most so many cycles and, at once,
        cost_limit: at most this accuracy cost [micro-points] and, where the smallest
            design at a least top-1 was asked for, fewer blocks than the answer. Both
            are `None` where `most_top1_micro` excludes it, and for the answer.
    """

    label: str
    float_top1_micro: int
    most_top1_micro: int
    best: int | None
    fate: Fate
    cycles_limit: int | None
    cost_limit: int | None


_CHANGES = (
    r"^(bits_[2-8](_in_2)?(_kept_\d{1,3})?|keep|leave_out|"
    r"replace_[A-Za-z]\w{0,39}_at_[2-8]|channels_\d+(-\d+)?(,\d+(-\d+)?)*)$"
)
"""How a change is written; of channels, ranges of those that stay."""


class OptionEntry(FileTable):
    """One option of a layer or block, as `hao.options.option.Option`."""

    layer: str
    change: Annotated[str, Field(pattern=_CHANGES)]
    cost_micro: Annotated[int, Field(ge=0)]


Lanes = Annotated[int, Field(ge=1, le=64)]


class HeldEntry(FileTable):
    """What of the engine was given: weights are pruned in words of these lanes.

    Attributes:
        pixels: Pixels at once on offer.
        buffering: Whether weights are double-buffered: the choices on offer.
        shapes: `simd` and `pe` of stages.
        roles: Stage of each layer, where that is given.
    """

    pixels: Annotated[list[Annotated[int, Field(ge=1, le=64)]], Field(min_length=1)]
    buffering: Annotated[list[bool], Field(min_length=1)]
    shapes: dict[Role, tuple[Lanes, Lanes]]
    roles: dict[str, Role]


class OperationEntry(FileTable):
    """The layers of an operation that may stand in the place of a block.

    Attributes:
        block: Which.
        operation: Name of the operation.
        network: Its layers; the map that they read is the frame.
    """

    block: str
    operation: str
    network: NetworkTable


class ProblemEntry(FileTable):
    """The answer's problem, but for the board, which the design file has."""

    act_bits: Annotated[int, Field(ge=2, le=8)]
    options: list[OptionEntry]
    ties: list[list[str]]
    network: NetworkTable
    held: HeldEntry | None = None
    operations: list[OperationEntry] = Field(default_factory=list)


class ChangedEntry(FileTable):
    """What is recorded of a network that was changed and trained, not searched for.

    Attributes:
        top1: Float top-1 that was measured on test frames [percent], if they had
            labels.
    """

    top1: Annotated[float, Field(ge=0, le=100)] | None


class Certificate(FileTable):
    """What a run claims, and what proves it.

    Attributes:
        hao: Version that wrote it.
        asked: The request, without what does not bear on the answer.
        design: SHA-256 of the design file.
        cycles_limit: Most cycles of a start that the request allows, if it limits them.
        least_top1_micro: Least top-1 that it allows [micro-points], likewise.
        label: The answer's network and image size.
        cost_micro: Accuracy cost of the answer [micro-points].
        latency_cycles: A start of the answer [cycles].
        objective: Value of what was minimised: one of these two, or measured blocks.
        bound: No design has less.
        status: Whether that is proven over all networks.
        solver: Who solved the integer program.
        priced: Engines that the search of the answer's network priced.
        networks: Every network that was considered, in the order of the search.
        problem: The answer's.
        changed: Of a network that is not the one that `asked` names, but was made of it
            by training; its layers are those of `problem`.
    """

    hao: str
    asked: dict[str, object]
    design: str
    cycles_limit: int | None
    least_top1_micro: int | None
    label: str
    cost_micro: int
    latency_cycles: int
    objective: int
    bound: int
    status: Status
    solver: SolverName
    priced: int
    networks: Annotated[list[NetworkEntry], Field(min_length=1)]
    problem: ProblemEntry
    changed: ChangedEntry | None = None


def digest(content: bytes) -> str:
    """Return the SHA-256 of a design file in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def render_certificate(
    result: SearchResult,
    outcome: Outcome,
    *,
    asked: dict[str, object],
    cycles_of: Callable[[Board], int | None],
    least_top1_micro: int | None,
) -> str:
    """Return the certificate of a result as the text of its file.

    Args:
        result: The answer.
        outcome: Of the search that found it.
        asked: The request as JSON values.
        cycles_of: Returns the most cycles of a start on a board, if a frame rate was
            asked for.
        least_top1_micro: Least top-1 [micro-points], if one was asked for.
    """
    report = outcome.report
    answer = outcome.candidate
    board = result.design.board
    problem, cycles_limit = answer.problem(board), cycles_of(board)
    networks = []
    for verdict in outcome.verdicts:
        candidate = verdict.candidate
        cycles = cost = None
        if verdict.fate not in (Fate.BOUNDED, Fate.CHOSEN):
            # What is strictly better than the answer; or, for the smallest design at a
            # least top-1, what keeps the limits, among which none is smaller.
            cycles = cycles_of(candidate.on(board))
            if cycles is None:
                cycles = report.cost.latency_cycles - 1
            if least_top1_micro is not None:
                cost = candidate.top1_micro - least_top1_micro
            elif cycles_limit is not None:
                lead = candidate.top1_micro - answer.top1_micro
                cost = report.cost_micro + lead - 1
        networks.append(
            {
                "label": candidate.label,
                "float_top1_micro": candidate.top1_micro,
                "most_top1_micro": candidate.bound_micro,
                "best": verdict.report and verdict.report.objective,
                "fate": verdict.fate,
                "cycles_limit": cycles,
                "cost_limit": cost,
            }
        )
    values: dict[str, object] = {
        "schema": CERTIFICATE_SCHEMA,
        "hao": hao.__version__,
        "asked": asked,
        "design": digest(render_design(result).encode()),
        "cycles_limit": cycles_limit,
        "least_top1_micro": least_top1_micro,
        "label": answer.label,
        "cost_micro": report.cost_micro,
        "latency_cycles": report.cost.latency_cycles,
        "objective": report.objective,
        "bound": report.bound,
        "status": result.proof.status,
        "solver": report.solver,
        "priced": report.priced,
        "networks": networks,
        "problem": _problem_document(problem, answer.space),
    }
    if answer.changes is not None:
        values["changed"] = {"top1": answer.top1}
    return json.dumps(to_jsonable_python(values), indent=1, allow_nan=False) + "\n"


def _problem_document(problem: Problem, held: Space | None) -> dict[str, object]:
    """Return a problem as the values of a `ProblemEntry`.

    Args:
        problem: The answer's.
        held: What of the engine was given, if anything.
    """
    values: dict[str, object] = {
        "act_bits": problem.act_bits,
        "options": [
            {
                "layer": option.layer,
                "change": change_text(option.change),
                "cost_micro": option.cost_micro,
            }
            for option in problem.options
        ],
        "ties": problem.ties,
        "network": network_document(problem.network),
    }
    if operations := _operation_documents(problem.options):
        values["operations"] = operations
    if held is not None:
        values["held"] = {
            "pixels": held.pixels,
            "buffering": held.buffering,
            "shapes": dict(held.shapes),
            "roles": dict(held.roles),
        }
    return values


def _operation_documents(options: Iterable[Option]) -> list[dict[str, object]]:
    """Return the layers of every operation on offer as `OperationEntry` values."""
    found: dict[tuple[str, str], dict[str, object]] = {}
    for option in options:
        change = option.change
        key = option.layer, change.operation if isinstance(change, Replace) else ""
        if not isinstance(change, Replace) or key in found:
            continue
        first = change.layers[0]
        assert not isinstance(first, Input)
        entry = Input(name=first.inputs[0], ofm=first.ifm)
        alone = Network(name=change.operation, layers=(entry, *change.layers))
        found[key] = {
            "block": option.layer,
            "operation": change.operation,
            "network": network_document(alone),
        }
    return list(found.values())


def load_certificate(run: Path) -> Certificate:
    """Return the certificate of a run.

    Args:
        run: A run directory.

    Raises:
        InputError: It has none, or one that is malformed or of another schema. One
            line: file, key, value, limit.
        UnsupportedError: The network has a layer that the engine cannot run.
    """
    path = run / CERTIFICATE_FILE
    if run.is_dir() and not path.exists():
        raise InputError(
            f"{run}: no {CERTIFICATE_FILE} in it; only a search proves its answer and "
            "writes one, no measured scheme of `hao explore`"
        )
    values = read_json(path, shown=str(path), what="certificate")
    try:
        take_schema(values, CERTIFICATE_SCHEMA)
        check_leaves(values)
        problem = values.get("problem")
        if isinstance(problem, dict):
            values["problem"] = _tagged(problem)
        return Certificate.model_validate_json(json.dumps(values))
    except ValidationError as error:
        raise InputError(f"{path}: {explain(error)}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except UnsupportedError as error:
        raise UnsupportedError(f"{path}: {error}") from error


def _tagged(problem: dict[str, object]) -> dict[str, object]:
    """Return a problem with the fields of each layer apart from its type."""
    operations = problem.get("operations")
    if isinstance(operations, list):
        tagged = [
            with_tagged_layers(each) if isinstance(each, dict) else each
            for each in operations
        ]
        problem = {**problem, "operations": tagged}
    return with_tagged_layers(problem)
