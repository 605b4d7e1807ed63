"""The state of a pruning comes back from its file, or is refused."""

from pathlib import Path

import numpy as np
import pytest

from hao.answer.kept import Sparsified, load_kept, save_kept
from hao.errors import InputError
from hao.ir.partition import Role
from hao.ir.sparsity import with_densities
from hao.program.problem import DEFAULT_SPACE
from hao.program.space import Space
from hao.quant.float_net import with_parameters
from tests.quant.networks import chain


def test_the_state_of_a_pruning_comes_back(tmp_path: Path) -> None:
    whole = chain()
    network = with_densities(with_parameters(whole, whole.params), {"stem": 50})
    found = Sparsified(
        network=network,
        densities={"stem": 50},
        space=Space(
            pixels=(2,),
            buffering=(True,),
            shapes=((Role.DENSE, (4, 8)),),
            roles=(("stem", Role.DENSE),),
        ),
        before={"stem": 9},
        after={"stem": 5},
        cycles=70,
        start_cycles=90,
    )
    path = tmp_path / "state.npz"
    assert load_kept(path, whole, Sparsified) is None
    save_kept(path, found)
    again = load_kept(path, whole, Sparsified)
    assert again is not None
    assert again.space is not None
    assert again.network.layers == network.layers
    for key, array in network.params.items():
        np.testing.assert_array_equal(again.network.params[key], array)
    assert (again.space, again.after) == (found.space, found.after)
    assert (again.cycles, again.start_cycles) == (70, 90)
    assert again.space.lanes == DEFAULT_SPACE.lanes


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    np.savez(path, state=np.zeros(3, dtype=np.uint8))
    with pytest.raises(InputError, match="not readable as a pruning of net"):
        load_kept(path, chain(), Sparsified)
