"""Random files: what is let in computes what the file says, to the last integer.

Each file is imported, quantized and emitted for a random engine; the emitted C++ is
compiled and compared with the integers, map by map. A file that cannot be built is
refused while it is loaded, never later.
"""

import random
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hao.errors import UnsupportedError
from hao.frontends.from_onnx.model import load_onnx
from hao.ir.integer import IntegerNetwork, is_wide
from hao.ir.interpret import run_float
from hao.ir.layer import GlobalAveragePool, Pool, PoolKind
from hao.ir.network import Network
from hao.ir.partition import partition
from hao.ir.quantizers import is_quantized, stages_only
from hao.model import load_buildable
from hao.quant.imported import count_rounding, imported_integers
from hao.quant.integers import count_differences, integer_network
from hao.quant.ptq import quantize_network
from hao.quant.requantized import frame_is_open
from hao.quant.scheme import uniform_scheme
from tests.emission import builds
from tests.emission.random_designs import Sample, design_for
from tests.emission.test_fuzz import compare_sample
from tests.frontends.onnx_models import qonnx_outputs
from tests.random_files import random_file

FRAMES = 6
EQUAL_SHARE, ROUNDED_SHARE = 1e-9, 0.1
"""Parts of the range of a file's outputs: by which those of the network that is
built may differ at most, in floating point; and on average, where operands of
adds are rounded once more. Chosen here."""
QUICK = range(60)
BUILT = range(4)
THOROUGH = range(60, 360)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file: its integers, `None` if refused, and what is wrong."""

    net: IntegerNetwork | None
    wrong: str = ""


def frames_of(network: Network, seed: int) -> NDArray[np.float32]:
    shape = network.input.ofm
    size = (FRAMES, shape.channels, shape.height, shape.width)
    return np.random.default_rng(seed).uniform(-1, 1, size).astype(np.float32)


def outcome_of(seed: int, folder: Path) -> Outcome:
    """Return what becomes of a seed's file."""
    made = random_file(seed)
    path = folder / f"file{seed}.onnx"
    path.write_bytes(made.SerializeToString())
    try:
        found_file = load_buildable(path)
    except UnsupportedError:
        return Outcome(None)
    network = found_file.network
    frames = frames_of(network, seed)
    ours = run_float(network, frames.astype(np.float64)).reshape(FRAMES, -1)
    last = made.graph.node[-2].op_type
    if last not in ("Softmax", "Sigmoid") and not is_quantized(network):
        theirs = np.concatenate([qonnx_outputs(made, frame[None]) for frame in frames])
        if not np.allclose(theirs, ours, rtol=1e-3, atol=1e-3):
            return Outcome(None, f"{seed}: outputs {theirs[0]} {ours[0]}")
    if not is_quantized(network):
        scheme = uniform_scheme(network, weight_bits=8, act_bits=8)
        quantized = quantize_network(network, scheme, frames)
        net = integer_network(quantized)
        found = count_differences(quantized, net, frames)
        return Outcome(net, f"{seed}: {found}" if found.differences else "")
    whole = run_float(load_onnx(path).network, frames.astype(np.float64))
    apart = np.abs(whole.reshape(FRAMES, -1) - ours)
    noted = any("rounded once more" in n or "may differ" in n for n in found_file.notes)
    reach, share = float(np.ptp(whole)), ROUNDED_SHARE if noted else EQUAL_SHARE
    if (apart.mean() if noted else apart.max()) > share * reach:
        return Outcome(None, f"{seed}: outputs up to {apart.max()} apart of {reach}")
    imported = imported_integers(network, frames)
    found = count_rounding(network, imported, frames)
    # With other scales than powers of two a half of the file is one only nearly.
    powers = all(np.frexp(scale)[0] == 0.5 for scale in imported.scales.values())
    closed = not frame_is_open(network)
    if closed and unpriced(network, imported.net):
        return Outcome(None, f"{seed}: {unpriced(network, imported.net)}")
    exact = powers and closed and not imported.rounded
    if exact and found.differences:
        return Outcome(imported.net, f"{seed}: {found}")
    return Outcome(imported.net)


def unpriced(network: Network, net: IntegerNetwork) -> str:
    """Return what requantizers do that is not priced, or are priced for but do not."""
    rounds = any(net.rounding(layer.name).any() for layer in network.compute_layers)
    if {layer.evens for layer in network.compute_layers} != {rounds}:
        return f"halves to even {rounds}, priced {not rounds}"
    averages = [
        layer
        for layer in network.layers
        if isinstance(layer, GlobalAveragePool)
        or (isinstance(layer, Pool) and layer.kind is PoolKind.AVERAGE)
    ]
    factors = [int(net.param(layer.name, "multiplier")[0]) for layer in averages]
    wide = [is_wide(factor) for factor in factors]
    priced = [layer.wide for layer in averages]
    return "" if wide == priced else f"wide means {wide}, priced {priced}"


def built(seed: int, net: IntegerNetwork, folder: Path, flags: tuple[str, ...]) -> str:
    """Return where the emitted code differs from a net, or nothing."""
    network = stages_only(net.network)
    kind = net.maps[net.network.input.name]
    bits = max(entry.quant.bits for entry in net.maps.values())
    rng = random.Random(seed)
    design = design_for(
        rng,
        network,
        partition(network).segments,
        weight_bits=net.weight_bits(),
        act_bits=bits,
    )
    if design is None:
        return f"{seed}: no engine"
    shape = network.input.ofm
    size = (2, shape.channels, shape.height, shape.width)
    codes = np.random.default_rng(seed).integers(kind.low, kind.high + 1, size)
    sample = Sample(seed=seed, kind="file", design=design, net=net, frames=codes)
    return compare_sample(sample, folder / f"seed{seed}", flags)


def wrong_of(seeds: Iterable[int], folder: Path) -> list[str]:
    """Return what is wrong with the files of seeds, down to emitted code."""
    flags = builds.precompile(folder, *builds.CHECKED)

    def look(seed: int) -> str:
        outcome = outcome_of(seed, folder)
        if outcome.wrong or outcome.net is None:
            return outcome.wrong
        return built(seed, outcome.net, folder, flags)

    with ThreadPoolExecutor(2) as pool:
        return [text for text in pool.map(look, seeds) if text]


def test_files_that_are_let_in_have_their_own_integers(tmp_path: Path) -> None:
    found = [outcome_of(seed, tmp_path) for seed in QUICK]
    assert [outcome.wrong for outcome in found if outcome.wrong] == []
    kinds = Counter(
        "refused" if one.net is None else one.net.requantization.value for one in found
    )
    assert min(kinds[kind] for kind in ("refused", "shift", "multiplier")) >= 3


def test_some_files_reach_emitted_code(tmp_path: Path) -> None:
    assert wrong_of(BUILT, tmp_path) == []


@pytest.mark.thorough
def test_many_files_reach_emitted_code(tmp_path: Path) -> None:
    assert wrong_of(THOROUGH, tmp_path) == []
