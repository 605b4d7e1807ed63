"""trace_torch: equal to the module itself, and to the ONNX import of its export."""

import operator
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import prune

from hao.errors import InputError, UnsupportedError
from hao.frontends.from_onnx.model import load_onnx
from hao.frontends.from_torch.module import trace_torch
from hao.frontends.imported import ImportedNetwork
from hao.frontends.model_file import load_model, operators
from hao.ir.interpret import run_float
from hao.ir.layer import Conv, GlobalAveragePool, Linear
from hao.ir.tensor import Shape

IMAGE = Shape(channels=3, height=12, width=12)


def images(shape: Shape = IMAGE, batch: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    sizes = (batch, shape.channels, shape.height, shape.width)
    return torch.randn(sizes, generator=generator)


def check_equal_to_module(module: nn.Module, shape: Shape = IMAGE) -> ImportedNetwork:
    x = images(shape)
    with torch.no_grad():
        expected = module.eval()(x).numpy()
    result = trace_torch(module, shape)
    got = run_float(result.network, x.numpy()).reshape(expected.shape)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    return result


class Residual(nn.Module):
    """A block with every choice that the random networks make."""

    def __init__(
        self, channels: int, *, depthwise: bool, six: bool, style: int
    ) -> None:
        super().__init__()
        groups = channels if depthwise else 1
        self.conv = nn.Conv2d(
            channels, channels, 3, padding=1, groups=groups, bias=style == 0
        )
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU6() if six else nn.ReLU(inplace=True)
        self.style = style

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.relu(self.norm(self.conv(x)))
        if self.style == 0:
            return x + y
        if self.style == 1:
            y += x
            return functional.relu(y)
        return functional.relu6(torch.add(y, x))


class Classifier(nn.Module):
    """A random small network with one of several ways to the classifier."""

    def __init__(
        self, *, channels: int, kernel: int, stride: int, seed: int, ending: int
    ) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.stem = nn.Conv2d(3, channels, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.blocks = nn.Sequential(
            *[
                Residual(
                    channels,
                    depthwise=bool(seed & 1 << i),
                    six=bool(seed & 2 << i),
                    style=(seed + i) % 3,
                )
                for i in range(2)
            ]
        )
        self.pool = nn.MaxPool2d(2) if ending % 2 else nn.AvgPool2d(2)
        self.drop = nn.Dropout()
        pixels = (12 // stride // 2) ** 2 if ending >= 3 else 1
        self.fc = nn.Linear(channels * pixels, 5)
        self.ending = ending
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_var, 0.5, 2)  # type: ignore[arg-type]
                nn.init.normal_(module.running_mean)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.blocks(functional.relu(self.norm(self.stem(x)))))
        if self.ending == 0:
            x = functional.adaptive_avg_pool2d(x, (1, 1)).flatten(1)
        elif self.ending == 1:
            x = x.mean([2, 3])
        elif self.ending == 2:
            x = torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1)
        elif self.ending == 3:
            x = x.view(x.size(0), -1)
        else:
            x = torch.reshape(x, (x.shape[0], -1))
        result: Tensor = self.fc(self.drop(x))
        return result


@given(
    channels=st.integers(1, 6),
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.integers(1, 2),
    seed=st.integers(0, 63),
    ending=st.integers(0, 4),
)
@settings(max_examples=20, deadline=None)
def test_two_importers_agree_on_one_module(
    tmp_path_factory: pytest.TempPathFactory,
    channels: int,
    kernel: int,
    stride: int,
    seed: int,
    ending: int,
) -> None:
    module = Classifier(
        channels=channels, kernel=kernel, stride=stride, seed=seed, ending=ending
    )
    traced = check_equal_to_module(module).network
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates the exporter without dynamo
        torch.onnx.export(module, (images(),), str(path), dynamo=False)
    loaded = load_onnx(path).network
    assert [type(a) for a in traced.layers] == [type(a) for a in loaded.layers]
    assert (traced.macs, traced.parameters) == (loaded.macs, loaded.parameters)
    x = images().numpy()
    np.testing.assert_allclose(
        run_float(traced, x), run_float(loaded, x), rtol=1e-4, atol=1e-5
    )


