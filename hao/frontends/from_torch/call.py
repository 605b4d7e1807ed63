"""A recorded call of a traced PyTorch module, with its arguments.

Arguments stand for feature maps or sizes; asking a `TorchCall` for one kind refuses the
others by name. Nothing here needs PyTorch itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from hao.errors import UnsupportedError
from hao.frontends.feature_map import FeatureMap
from hao.frontends.final_scores import FinalScores
from hao.frontends.over_pixels import PartOfPixels
from hao.frontends.piece_types import NodeSite, Piece

Value = FeatureMap | PartOfPixels | FinalScores | int | tuple[int, ...]
Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchCall:
    """One recorded call with its arguments; values in place of nodes.

    Attributes:
        site: Where it stands.
        module: The module that is called, or None for functions and methods.
        positional: Arguments by position.
        named: Arguments by name.
    """

    site: NodeSite
    module: object
    positional: tuple[object, ...]
    named: Mapping[str, object]

    @property
    def x(self) -> FeatureMap:
        """Return the first argument, a feature map."""
        return self.feature_map(0, "input")

    def argument(self, position: int, name: str, default: object = None) -> object:
        """Return an argument wherever it was given, also to a module when made."""
        if position < len(self.positional):
            return self.positional[position]
        held = {} if self.module is None else vars(self.module)
        return self.named.get(name, held.get(name, default))

    def feature_map(self, position: int, name: str) -> FeatureMap:
        """Return an argument that is a feature map.

        Raises:
            UnsupportedError: It is something else.
        """
        value = self.argument(position, name)
        if isinstance(value, PartOfPixels):
            raise UnsupportedError(
                f"{self.site.label}: follows {value.maker}, which goes over rows or "
                "columns alone; handled: over both, as in x.mean((2, 3))"
            )
        if isinstance(value, FinalScores):
            raise UnsupportedError(value.inside(self.site.label))
        if not isinstance(value, FeatureMap):
            raise UnsupportedError(
                f"{self.site.label}: argument {name!r} is of type "
                f"{type(value).__name__}; handled: a tensor that depends on the input; "
                "put constants into a layer, or export with torch.onnx.export"
            )
        return value

    def pair(self, position: int, name: str, default: object = None) -> tuple[int, int]:
        """Return one size, or two for height and width.

        Raises:
            UnsupportedError: It is neither.
        """
        value = self.argument(position, name, default)
        if isinstance(value, int):
            return value, value
        if isinstance(value, tuple | list) and len(value) in (1, 2):
            first, last = value[0], value[-1]
            if isinstance(first, int) and isinstance(last, int):
                return first, last
        raise UnsupportedError(
            f"{self.site.label}: {name} = {value}; handled: one or two sizes"
        )

    def of(self, kind: type[Kind]) -> Kind:
        """Return the called module, of a kind that the table has established."""
        assert isinstance(self.module, kind)
        return self.module


Result = Piece | PartOfPixels | FinalScores | int | tuple[int, ...]
Reader = Callable[[TorchCall], Result]
