"""What the tensors of an ONNX graph can stand for while it is read.

A tensor is a feature map, a constant, integer codes on their way from QuantizeLinear
to DequantizeLinear, or class scores behind the end of the network. A `NodeCall` is a
node with its operands; asking it for one kind refuses the others by name.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hao.errors import InputError, UnsupportedError
from hao.frontends.feature_map import FeatureMap
from hao.frontends.final_scores import FinalScores
from hao.frontends.from_onnx.graph import Node
from hao.frontends.over_pixels import PartOfPixels
from hao.frontends.piece_types import Array, NodeSite, Piece, Weight
from hao.ir.layer import Padding


@dataclass(frozen=True, slots=True, kw_only=True)
class Codes:
    """Integers that stand for real values.

    Attributes:
        source: The real values.
        scale: Real value of one step; broadcasts against the source.
        zero_point: Integer that stands for 0.0; broadcasts against the source.
        lowest: Smallest integer that occurs.
        highest: Largest integer that occurs.
        given: The source holds the integers themselves: a frame of integers.
    """

    source: FeatureMap | Weight
    scale: Array
    zero_point: Array
    lowest: int
    highest: int
    given: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PaddedBelow:
    """A map with the lowest of all numbers around it, which no maximum picks.

    Attributes:
        source: The map.
        maker: What errors call the node.
        padding: What lies around it.
    """

    source: FeatureMap
    maker: str
    padding: Padding


Unfinished = PartOfPixels | PaddedBelow
Value = FeatureMap | Weight | Codes | FinalScores | Unfinished
Result = Piece | Weight | Codes | FinalScores | Unfinished


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCall:
    """A node and its operands; None where an optional one is left out."""

    node: Node
    operands: tuple[Value | None, ...]

    @property
    def label(self) -> str:
        """Return what errors call the node."""
        return self.node.label

    @property
    def site(self) -> NodeSite:
        """Return where the node stands."""
        return self.node.site

    def flag(self, name: str) -> bool:
        """Return an attribute that is 0 or 1, and 0 where it is left out.

        Raises:
            InputError: It is another number.
        """
        value = self.node.integer(name, 0)
        if value not in (0, 1):
            raise InputError(f"{self.label}: attribute {name} is {value}; must be 0, 1")
        return value == 1

    def part(self, name: str) -> "NodeCall":
        """Return the node at the site of a layer that it needs before its own."""
        return replace(self, node=replace(self.node, site=self.site.part(name)))

    def operand(self, position: int) -> Value | None:
        """Return an operand, or None if it is left out."""
        return self.operands[position] if position < len(self.operands) else None

    def feature_map(self, position: int = 0) -> FeatureMap:
        """Return an operand that depends on the input of the network.

        Raises:
            InputError: It is left out.
            UnsupportedError: It is of another kind.
        """
        value = self.operand(position)
        match value:
            case FeatureMap():
                return value
            case FinalScores():
                raise UnsupportedError(value.inside(self.label))
            case Codes():
                raise UnsupportedError(
                    f"{self.label}: reads integers from QuantizeLinear; handled: "
                    "DequantizeLinear behind it, with or without a Clip between"
                )
            case Weight():
                raise UnsupportedError(
                    f"{self.label}: input {position} is a constant; handled: a feature "
                    "map"
                )
            case PartOfPixels():
                raise UnsupportedError(
                    f"{self.label}: follows {value.maker}, which goes over rows or "
                    "columns alone; handled: over both, in one or two nodes"
                )
            case PaddedBelow():
                raise UnsupportedError(
                    f"{self.label}: follows {value.maker}, which pads with the lowest "
                    "number; handled: that before a MaxPool; pad with zeros elsewhere"
                )
            case None:
                raise InputError(f"{self.label}: input {position} is missing")

    def constant(self, position: int) -> Weight:
        """Return an operand that the file fixes.

        Raises:
            InputError: It is left out.
            UnsupportedError: It depends on the input of the network.
        """
        value = self.optional(position)
        if value is None:
            raise InputError(f"{self.label}: input {position} is missing")
        return value

    def optional(self, position: int) -> Weight | None:
        """Return an operand that the file fixes, or None if it is left out.

        Raises:
            UnsupportedError: It depends on the input of the network.
        """
        value = self.operand(position)
        if value is None or isinstance(value, Weight):
            return value
        raise UnsupportedError(
            f"{self.label}: input {position} depends on the network's input (as in "
            "attention, squeeze-and-excite, SiLU and GELU); handled: constants; train "
            "without such blocks, and with ReLU or ReLU6"
        )

    def single(self, position: int) -> Array:
        """Return an operand that the file fixes, shape (1,).

        Raises:
            InputError: It is left out, or has other than one element.
            UnsupportedError: It depends on the input of the network.
        """
        values = self.constant(position).values
        if values.size != 1:
            raise InputError(
                f"{self.label}: input {position} of shape {values.shape}; must be one "
                "number"
            )
        return values.reshape(1)

    def integers(self, position: int, attribute: str) -> tuple[int, ...] | None:
        """Return a list from an operand or, in older operator sets, an attribute."""
        value = self.optional(position)
        if value is not None:
            return whole_numbers(self.label, value.values)
        if attribute in self.node.attributes:
            return self.node.integers(attribute, ())
        return None


def axes_of(label: str, axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Return axes counted from the front.

    Raises:
        InputError: One is out of range, or there twice.
    """
    found = tuple(axis % rank for axis in axes)
    if len(set(found)) < len(axes) or not all(-rank <= axis < rank for axis in axes):
        raise InputError(f"{label}: axes {tuple(axes)} of a tensor of rank {rank}")
    return found


def whole_numbers(label: str, values: Array) -> tuple[int, ...]:
    """Return an array as integers.

    Raises:
        InputError: One of them is no integer.
    """
    real = values.astype(np.float64).ravel()
    if not np.all(np.isfinite(real)) or np.any(real != np.rint(real)):
        raise InputError(f"{label}: {real[:4].tolist()} should be integers")
    return tuple(int(value) for value in values.ravel())
