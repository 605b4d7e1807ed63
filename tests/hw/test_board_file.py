"""Board files: the shipped ones hold, and a wrong one is refused in one line."""

import os
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hao.data import data_path
from hao.errors import InputError
from hao.hw.board import Board, DspType
from hao.hw.board_file import MAX_FILE_BYTES, board_names, load_board
from hao.hw.resources import Resources

GOOD = data_path("boards", "zu3eg.toml").read_text(encoding="utf-8")


def write(folder: Path, content: str) -> str:
    path = folder / "demo.toml"
    path.write_text(content, encoding="utf-8")
    return str(path)


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1, old
    return GOOD.replace(old, new)


def refusal(folder: Path, content: str) -> str:
    path = write(folder, content)
    with pytest.raises(InputError) as caught:
        load_board(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_board_names_are_the_shipped_files() -> None:
    assert board_names() == (
        "kv260",
        "pynq-z2",
        "zc706",
        "zcu102",
        "zcu104",
        "zu2eg",
        "zu3eg",
    )


@pytest.mark.parametrize("name", board_names())
def test_shipped_board_carries_the_name_of_its_file(name: str) -> None:
    assert load_board(name).name == name


@pytest.mark.parametrize("name", board_names())
def test_shipped_board_gives_a_source_for_every_number(name: str) -> None:
    text = data_path("boards", f"{name}.toml").read_text(encoding="utf-8")
    document = tomllib.loads(text)
    sources = load_board(name).sources
    numbers = [
        f"{table}.{key}"
        for table, rows in document.items()
        if isinstance(rows, dict) and table != "sources"
        for key in rows
    ]
    assert len(numbers) == (21 if "power" in document else 20)
    assert [key for key in numbers if len(sources[key]) < 20] == []


@pytest.mark.parametrize("name", board_names())
def test_shipped_zynq_has_two_flip_flops_per_lut(name: str) -> None:
    # True of every 7-series and UltraScale+ logic block; catches a typing error in
    # either column.
    device = load_board(name).resources
    assert device.ff == 2 * device.lut


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


def test_load_board_converts_every_field(tmp_path: Path) -> None:
    tables = {
        "clock": {"khz": 100_001},
        "resources": {
            "lut": 1002,
            "lutram": 103,
            "ff": 2004,
            "dsp": 105,
            "bram_18k": 106,
            "uram": 107,
        },
        "cap_percent": {"lut": 11, "ff": 12, "dsp": 13, "bram_18k": 14, "uram": 15},
        "ddr": {
            "peak_kbytes_per_s": 1_000_016,
            "read_percent": 17,
            "write_percent": 18,
            "burst_bytes": 32,
        },
        "ports": {"count": 3, "bytes": 8, "max_khz": 100_018},
        "host": {"call_us": 1020},
        "power": {"idle_mw": 1019},
    }
    lines = ['name = "a-1"', 'title = "T"', 'device = "D"', 'part = "xc7z0"']
    lines.append('dsp_type = "DSP48E1"')
    for table, rows in tables.items():
        lines.append(f"[{table}]")
        lines += [f"{key} = {value}" for key, value in rows.items()]
    lines.append("[sources]")
    keys = [f"{table}.{key}" for table, rows in tables.items() for key in rows]
    lines += [f'{key} = "made up {key}"' for key in keys]
    assert load_board(write(tmp_path, "\n".join(lines))) == Board(
        name="a-1",
        title="T",
        device="D",
        part="xc7z0",
        clock_khz=100_001,
        resources=Resources(lut=1002, ff=2004, dsp=105, bram_18k=106, uram=107),
        cap_percent=Resources(lut=11, ff=12, dsp=13, bram_18k=14, uram=15),
        lutram=103,
        dsp_type=DspType.DSP48E1,
        ddr_peak_kbytes_per_s=1_000_016,
        ddr_read_percent=17,
        ddr_write_percent=18,
        ddr_burst_bytes=32,
        ports=3,
        port_bytes=8,
        port_max_khz=100_018,
        host_call_us=1020,
        idle_mw=1019,
    )
    assert dict(load_board(write(tmp_path, "\n".join(lines))).sources) == {
        key: f"made up {key}" for key in keys
    }


def test_a_board_may_leave_its_idle_power_out(tmp_path: Path) -> None:
    content = changed("[power]\nidle_mw = 4_300\n", "")
    content = content.replace("power.idle_mw =", "# ")
    assert load_board(write(tmp_path, content)).idle_mw is None
    assert load_board("zu3eg").idle_mw == 4_300
    # Half of it is refused: the source without the value, the table without its key.
    message = refusal(tmp_path, changed("[power]\nidle_mw = 4_300\n", ""))
    assert message.startswith("sources.power.idle_mw: there is no power.idle_mw")
    message = refusal(tmp_path, changed("idle_mw = 4_300", ""))
    assert message.startswith("power.idle_mw is missing; must be a whole number from 1")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("zu3g", "; did you mean 'zu3eg'?"),
        ("ZU3EG", "; did you mean 'zu3eg'?"),
        ("", ""),
        ("../boards/zu3eg", "; did you mean 'zu3eg'?"),
        ("a" * 5000, ""),
    ],
)
def test_load_board_names_the_known_boards(name: str, hint: str) -> None:
    with pytest.raises(InputError, match="unknown; must be one of kv260, ") as caught:
        load_board(name)
    assert str(caught.value).endswith(f"a path that ends in .toml{hint}")
    assert len(str(caught.value)) < 250


