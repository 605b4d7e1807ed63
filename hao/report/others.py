"""Several designs of one network side by side, and in what each differs."""

import textwrap
from collections import Counter
from typing import assert_never

from hao.ir.change import Bits, Change, Channels, Keep, LeaveOut, Replace
from hao.ir.sparsity import FULL
from hao.report.result import SearchResult
from hao.report.words import count_in_words, engine_in_words, named_in_words
from hao.text import WIDTH, plain, text_table


def render_others(result: SearchResult) -> str:
    """Return the answer and the further designs as a table, then what differs.

    Args:
        result: An answer with at least one further design.
    """
    every = (result, *result.others)
    head = ("", "top-1 %", "frames/s", "LUT", "FF", "DSP", "BRAM18", "layers at bits")
    rows = []
    for number, one in enumerate(every, start=1):
        used = one.cost.resources
        blocks = (used.lut, used.ff, used.dsp, used.bram_18k)
        top1 = "unknown" if one.accuracy is None else f"{one.accuracy.mean:.2f}"
        counts = Counter(
            one.design.weight_bits[n.name] for n in one.design.network.compute_layers
        )
        bits = ", ".join(f"{counts[b]} at {b}" for b in sorted(counts, reverse=True))
        rows.append((str(number), top1, f"{one.cost.fps:.1f}", *map(str, blocks), bits))
    lines = [text_table(head, rows, left={7}), ""]
    for number, one in enumerate(every[1:], start=2):
        text = f"{number} differs from 1: {_differences(result, one)}"
        lines += textwrap.wrap(text, WIDTH, subsequent_indent="    ")
    return "\n".join(lines) + "\n"


def _differences(first: SearchResult, other: SearchResult) -> str:
    """Return in words how a design differs from another one of its network."""
    parts = []
    then, now = first.design.scheme, other.design.scheme
    changed = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    if changed:
        named = named_in_words(
            [
                f"{plain(n)} {_in_words(then.get(n))} to {_in_words(now.get(n))}"
                for n in changed
            ]
        )
        parts.append(f"{count_in_words(len(changed), 'choice')} ({named})")
    stages = engine_in_words(first.design.engine)
    parts += [
        f"{stage}: {words or 'absent'}"
        for stage, words in engine_in_words(other.design.engine).items()
        if words != stages[stage]
    ]
    return "; ".join(parts) or "in nothing"


def _in_words(change: Change | None) -> str:
    """Return what a layer or block becomes; `None` is one that is not there."""
    match change:
        case Bits():
            passes = "" if change.passes == 1 else f" in {change.passes} passes"
            kept = "" if change.density == FULL else f" at {change.density} % kept"
            return f"{change.weight_bits}{passes}{kept}"
        case Keep():
            return "kept"
        case LeaveOut():
            return "left out"
        case Channels():
            return f"{len(change.kept)} channels"
        case Replace():
            return f"{change.operation} at {change.weight_bits} bits"
        case None:
            return "absent"
        case _:
            assert_never(change)
