"""A network with the float weights of a file, whatever library wrote it."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hao.errors import InputError
from hao.files import read_text, write_file
from hao.ir.network import Network
from hao.quant.float_net import with_parameters
from hao.quant.matching import (
    MEANS,
    Matched,
    Stored,
    default_eps,
    folded_parameters,
    match,
    stored_layers,
)
from hao.quant.state import State, load_state

_SMALL = 100
"""A variance below this many eps is changed by the choice of eps by a percent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightSource:
    """Where weights come from.

    Attributes:
        path: A file, or `package.module:function` that makes a torch module.
        eps: What batch norms add to variances; `None` for what a module says, or else
            the default of the library that names its tensors so.
        mapping: A file with a line `layer <- name in the file` each: followed if it is
            there, and else written, for all layers. `None` for no file.
    """

    path: Path
    eps: float | None = None
    mapping: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedWeights:
    """A network with parameters, and what was taken for granted.

    Attributes:
        network: All compute layers have a bias.
        notes: A sentence each.
    """

    network: Network
    notes: tuple[str, ...]


def load_weights(network: Network, source: WeightSource) -> LoadedWeights:
    """Return a network with the weights of a file.

    Args:
        network: Layers; parameters it has are not kept.
        source: Tensors named "layer.weight" and "layer.bias" after the network's own
            layers are taken by name, others by shape and order.

    Raises:
        InputError: The file cannot be read, a parameter is missing, misshapen or not
            finite, or it is not known which layer it belongs to.
        UnsupportedError: A function that makes a module raised something.
    """
    state = load_state(source.path)
    try:
        return _loaded(network, state, source)
    except InputError as error:
        raise InputError(f"{source.path}: {error}") from error


def _loaded(network: Network, state: State, source: WeightSource) -> LoadedWeights:
    names = [layer.name for layer in network.compute_layers]
    own = {name for name in names if f"{name}.weight" in state.tensors}
    theirs_by_ours: dict[str, str] = {}
    given = _read_mapping(source.mapping)
    norms = any(name.endswith(MEANS) for name in state.tensors)
    if 2 * len(own) > len(names):
        if not norms and not given:
            named = with_parameters(network, dict(state.tensors))
            return LoadedWeights(network=named, notes=state.notes)
        theirs_by_ours = {name: name for name in names if name in own}
    stored = stored_layers(state.tensors, by_name=state.by_name)
    mapping = theirs_by_ours | given
    matched = match(network, stored, mapping, by_name=state.by_name)
    _check_clear(matched, source.mapping)
    usual = default_eps(stored) if source.eps is None else source.eps
    params: dict[str, NDArray[np.generic]] = {}
    for layer, theirs in matched.pairs:
        eps = _eps(theirs, state, source, usual)
        weight, bias = folded_parameters(layer, theirs, eps)
        params[f"{layer.name}.weight"], params[f"{layer.name}.bias"] = weight, bias
    loaded = with_parameters(network, params)
    notes = [*state.notes, *_match_notes(matched)]
    if not state.eps:
        notes += _eps_notes(matched, usual, given=source.eps is not None)
    if source.mapping is not None and not source.mapping.exists():
        write_file(source.mapping, render_mapping(matched).encode())
        notes.append(f"which layer is which: {source.mapping}")
    return LoadedWeights(network=loaded, notes=tuple(notes))


def _check_clear(matched: Matched, mapping: Path | None) -> None:
    """Check that it is clear which layer is which; write a proposal if it is not.

    Raises:
        InputError: It is not.
    """
    if not matched.doubtful:
        return
    remedy = "`mapping` = FILE proposes which is which, to be checked"
    if mapping is not None:
        write_file(mapping, render_mapping(matched).encode())
        remedy = f"{mapping} now proposes which is which: check it and run again"
    raise InputError(
        f"layers {matched.doubtful[0]!r} and {matched.doubtful[1]!r} of the network "
        "have shapes that several layers of the file have, in another order; "
        f"{remedy}"
    )


def _eps(stored: Stored, state: State, source: WeightSource, usual: float) -> float:
    if source.eps is not None or stored.norm is None:
        return usual
    return state.eps.get(stored.norm.name, usual)


def _eps_notes(matched: Matched, eps: float, *, given: bool) -> list[str]:
    """Return which eps was taken for a file's batch norms, which do not say it."""
    norms = [stored.norm for _, stored in matched.pairs if stored.norm is not None]
    if not norms:
        return []
    note = f"{len(norms)} batch norms folded with eps {eps:g}"
    small = float(np.percentile(np.concatenate([n.variance for n in norms]), 5))
    if not given and small < _SMALL * eps:
        note += (
            f", which matters: one variance in 20 is below {small:.2g}; `bn_eps` gives "
            "another"
        )
    return [note]


def _match_notes(matched: Matched) -> list[str]:
    (first, one), (last, other) = matched.pairs[0], matched.pairs[-1]
    by_name = all(layer.name == theirs.name for layer, theirs in matched.pairs)
    how = "by name" if by_name else "by shape and order"
    notes = [
        f"{len(matched.pairs)} layers {how}: {first.name} <- {one.name} "
        f"... {last.name} <- {other.name}"
    ]
    if matched.unused:
        notes.append(
            f"{len(matched.unused)} layers of the file that the network does not have "
            f"are left out, such as {matched.unused[0]}"
        )
    return notes


def render_mapping(matched: Matched) -> str:
    """Return a line for every layer, as the file of `WeightSource.mapping` has it."""
    lines = [f"{layer.name} <- {theirs.name}" for layer, theirs in matched.pairs]
    return "\n".join(lines) + "\n"


def _read_mapping(path: Path | None) -> dict[str, str]:
    if path is None or not path.exists():
        return {}
    mapping: dict[str, str] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = re.fullmatch(r"\s*(\S+)\s*<-\s*(\S*)\s*", line)
        if parts is None:
            raise InputError(
                f"mapping {path}, line {number}: {line.strip()!r}; must be `layer <- "
                "name in the file`"
            )
        mapping[parts[1]] = parts[2]
    return mapping
