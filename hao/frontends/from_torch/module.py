"""PyTorch modules to networks, by symbolic tracing.

The module runs once on symbols (`torch.fx`); every recorded call stands for a feature
map or a whole number (a size), and becomes a piece of the network. What is not in
`MODULES`, `FUNCTIONS` or `METHODS` is refused by name. The network is that of
evaluation mode: dropout does nothing, batch norms use their running statistics.
"""

import copy
import operator
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import fx, nn
from torch.nn import functional

from hao.errors import ArgumentError, InputError, UnsupportedError
from hao.factory import made_by
from hao.frontends.feature_map import (
    CHANNELS_FIRST,
    FeatureMap,
    one_axis_each,
    per_channel,
)
from hao.frontends.from_torch import functions
from hao.frontends.from_torch.call import Reader, Result, TorchCall, Value, pair_of
from hao.frontends.imported import ImportedNetwork, finished_network, unique_names
from hao.frontends.piece_types import Array, NodeSite, Piece, Weight, Window
from hao.frontends.pieces import conv_piece, linear_piece
from hao.frontends.pointwise_pieces import affine_piece
from hao.frontends.taps import spread_taps
from hao.ir.layer import Input, Layer, Padding
from hao.ir.tensor import Shape


def trace_factory(spec: str, image_size: int | None) -> ImportedNetwork:
    """Return the network of the module that a function of the user's makes.

    Args:
        spec: `package.module:function`.
        image_size: Height and width of its frames [pixels].

    Raises:
        InputError: The function cannot be used, makes something else, or the module
            has no convolution that tells the channels, or no size is given.
        UnsupportedError: As `trace_torch`, or the function raised something.
    """
    module = made_by(spec, "model", nn.Module)
    convolutions = [part for part in module.modules() if isinstance(part, nn.Conv2d)]
    if not convolutions:
        raise InputError(f"model {spec!r}: no Conv2d; must have one to begin with")
    if image_size is None:
        raise InputError(f"model {spec!r}: frames of any size; `image_size` gives one")
    return trace_torch(
        module,
        Shape(
            channels=convolutions[0].in_channels, height=image_size, width=image_size
        ),
    )


def module_kinds(spec: str) -> tuple[str, ...]:
    """Return the kind of every part of the module that a function makes."""
    module = made_by(spec, "model", nn.Module)
    return tuple(
        type(part).__name__ for part in module.modules() if not [*part.children()]
    )


def as_module(value: object) -> nn.Module:
    """Return a value that is a torch module.

    Raises:
        ArgumentError: It is something else.
    """
    if not isinstance(value, nn.Module):
        raise ArgumentError(
            f"`module` = {type(value).__name__}; must be a torch.nn.Module"
        )
    return value


def trace_torch(module: nn.Module, input_shape: Shape) -> ImportedNetwork:
    """Return the network that a module computes in evaluation mode.

    The module itself is left as it is.

    Args:
        module: Takes one tensor (batch, channels, height, width), returns one tensor.
        input_shape: Of one frame.

    Raises:
        InputError: Shapes disagree, or weights are not finite.
        UnsupportedError: The module cannot be traced, or calls something that is not
            handled; the message names it.
    """
    name = type(module).__name__
    try:
        traced = fx.symbolic_trace(copy.deepcopy(module).eval())
    except Exception as error:  # whatever the traced code raises when run on symbols
        raise UnsupportedError(
            f"module {name!r} cannot be traced: {error}; handled: modules without "
            "decisions that depend on values; export others to ONNX"
        ) from error
    nodes = list(traced.graph.nodes)
    layers: list[Layer] = []
    params: dict[str, Array] = {}
    values: dict[fx.Node, Value] = {}
    titles = unique_names(_title(node) for node in nodes)
    for node, title in zip(nodes, titles, strict=True):
        if node.op == "output":
            output = _output(name, node, values)
            return finished_network(name, layers, params, output=output.layer)
        if node.op == "placeholder":
            if layers:
                raise UnsupportedError(
                    f"module {name!r}: second input {node.target!r}; handled: one input"
                    "; wrap the module in one that takes it alone"
                )
            layers.append(Input(name=title, ofm=input_shape))
            values[node] = _frame(title, input_shape)
            continue
        result = _read(traced, node, title, values)
        if isinstance(result, Piece):
            layers.extend(result.layers)
            params.update(result.params)
            values[node] = result.value
        else:
            values[node] = result
    raise UnsupportedError(f"module {name!r} returns nothing; handled: one tensor")


def _title(node: fx.Node) -> str:
    return str(node.target) if node.op == "call_module" else node.name


