"""A complete design as data: network, bits, engine, partition, board."""

from dataclasses import dataclass
from functools import cached_property

from hao.engine.stages import Engine
from hao.errors import InputError
from hao.hw.board import Board
from hao.ir.change import Bits, Scheme, bits_of, densities_of, passes_of
from hao.ir.layer import Activation, Affine, Quantize
from hao.ir.network import Network
from hao.ir.partition import Segment
from hao.ir.passes import weight_passes
from hao.ir.sparsity import FULL, density_of


@dataclass(frozen=True, kw_only=True)
class Design:
    """What was chosen together.

    Attributes:
        network: The layers that run, without blocks that are left out.
        scheme: Change of every layer that has weights, and of blocks left out.
        engine: The accelerator.
        segments: The partition, in execution order; covers every position once.
        board: Where it runs, at which clock.

    Raises:
        InputError: A layer has no bits, segments leave or repeat a position, or run a
            layer that the network lacks.
    """

    network: Network
    scheme: Scheme
    engine: Engine
    segments: tuple[Segment, ...]
    board: Board

    def __post_init__(self) -> None:
        for layer in self.network.compute_layers:
            if layer.name not in self.weight_bits:
                raise InputError(f"layer {layer.name!r} has no weight bits")
            passes = weight_passes(layer)
            if passes != (wanted := passes_of(self.scheme).get(layer.name, 1)):
                raise InputError(
                    f"layer {layer.name!r}: weights in {passes} passes; the scheme "
                    f"says {wanted}"
                )
            density = density_of(layer)
            if density != (wanted := densities_of(self.scheme).get(layer.name, FULL)):
                raise InputError(
                    f"layer {layer.name!r}: keeps {density} % of its words; the scheme "
                    f"says {wanted}"
                )
        self._check_segments()

    def __repr__(self) -> str:
        """Return what it is in a line: what Python shows."""
        engine, board = self.engine, self.board
        built = {
            "dense": engine.dense,
            "depthwise": engine.depthwise,
            "pointwise": engine.pointwise,
        }
        return (
            f"<Design of {self.network.name!r} for {board.name!r} at "
            f"{board.clock_mhz:g} MHz: {len(self.segments)} invocations on "
            f"{', '.join(name for name, stage in built.items() if stage)} with "
            f"{engine.multipliers} multipliers, {self.mean_bits:.2f} bits a weight, "
            f"activations of {engine.act_bits}>"
        )

    @cached_property
    def weight_bits(self) -> dict[str, int]:
        """Return the weight bits of every layer that has weights."""
        return bits_of(self.scheme)

    @cached_property
    def lane_bits(self) -> dict[str, int]:
        """Return the bits of the weights that every layer's lanes take at once.

        Those of a digit where weights run in two passes.
        """
        return {
            name: change.lane_bits
            for name, change in self.scheme.items()
            if isinstance(change, Bits)
        }

    @property
    def mean_bits(self) -> float:
        """Return the weight bits, averaged over the weights; 0 without any."""
        layers = self.network.compute_layers
        bits = sum(layer.weights * self.weight_bits[layer.name] for layer in layers)
        return bits / max(1, sum(layer.weights for layer in layers))

    def _check_segments(self) -> None:
        """Check that the segments run the network from its first to its last stage."""
        if not self.segments:
            raise InputError(f"network {self.network.name!r} has no segments")
        layers = {layer.name: layer for layer in self.network.layers}
        expected = 0
        for segment in self.segments:
            name = segment.invocation.name
            if segment.start != expected:
                raise InputError(
                    f"segment {name!r} starts at position {segment.start}; must be "
                    f"{expected}"
                )
            expected = segment.end + 1
            for _, layer in segment.invocation.stages:
                if layer.name not in layers:
                    raise InputError(
                        f"segment {name!r}: layer {layer.name!r} is not in network "
                        f"{self.network.name!r}"
                    )
        last = self.network.output
        while isinstance(last, Affine | Activation | Quantize):
            last = layers[last.input]
        found = self.segments[-1].invocation.output_name
        if found != last.name:
            raise InputError(
                f"network {self.network.name!r}: segments end with {found!r}; must end "
                f"with {last.name!r}"
            )
