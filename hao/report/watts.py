"""The power of a result in words and as JSON values; an estimate, and says so."""

from hao.cost.power import why_no_power
from hao.report.result import SearchResult

_PARTS = (
    *("total_mw", "low_mw", "high_mw", "idle_mw", "clock_mw", "logic_mw"),
    *("bram_mw", "dsp_mw", "ddr_mw"),
)


def power_in_words(result: SearchResult) -> str:
    """Return watts with their interval and parts, or why they are not estimated."""
    power = result.power
    if power is None:
        return f"not estimated: {why_no_power(result.design.board)}"
    low, total, high, idle = (
        f"{value / 1000:.1f}"
        for value in (power.low_mw, power.total_mw, power.high_mw, power.idle_mw)
    )
    return (
        f"{total} W of the board (coarse estimate, {low} to {high} W: {idle} idle, "
        f"{power.fabric_mw / 1000:.2f} fabric, {power.ddr_mw / 1000:.2f} DDR); "
        f"{power.per_watt(result.cost.fps):.1f} frames/s per watt"
    )


def power_json(result: SearchResult) -> dict[str, object]:
    """Return power [mW] and frames per second per watt, null if not estimated."""
    power = result.power
    if power is None:
        return {"power": None, "fps_per_watt": None}
    return {
        "power": {name: getattr(power, name) for name in _PARTS},
        "fps_per_watt": round(power.per_watt(result.cost.fps), 4),
    }
