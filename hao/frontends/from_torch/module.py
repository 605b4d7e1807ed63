"""PyTorch modules to networks, by symbolic tracing.

The module runs once on symbols (`torch.fx`); every recorded call stands for a feature
map or a whole number (a size), and becomes a piece of the network. What is not in
`MODULES`, `FUNCTIONS` or `METHODS` is refused by name; a final softmax or sigmoid is
left out. The network is that of
evaluation mode: dropout does nothing, batch norms use their running statistics. What
modules become is in `hao.frontends.from_torch.layers`, functions and methods in
`hao.frontends.from_torch.functions`.
"""

import copy
import operator
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from io import StringIO

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp, TensorMetadata
from torch.nn import functional
from torch.nn.parameter import is_lazy

from hao.errors import ArgumentError, InputError, UnsupportedError
from hao.factory import made_by
from hao.frontends.feature_map import FeatureMap, stand_in
from hao.frontends.final_scores import FinalScores
from hao.frontends.from_torch import functions, layers
from hao.frontends.from_torch.call import Reader, Result, TorchCall, Value
from hao.frontends.from_torch.reasons import refused
from hao.frontends.imported import (
    ImportedNetwork,
    finished_network,
    lone_layer_problems,
    unique_names,
)
from hao.frontends.piece_types import Array, NodeSite, Piece
from hao.frontends.reasons import FLAT
from hao.ir.layer import Input, Layer, Padding
from hao.ir.tensor import ImageSize, Shape, height_and_width


