"""The networks that hao knows by name.

`build_network` gives shapes without parameters. `zoo_name` finds the network of a row
of `data/imagenet_float_accuracy.csv`. What the engine cannot run is not here:
squeeze-and-excite (timm's mnasnet_small), grouped convolutions (RegNetX,
mobilenet_edgetpu_v2_m), hard-swish.
"""

from dataclasses import dataclass
from difflib import get_close_matches

from hao.errors import InputError
from hao.ir.network import Network
from hao.zoo import classic, mobilenet, mobilenet_v4, searched, small
from hao.zoo.architecture import (
    Architecture,
    ClassSet,
    Publication,
    architecture_network,
)

_ARCHITECTURES: dict[str, Architecture] = {
    architecture.name: architecture
    for module in (mobilenet, mobilenet_v4, searched, classic, small)
    for architecture in module.ARCHITECTURES
}

# timm's name: zoo name, where they differ.
_TIMM_NAMES = {
    "mobilenetv1_100": "mobilenet_v1_100",
    "mobilenetv1_100h": "mobilenet_v1_100h",
    "mobilenetv1_125": "mobilenet_v1_125",
    "mobilenetv2_035": "mobilenet_v2_035",
    "mobilenetv2_050": "mobilenet_v2_050",
    "mobilenetv2_075": "mobilenet_v2_075",
    "mobilenetv2_100": "mobilenet_v2_100",
    "mobilenetv2_110d": "mobilenet_v2_110d",
    "mobilenetv2_120d": "mobilenet_v2_120d",
    "mobilenetv2_140": "mobilenet_v2_140",
    "tf_mobilenetv3_small_minimal_100": "mobilenet_v3_small_minimal",
    "tf_mobilenetv3_large_minimal_100": "mobilenet_v3_large_minimal",
    "mobilenetv4_conv_small": "mobilenet_v4_conv_small",
    "mobilenetv4_conv_small_050": "mobilenet_v4_conv_small_050",
    "mobilenetv4_conv_medium": "mobilenet_v4_conv_medium",
    "mobilenetv4_conv_large": "mobilenet_v4_conv_large",
    "tf_efficientnet_lite0": "efficientnet_lite0",
    "tf_efficientnet_lite1": "efficientnet_lite1",
    "tf_efficientnet_lite2": "efficientnet_lite2",
    "tf_efficientnet_lite3": "efficientnet_lite3",
    "tf_efficientnet_lite4": "efficientnet_lite4",
    "vgg11_bn": "vgg11",
    "vgg13_bn": "vgg13",
    "vgg16_bn": "vgg16",
    "vgg19_bn": "vgg19",
}

# tf_slim's name and width: zoo name.
_SLIM_NAMES = {
    ("mobilenet_v1", "0.25"): "mobilenet_v1_025",
    ("mobilenet_v1", "0.50"): "mobilenet_v1_050",
    ("mobilenet_v1", "0.75"): "mobilenet_v1_075",
    ("mobilenet_v1", "1.0"): "mobilenet_v1_100",
    ("mobilenet_v2", "0.35"): "mobilenet_v2_035",
    ("mobilenet_v2", "0.5"): "mobilenet_v2_050",
    ("mobilenet_v2", "0.75"): "mobilenet_v2_075",
    ("mobilenet_v2", "1.0"): "mobilenet_v2_100",
    ("mobilenet_v2", "1.3"): "mobilenet_v2_130",
    ("mobilenet_v2", "1.4"): "mobilenet_v2_140",
    ("mobilenet_v3_small_minimal", "1.0"): "mobilenet_v3_small_minimal",
    ("mobilenet_v3_large_minimal", "1.0"): "mobilenet_v3_large_minimal",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ZooEntry:
    """What is known of a network before it is built.

    Attributes:
        name: Canonical.
        family: Publication.
        dataset: What it classifies.
        default_image_size: Rows and columns.
        has_depthwise: Whether any layer is a depthwise convolution.
    """

    name: str
    family: Publication
    dataset: ClassSet
    default_image_size: int
    has_depthwise: bool


def network_names() -> tuple[str, ...]:
    """Return the canonical names, sorted."""
    return tuple(sorted(_ARCHITECTURES))


def entry(name: str) -> ZooEntry:
    """Return what is known of a network.

    Raises:
        InputError: The zoo has no such network; the message names the closest.
    """
    architecture = _architecture(name)
    return ZooEntry(
        name=architecture.name,
        family=architecture.family,
        dataset=architecture.dataset,
        default_image_size=architecture.image_size,
        has_depthwise=architecture.has_depthwise,
    )


def build_network(name: str, image_size: int | None = None) -> Network:
    """Return a network of the zoo, without parameters.

    Args:
        name: Canonical.
        image_size: Rows and columns of the image; the network's default if None.

    Raises:
        InputError: The zoo has no such network, or the network cannot take the size.
    """
    return architecture_network(_architecture(name), image_size=image_size)


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
        return _SLIM_NAMES.get((architecture, width))
    name = _TIMM_NAMES.get(architecture, architecture)
    return name if name in _ARCHITECTURES else None


def _architecture(name: str) -> Architecture:
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
