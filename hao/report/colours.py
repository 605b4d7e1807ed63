"""The colours of pictures and pages: one thing has one everywhere."""

COLOURS = {
    "dense": "#0b6fa4",
    "depthwise": "#b45309",
    "pointwise": "#2f6b4f",
    "fixed": "#6b7280",
    "ifm": "#6d4c8f",
    "ofm": "#8f6cb0",
    "residual": "#a98bc4",
    "weights": "#c0392b",
    "ddr": "#7f1d1d",
}
"""Colour of what binds, as `hao.cost` labels it, and of the parts of the engine."""

OURS, ANSWER, OTHERS = "#0b6fa4", "#c0392b", "#4b5563"
