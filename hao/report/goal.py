"""What a search made best, and how near the answer is to what is possible, in words."""

from typing import assert_never

from hao.answer.objective import AREA_SCALE, Objective, measure_of
from hao.ir.change import densities_of, kept_channels, left_out, replaced
from hao.ir.channels import GROUP_SUFFIX
from hao.options.option import MICRO
from hao.report.result import SearchResult
from hao.report.words import count_in_words, named_in_words
from hao.text import plain


def smallest_in_words(result: SearchResult) -> str | None:
    """Return what was made least, if blocks were, and how much of it there is."""
    board, objective = result.design.board, result.objective
    measure = measure_of(objective, board)
    if measure is None:
        return None
    amount = blocks_in_words(result, measure.of(result.cost.resources))
    if objective is Objective.AREA:
        return f"{amount}: shares of the device in LUT, FF, DSP and BRAM, added up"
    return (
        f"{amount} for clock tree and blocks if all switch in every cycle: a bound at "
        "any activity, without idle and DDR; ranked by this (docs/power.md)"
    )


def unproven_in_words(result: SearchResult) -> str | None:
    """Return that a better design is not excluded, with the bound; `None` if it is.

    It is where none is better by more than was allowed.
    """
    proof = result.proof
    if proof.as_asked:
        return None
    text = f"a better design is not excluded: {bound_in_words(result)}"
    if proof.open:
        names = [plain(name) for name in proof.open]
        text += f"; not searched to the end: {named_in_words(names)}"
    return text


def left_out_in_words(result: SearchResult) -> str | None:
    """Return which blocks were left out, and at whose figure; `None` if none was."""
    names = left_out(result.design.scheme)
    if not names:
        return None
    named = named_in_words([plain(name) for name in names])
    text = f"{named} ({count_in_words(len(names), 'block')}"
    return f"{text}{_points_in_words(result)})"


def channels_in_words(result: SearchResult) -> str | None:
    """Return how many channels stay of groups with a choice; `None` if none had one."""
    kept = kept_channels(result.design.scheme)
    if not kept:
        return None
    return named_in_words(
        [
            f"{plain(name.removesuffix(GROUP_SUFFIX))} {len(channels)}"
            for name, channels in kept.items()
        ]
    )


def pruned_in_words(result: SearchResult) -> str | None:
    """Return which layers keep a part of their words; `None` if all keep all."""
    kept = densities_of(result.design.scheme)
    if not kept:
        return None
    parts = [f"{plain(name)} {density} %" for name, density in kept.items()]
    return f"kept of the words of weights: {named_in_words(parts)}"


def replaced_in_words(result: SearchResult) -> str | None:
    """Return which blocks were replaced, and by what; `None` if none was."""
    found = replaced(result.design.scheme)
    if not found:
        return None
    parts = [
        f"{plain(name)} by {plain(change.operation)} at {change.weight_bits} bits"
        for name, change in found.items()
    ]
    return f"{named_in_words(parts)} ({count_in_words(len(found), 'block')})"


def _points_in_words(result: SearchResult) -> str:
    points = result.block_points
    if points is None:
        return ""
    return f", at {points:g} {'point' if points == 1 else 'points'} each as given"


def bound_in_words(result: SearchResult) -> str:
    """Return what no design is better than, and the gap."""
    return f"{_bound_in_words(result)}, gap {100 * result.proof.gap:.2f} %"


def _bound_in_words(result: SearchResult) -> str:
    bound = result.proof.bound
    if bound is None:
        return "its bound is not recorded"
    match result.objective:
        case Objective.ACCURACY:
            return (
                f"none leaves more than {-bound / MICRO:.2f} % top-1, as the search "
                "ranks it"
            )
        case Objective.FPS | Objective.LATENCY:
            rate = result.design.board.frames_per_s
            most = f"{rate(bound):.1f} frames/s" if bound > 0 else "any rate"
            return f"none makes more than {most}"
        case Objective.AREA | Objective.POWER:
            return f"none takes less than {blocks_in_words(result, bound)}"
        case _:
            assert_never(result.objective)


def blocks_in_words(result: SearchResult, blocks: int) -> str:
    """Return blocks, as the objective of a smallest design counts them, in words."""
    if result.objective is Objective.AREA:
        return f"{100 * blocks / AREA_SCALE:.1f} %"
    # 1 fJ x 1 kHz = 10^-12 W.
    return f"{blocks * result.design.board.clock_khz / 1e12:.2f} W"
