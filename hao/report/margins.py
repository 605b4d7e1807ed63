"""What a result promises beyond its point predictions: intervals, margin, risk."""

from contextlib import suppress
from dataclasses import replace

from hao.answer.explore import budget_cycles
from hao.answer.objective import Objective
from hao.cost.evaluate import evaluate
from hao.cost.uncertainty import COVERAGE_PERCENT, Headroom, headrooms, latency_evidence
from hao.errors import InputError
from hao.hw.board import Frames
from hao.report.result import SearchResult
from hao.text import decimal

SPARE = 1.5
"""Where so many times the engine's time are left, a report says so (chosen here)."""

FASTER = 1.02
"""Gain from which a report offers starts of several frames (chosen here)."""


def speed_in_words(result: SearchResult) -> str:
    """Return frame rate and time, how sure they are, and what was asked."""
    cost = result.cost
    low, high = latency_evidence().fps_interval(cost.fps)
    if result.design.board.frames is Frames.ONE_AT_A_TIME:
        parts = (
            f"frames/s one at a time: {decimal(cost.engine_ms)} ms of the engine and "
            f"{cost.host_us / 1000:.2f} of the host a frame"
        )
    else:
        parts = (
            f"frames/s back to back: {decimal(cost.engine_ms)} ms of the engine a frame"
        )
    text = (
        f"{cost.fps:.1f} {parts} (predicted, batch {cost.frames}; {COVERAGE_PERCENT} % "
        f"interval "
        f"{low:.1f} to {high:.1f})"
    )
    if result.fps_asked is None:
        return text
    margin = result.margin_percent
    held = f" with a margin of {margin:g} %" if margin else ", no margin"
    return f"{text}; asked {result.fps_asked:g}{held}"


def spare_in_words(result: SearchResult) -> str | None:
    """Return how to get a smaller design where far more time is left than it takes."""
    asked, board = result.fps_asked, result.design.board
    if asked is None or result.objective is not Objective.ACCURACY:
        return None
    allowed = budget_cycles(board, asked / (1 - result.margin_percent / 100))
    room = allowed / result.cost.latency_cycles
    if room < SPARE:
        return None
    return (
        f"the engine may take {room:.1f} times as long: of equally accurate designs "
        "this is the fastest, whatever it fills; `--objective area` finds the "
        "smallest, in more time"
    )


def starts_in_words(result: SearchResult) -> str | None:
    """Return how fast the engine is where a start takes several frames.

    `None` where a frame rate was asked for, frames come one at a time, starts take
    several already, or less than `FASTER` is gained.
    """
    design, cost = result.design, result.cost
    board, rates = design.board, dict[int, float]()
    if board.frames is Frames.ONE_AT_A_TIME or cost.frames > 1 or result.fps_asked:
        return None
    for count in (2, 4):
        # A buffer that holds parts of a reduction is too small for several frames.
        with suppress(InputError):
            at_once = replace(design, board=replace(board, batch=count))
            rates[count] = evaluate(at_once).fps
    told = [f"{fps:.1f} at {n}" for n, fps in rates.items() if fps > FASTER * cost.fps]
    if not told:
        return None
    return (
        f"{', '.join(told)} frames a start, whose weights load once: frames/s of this "
        "engine, each result later (`--batch`)"
    )


def low_end_in_words(result: SearchResult) -> str | None:
    """Return that the interval begins below what was asked; `None` if it does not."""
    asked = result.fps_asked
    evidence = latency_evidence()
    low, _ = evidence.fps_interval(result.cost.fps)
    if asked is None or low >= asked:
        return None
    margin = evidence.margin_percent
    return (
        f"the interval begins at {low:.1f} frames/s, below the {asked:g} asked; with "
        f"a margin of {margin} % it would not"
    )


def risk_in_words(result: SearchResult) -> str:
    """Return which limits an error of prediction may pass, the first one first."""
    found = _headrooms(result)
    risks = [
        f"{item.name}: {item.limit} already passed by {_percent(1 / item.room)}"
        if item.room < 1
        else f"{item.name}: {_percent(item.room)} more than predicted passes "
        f"{item.limit}, and {_percent(item.seen)} "
        f"{'lies within its interval' if item.measured else 'is possible'}"
        for item in found
        if item.strain > 1
    ]
    board = result.design.board
    if board.sourced_khz is not None and board.clock_excess > 1:
        risks.insert(
            0,
            f"clock: {board.clock_mhz:g} MHz are {_percent(board.clock_excess)} more "
            f"than the {board.sourced_khz / 1000:g} MHz of the board file, the fastest "
            "with a source",
        )
    if not risks:
        return "no limit: each has more room than its prediction was seen to be off"
    return "; then ".join(risks)


def margins_json(result: SearchResult) -> dict[str, object]:
    """Return interval, margin and headroom as JSON values."""
    low, high = latency_evidence().fps_interval(result.cost.fps)
    return {
        "frames": result.design.board.frames.value,
        "batch": result.cost.frames,
        "host_ms": result.cost.host_us / 1000,
        "fps_low": round(low, 4),
        "fps_high": round(high, 4),
        "low_end_below_asked": low_end_in_words(result) is not None,
        "margin_percent": result.margin_percent,
        "clock_excess": round(result.design.board.clock_excess, 4),
        "headroom": [
            {
                "limit": item.name,
                "room": round(item.room, 4),
                "error": round(item.seen, 4),
            }
            for item in _headrooms(result)
        ],
    }


def _headrooms(result: SearchResult) -> tuple[Headroom, ...]:
    return headrooms(result.cost, result.design.board, fps_asked=result.fps_asked)


def _percent(ratio: float) -> str:
    return f"{100 * (ratio - 1):.0f} %"
