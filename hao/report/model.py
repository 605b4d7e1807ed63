"""What becomes of a model file, as text and JSON."""

import json
from pathlib import Path

from hao.ir.layer import Conv, Depthwise, Layer, Linear
from hao.model import ModelCheck


def render_check(path: Path, check: ModelCheck) -> str:
    """Return what is handled, rewritten and missing, a line each."""
    lines = [f"{path}: {sum(check.operators.values())} operators"]
    if check.network is not None:
        network = check.network
        frame, output = network.input.ofm, network.output.ofm
        lines[0] += (
            f", {len(network.layers) - 1} layers; frame {frame.channels}x"
            f"{frame.height}x{frame.width}, output {output.channels}x{output.height}x"
            f"{output.width}"
        )
        lines.append(
            f"{network.macs} multiply-accumulates a frame, {network.parameters} "
            f"parameters, {_widths(network.layers)}"
        )
    counts = sorted(check.operators.items(), key=lambda item: (-item[1], item[0]))
    lines.append("operators: " + ", ".join(f"{op} {n}" for op, n in counts))
    lines += ["rewritten:", *(f"  {note}" for note in check.notes or ("nothing",))]
    if check.missing:
        lines += ["missing:", *(f"  {problem}" for problem in check.missing)]
        lines.append("`hao search` refuses this file until that is changed")
    else:
        lines.append("missing: nothing; `hao search --model` takes this file")
    return "\n".join(lines)


def _widths(layers: tuple[Layer, ...]) -> str:
    bits = {
        layer.weight.bits
        for layer in layers
        if isinstance(layer, Conv | Depthwise | Linear) and layer.weight is not None
    }
    if not bits:
        return "weights in floating point"
    return f"weights quantized to {', '.join(map(str, sorted(bits)))} bits"


def check_json(path: Path, check: ModelCheck) -> str:
    """Return the same as one JSON object."""
    network = check.network
    return json.dumps(
        {
            "file": str(path),
            "operators": dict(check.operators),
            "layers": None if network is None else [one.name for one in network.layers],
            "rewritten": list(check.notes),
            "missing": list(check.missing),
        },
        indent=2,
    )