WRONG = {
    "float": ("dsp = 360", "dsp = 360.0", "resources.dsp = 360.0; must be a whole"),
    "text": ("dsp = 360", 'dsp = "360"', "resources.dsp = '360'; must be a whole"),
    "boolean": ("dsp = 360", "dsp = true", "resources.dsp = True; must be a whole"),
    "nan": ("dsp = 360", "dsp = nan", "resources.dsp = nan; must be a whole"),
    "inf": ("dsp = 360", "dsp = inf", "resources.dsp = inf; must be a whole"),
    "date": ("dsp = 360", "dsp = 2020-01-01", "resources.dsp = datetime.date(2020"),
    "list": ("dsp = 360", "dsp = [360]", "resources.dsp = [360]; must be a whole"),
    "negative": (
        "dsp = 360",
        "dsp = -1",
        "resources.dsp = -1; must be a whole number from 1 to 100000000",
    ),
    "huge": ("dsp = 360", "dsp = 0x" + "f" * 9000, "resources.dsp = a number of 36000"),
    "no percent": ("lut = 79", "lut = 101", "cap_percent.lut = 101; must be a whole"),
    "slow": ("khz = 214_285", "khz = 214", "clock.khz = 214; must be a whole number"),
    "port": ("bytes = 16", "bytes = 12", "port_bytes = 12; must be one of 4, 8, 16"),
    "lutram": ("lutram = 28_800", "lutram = 70_561", "must be from 0 to the 70560 LUT"),
    "dsp type": (
        '"DSP48E2"',
        '"DSP58"',
        "dsp_type = 'DSP58'; must be one of DSP48E1, DSP48E2",
    ),
    # A Versal: its processor has another block design.
    "part": (
        "xczu3eg-sbva484-1-i",
        "xcvc1902-vsva2197-2MP-e-S",
        "board 'zu3eg': part = 'xcvc1902-vsva2197-2MP-e-S'; must begin with xc7z "
        "(Zynq-7000) or xczu, xck26, xck24 (Zynq UltraScale+)",
    ),
    "dsp type of another part": (
        '"DSP48E2"',
        '"DSP48E1"',
        "dsp_type = 'DSP48E1'; the part 'xczu3eg-sbva484-1-i' is of the family Zynq "
        "UltraScale+, which has DSP48E2",
    ),
    "name": ('name = "zu3eg"', 'name = "a\\nb"', r"name = 'a\nb'; must be a name of"),
    "name type": ('name = "zu3eg"', "name = 3", "name = 3; must be a name of at most"),
    "title": ('"Ultra96-V2 (Zynq UltraScale+ ZU3EG)"', '" "', "title = ' '; must be a"),
    "missing": (
        "ff = 141_120\n",
        "",
        "resources.ff is missing; must be a whole number from 1",
    ),
    "extra": (
        "ff = 141_120",
        "ff = 141_120\nclb = 1",
        "resources.clb: unknown key; must be one of lut, lutram, ff, dsp, bram_18k,",
    ),
    "extra power": (
        "idle_mw = 4_300",
        "idle_mw = 4_300\npeak_mw = 1",
        "power.peak_mw: unknown key; must be one of idle_mw",
    ),
    "power in watts": ("idle_mw = 4_300", "idle_mw = 4.3", "power.idle_mw = 4.3; must"),
    "no power source": (
        "power.idle_mw = ",
        "# ",
        "sources.power.idle_mw is missing; must say where power.idle_mw = 4300",
    ),
    "extra on top": ("name =", "nam = 1\nname =", "nam: unknown key; must be one of n"),
    "no source": (
        "resources.dsp = ",
        "# ",
        "sources.resources.dsp is missing; must say where resources.dsp = 360 comes",
    ),
    "empty source": (
        'part = "Avnet',
        'part = " " # ',
        "sources.part = ' '; must be a text",
    ),
    "source of nothing": (
        "[sources]",
        '[sources]\nclock.mhz = "x"',
        "sources.clock.mhz: there is no clock.mhz; must be the key of a value",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_load_board_refuses_a_wrong_value_with_its_key_and_limit(
    case: str, tmp_path: Path
) -> None:
    old, new, expected = WRONG[case]
    message = refusal(tmp_path, changed(old, new))
    assert expected in message
    assert len(message) < 250


NUMBER_LINES = [
    index
    for index, line in enumerate(GOOD.partition("[sources]")[0].splitlines())
    if re.fullmatch(r"\w+ = [\d_]+", line)
]


@pytest.mark.parametrize("index", NUMBER_LINES)
@pytest.mark.parametrize("wrong", ['"16"', "true", "16.0", "-16", "10_000_000_000"])
def test_every_number_is_a_whole_number_in_its_range(
    index: int, wrong: str, tmp_path: Path
) -> None:
    lines = GOOD.splitlines()
    key = lines[index].partition(" ")[0]
    lines[index] = f"{key} = {wrong}"
    message = refusal(tmp_path, "\n".join(lines))
    assert re.fullmatch(
        rf"\w+\.{key} = .*; must be a whole number from \d+ to \d+", message
    )


def test_every_number_of_the_file_was_tried() -> None:
    assert len(NUMBER_LINES) == 21


def test_load_board_refuses_a_number_in_place_of_a_table(tmp_path: Path) -> None:
    head, _, rest = GOOD.partition("[clock]\nkhz = 214_285")
    message = refusal(tmp_path, f"{head}clock = 3\n{rest}")
    assert message == "clock = 3; must be a table"


def test_load_board_refuses_sources_that_are_no_table(tmp_path: Path) -> None:
    content = "sources = 1\n" + GOOD.partition("# Where each")[0]
    assert refusal(tmp_path, content) == "sources = 1; must be a table"


def test_load_board_gives_the_line_of_a_syntax_error(tmp_path: Path) -> None:
    message = refusal(tmp_path, 'name = "a"\ntitle = \n')
    assert message.startswith("not valid TOML: ")
    assert "line 2" in message


@pytest.mark.parametrize("content", ["a = " + "[" * 50_000, "a = " + "9" * 9_000])
def test_load_board_survives_hostile_toml(content: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, content).startswith("not valid TOML: ")


def test_load_board_survives_deep_keys(tmp_path: Path) -> None:
    deep = ".".join(["a"] * 3_000)
    assert "there is no a.a.a" in refusal(tmp_path, f'{GOOD}\n{deep} = "x"\n')


def test_load_board_refuses_what_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "demo.toml"
    path.write_bytes(b'name = "\xff"')
    with pytest.raises(InputError, match=r"demo\.toml: byte 8 is not UTF-8"):
        load_board(str(path))


def test_load_board_refuses_a_huge_file(tmp_path: Path) -> None:
    message = refusal(tmp_path, GOOD + "#" * MAX_FILE_BYTES)
    assert message.startswith("more than 100000 bytes")


def test_load_board_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.toml: no such file"):
        load_board(str(tmp_path / "no.toml"))


def test_load_board_refuses_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "x.toml"
    folder.mkdir()
    with pytest.raises(InputError, match=r"x\.toml: not a file"):
        load_board(str(folder))


def test_load_board_refuses_a_pipe_without_waiting_on_it(tmp_path: Path) -> None:
    pipe = tmp_path / "x.toml"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match=r"x\.toml: not a file"):
        load_board(str(pipe))


@pytest.mark.parametrize("path", ["a\0.toml", "a" * 5_000 + ".toml"])
def test_load_board_refuses_an_impossible_path(path: str) -> None:
    with pytest.raises(InputError, match=r"cannot be read|no such file"):
        load_board(path)


def test_load_board_refuses_an_unreadable_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = write(tmp_path, GOOD)
    # A test may run as root, whom no file mode stops.
    monkeypatch.setattr(Path, "open", deny)
    with pytest.raises(InputError, match=r"cannot be read: .*Permission denied"):
        load_board(path)


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_load_board_answers_any_damage_with_a_board_or_one_line(
    data: st.DataObject, tmp_path: Path
) -> None:
    lines = GOOD.splitlines()
    index = data.draw(st.integers(0, len(lines) - 1))
    junk = data.draw(st.text(max_size=12) | st.sampled_from(["", "[clock]", "a.b=1"]))
    lines[index] = data.draw(st.sampled_from([junk, lines[index] + junk]))
    path = write(tmp_path, "\n".join(lines).encode("utf-8", "replace").decode())
    assert answer(path).isprintable()


def answer(path: str) -> str:
    """Return what reading the file comes to; any error but InputError passes."""
    try:
        return load_board(path).name
    except InputError as error:
        return str(error)
