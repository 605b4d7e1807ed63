"""Weights of a file: by name or by shape and order, eps, wrappers, what is refused."""

import warnings
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from hao.errors import InputError
from hao.ir.layer import Depthwise, Linear
from hao.ir.network import Network
from hao.quant import state
from hao.quant.weights import WeightSource, load_weights
from hao.steps.model import from_torch
from hao.zoo.registry import build_network
from tests.quant.networks import chain, every_kind

Real = NDArray[np.float64]


def loaded_from(path: Path, network: Network) -> Network:
    return load_weights(network, WeightSource(path=path)).network


def saved(path: Path, network: Network) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **network.params)  # type: ignore[arg-type] # numpy's stub
        return path
    tensors = {k: torch.from_numpy(v.copy()) for k, v in network.params.items()}
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path)
    return path


@pytest.mark.parametrize("name", ["weights.npz", "weights.pt", "weights.safetensors"])
def test_weights_are_loaded(tmp_path: Path, name: str) -> None:
    network = every_kind()
    bare = replace(network, params=MappingProxyType({}))
    loaded = loaded_from(saved(tmp_path / name, network), bare)
    for key, array in network.params.items():
        np.testing.assert_array_equal(loaded.params[key], array)
    # b.project had no bias.
    np.testing.assert_array_equal(loaded.params["b.project.bias"], np.zeros(6))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stem.weight": np.zeros((4, 1, 3, 2))}, "'stem.weight' has shape"),
        ({"stem.bias": np.full(4, np.nan)}, "'stem.bias' holds NaN or infinity"),
        ({"stem.bias": np.zeros(4, dtype=np.int64)}, "'stem.bias' is int64; must be"),
        ({"other.bias": np.zeros(4)}, "'other.bias': network 'chain' has no such"),
    ],
)
def test_wrong_weights_are_refused(
    tmp_path: Path, change: dict[str, np.ndarray], message: str
) -> None:
    network = chain()
    params = MappingProxyType({**network.params, **change})
    path = saved(tmp_path / "weights.npz", replace(network, params=params))
    with pytest.raises(InputError, match=f"weights.npz: parameter {message}"):
        loaded_from(path, network)


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    network = chain()
    params = dict(network.params)
    del params["stem.weight"]
    less = replace(network, params=MappingProxyType(params))
    path = saved(tmp_path / "weights.npz", less)
    with pytest.raises(InputError, match=r"'stem.weight' is missing; train"):
        loaded_from(path, network)


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_files_that_are_no_weights_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(InputError, match="not readable"):
        loaded_from(path, chain())
    path.write_bytes(b"nothing of the sort")
    with pytest.raises(InputError, match="not readable"):
        loaded_from(path, chain())


def test_an_npz_file_that_is_not_there_or_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    with pytest.raises(InputError, match=r"weights\.npz: no such file; must be an"):
        loaded_from(path, chain())
    path.write_bytes(b"nothing of the sort")
    with pytest.raises(InputError, match=r"not a zip file; must be an \.npz archive"):
        loaded_from(path, chain())


def test_a_file_that_holds_more_than_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "weights.pt")
    with pytest.raises(InputError, match="must hold a state dict"):
        loaded_from(tmp_path / "weights.pt", chain())
    torch.save({"path": tmp_path}, tmp_path / "weights.pt")  # needs pickle
    with pytest.raises(InputError, match="weights only"):
        loaded_from(tmp_path / "weights.pt", chain())


def test_what_torch_warns_of_before_it_gives_up_is_not_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object, **__: object) -> None:
        warnings.warn("the checkpoint is strange", stacklevel=2)
        raise RuntimeError

    (tmp_path / "net.pt").write_bytes(b"strange")
    monkeypatch.setattr(torch, "load", load)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(InputError, match=r"net\.pt: not readable as a torch state"):
            loaded_from(tmp_path / "net.pt", chain())
    assert said == []


def test_a_tensor_that_only_claims_its_size_is_refused(tmp_path: Path) -> None:
    # One number, repeated over any shape: a file of a kilobyte.
    huge = torch.zeros(1).expand(2**20, 2**20)
    torch.save({"a.weight": huge}, tmp_path / "weights.pt")
    with pytest.raises(InputError, match=f"{8 * 2**40} bytes in double precision"):
        loaded_from(tmp_path / "weights.pt", chain())


def test_an_archive_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "weights.pt", chain())
    monkeypatch.setattr(state, "MAX_UNPACKED_BYTES", 1000)
    with pytest.raises(InputError, match=r"unpacks to \d+ bytes; must be at most 1000"):
        loaded_from(path, chain())


