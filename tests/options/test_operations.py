"""The pool of operations: what it offers, what fits, and what tables are refused."""

from pathlib import Path

import pytest

from hao.errors import InputError
from hao.ir.blocks import Block, with_operations
from hao.ir.layer import ActivationKind, Add, Conv, Depthwise
from hao.ir.partition import partition
from hao.ir.parts import replaceable_blocks
from hao.options.operations import load_pool, may_be_left_out, operations_of
from hao.zoo import build_network

DIGITS = build_network("digits")


def _block(name: str) -> Block:
    return next(b for b in replaceable_blocks(DIGITS) if b.name == name)


def _table(tmp_path: Path, rows: str) -> Path:
    path = tmp_path / "pool.csv"
    path.write_text(f"name,layers,add\n{rows}\n")
    return path


@pytest.mark.parametrize(
    "name", ["digits", "mobilenet_v2_100", "mobilenet_v1_100", "resnet18"]
)
def test_every_block_has_at_least_sixty_operations_that_the_engine_runs(
    name: str,
) -> None:
    network = build_network(name)
    blocks = replaceable_blocks(network)
    for block in blocks:
        operations = operations_of(network, block, load_pool())
        assert len(operations) >= 60
        names = [layer.name for ls in operations.values() for layer in ls]
        assert len(set(names)) == len(names)
    for place in range(0, 60, 7):
        chosen = {}
        for block in blocks:
            operations = operations_of(network, block, load_pool())
            chosen[block] = list(operations.values())[place]
        changed = with_operations(network, chosen)
        assert partition(changed).segments
        assert changed.output.ofm == network.output.ofm


def test_layers_have_the_widths_strides_and_activations_of_the_table() -> None:
    # block2 reads 16x16x16 and makes 24x8x8 without an activation.
    made = operations_of(DIGITS, _block("block2"), load_pool())["inverted_e3_k5"]
    assert [
        (type(x), x.ofm.channels, x.ofm.height, getattr(x, "kernel", None))
        for x in made
    ] == [(Conv, 48, 16, 1), (Depthwise, 48, 8, 5), (Conv, 24, 8, 1)]
    kinds = [x.activation for x in made if isinstance(x, Conv | Depthwise)]
    assert kinds[0] == kinds[1] != ActivationKind.NONE
    assert kinds[2] is ActivationKind.NONE
    added = operations_of(DIGITS, _block("block1.add"), load_pool())["inverted_e3_k5"]
    assert isinstance(added[-1], Add)
    assert added[-1].inputs == ("block1.inverted_e3_k5.3", "stem")


def test_channels_inside_are_multiples_of_four() -> None:
    made = operations_of(DIGITS, _block("block2"), load_pool())["bottleneck_d8_k3"]
    assert [x.ofm.channels for x in made] == [4, 4, 24]


def test_a_multiple_that_is_no_whole_number_is_rounded_up() -> None:
    pool = {operation.name: operation for operation in load_pool()}
    # A quarter of 18 is 4.5, and 4 would be less.
    assert pool["fused_d4_k3"].pieces[0].channels(18, 24) == 8


def test_what_the_block_is_already_is_not_offered() -> None:
    # block1 is an inverted residual of e = 2, k = 3 itself.
    found = operations_of(DIGITS, _block("block1.add"), load_pool())
    assert "inverted_e2_k3" not in found
    assert "inverted_e2_k5" in found


def test_only_blocks_of_one_shape_may_be_left_out() -> None:
    found = {b.name: may_be_left_out(DIGITS, b) for b in replaceable_blocks(DIGITS)}
    assert found == {
        "block1.add": True,
        "block2": False,
        "block3.add": True,
        "block4": False,
    }


def test_a_table_of_ones_own_adds_to_the_pool(tmp_path: Path) -> None:
    path = _table(tmp_path, "mine,conv1 8 | dw3 | conv1 o,no")
    pool = load_pool(path)
    assert len(pool) == len(load_pool()) + 1
    made = operations_of(DIGITS, _block("block2"), pool)["mine"]
    assert [x.ofm.channels for x in made] == [8, 8, 24]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "mine,conv1 i,no",
            "line 2: operation 'mine' in the place of 'block2' gives "
            "16x8x8, where the block gives 24x8x8; its shapes must be the block's",
        ),
    ],
)
def test_an_operation_of_other_shapes_is_refused(
    tmp_path: Path, row: str, message: str
) -> None:
    pool = load_pool(_table(tmp_path, row))
    with pytest.raises(InputError, match=message):
        operations_of(DIGITS, _block("block2"), pool)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("conv3,conv3 o,no", "line 2: operation 'conv3' occurs twice"),
        ("a,conv3 o", "line 2: 2 cells; must be name,layers,add"),
        ("a b,conv3 o,no", "line 2: name 'a b'; must be at most 40 letters"),
        ("a,conv3 o,maybe", "line 2: add = 'maybe'; must be yes or no"),
        ("a,conv4 o,no", "line 2: layer 'conv4 o'; must be such as conv3 2i"),
        ("a,conv9 o,no", "line 2: layer 'conv9 o'; must be such as"),
        ("a,dw3 2i,no", "line 2: layer 'dw3 2i'; must be such as"),
        ("a,conv3,no", "line 2: layer 'conv3'; must be such as"),
        ("a,conv3 1/0o,no", "line 2: layer 'conv3 1/0o'; must be such as"),
        ("a,conv3 1/2,no", "line 2: layer 'conv3 1/2'; must be such as"),
        ("a,pool3,no", "line 2: layer 'pool3'; must be such as"),
        (f"a,{' | '.join(['conv1 o'] * 9)},no", "line 2: 9 layers; must be at most 8"),
        ("\n".join(f"a{n},conv1 o,no" for n in range(1000)), "1001 lines; must be at"),
    ],
)
def test_a_malformed_table_is_refused(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_pool(_table(tmp_path, rows))


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file; must be a text file"):
        load_pool(tmp_path / "none.csv")
    (tmp_path / "other.csv").write_text("a,b\n")
    with pytest.raises(InputError, match="the first line must be name,layers,add"):
        load_pool(tmp_path / "other.csv")
