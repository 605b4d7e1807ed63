"""What the quantizers of a file make of a network.

A network is quantized where a file says of which codes weights or maps are. Affine
layers, activations and quantizers are then part of a requantization
(`hao.quant.chain`).
"""

from dataclasses import replace

from hao.ir.layer import Compute, Layer, Pool, PoolKind, Quantize, Transparent, reading
from hao.ir.network import Network, params_without


def is_quantized(network: Network) -> bool:
    """Return whether a file has quantized some of a network's weights or maps."""
    return any(
        isinstance(layer, Quantize)
        or (isinstance(layer, Compute) and layer.weight is not None)
        for layer in network.layers
    )


def requantizer_of(network: Network, layer: Layer) -> Quantize | None:
    """Return the quantizer whose codes a map holds, through maxima; None if none."""
    layers = {one.name: one for one in network.layers}
    while isinstance(layer, Pool) and layer.kind is PoolKind.MAX:
        layer = layers[layer.input]
    return layer if isinstance(layer, Quantize) else None


def merged_quantizers(network: Network) -> Network:
    """Return the network with one quantizer where several do the same to one map."""
    heirs: dict[str, str] = {}
    known: dict[object, str] = {}
    for layer in network.layers:
        if not isinstance(layer, Quantize):
            continue
        params = tuple(
            network.params[f"{layer.name}.{word}"].tobytes()
            for word in ("scale", "zero_point")
        )
        key = (heirs.get(layer.input, layer.input), layer.quant, params)
        if key in known:
            heirs[layer.name] = known[key]
        else:
            known[key] = layer.name
    kept = [layer for layer in network.layers if layer.name not in heirs]
    layers = tuple(reading(layer, heirs) for layer in kept)
    return replace(network, layers=layers, params=params_without(network.params, heirs))


def stages_only(network: Network) -> Network:
    """Return the network without layers that are part of a requantization.

    What reads an affine layer, an activation or a quantizer reads what it reads; types
    of weights stay, parameters do not.
    """
    source: dict[str, str] = {}
    layers: list[Layer] = []
    for layer in network.layers:
        if isinstance(layer, Transparent):
            source[layer.name] = source.get(layer.input, layer.input)
        else:
            layers.append(reading(layer, source))
    return Network(name=network.name, layers=tuple(layers))