@pytest.mark.parametrize("around", ["state_dict", "model", "model_state_dict"])
def test_what_lies_around_the_tensors_is_taken_off(tmp_path: Path, around: str) -> None:
    network = every_kind()
    tensors = {k: torch.from_numpy(v.copy()) for k, v in network.params.items()}
    path = tmp_path / "checkpoint.pth"
    torch.save({"epoch": 3, "optimizer": {"lr": 1.0}, around: tensors}, path)
    loaded = load_weights(network, WeightSource(path=path))
    np.testing.assert_array_equal(
        loaded.network.params["stem.weight"], network.params["stem.weight"]
    )
    assert loaded.notes == (f"taken from {around!r} of the file",)


def random_layers(network: Network, seed: int = 0) -> dict[str, dict[str, Real]]:
    """Return a convolution and a batch norm, or a linear layer, for every layer."""
    generator = np.random.default_rng(seed)
    made: dict[str, dict[str, Real]] = {}
    for layer in network.compute_layers:
        channels = layer.ofm.channels
        size: tuple[int, ...] = (channels, layer.ifm.elements)
        if not isinstance(layer, Linear):
            depth = 1 if isinstance(layer, Depthwise) else layer.ifm.channels
            size = (channels, depth, layer.kernel, layer.kernel)
        parts: dict[str, Real] = {"weight": generator.normal(size=size)}
        if isinstance(layer, Linear):
            parts["bias"] = generator.normal(size=channels)
        else:
            parts["gain"] = generator.uniform(0.5, 2, channels)
            parts["shift"] = generator.normal(size=channels)
            parts["mean"] = generator.normal(size=channels)
            parts["var"] = generator.uniform(1e-3, 2, channels)
        made[layer.name] = parts
    return made


def expected(parts: dict[str, Real], eps: float) -> tuple[Real, Real]:
    """Return weight and bias, the batch norm folded by its definition."""
    if "bias" in parts:
        return parts["weight"], parts["bias"]
    gain = parts["gain"] / np.sqrt(parts["var"] + eps)
    weight = parts["weight"] * gain[:, None, None, None]
    return weight, parts["shift"] - parts["mean"] * gain


def check_close(found: NDArray[np.generic], wanted: Real) -> None:
    np.testing.assert_allclose(
        found.astype(np.float64), wanted.astype(np.float64), rtol=1e-9, atol=1e-12
    )


def check_folded(
    loaded: Network, layers: dict[str, dict[str, Real]], eps: float
) -> None:
    for name, parts in layers.items():
        weight, bias = expected(parts, eps)
        check_close(loaded.params[f"{name}.weight"], weight)
        check_close(loaded.params[f"{name}.bias"], bias)


def torch_names(conv: str, norm: str, parts: dict[str, Real]) -> dict[str, Real]:
    found = {f"{conv}.weight": parts["weight"]}
    if "bias" in parts:
        return found | {f"{conv}.bias": parts["bias"]}
    return found | {
        f"{norm}.weight": parts["gain"],
        f"{norm}.bias": parts["shift"],
        f"{norm}.running_mean": parts["mean"],
        f"{norm}.running_var": parts["var"],
        f"{norm}.num_batches_tracked": np.array(7),
    }


RESNET = {
    # hao's name: torchvision's convolution and batch norm, in torchvision's order.
    "stem": ("conv1", "bn1"),
    **{
        f"block{n}.{ours}": (f"layer{n}.0.{conv}", f"layer{n}.0.{norm}")
        for n in (1, 2, 3)
        for ours, conv, norm in (
            ("conv1", "conv1", "bn1"),
            ("conv2", "conv2", "bn2"),
            ("shortcut", "downsample.0", "downsample.1"),
        )
        if n > 1 or ours != "shortcut"
    },
    "classifier": ("fc", ""),
}


def save_torch(path: Path, tensors: dict[str, Real], prefix: str = "") -> Path:
    torch.save({prefix + key: torch.tensor(v) for key, v in tensors.items()}, path)
    return path


@pytest.mark.parametrize("prefix", ["", "module."])
def test_names_of_torchvision(tmp_path: Path, prefix: str) -> None:
    network = build_network("resnet8_cifar")
    layers = random_layers(network)
    tensors: dict[str, Real] = {}
    for ours, (conv, norm) in RESNET.items():
        tensors |= torch_names(conv, norm, layers[ours])
    path = save_torch(tmp_path / "resnet.pth", tensors, prefix)
    loaded = load_weights(network, WeightSource(path=path))
    check_folded(loaded.network, layers, 1e-5)
    assert loaded.notes == (
        f"10 layers by shape and order: stem <- {prefix}conv1 ... classifier <- "
        f"{prefix}fc",
        "9 batch norms folded with eps 1e-05",
    )


