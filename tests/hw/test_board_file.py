"""The boards that ship with hao: found by their names, and every number sourced."""

import re
import subprocess
import sys
import tomllib

import pytest

from hao.data import data_path
from hao.errors import InputError
from hao.hw.board_file import board_aliases, board_names, load_board
from hao.hw.device import check_clock
from hao.hw.resources import Resources


def test_the_boards_that_people_have_ship() -> None:
    assert set(board_names()) == {
        *("zu3eg", "ultra96-v1", "aup-zu3", "zuboard-1cg", "zu2eg"),
        *("genesys-zu-3eg", "genesys-zu-5ev", "kv260", "kr260", "kd240"),
        *("zcu102", "zcu104", "zcu106", "rfsoc-4x2", "zc706"),
        *("pynq-z1", "pynq-z2", "arty-z7-20", "zybo-z7-20", "cora-z7-07s"),
    }
    assert list(board_names()) == sorted(board_names())


@pytest.mark.parametrize("name", board_names())
def test_shipped_board_carries_the_name_of_its_file(name: str) -> None:
    board = load_board(name)
    assert board.name == name
    check_clock(board)


@pytest.mark.parametrize("name", board_names())
def test_shipped_board_gives_a_source_for_everything_it_says(name: str) -> None:
    text = data_path("boards", f"{name}.toml").read_text(encoding="utf-8")
    document = tomllib.loads(text)
    sources = load_board(name).sources
    keys = [
        f"{table}.{key}"
        for table, rows in document.items()
        if isinstance(rows, dict) and table != "sources"
        for key in rows
    ]
    assert {"clock.khz", "ddr.type", "ddr.bits", "ddr.transfers_per_s"} <= set(keys)
    assert [key for key in ("part", *keys) if len(sources[key]) < 15] == []


@pytest.mark.parametrize("name", board_names())
def test_what_a_shipped_board_leaves_out_has_a_source_too(name: str) -> None:
    sources = load_board(name).sources
    left_out = ("resources", "ports.count", "ports.bytes", "ports.max_khz")
    caps = [f"cap_percent.{kind}" for kind in ("lut", "ff", "dsp", "bram_18k", "uram")]
    assert [key for key in (*left_out, *caps) if len(sources[key]) < 20] == []


@pytest.mark.parametrize(
    ("name", "megatransfers", "bits"),
    [
        ("zu3eg", 3200 / 3, 32),
        ("zu2eg", 2133, 32),
        ("zcu104", 2133, 64),
        ("zcu102", 2133, 64),
        ("kv260", 2400, 64),
        ("pynq-z2", 1050, 16),
        ("zc706", 1066, 32),
        ("aup-zu3", 2400, 32),
        ("genesys-zu-3eg", 1860, 64),
    ],
)
def test_ddr_peak_is_transfers_times_width(
    name: str, megatransfers: float, bits: int
) -> None:
    expected = int(megatransfers * 1000 * bits / 8)
    assert load_board(name).ddr_peak_kbytes_per_s == expected


def test_zu3eg_agrees_with_the_percentages_that_papers_print() -> None:
    # HAO (arXiv:2104.12766, Table III) prints counts and shares of the same device;
    # a share of one decimal is matched to 0.1.
    device = load_board("zu3eg").resources
    assert 100 * 61_362 / device.lut == pytest.approx(87.0, abs=0.1)
    assert 100 * 55_136 / device.ff == pytest.approx(39.0, abs=0.1)
    assert 100 * 431 / device.bram_18k == pytest.approx(99.8, abs=0.1)
    assert device.dsp == 360


def test_zu3eg_lets_the_design_of_msd_pass_at_its_clock() -> None:
    # MSD (FCCM 2023) runs 264 DSP, 194 BRAM36 and 55,710 LUT at 214 MHz on the board.
    board = load_board("zu3eg")
    assert Resources(dsp=264, bram_18k=388, lut=55_710) <= board.usable
    assert int(board.clock_mhz) == 214


def test_load_board_reads_a_path_and_a_name_alike() -> None:
    path = data_path("boards", "kv260.toml")
    assert load_board(str(path)) == load_board("kv260")


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("ultra96", "ultra96-v1"),
        ("Ultra96-V2", "zu3eg"),
        ("ultra96v2", "zu3eg"),
        ("ZU3EG", "zu3eg"),
        ("PYNQ_Z2", "pynq-z2"),
        ("Arty Z7 20", "arty-z7-20"),
        ("AUP-ZU3-8GB", "aup-zu3"),
        ("zub1cg", "zuboard-1cg"),
    ],
)
def test_a_board_is_found_by_its_other_names(asked: str, name: str) -> None:
    assert load_board(asked).name == name


def test_boards_are_read_without_libraries_that_take_long_to_load() -> None:
    # `hao boards` stays below 0.2 CPU s: numpy and pydantic alone would take as long.
    code = (
        "import sys\nfrom hao.hw.board_file import board_names, load_board\n"
        "from hao.report.boards import render_boards\n"
        "render_boards([load_board(name) for name in board_names()], {})\n"
        "print(*{'numpy', 'pydantic', 'scipy', 'rich'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == []


def test_no_two_boards_share_a_name() -> None:
    aliases = board_aliases()
    plain = [re.sub(r"[^a-z0-9]", "", name) for name in (*board_names(), *aliases)]
    assert len(set(plain)) == len(plain)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("zu3g", "did you mean 'zu3eg' or "),
        ("pynq", "did you mean 'pynq-z2' or 'pynq-z1'?"),
        ("zybo", "did you mean 'zybo-z7-20'?"),
        ("../boards/zu3eg", "did you mean 'zu3eg' or "),
    ],
)
def test_an_unknown_board_is_refused_with_its_neighbours(name: str, hint: str) -> None:
    with pytest.raises(InputError, match="unknown; did you mean") as caught:
        load_board(name)
    message = str(caught.value)
    assert hint in message
    assert message.startswith(f"board {name!r}: unknown; ")
    assert "`hao boards` lists" in message


@pytest.mark.parametrize("name", ["", "a" * 5000, "\x1b[2J"])
def test_a_name_like_no_other_is_refused_on_one_line(name: str) -> None:
    with pytest.raises(InputError, match="unknown; `hao boards` lists") as caught:
        load_board(name)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("name", "burst"),
    # 16 transfers of LPDDR4 and 8 of DDR3 and DDR4, on 32, 64, 16 and 32 lines.
    [("zu3eg", 64), ("kv260", 64), ("pynq-z2", 16), ("zc706", 32)],
)
def test_a_burst_of_the_ddr_follows_from_its_type(name: str, burst: int) -> None:
    assert load_board(name).ddr_burst_bytes == burst


def test_what_the_host_takes_has_a_source_on_every_board() -> None:
    for name in board_names():
        board = load_board(name)
        assert board.host_call_us >= 500
        assert "KV260" in board.sources["host.call_us"]
