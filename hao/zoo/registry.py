"""The networks that hao knows by name.

`build_network` gives shapes without parameters. `zoo_name` finds the network of a row
of `data/imagenet_float_accuracy.csv`. What the engine cannot run is not here:
squeeze-and-excite (timm's mnasnet_small), grouped convolutions (RegNetX,
mobilenet_edgetpu_v2_m), hard-swish.
"""

import re
from difflib import get_close_matches

from hao.errors import InputError
from hao.ir.network import Network
from hao.zoo import classic, mobilenet, mobilenet_v4, searched, small
from hao.zoo.architecture import Architecture, architecture_network

_ARCHITECTURES: dict[str, Architecture] = {
    architecture.name: architecture
    for module in (mobilenet, mobilenet_v4, searched, classic, small)
    for architecture in module.ARCHITECTURES
}


def network_names() -> tuple[str, ...]:
    """Return the canonical names, sorted."""
    return tuple(sorted(_ARCHITECTURES))


def build_network(name: str, image_size: int | None = None) -> Network:
    """Return a network of the zoo, without parameters.

    Args:
        name: Canonical.
        image_size: Rows and columns of the image; the network's default if None.

    Raises:
        InputError: The zoo has no such network, or the network cannot take the size.
    """
    return architecture_network(entry(name), image_size=image_size)


def width_of(name: str) -> tuple[str, int] | None:
    """Return the line and width [%] of a network whose line differs in width alone.

    Args:
        name: Canonical.
    """
    return mobilenet.WIDTHS.get(name)


def name_of_width(line: str, width_percent: int) -> str | None:
    """Return the network of a line that has a width, `None` if the zoo lacks it."""
    wanted = (line, width_percent)
    return next((n for n, known in mobilenet.WIDTHS.items() if known == wanted), None)


def zoo_name(architecture: str, width: str = "") -> str | None:
    """Return the canonical name of a network as a table of accuracies calls it.

    Args:
        architecture: timm's or tf_slim's name.
        width: tf_slim's width multiplier as printed; empty for timm's.

    Returns:
        None if the zoo does not have the network. A tf_slim and a timm network that
        share a name have the same layers and shapes; their padding may differ (see
        `hao.zoo.style`). A network with batch norm and one without share a name too.
    """
    if width:
        names = [architecture, f"{architecture}_{round(100 * float(width)):03d}"]
        # The minimal networks have one width alone, and do not name it.
        names = names[:1] if architecture.endswith("_minimal") else names[1:]
    else:
        name = re.sub(r"^(tf_)?mobilenetv(\d)", r"mobilenet_v\2", architecture)
        name = re.sub(r"^tf_(efficientnet_lite)", r"\1", name)
        names = [re.sub(r"_minimal_100$", "_minimal", name).removesuffix("_bn")]
    return next((name for name in names if name in _ARCHITECTURES), None)


def entry(name: str) -> Architecture:
    """Return the table of a network, before it is built.

    Raises:
        InputError: The zoo has no such network; the message names the closest.
    """
    if name in _ARCHITECTURES:
        return _ARCHITECTURES[name]
    known = {other.replace("_", ""): other for other in _ARCHITECTURES}
    asked = "".join(sign for sign in name.lower() if sign.isalnum())
    close = [known[x] for x in get_close_matches(asked, known, n=8, cutoff=0.5)]
    # Of widths, the plain network first.
    close.sort(key=lambda other: not other.endswith("_100"))
    hint = (
        f"did you mean {', '.join(close[:3])}?"
        if close
        else "`hao networks` lists them"
    )
    raise InputError(f"network {name!r} is not in the zoo; {hint}")
