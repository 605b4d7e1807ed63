"""Architectures as tables; `build_network` turns a name into a `Network`."""

from hao.zoo.architecture import ClassSet, Publication
from hao.zoo.registry import (
    build_network,
    entry,
    name_of_width,
    network_names,
    width_of,
    zoo_name,
)

__all__ = [
    "ClassSet",
    "Publication",
    "build_network",
    "entry",
    "name_of_width",
    "network_names",
    "width_of",
    "zoo_name",
]
