"""The words that a newcomer does not have, and the legend under a text."""

import re
import textwrap
from types import MappingProxyType

from hao.text import WIDTH

TERMS = MappingProxyType(
    {
        "invocation": "One run of the engine: up to three layers (dense, depthwise, "
        "pointwise), pipelined, that read one feature map from DDR and write one.",
        "binds": "What takes longest in an invocation and so sets its time: a stage of "
        "the engine, a port (IFM, OFM, residual), the load of weights, or the DDR.",
        "front": "Designs of which none is both faster and more accurate than another "
        "one.",
        "top-1": "Share of the test frames for which the class that the network ranks "
        "first is right.",
        "90 % interval": "The range in which nine of ten cases lie, by how far the "
        "same prediction was off where the truth is known.",
        "margin": "Part of the frame time that the prediction leaves free, so that the "
        "rate is still reached if the prediction is too fast.",
        "MACs": "Multiply-accumulates, the products of a network.",
        "period": "Cycles from the start of one invocation to the start of the next.",
        "tiles": "Runs of an invocation over groups of output channels, where not all "
        "its weights fit on the chip.",
        "IFM": "Input feature map: what an invocation reads.",
        "OFM": "Output feature map: what an invocation writes.",
        "residual": "A second feature map that is added on the way out.",
        "DSP": "Multiplier slice of the device; two products of 8 bits fit in one.",
        "BRAM18": "Block RAM of 18 Kb, half of a block of 36 Kb.",
        "URAM": "Memory of 288 Kb a block, which some devices have; holds weights.",
        "LUT": "Look-up table, the device's logic and small memories.",
        "FF": "Flip-flop, the device's registers.",
        "usable": "What may be used of the device so that place-and-route succeeds, by "
        "the caps of the board file and what was asked for.",
        "by rule": "Counted exactly from the sizes of the engine.",
        "lanes": "Outputs that a stage computes side by side.",
        "roofline": "The most work a second that multipliers and DDR allow for so many "
        "products a byte.",
        "replayed": "Cycles counted by running the emitted C++ and replaying its trace "
        "of streams and bus accesses; not a measurement on a board.",
        "optimal": "Proven: no design within the request is better.",
        "gap": "How far the answer may be from the best, where that is not proven.",
        "calibrated": "With constants of the model that were fitted to reports or "
        "times of real designs.",
        "arena": "The part of DDR that all feature maps share.",
    }
)
"""Definition of each term."""

TERM = re.compile(
    r"(?<![\w-])("
    + "|".join(sorted(map(re.escape, TERMS), key=len, reverse=True))
    + r")(?![\w-])"
)
"""Where a text has one of them."""


def render_legend(text: str) -> str:
    """Return what the words in a text mean that a newcomer does not have.

    Args:
        text: A report.
    """
    used = {found[1] for found in TERM.finditer(text)}
    widest = max(map(len, used), default=0)
    lines = [
        textwrap.fill(
            f"{term:{widest}}  {TERMS[term]}",
            WIDTH,
            subsequent_indent=" " * (widest + 2),
        )
        for term in TERMS
        if term in used
    ]
    return "\n".join(("What the words mean", "-" * 19, *lines)) + "\n"