def _frame(name: str, shape: Shape) -> FeatureMap:
    bare = FeatureMap(layer=name, batch=1, shape=shape, dimensions=())
    dimensions = one_axis_each(bare, CHANNELS_FIRST)
    return FeatureMap(layer=name, batch=1, shape=shape, dimensions=dimensions)


def _read(
    traced: fx.GraphModule, node: fx.Node, title: str, values: Mapping[fx.Node, Value]
) -> Result:
    module: nn.Module | None = None
    reader: Reader | None
    match node.op:
        case "call_module":
            module = traced.get_submodule(str(node.target))
            # The exact type: a subclass may compute something else.
            reader = MODULES.get(type(module))
            called = type(module).__name__
        case "call_function":
            assert callable(node.target)
            reader = FUNCTIONS.get(node.target)
            called = getattr(node.target, "__name__", str(node.target))
        case "call_method":
            reader = METHODS.get(str(node.target))
            called = str(node.target)
        case _:
            raise UnsupportedError(
                f"parameter {str(node.target)!r} is used outside a module; handled: "
                "parameters of Conv2d, BatchNorm and Linear modules"
            )
    if reader is None:
        raise UnsupportedError(
            f"{called} {_title(node)!r} is not handled: the engine has no such "
            "operation, or this class is not PyTorch's own; put one of docs/models.md "
            "in its place, or leave it to the host"
        )
    call = TorchCall(
        site=NodeSite(layer=title, label=f"{called} {_title(node)!r}"),
        module=module,
        positional=tuple(_resolved(argument, values) for argument in node.args),
        named={key: _resolved(value, values) for key, value in node.kwargs.items()},
    )
    return reader(call)


def _resolved(argument: object, values: Mapping[fx.Node, Value]) -> object:
    """Return an argument with values in place of nodes."""
    match argument:
        case fx.Node():
            return values[argument]
        case tuple() | list():
            return tuple(_resolved(item, values) for item in argument)
        case _:
            return argument


def _output(name: str, node: fx.Node, values: Mapping[fx.Node, Value]) -> FeatureMap:
    result = node.args[0]
    value = values.get(result) if isinstance(result, fx.Node) else None
    if not isinstance(value, FeatureMap):
        raise UnsupportedError(
            f"module {name!r} returns a {type(result).__name__}; handled: one tensor; "
            "wrap it in one that returns the scores alone"
        )
    if value.padding != Padding():
        raise UnsupportedError(f"module {name!r} returns a padded map; handled: layers")
    return value


def _read_conv(call: TorchCall) -> Piece:
    conv = call.of(nn.Conv2d)
    stride = pair_of(call.site, "stride", conv.stride)
    dilation = pair_of(call.site, "dilation", conv.dilation)
    if conv.padding_mode != "zeros":
        raise UnsupportedError(
            f"{call.site.label}: padding_mode {conv.padding_mode!r}; handled: zeros; "
            "train with padding_mode='zeros'"
        )
    weight = Weight(values=_array_of(conv.weight))
    weight = spread_taps(call.site, weight, dilation)
    kernel = (weight.values.shape[2], weight.values.shape[3])
    if conv.padding == "same":
        # PyTorch puts the odd one behind.
        rows, columns = kernel[0] - 1, kernel[1] - 1
        padding = Padding(
            top=rows // 2,
            left=columns // 2,
            bottom=rows - rows // 2,
            right=columns - columns // 2,
        )
    elif conv.padding == "valid":
        padding = Padding()
    else:
        padding = functions.around(pair_of(call.site, "padding", conv.padding))
    return conv_piece(
        call.site,
        call.x,
        weight=weight,
        bias=None if conv.bias is None else _array_of(conv.bias),
        window=Window(kernel=kernel, stride=stride, padding=padding),
        groups=conv.groups,
    )


def _read_linear(call: TorchCall) -> Piece:
    linear = call.of(nn.Linear)
    bias = None if linear.bias is None else _array_of(linear.bias)
    weight = Weight(values=_array_of(linear.weight))
    return linear_piece(call.site, call.x, weight=weight, bias=bias)