def test_load_onnx_reads_what_the_other_exporter_writes(tmp_path: Path) -> None:
    module = Classifier(channels=4, kernel=3, stride=2, seed=5, ending=3).eval()
    path = tmp_path / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside the exporter
        torch.onnx.export(module, (images(),), str(path), dynamo=True, verbose=False)
    with torch.no_grad():
        expected = module(images()).numpy()
    got = run_float(load_onnx(path).network, images().numpy())
    np.testing.assert_allclose(got[:, :, 0, 0], expected, rtol=1e-4, atol=1e-5)


@given(
    size=st.integers(5, 10),
    kernel=st.integers(2, 3),
    stride=st.integers(1, 3),
    pad=st.integers(0, 1),
    rounds_up=st.booleans(),
    counted=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_pool_geometry_equals_the_modules(
    size: int, kernel: int, stride: int, pad: int, rounds_up: bool, counted: bool
) -> None:
    shape = Shape(channels=2, height=size, width=size)
    check_equal_to_module(nn.MaxPool2d(kernel, stride, pad, ceil_mode=rounds_up), shape)
    average = nn.AvgPool2d(
        kernel, stride, pad, ceil_mode=rounds_up, count_include_pad=counted
    )
    check_equal_to_module(average, shape)


class Functions(nn.Module):
    """Functions instead of modules, and sizes computed on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.pad = nn.ZeroPad2d((0, 1, 0, 1))
        self.conv = nn.Conv2d(3, 4, 3, stride=2)
        self.same = nn.Conv2d(4, 4, 4, padding="same")
        self.fc = nn.Linear(4 * 9, 7)
        self.norm = nn.BatchNorm1d(7)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.hardtanh(self.conv(self.pad(x)), 0.0, 6.0)
        x = functional.max_pool2d(self.same(x).relu_(), 2)
        x = functional.dropout(x.contiguous(), 0.5, self.training)
        x = x.view(x.shape[0], x.size(1) * (x.shape[2] * x.shape[3]))
        return functional.relu(self.norm(self.fc(x)))


@pytest.mark.parametrize("across", [False, True])
def test_windows_over_a_signal_may_be_of_any_two_sizes_and_strides(
    *, across: bool
) -> None:
    def way(along: int, other: int) -> tuple[int, int]:
        return (other, along) if across else (along, other)

    net = nn.Sequential(
        nn.Conv2d(3, 4, way(9, 1), way(2, 1), way(4, 0)),
        nn.MaxPool2d(way(3, 1), way(2, 1), way(1, 0)),
        nn.Conv2d(4, 4, 3, way(1, 2), 1),
        nn.AvgPool2d(way(2, 1), way(1, 3)),
        nn.AvgPool2d(way(3, 1), way(2, 1), way(1, 0)),
        nn.AvgPool2d(
            way(2, 1), way(2, 1), way(1, 0), ceil_mode=True, count_include_pad=False
        ),
    )
    height, width = way(41, 1)
    check_equal_to_module(net, Shape(channels=3, height=height, width=width))


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_functions_and_computed_sizes_equal_the_module() -> None:
    result = check_equal_to_module(Functions())
    last = result.network.output
    assert isinstance(last, Linear)
    assert last.activation.value == "relu"


def test_a_dilated_convolution_equals_the_module() -> None:
    module = nn.Conv2d(3, 4, 3, padding="same", dilation=(2, 3))
    last = check_equal_to_module(nn.Sequential(module)).network.output
    assert isinstance(last, Conv)
    assert last.kernel == 7


@pytest.mark.parametrize(
    "function",
    [
        lambda x: functional.adaptive_avg_pool2d(x, (3, 3)),
        lambda x: functional.adaptive_avg_pool2d(x, 12),
        lambda x: functional.adaptive_max_pool2d(x, 4),
        lambda x: functional.adaptive_max_pool2d(x, 1).squeeze(-1).squeeze(2),
        lambda x: torch.amax(x, (2, 3)),
        lambda x: x.amax(3).amax(2),
        lambda x: sum([torch.relu(x), x]),
    ],
)
def test_other_spellings_equal_the_module(function: Callable[[Tensor], Tensor]) -> None:
    check_equal_to_module(nn.Sequential(nn.Conv2d(3, 4, 1), Calls(function)))


def test_axes_beyond_a_tensor_are_wrong() -> None:
    with pytest.raises(InputError, match=r"axes \(2, 5\) of a 4-D tensor"):
        trace_torch(nn.Sequential(Calls(lambda x: x.mean((2, 5)))), IMAGE)


def test_padding_is_kept_for_average_pool_and_convolution() -> None:
    module = nn.Sequential(
        nn.ZeroPad2d(1), nn.AvgPool2d(3, 2), nn.Conv2d(3, 4, 5, 2, 1, bias=False)
    )
    check_equal_to_module(module)


def test_a_module_in_training_mode_is_left_in_it() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout2d())
    module.train()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    network = trace_torch(module, IMAGE).network
    assert module.training
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())
    assert [layer.name for layer in network.layers] == ["input_1", "0"]


def test_a_module_used_twice_becomes_two_layers() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.conv(self.conv(x))
            return result

    network = check_equal_to_module(Twice()).network
    assert [layer.name for layer in network.layers] == ["x", "conv", "conv_2"]


def test_mean_over_pixels_is_global_average_pooling() -> None:
    class Mean(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.mean(x, dim=(2, 3), keepdim=True)

    network = check_equal_to_module(Mean()).network
    assert isinstance(network.output, GlobalAveragePool)


@pytest.mark.parametrize("keep", [False, True])
def test_means_over_columns_and_then_rows_are_one(*, keep: bool) -> None:
    class Means(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean(3, keepdim=keep).mean(2, keepdim=keep)

    network = check_equal_to_module(Means()).network
    assert isinstance(network.output, GlobalAveragePool)
    assert len(network.layers) == 2


class Calls(nn.Module):
    """A module of one function, for refusals."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> object:
        assert callable(self.function)
        return self.function(x)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.SiLU(), r"SiLU '0' is not handled: no smooth .*; train with ReLU"),
        (Calls(lambda x: torch.cat([x, x], 1)), r"cat 'cat' .* neither split nor join"),
        (nn.Upsample(2), r"Upsample '0' is not handled: maps never grow; classify"),
        (nn.Conv3d(3, 4, 1), r"Conv3d '0' is .* with height 1 .* volumes as channels"),
        (nn.Threshold(1, 0), r"Threshold '0' is .*: the engine has no .*torch.onnx.ex"),
        (nn.RReLU(), r"RReLU '0' is not handled: slopes below 0; train with ReLU"),
        (nn.PixelUnshuffle(2), r"is not handled: pixels and .*; train without shuff"),
        (nn.ReflectionPad2d(1), r"is not handled: maps are padded by zeros; train so"),
        (nn.LazyConv2d(4, 1), r"lazy parts, .*; run it on one frame before"),
        (prune.identity(nn.Conv2d(3, 4, 1), "weight"), r"'0' has a hook, .*remove"),  # type: ignore[no-untyped-call]
        (Calls(lambda x: torch.relu(x.sigmoid())), r"follows sigmoid 'sigmoid'"),
        (nn.Conv2d(3, 4, 3, padding_mode="reflect"), r"padding_mode 'reflect'"),
        (nn.Conv2d(3, 4, 3, dilation=4), r"spreads over 9x9 pixels; handled: up"),
        (nn.Conv2d(3, 4, 3, stride=(1, 2)), r"kernel 3x3, stride 1x2; handled: square"),
        (nn.MaxPool2d((2, 1)), r"kernel 2x1, stride 2x1; handled: square kernels"),
        (nn.AvgPool2d((12, 3), 1), r"kernel 12x3, stride 1x1; handled: square ker"),
        (nn.ConvTranspose2d(3, 4, 2), r"ConvTranspose2d '0' is not handled"),
        (nn.BatchNorm2d(3, track_running_stats=False), r"no running statistics"),
        (nn.Hardtanh(0, float("nan")), r"limits 0.0 to nan; must be numbers, the"),
        (
            Calls(lambda x: functional.hardtanh(x, 0.0, x)),
            r"limits 0.0 and .*; handled: numbers",
        ),
        (nn.MaxPool2d(2, dilation=2), r"dilation \(2, 2\), return_indices False"),
        (nn.AvgPool2d(2, divisor_override=3), r"divisor_override 3; handled: none"),
        (nn.AdaptiveAvgPool2d(5), r"output_size 5x5 of 12x12 pixels; handled: sizes"),
        (nn.AdaptiveMaxPool2d(2, return_indices=True), r"return_indices; handled: va"),
        (nn.MaxPool2d((2, 2, 2)), r"kernel_size = \(2, 2, 2\); handled: one or two"),
        (nn.Linear(12, 4), r"multiplies the last dimension of \(1, 3, 12, 12\) only"),
        (Calls(lambda x: x * x), r"mul 'mul': multiplies a tensor.*; leave gates out"),
        (Calls(lambda x: x * 2), r"multiplies a tensor; .*; put the factor"),
        (Calls(lambda x: x[:, 0]), r"takes a part of a tensor; handled: sizes"),
        (Calls(lambda x: x.dtype), r"attribute 'dtype'; handled: shape"),
        (Calls(lambda x: x.mean()), r"goes over everything; handled: height"),
        (Calls(lambda x: x.mean((2, None))), r"goes over \(2, None\); handled:"),
        (Calls(lambda x: torch.relu(x.mean(3))), r"follows mean 'mean', which"),
        (Calls(lambda x: x.mean(1)), r"goes over axes \(1,\).*height and width"),
        (Calls(lambda x: x + 1), r"argument 'other' is of type int; handled: a tensor"),
        (Calls(lambda x: (x, x)), r"returns a tuple; handled: one tensor"),
        (Calls(lambda x: x if x.sum() > 0 else -x), r"cannot be traced: "),
        (Calls(lambda x: x.view(-1, 16)), r"cuts through channels or rows"),
        (Calls(lambda x: x.view(-1, x)), r"sizes .*; handled: numbers"),
    ],
)  # fmt: skip
def test_trace_torch_refuses_by_name(module: nn.Module, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        trace_torch(nn.Sequential(module), IMAGE)


def test_trace_torch_refuses_a_scaled_add() -> None:
    class Scaled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.add(x, functional.relu(x), alpha=2)

    with pytest.raises(UnsupportedError, match="add 'add': scales an operand"):
        trace_torch(Scaled(), IMAGE)


def test_trace_torch_refuses_two_inputs() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return operator.add(x, y)  # type: ignore[no-any-return]

    with pytest.raises(UnsupportedError, match=r"inputs \['x', 'y'\]; handled: one"):
        trace_torch(Two(), IMAGE)


def test_trace_torch_refuses_a_bare_parameter() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.ones(1))

        def forward(self, x: Tensor) -> Tensor:
            return x + self.gain

    with pytest.raises(UnsupportedError, match="parameter 'gain' is used outside"):
        trace_torch(Bare(), IMAGE)