def test_another_eps_may_be_given(tmp_path: Path) -> None:
    network = build_network("resnet8_cifar")
    layers = random_layers(network)
    tensors: dict[str, Real] = {}
    for ours, (conv, norm) in RESNET.items():
        tensors |= torch_names(conv, norm, layers[ours])
    path = save_torch(tmp_path / "resnet.pth", tensors)
    loaded = load_weights(network, WeightSource(path=path, eps=0.01))
    check_folded(loaded.network, layers, 0.01)


def keras_names(name: str, parts: dict[str, Real], depthwise: bool) -> dict[str, Real]:
    """Return the tensors of a layer as Keras names and lays them out."""
    weight = parts["weight"]
    if "bias" in parts:
        return {f"{name}/kernel:0": weight.T, f"{name}/bias:0": parts["bias"]}
    word = "depthwise_kernel" if depthwise else "kernel"
    axes = (2, 3, 0, 1) if depthwise else (2, 3, 1, 0)
    return {
        f"{name}/{word}:0": weight.transpose(axes),
        f"{name}_BN/gamma:0": parts["gain"],
        f"{name}_BN/beta:0": parts["shift"],
        f"{name}_BN/moving_mean:0": parts["mean"],
        f"{name}_BN/moving_variance:0": parts["var"],
    }


def test_names_and_axes_of_keras(tmp_path: Path) -> None:
    network = build_network("digits")
    layers = random_layers(network)
    tensors: dict[str, Real] = {}
    for layer in network.compute_layers:
        title = layer.name.replace(".", "_")
        tensors |= keras_names(title, layers[layer.name], isinstance(layer, Depthwise))
    np.savez(tmp_path / "keras.npz", **tensors)  # type: ignore[arg-type] # numpy's stub
    loaded = load_weights(network, WeightSource(path=tmp_path / "keras.npz"))
    check_folded(loaded.network, layers, 1e-3)
    assert any("eps 0.001, which matters" in note for note in loaded.notes)


def test_names_of_tf_slim_in_alphabetical_order(tmp_path: Path) -> None:
    # The batch norm stands before the weights that it follows.
    network = build_network("digits")
    layers = random_layers(network)
    tensors: dict[str, Real] = {}
    for layer in network.compute_layers:
        parts, scope = layers[layer.name], f"Net/{layer.name.replace('.', '/')}"
        if "bias" in parts:
            tensors |= {f"{scope}/weights": parts["weight"].T}
            tensors |= {f"{scope}/biases": parts["bias"]}
            continue
        depthwise = isinstance(layer, Depthwise)
        word = "depthwise_weights" if depthwise else "weights"
        axes = (2, 3, 0, 1) if depthwise else (2, 3, 1, 0)
        tensors[f"{scope}/{word}"] = parts["weight"].transpose(axes)
        for theirs, ours in (
            ("gamma", "gain"),
            ("beta", "shift"),
            ("moving_mean", "mean"),
            ("moving_variance", "var"),
        ):
            tensors[f"{scope}/BatchNorm/{theirs}"] = parts[ours]
    ordered = dict(sorted(tensors.items()))
    assert next(iter(ordered)).endswith("BatchNorm/beta")
    np.savez(tmp_path / "slim.npz", **ordered)  # type: ignore[arg-type] # numpy's stub
    loaded = loaded_from(tmp_path / "slim.npz", network)
    check_folded(loaded, layers, 1e-3)


def chain_of_norms() -> Network:
    return replace(chain(), params=MappingProxyType({}))


