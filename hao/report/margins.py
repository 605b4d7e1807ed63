"""What a result promises beyond its point predictions: intervals, margin, risk."""

from hao.cost.uncertainty import Headroom, headrooms, latency_evidence
from hao.report.result import SearchResult


def speed_in_words(result: SearchResult) -> str:
    """Return frame rate and time, how sure they are, and what was asked."""
    cost, evidence = result.cost, latency_evidence()
    low, high = evidence.fps_interval(cost.fps)
    text = (
        f"{cost.fps:.1f} frames/s, {cost.latency_ms:.2f} ms (predicted, batch 1; "
        f"{low:.1f} to {high:.1f} with the errors of {len(evidence.ratios)} published "
        f"rows)"
    )
    if result.fps_asked is None:
        return text
    margin = result.margin_percent
    held = f" with a margin of {margin:g} %" if margin else ", no margin"
    return f"{text}; asked {result.fps_asked:g}{held}"


def risk_in_words(result: SearchResult) -> str:
    """Return which limits an error of prediction may pass, the first one first."""
    found = _headrooms(result)
    risks = [
        f"{item.name}: {_percent(item.room)} more than predicted passes {item.limit}, "
        f"and {_percent(item.seen)} {'was seen' if item.measured else 'is possible'}"
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
        "fps_low": round(low, 4),
        "fps_high": round(high, 4),
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
