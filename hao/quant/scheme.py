"""Which bits a network is quantized to."""

from collections.abc import Mapping
from dataclasses import dataclass

from hao.errors import InputError
from hao.ir.network import Network
from hao.ir.tensor import MAX_BITS, MIN_BITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """The bits of every layer.

    Attributes:
        weight_bits: Width of the weights by compute layer, 2 to 8.
        act_bits: Width of every feature map, the frame included, 2 to 8.
    """

    weight_bits: Mapping[str, int]
    act_bits: int

    def __post_init__(self) -> None:
        if not MIN_BITS <= self.act_bits <= MAX_BITS:
            raise InputError(
                f"activations of {self.act_bits} bits; must have {MIN_BITS} to "
                f"{MAX_BITS}"
            )
        for name, bits in self.weight_bits.items():
            if not MIN_BITS <= bits <= MAX_BITS:
                raise InputError(
                    f"layer {name!r}: weights of {bits} bits; must have {MIN_BITS} to "
                    f"{MAX_BITS}"
                )


def uniform_scheme(network: Network, *, weight_bits: int, act_bits: int) -> Scheme:
    """Return the scheme that gives every layer the same bits.

    Raises:
        InputError: A width is not 2 to 8.
    """
    names = [layer.name for layer in network.compute_layers]
    return Scheme(weight_bits=dict.fromkeys(names, weight_bits), act_bits=act_bits)


def check_scheme(network: Network, scheme: Scheme) -> None:
    """Check that a scheme names the compute layers of a network, and no others.

    Raises:
        InputError: One is missing or unknown.
    """
    names = {layer.name for layer in network.compute_layers}
    if missing := sorted(names - set(scheme.weight_bits)):
        raise InputError(f"layer {missing[0]!r}: the scheme gives no weight bits")
    if unknown := sorted(set(scheme.weight_bits) - names):
        raise InputError(
            f"layer {unknown[0]!r} of the scheme: network {network.name!r} has no "
            "weights of that name"
        )
