"""A model file as the search takes it: whatever is let in here can be built.

    file -> layers of the engine -> a partition of them

What no later step could quantize, emit or simulate is refused here, all of it at once.
`check_model` says what became of a file's operators without stopping at what is
missing.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hao.arguments import takes_words
from hao.errors import InputError, UnsupportedError
from hao.frontends.imported import ImportedNetwork
from hao.frontends.model_file import load_model, operators
from hao.ir.integer import Requantization, with_evens, with_multipliers, with_wide_means
from hao.ir.layer import Compute, Layer
from hao.ir.network import Network
from hao.ir.partition import engine_problems, partition
from hao.ir.quantizers import is_quantized, stages_only
from hao.ir.tensor import ImageSize, height_and_width
from hao.quant.codable import codable
from hao.quant.imported import check_quantization

_MULTIPLIERS = {
    Requantization.MULTIPLIER: "an 18-bit multiplier, a DSP slice",
    Requantization.WIDE: "a 25-bit multiplier, two DSP slices",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCheck:
    """What became of a model file.

    Attributes:
        operators: How many nodes there are of each operator.
        network: What is built; `None` where something is missing.
        notes: What was rewritten or left out, a sentence each.
        missing: What cannot be built, a sentence with its remedy each.
    """

    operators: Mapping[str, int]
    network: Network | None
    notes: tuple[str, ...]
    missing: tuple[str, ...]

    def __repr__(self) -> str:
        """Return what is handled, rewritten and missing: what Python shows."""
        return render_check(self)


def render_check(check: ModelCheck) -> str:
    """Return what is handled, rewritten and missing, a line each."""
    lines = [f"{sum(check.operators.values())} operators"]
    if check.network is not None:
        network = check.network
        lines[0] += (
            f", {len(network.layers) - 1} layers; frame {network.input.ofm}, output "
            f"{network.output.ofm}"
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
        if isinstance(layer, Compute) and layer.weight is not None
    }
    if not bits:
        return "weights in floating point"
    return f"weights quantized to {', '.join(map(str, sorted(bits)))} bits"


def load_buildable(
    path: Path, *, image_size: ImageSize | None = None
) -> ImportedNetwork:
    """Return the network of a model file that every later step can take.

    A quantized network keeps its quantizers, of which `hao.quant.imported` makes the
    integers; what the search sees of it is `stages_only`.

    Args:
        path: The file.
        image_size: Height and width of the frame where the file leaves them open.

    Raises:
        InputError: The suffix is unknown, or the file is missing or malformed.
        UnsupportedError: Something cannot be built; the error names all of it.
    """
    imported = check_buildable(load_model(path, image_size=image_size), str(path))
    frame = imported.network.input.ofm
    size = (frame.height, frame.width)
    if image_size is not None and height_and_width(image_size) != size:
        raise InputError(
            f"{path}: frames of {frame.height}x{frame.width}; `image_size` is for "
            "files that leave it open; leave it out"
        )
    return imported


def multiplied(mode: Requantization) -> str:
    """Return what a network's free scales take, a multiplier mode."""
    return (
        f"scales that no shifts express: sums take {_MULTIPLIERS[mode]} for each lane "
        "and pixel at once"
    )


def check_buildable(imported: ImportedNetwork, where: str) -> ImportedNetwork:
    """Return a network as every later step can take it.

    Args:
        imported: The network, and what is known about it.
        where: Its file or name; messages begin with it.

    Raises:
        UnsupportedError: Something cannot be built; the error names all of it.
    """
    network, notes = imported.network, imported.notes
    quantized = is_quantized(network)
    if quantized:
        network, more = codable(network)
        notes += more
    problems = engine_problems(network)
    if quantized:
        found = check_quantization(network)
        problems += found.problems
        mode = found.requantization
        if mode.multiplies:
            network = with_multipliers(network, wide=mode is Requantization.WIDE)
            notes += (multiplied(mode),)
        if found.evens:
            network = with_evens(network)
        network = with_wide_means(network, found.wide_means)
    if problems:
        raise UnsupportedError.of_all(where, problems)
    partition(stages_only(network))
    return ImportedNetwork(network=network, notes=notes)


@takes_words
def check_model(path: Path, *, image_size: ImageSize | None = None) -> ModelCheck:
    """Return what becomes of a model file, all that is missing included.

    Args:
        path: The file, or `package.module:function` that makes a torch module.
        image_size: Height and width of the frame where the file leaves them open.

    Raises:
        InputError: The suffix is unknown, or the file is missing or malformed; or a
            size is out of range.
    """
    if image_size is not None:
        height_and_width(image_size)
    counted = Counter(operators(path, image_size=image_size))
    try:
        imported = load_buildable(path, image_size=image_size)
    except UnsupportedError as error:
        return ModelCheck(
            operators=counted, network=None, notes=(), missing=error.problems
        )
    return ModelCheck(
        operators=counted, network=imported.network, notes=imported.notes, missing=()
    )