def _read_batch_norm(call: TorchCall) -> Piece:
    norm = call.module
    assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
    if norm.running_mean is None or norm.running_var is None:
        raise UnsupportedError(
            f"{call.site.label}: no running statistics; handled: "
            "track_running_stats=True; train with it"
        )
    mean = _array_of(norm.running_mean).astype(np.float64)
    scale = 1 / np.sqrt(_array_of(norm.running_var).astype(np.float64) + norm.eps)
    shift = -mean * scale
    if norm.affine:
        gamma = _array_of(norm.weight).astype(np.float64)
        scale = scale * gamma
        shift = _array_of(norm.bias).astype(np.float64) + shift * gamma
    kind = _array_of(norm.running_mean).dtype
    rank = len(call.x.dimensions)
    along = (1, -1) + (1,) * (rank - 2)
    label = call.site.label
    return affine_piece(
        call.site,
        call.x,
        scale=per_channel(call.x, scale.reshape(along), node=label).astype(kind),
        shift=per_channel(call.x, shift.reshape(along), node=label).astype(kind),
    )


def _read_max_pool_module(call: TorchCall) -> Piece:
    pool = call.of(nn.MaxPool2d)
    return functions.max_pool_of(
        call,
        kernel=pool.kernel_size,
        stride=pool.stride,
        padding=pool.padding,
        others={"dilation": pool.dilation, "return_indices": pool.return_indices},
        rounds_up=pool.ceil_mode,
    )


def _read_average_pool_module(call: TorchCall) -> Piece:
    pool = call.of(nn.AvgPool2d)
    return functions.average_pool_of(
        call,
        functions.pool_window(call, pool.kernel_size, pool.stride, pool.padding),
        counted=pool.count_include_pad,
        rounds_up=pool.ceil_mode,
        divisor=pool.divisor_override,
    )


def _read_zero_pad(call: TorchCall) -> Piece:
    left, right, top, bottom = call.of(nn.ZeroPad2d).padding
    x = call.x
    padding = Padding(
        top=x.padding.top + top,
        left=x.padding.left + left,
        bottom=x.padding.bottom + bottom,
        right=x.padding.right + right,
    )
    return Piece(value=replace(x, padding=padding))


def _read_flatten_module(call: TorchCall) -> Piece:
    flatten = call.of(nn.Flatten)
    return functions.flattened(call, flatten.start_dim, flatten.end_dim)


def _read_hardtanh(call: TorchCall) -> Piece:
    module = call.of(nn.Hardtanh)
    return functions.clipped(call, module.min_val, module.max_val)


def _read_adaptive_pool(call: TorchCall) -> Piece:
    return functions.averaged(call, call.of(nn.AdaptiveAvgPool2d).output_size)


def _array_of(tensor: torch.Tensor) -> Array:
    """Return a tensor as an array of float32 or float64."""
    values = tensor.detach().cpu()
    if values.dtype not in (torch.float32, torch.float64):
        values = values.float()
    array: Array = values.numpy()
    return array


MODULES: Mapping[type[nn.Module], Reader] = {
    nn.AdaptiveAvgPool2d: _read_adaptive_pool,
    nn.AvgPool2d: _read_average_pool_module,
    nn.BatchNorm1d: _read_batch_norm,
    nn.BatchNorm2d: _read_batch_norm,
    nn.Conv2d: _read_conv,
    nn.Dropout: functions.read_identity,
    nn.Dropout2d: functions.read_identity,
    nn.Flatten: _read_flatten_module,
    nn.Hardtanh: _read_hardtanh,
    nn.Identity: functions.read_identity,
    nn.Linear: _read_linear,
    nn.MaxPool2d: _read_max_pool_module,
    nn.ReLU: functions.read_relu,
    nn.ReLU6: functions.read_relu6,
    nn.ZeroPad2d: _read_zero_pad,
}

FUNCTIONS: Mapping[Callable[..., object], Reader] = {
    functional.adaptive_avg_pool2d: functions.read_adaptive_pool,
    functional.avg_pool2d: functions.read_average_pool,
    functional.dropout: functions.read_identity,
    functional.hardtanh: functions.read_hardtanh,
    functional.max_pool2d: functions.read_max_pool,
    functional.relu: functions.read_relu,
    functional.relu6: functions.read_relu6,
    getattr: functions.read_getattr,
    operator.add: functions.read_add,
    operator.getitem: functions.read_getitem,
    operator.iadd: functions.read_add,
    operator.mul: functions.read_multiply,
    torch.add: functions.read_add,
    torch.flatten: functions.read_flatten,
    torch.mean: functions.read_mean,
    torch.relu: functions.read_relu,
    torch.reshape: functions.read_view,
}

METHODS: Mapping[str, Reader] = {
    "add": functions.read_add,
    "add_": functions.read_add,
    "contiguous": functions.read_identity,
    "flatten": functions.read_flatten,
    "mean": functions.read_mean,
    "relu": functions.read_relu,
    "relu_": functions.read_relu,
    "reshape": functions.read_view,
    "size": functions.read_size,
    "view": functions.read_view,
}