def trace_factory(spec: str, image_size: ImageSize | None) -> ImportedNetwork:
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
    traced = _traced(module)
    calls = traced.graph.find_nodes(op="call_module")
    called = [traced.get_submodule(str(node.target)) for node in calls]
    channels = [part.in_channels for part in called if isinstance(part, nn.Conv2d)]
    if not channels:
        flat = any(isinstance(part, nn.Conv1d | nn.Conv3d) for part in called)
        usual = "must have one to begin with, or be a file (torch.onnx.export)"
        remedy = FLAT if flat else usual
        raise InputError(f"model {spec!r}: no Conv2d; {remedy}")
    if image_size is None:
        raise InputError(f"model {spec!r}: frames of any size; `image_size` gives one")
    height, width = height_and_width(image_size)
    shape = Shape(channels=channels[0], height=height, width=width)
    return _network(type(module).__name__, traced, shape)


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
            handled; the error names all such calls.
    """
    return _network(type(module).__name__, _traced(module), input_shape)


def _traced(module: nn.Module) -> fx.GraphModule:
    """Return the calls of a module in evaluation mode.

    Raises:
        UnsupportedError: Tracing fails, or would leave out what the module computes.
    """
    name = type(module).__name__
    if isinstance(module, nn.DataParallel):
        module = module.module
    if isinstance(module, torch.jit.ScriptModule):
        raise UnsupportedError(
            f"module {name!r} is compiled (TorchScript); handled: the module that it "
            "was made from"
        )
    for title, part in module.named_modules():
        held = vars(part)
        hooks = held["_forward_hooks"] or held["_forward_pre_hooks"]
        if hooks and (part is module or type(part) in MODULES):
            raise UnsupportedError(
                f"module {name!r}: {title or name!r} has a hook, which may change what "
                "it computes; handled: modules without; remove it (prune.remove and "
                "remove_weight_norm of torch.nn.utils do so)"
            )
    if any(is_lazy(parameter) for parameter in module.parameters()):
        raise UnsupportedError(
            f"module {name!r} has lazy parts, whose sizes are not known yet; run it on "
            "one frame before it is returned"
        )
    try:
        traced = fx.symbolic_trace(copy.deepcopy(module).eval())
    except Exception as error:  # whatever the traced code raises when run on symbols
        raise UnsupportedError(
            f"module {name!r} cannot be traced: {error}; handled: modules without "
            "decisions that depend on values; export others to ONNX"
        ) from error
    return traced


def _network(name: str, traced: fx.GraphModule, input_shape: Shape) -> ImportedNetwork:
    entries = [str(node.target) for node in traced.graph.find_nodes(op="placeholder")]
    if len(entries) != 1:
        raise UnsupportedError(
            f"module {name!r}: inputs {entries}; handled: one input; wrap the module "
            "in one that takes it alone"
        )
    reading = _Reading(traced=traced, frame=input_shape)
    nodes = list(traced.graph.nodes)
    titles = unique_names(_title(node) for node in nodes)
    for node, title in zip(nodes[:-1], titles[:-1], strict=True):
        reading.read(node, title)
    problems = reading.problems
    try:
        output, notes = _output(name, nodes[-1], reading.values)
    except UnsupportedError as error:
        problems.append(str(error))
    if problems:
        problems += lone_layer_problems(reading.layers, reading.params)
        raise UnsupportedError.of_all(
            f"module {name!r}", tuple(dict.fromkeys(problems))
        )
    return finished_network(
        name, reading.layers, reading.params, output=output.layer, notes=notes
    )


@dataclass(slots=True, kw_only=True)
class _Reading:
    """A network while its module is read.

    Attributes:
        traced: The calls.
        frame: Shape of the input.
        values: What every call stands for so far.
        layers: In the order of the calls.
        params: By "layer.parameter".
        problems: What cannot be read, a sentence each.
        stand_ins: Calls whose value only lets the reading go on.
        guessed: Those among them whose shape is not known either.
    """

    traced: fx.GraphModule
    frame: Shape
    values: dict[fx.Node, Value] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    params: dict[str, Array] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    stand_ins: set[fx.Node] = field(default_factory=set)
    guessed: set[fx.Node] = field(default_factory=set)

    def read(self, node: fx.Node, title: str) -> None:
        """Read a call; where it cannot be read, say why and go on with a stand-in."""
        if node.op == "placeholder":
            self.layers.append(Input(name=title, ofm=self.frame))
            sizes = (1, self.frame.channels, self.frame.height, self.frame.width)
            self.values[node] = stand_in(title, sizes, like=None)
            return
        sources = node.all_input_nodes
        try:
            result = _read(self.traced, node, title, self.values)
        except UnsupportedError as error:
            if self.guessed.isdisjoint(sources) or not _known(self.traced, node)[0]:
                self.problems.append(str(error))
            self._stand_in_for(node, title)
            return
        except InputError:
            if self.stand_ins.isdisjoint(sources):
                raise
            self._stand_in_for(node, title)
            return
        if isinstance(result, Piece):
            self.layers.extend(result.layers)
            self.params.update(result.params)
            self.values[node] = result.value
        else:
            self.values[node] = result
        if not self.stand_ins.isdisjoint(sources):
            self.stand_ins.add(node)
        if not self.guessed.isdisjoint(sources):
            self.guessed.add(node)

    def _stand_in_for(self, node: fx.Node, title: str) -> None:
        if not self.stand_ins:
            _propagate_shapes(self.traced, self.frame)
        meta = node.meta.get("tensor_meta")
        sizes = tuple(meta.shape) if isinstance(meta, TensorMetadata) else ()
        maps = (self.values[source] for source in node.all_input_nodes)
        first = next((value for value in maps if isinstance(value, FeatureMap)), None)
        self.values[node] = stand_in(title, sizes, like=first)
        self.stand_ins.add(node)
        if len(sizes) not in (2, 4) or node.op == "get_attr":
            self.guessed.add(node)


def _propagate_shapes(traced: fx.GraphModule, frame: Shape) -> None:
    """Note the shapes of tensors in the calls, as far as the module runs."""
    x = torch.zeros(1, frame.channels, frame.height, frame.width)
    try:
        with torch.no_grad(), redirect_stderr(StringIO()):
            ShapeProp(traced).propagate(x)
    except Exception:  # whatever a module raises that does not fit its input
        return


def _title(node: fx.Node) -> str:
    return str(node.target) if node.op == "call_module" else node.name


def _known(
    traced: fx.GraphModule, node: fx.Node
) -> tuple[Reader | None, nn.Module | None, str]:
    """Return what reads a call, the module that is called, and what it is called."""
    match node.op:
        case "call_module":
            module = traced.get_submodule(str(node.target))
            # The exact type: a subclass may compute something else.
            return MODULES.get(type(module)), module, type(module).__name__
        case "call_function":
            assert callable(node.target)
            called = getattr(node.target, "__name__", str(node.target))
            return FUNCTIONS.get(node.target), None, called
        case "call_method":
            return METHODS.get(str(node.target)), None, str(node.target)
        case _:
            raise UnsupportedError(
                f"parameter {str(node.target)!r} is used outside a module; handled: "
                "parameters of Conv2d, BatchNorm and Linear modules; others after "
                "torch.onnx.export"
            )


def _read(
    traced: fx.GraphModule, node: fx.Node, title: str, values: Mapping[fx.Node, Value]
) -> Result:
    reader, module, called = _known(traced, node)
    if reader is None:
        raise refused(called, _title(node))
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


def _output(
    name: str, node: fx.Node, values: Mapping[fx.Node, Value]
) -> tuple[FeatureMap, tuple[str, ...]]:
    """Return the map that a module returns, and what the host is left with."""
    result = node.args[0]
    value = values.get(result) if isinstance(result, fx.Node) else None
    notes: tuple[str, ...] = ()
    if isinstance(value, FinalScores):
        notes, value = (value.note,), value.source
    if not isinstance(value, FeatureMap):
        raise UnsupportedError(
            f"module {name!r} returns a {type(result).__name__}; handled: one tensor; "
            "wrap it in one that returns the scores alone"
        )
    if value.padding != Padding():
        raise UnsupportedError(f"module {name!r} returns a padded map; handled: layers")
    return value, notes


MODULES: Mapping[type[nn.Module], Reader] = {
    nn.AdaptiveAvgPool2d: functions.read_adaptive_pool,
    nn.AdaptiveMaxPool2d: functions.read_adaptive_maximum,
    nn.AvgPool2d: functions.read_average_pool,
    nn.BatchNorm1d: layers.read_batch_norm,
    nn.BatchNorm2d: layers.read_batch_norm,
    nn.Conv2d: layers.read_conv,
    nn.Dropout: functions.read_identity,
    nn.Dropout2d: functions.read_identity,
    nn.Flatten: functions.read_flatten,
    nn.Hardtanh: functions.read_hardtanh,
    nn.Identity: functions.read_identity,
    nn.Linear: layers.read_linear,
    nn.LogSoftmax: functions.read_scores,
    nn.MaxPool2d: functions.read_max_pool,
    nn.ReLU: functions.read_relu,
    nn.ReLU6: functions.read_relu6,
    nn.Sigmoid: functions.read_scores,
    nn.Softmax: functions.read_scores,
    nn.Tanh: functions.read_scores,
    nn.ZeroPad2d: layers.read_zero_pad,
}

FUNCTIONS: Mapping[Callable[..., object], Reader] = {
    functional.adaptive_avg_pool2d: functions.read_adaptive_pool,
    functional.adaptive_max_pool2d: functions.read_adaptive_maximum,
    functional.avg_pool2d: functions.read_average_pool,
    functional.dropout: functions.read_identity,
    functional.hardtanh: functions.read_hardtanh,
    functional.log_softmax: functions.read_scores,
    functional.max_pool2d: functions.read_max_pool,
    functional.relu: functions.read_relu,
    functional.relu6: functions.read_relu6,
    functional.sigmoid: functions.read_scores,
    functional.softmax: functions.read_scores,
    functional.tanh: functions.read_scores,
    getattr: functions.read_getattr,
    operator.add: functions.read_add,
    operator.getitem: functions.read_getitem,
    operator.iadd: functions.read_add,
    operator.mul: functions.read_multiply,
    torch.add: functions.read_add,
    torch.amax: functions.read_maximum,
    torch.argmax: functions.read_scores,
    torch.flatten: functions.read_flatten,
    torch.log_softmax: functions.read_scores,
    torch.mean: functions.read_mean,
    torch.relu: functions.read_relu,
    torch.relu_: functions.read_relu,
    torch.reshape: functions.read_view,
    torch.sigmoid: functions.read_scores,
    torch.softmax: functions.read_scores,
    torch.squeeze: functions.read_squeeze,
    torch.tanh: functions.read_scores,
}

METHODS: Mapping[str, Reader] = {
    "add": functions.read_add,
    "add_": functions.read_add,
    "amax": functions.read_maximum,
    "argmax": functions.read_scores,
    "contiguous": functions.read_identity,
    "flatten": functions.read_flatten,
    "log_softmax": functions.read_scores,
    "mean": functions.read_mean,
    "relu": functions.read_relu,
    "relu_": functions.read_relu,
    "reshape": functions.read_view,
    "sigmoid": functions.read_scores,
    "size": functions.read_size,
    "softmax": functions.read_scores,
    "squeeze": functions.read_squeeze,
    "tanh": functions.read_scores,
    "view": functions.read_view,
}