@pytest.mark.parametrize(
    "last", [nn.Softmax(1), nn.Sigmoid(), nn.Tanh(), Calls(lambda x: x.log_softmax(1))]
)
def test_scores_at_the_end_are_left_out_with_a_note(last: nn.Module) -> None:
    head = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(400, 3))
    traced = trace_torch(nn.Sequential(head, last), IMAGE)
    assert len(traced.notes) == 1
    assert "at the end is left out" in traced.notes[0]
    x = images()
    got = run_float(traced.network, x.numpy()).reshape(2, 3)
    np.testing.assert_allclose(got, head(x).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_trace_torch_names_all_that_is_not_handled_once() -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 4, 9, padding=4),
        nn.SiLU(),
        nn.Upsample(scale_factor=2),
        Calls(lambda x: x.mean((2, 3))),
        nn.Linear(4, 2),
        nn.GELU(),
    )
    with pytest.raises(UnsupportedError) as caught:
        trace_torch(module, IMAGE)
    named = [problem.split(" ")[0] for problem in caught.value.problems]
    assert named == ["SiLU", "Upsample", "GELU", "layer"]
    assert "layer '0': kernel 9" in caught.value.problems[-1]


def test_what_follows_a_parameter_outside_a_module_is_not_refused_for_it() -> None:
    class Gain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.ones(1, 3, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            return functional.silu(x * self.gain)

    with pytest.raises(UnsupportedError) as caught:
        trace_torch(Gain(), IMAGE)
    first, second = caught.value.problems
    assert first.startswith("parameter 'gain'")
    assert second.startswith("silu 'silu'")


def test_trace_torch_refuses_a_padded_result() -> None:
    module = nn.Sequential(nn.ReLU(), nn.ZeroPad2d(1))
    with pytest.raises(UnsupportedError, match="returns a padded map; handled: layers"):
        trace_torch(module, IMAGE)


def test_trace_torch_refuses_a_reshape_that_does_not_fit() -> None:
    with pytest.raises(InputError, match=r"reshapes \(1, 3, 12, 12\) to \(1, 5\)"):
        trace_torch(Calls(lambda x: x.view(1, 5)), IMAGE)


@pytest.mark.parametrize("size", [lambda x: x.size(9), lambda x: x.shape[9]])
def test_trace_torch_refuses_a_size_that_is_not_there(
    size: Callable[[torch.Tensor], int],
) -> None:
    with pytest.raises(InputError, match="size 9 of a tensor of 4 dimensions"):
        trace_torch(Calls(lambda x: x.view(size(x), -1)), IMAGE)


def test_trace_torch_refuses_weights_that_are_not_finite() -> None:
    conv = nn.Conv2d(3, 4, 3)
    with torch.no_grad():
        conv.weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(InputError, match=r"'0\.weight' holds NaN or infinity"):
        trace_torch(nn.Sequential(conv), IMAGE)


def test_trace_torch_refuses_a_subclass_that_may_compute_something_else() -> None:
    class Odd(nn.ReLU):
        pass

    Odd.__module__ = "torch.nn.odd"  # traced as one call, like torch's own modules
    with pytest.raises(UnsupportedError, match="Odd '0' is not handled"):
        trace_torch(nn.Sequential(Odd()), IMAGE)


def test_import_of_the_package_loads_neither_torch_nor_onnx() -> None:
    program = (
        "import sys, hao.frontends, hao.frontends.imported; "
        "assert not {'torch', 'onnx'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


class Small(nn.Module):
    """A convolution, a batch norm, a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.fc(torch.relu(self.norm(self.conv(x))).mean((2, 3)))
        return out


def small() -> nn.Module:
    torch.manual_seed(0)
    return Small()


class Backwards(nn.Module):
    """Makes its parts in the opposite order of their calls."""

    def __init__(self) -> None:
        super().__init__()
        self.second = nn.Conv2d(4, 2, 1)
        self.first = nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.second(self.first(x))
        return result


def backwards() -> nn.Module:
    return nn.DataParallel(Backwards())


def compiled() -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.trace(small().eval(), torch.zeros(1, 3, 8, 8))  # type: ignore[no-untyped-call]


def without_convolutions() -> nn.Module:
    return nn.Linear(2, 2)


def test_a_function_that_makes_a_module_is_a_model() -> None:
    spec = Path("tests.frontends.from_torch.test_module:small")
    network = load_model(spec, image_size=8).network
    wide = load_model(spec, image_size=(8, 12)).network
    assert (wide.input.ofm.height, wide.input.ofm.width) == (8, 12)
    assert (network.label, wide.label) == (f"{network.name}@8", f"{wide.name}@8x12")
    x = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    with torch.no_grad():
        expected = small().eval()(torch.from_numpy(x)).numpy()
    found = run_float(network, x).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert operators(spec) == ("Conv2d", "BatchNorm2d", "Linear")


def test_channels_are_those_of_the_first_call_not_of_the_first_part() -> None:
    spec = Path("tests.frontends.from_torch.test_module:backwards")
    assert load_model(spec, image_size=8).network.input.ofm.channels == 3


def test_a_compiled_module_is_refused() -> None:
    spec = Path("tests.frontends.from_torch.test_module:compiled")
    with pytest.raises(UnsupportedError, match=r"is compiled .*; handled: the module"):
        load_model(spec, image_size=8)


def test_modules_that_do_not_tell_their_frames_are_refused() -> None:
    with pytest.raises(InputError, match="frames of any size; `image_size` gives one"):
        load_model(Path("tests.frontends.from_torch.test_module:small"))
    with pytest.raises(InputError, match="no Conv2d; must have one to begin with"):
        load_model(Path("tests.frontends.from_torch.test_module:without_convolutions"))
