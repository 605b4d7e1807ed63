"""The flow, one call a step: the index of what hao can do. Read this first.

    request -> search -> run directory -> quantize -> emit -> simulate -> reports

Every step is one call whose result is a named value. What the command line does, a
notebook does by calling these functions; `import hao` gives all of them by name.

    a network        check_model, from_torch; or one of network_table
    a board          one of board_names, or a file that write_board_file makes of parts
    a design         search, search_together (options that are measured), then reopen,
                     estimate, verify, write_page; list_runs, compare_runs
    accuracy         quantize, explore (measured), export (QONNX)
    other networks   prune_run (channels or weights), replace_operations
    hardware         emit, simulate, lint_run, schedule_run, read_reports, calibrate

Each step stands in a module of `hao.steps`, with its request and its result. torch,
solvers and ONNX are loaded by the step that needs them, when it runs.
"""

from hao.answer.candidates import BitRules
from hao.answer.objective import Objective
from hao.emission.compiling import Build
from hao.errors import HaoError
from hao.hw.board import Frames
from hao.hw.board_file import board_names, load_board
from hao.hw.new_board import NewBoard, write_board_file
from hao.ir.network import Network
from hao.ir.picture import Fit, Preparation
from hao.measure.settings import LoopSettings
from hao.model import check_model
from hao.page.listing import list_runs
from hao.program.solver import SolverName
from hao.report.networks import network_table
from hao.report.result import SearchResult
from hao.request import SearchRequest, board_of, candidates_of
from hao.steps.calibrate import CalibrateRequest, calibrate
from hao.steps.emit import emit
from hao.steps.explore import ExploreRequest, explore
from hao.steps.floats import Method, QuantizeRequest, Source
from hao.steps.model import from_torch
from hao.steps.operations import Pooled
from hao.steps.prune import PruneMethod, PruneRequest, prune_run
from hao.steps.quantize import export, quantize
from hao.steps.replace import ReplaceRequest, replace_operations
from hao.steps.reports import lint_run, lint_schedule, read_reports, schedule_run
from hao.steps.runs import compare_runs, estimate, reopen, write_page
from hao.steps.search import search
from hao.steps.simulate import simulate
from hao.steps.together import MeasuredKind, Offer, search_together
from hao.steps.verify import verify

__all__ = [
    "BitRules",
    "Build",
    "CalibrateRequest",
    "ExploreRequest",
    "Fit",
    "Frames",
    "HaoError",
    "LoopSettings",
    "MeasuredKind",
    "Method",
    "Network",
    "NewBoard",
    "Objective",
    "Offer",
    "Pooled",
    "Preparation",
    "PruneMethod",
    "PruneRequest",
    "QuantizeRequest",
    "ReplaceRequest",
    "SearchRequest",
    "SearchResult",
    "SolverName",
    "Source",
    "board_names",
    "board_of",
    "calibrate",
    "candidates_of",
    "check_model",
    "compare_runs",
    "emit",
    "estimate",
    "explore",
    "export",
    "from_torch",
    "lint_run",
    "lint_schedule",
    "list_runs",
    "load_board",
    "network_table",
    "prune_run",
    "quantize",
    "read_reports",
    "reopen",
    "replace_operations",
    "schedule_run",
    "search",
    "search_together",
    "simulate",
    "verify",
    "write_board_file",
    "write_page",
]