class Made(nn.Module):
    """A module whose two batch norms have an eps of their own each."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(4, eps=0.5)
        self.second = nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False)
        self.second_norm = nn.BatchNorm2d(4, eps=0.25)
        self.third = nn.Linear(4, 3)


def made() -> nn.Module:
    torch.manual_seed(0)
    return Made()


def test_a_module_says_its_own_eps() -> None:
    spec = Path("tests.quant.test_weights:made")
    loaded = loaded_from(spec, chain_of_norms())
    module = made()
    assert isinstance(module, Made)
    # Means are 0, variances and gains 1.
    for name, conv, eps in (
        ("stem", module.first, 0.5),
        ("depthwise", module.second, 0.25),
    ):
        weight = conv.weight.detach().double().numpy() / np.sqrt(1 + eps)
        check_close(loaded.params[f"{name}.weight"], weight)


def test_a_mapping_is_written_and_followed(tmp_path: Path) -> None:
    network = chain_of_norms()
    layers = random_layers(network)
    names = {"stem": ("a", "a_bn"), "depthwise": ("b", "b_bn"), "classifier": ("c", "")}
    tensors: dict[str, Real] = {}
    for name, (conv, norm) in names.items():
        tensors |= torch_names(conv, norm, layers[name])
    path = save_torch(tmp_path / "w.pt", tensors)
    mapping = tmp_path / "mapping.txt"
    source = WeightSource(path=path, mapping=mapping)
    told = load_weights(network, source).notes
    assert f"which layer is which: {mapping}" in told
    assert mapping.read_text() == "stem <- a\ndepthwise <- b\nclassifier <- c\n"
    # Both are of one shape: only the mapping says that they are the other way round.
    mapping.write_text("# turned round\nstem <- b\ndepthwise <- a\n")
    turned = load_weights(network, source)
    weight, _ = expected(layers["depthwise"], 1e-5)
    check_close(turned.network.params["stem.weight"], weight)


def test_a_doubtful_match_is_proposed_and_refused(tmp_path: Path) -> None:
    network = chain_of_norms()
    layers = random_layers(network)
    # Sorted by name, and nothing but the names tells "one" from "two".
    tensors = {
        f"{theirs}.weight": layers[ours]["weight"]
        for theirs, ours in (("a", "classifier"), ("one", "depthwise"), ("two", "stem"))
    }
    path = tmp_path / "w.safetensors"
    save_file({key: torch.tensor(array) for key, array in tensors.items()}, path)
    with pytest.raises(InputError, match="in another order; `mapping` = FILE proposes"):
        load_weights(network, WeightSource(path=path))
    mapping = tmp_path / "mapping.txt"
    with pytest.raises(InputError, match=r"mapping\.txt now proposes which is which"):
        load_weights(network, WeightSource(path=path, mapping=mapping))
    assert mapping.read_text() == "stem <- one\ndepthwise <- two\nclassifier <- a\n"
    load_weights(network, WeightSource(path=path, mapping=mapping))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stem - a", r"line 1: 'stem - a'; must be `layer <- name in the file`"),
        ("stem <- z", "mapping of 'stem' to 'z'; must be layers of the network and of"),
        ("stem <- c", r"shape \(4, 1, 3, 3\), 'c' of the file \(3, 4\); must be of o"),
    ],
)
def test_mappings_that_do_not_fit_are_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    network = chain_of_norms()
    layers = random_layers(network)
    tensors: dict[str, Real] = {}
    for name, conv in (("stem", "a"), ("depthwise", "b"), ("classifier", "c")):
        tensors |= torch_names(conv, f"{conv}_bn", layers[name])
    path = save_torch(tmp_path / "w.pt", tensors)
    mapping = tmp_path / "mapping.txt"
    mapping.write_text(text)
    with pytest.raises(InputError, match=message):
        load_weights(network, WeightSource(path=path, mapping=mapping))


def test_a_mapping_counts_beside_names_that_are_alike(tmp_path: Path) -> None:
    network = chain(0)
    names = {key: array for key, array in network.params.items() if "." in key}
    path = tmp_path / "w.npz"
    np.savez(path, allow_pickle=False, **names)
    assert load_weights(network, WeightSource(path=path)).network.params
    mapping = tmp_path / "mapping.txt"
    mapping.write_text("what is this")
    with pytest.raises(InputError, match="line 1: 'what is this'; must be"):
        load_weights(network, WeightSource(path=path, mapping=mapping))


def test_a_mapping_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    path = save_torch(tmp_path / "w.pt", {"a.weight": np.zeros((2, 2))})
    with pytest.raises(InputError, match=r"cannot be read .*; must be a text file"):
        load_weights(chain(), WeightSource(path=path, mapping=tmp_path))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("tests.quant.networks:chain", "returned Network; must be torch.nn.modules"),
        ("no.such.module:function", "must be an importable 'package.module:function'"),
    ],
)
def test_functions_that_make_no_module_are_refused(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_weights(chain(), WeightSource(path=Path(spec)))


def test_the_state_of_the_very_module_comes_by_name_its_batch_norms_folded(
    tmp_path: Path,
) -> None:
    class Twins(nn.Module):
        """Two layers of one shape, run in another order than they are kept in."""

        def __init__(self) -> None:
            super().__init__()
            self.late = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8))
            self.early = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8))
            self.stem = nn.Conv2d(3, 8, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.late(torch.relu(self.early(self.stem(x))))
            return y

    torch.manual_seed(0)
    module = Twins()
    for norm in (module.late[1], module.early[1]):
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        nn.init.uniform_(norm.weight, 0.5, 2)
        nn.init.uniform_(norm.running_mean)
    network = from_torch(module, (3, 8, 8))
    torch.save(module.state_dict(), tmp_path / "net.pt")
    bare = replace(network, params=MappingProxyType({}))
    found = load_weights(bare, WeightSource(path=tmp_path / "net.pt"))
    for key, array in network.params.items():
        theirs = found.network.params[key].astype(np.float64)
        np.testing.assert_allclose(theirs, array.astype(np.float64), rtol=1e-6)
    assert found.notes[0] == "3 layers by name: stem <- stem ... late.0 <- late.0"
