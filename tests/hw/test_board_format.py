"""Board files: a wrong one is refused in one line, and a right one becomes a board."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hao.data import data_path
from hao.errors import InputError
from hao.hw.board import Board, DspType
from hao.hw.board_file import load_board
from hao.hw.board_format import MAX_FILE_BYTES, aliases_of
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


PART = "xczu3teg-sfvc784-1-e"  # of no device in the table
RESOURCES = {
    "lut": 1002,
    "lutram": 103,
    "ff": 2004,
    "dsp": 105,
    "bram_18k": 106,
    "uram": 107,
}


def test_a_file_may_say_everything(tmp_path: Path) -> None:
    tables: dict[str, dict[str, object]] = {
        "clock": {"khz": 100_001},
        "resources": dict(RESOURCES),
        "cap_percent": {"lut": 11, "ff": 12, "dsp": 13, "bram_18k": 14, "uram": 15},
        "ddr": {
            "type": '"DDR3"',
            "bits": 16,
            "transfers_per_s": 500_000_100,
            "read_percent": 17,
            "write_percent": 18,
        },
        "ports": {"count": 3, "bytes": 8, "max_khz": 100_018},
        "host": {"call_us": 1020},
        "power": {"idle_mw": 1019},
    }
    lines = ['name = "a-1"', 'title = " T "', 'aliases = ["b"]', f'part = "{PART}"']
    for table, rows in tables.items():
        lines.append(f"[{table}]")
        lines += [f"{key} = {value}" for key, value in rows.items()]
    lines.append("[sources]")
    keys = [f"{table}.{key}" for table, rows in tables.items() for key in rows]
    lines += [f'{key} = "made up {key}"' for key in keys]
    path = write(tmp_path, "\n".join(lines))
    assert aliases_of(Path(path), shown="demo") == ("b",)
    board = load_board(path)
    assert board == Board(
        name="a-1",
        title="T",
        device="XCZU3TEG",
        part=PART,
        clock_khz=100_001,
        resources=Resources(lut=1002, ff=2004, dsp=105, bram_18k=106, uram=107),
        cap_percent=Resources(lut=11, ff=12, dsp=13, bram_18k=14, uram=15),
        lutram=103,
        dsp_type=DspType.DSP48E2,
        # 500,000,100 transfers of 2 bytes.
        ddr_peak_kbytes_per_s=1_000_000,
        ddr_read_percent=17,
        ddr_write_percent=18,
        # 8 transfers of 2 bytes.
        ddr_burst_bytes=16,
        ports=3,
        port_bytes=8,
        port_max_khz=100_018,
        host_call_us=1020,
        idle_mw=1019,
    )
    assert dict(board.sources) == {key: f"made up {key}" for key in keys}


LEAST = """
name = "least"
title = "Least"
part = "xc7z010clg400-1"
[clock]
khz = 100_000
[ddr]
type = "DDR3"
bits = 16
transfers_per_s = 1_050_000_000
read_percent = 75
write_percent = 74
"""


def test_part_ddr_and_clock_are_enough(tmp_path: Path) -> None:
    board = load_board(write(tmp_path, LEAST))
    assert board == Board(
        name="least",
        title="Least",
        device="XC7Z010",
        part="xc7z010clg400-1",
        clock_khz=100_000,
        resources=Resources(lut=17_600, ff=35_200, dsp=80, bram_18k=120),
        cap_percent=Resources(lut=70, ff=50, dsp=80, bram_18k=80, uram=80),
        lutram=6_000,
        dsp_type=DspType.DSP48E1,
        ddr_peak_kbytes_per_s=2_100_000,
        ddr_read_percent=75,
        ddr_write_percent=74,
        ddr_burst_bytes=16,
        ports=4,
        port_bytes=8,
        port_max_khz=250_000,
        # Of the family.
        host_call_us=1000,
    )
    assert "clock.khz" not in board.sources
    assert board.sources["resources"].startswith("DS190")


def test_a_board_may_leave_its_idle_power_out(tmp_path: Path) -> None:
    content = changed("[power]\nidle_mw = 4_300\n", "")
    content = content.replace("power.idle_mw =", "# ")
    assert load_board(write(tmp_path, content)).idle_mw is None
    assert load_board("zu3eg").idle_mw == 4_300
    # The source without the value is refused.
    message = refusal(tmp_path, changed("[power]\nidle_mw = 4_300\n", ""))
    assert message.startswith("sources.power.idle_mw: there is no power.idle_mw")


def test_resources_are_for_parts_that_the_table_lacks(tmp_path: Path) -> None:
    rows = "\n".join(f"{key} = {value}" for key, value in RESOURCES.items())
    message = refusal(tmp_path, f"{LEAST}[resources]\n{rows}\n")
    assert message.startswith("resources: the part 'xc7z010clg400-1' says what XC7Z010")
    unknown = LEAST.replace("xc7z010clg400-1", PART)
    message = refusal(tmp_path, unknown)
    assert message.startswith(f"part = '{PART}': the device XCZU3TEG is not in the tab")
    message = refusal(tmp_path, f"{unknown}[resources]\nlut = 5\n")
    assert (
        message == "resources.lutram is missing; must be a whole number from 0 to "
        "100000000"
    )


def test_a_clock_that_the_part_does_not_allow_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, changed("khz = 214_285", "khz = 333_001"))
    assert message.startswith("board 'zu3eg': a clock of 333.001 MHz; must be at most")


def test_aliases_that_are_no_names_are_refused(tmp_path: Path) -> None:
    path = Path(write(tmp_path, 'aliases = ["A b"]'))
    with pytest.raises(InputError, match=r"^demo: aliases = \['A b'\]; must be a list"):
        aliases_of(path, shown="demo")


WRONG = {
    "float": ("bits = 32", "bits = 32.0", "ddr.bits = 32.0; must be one of 16, 32, 64"),
    "text": ("khz = 214_285", 'khz = "9999"', "clock.khz = '9999'; must be a whole"),
    "boolean": ("khz = 214_285", "khz = true", "clock.khz = True; must be a whole"),
    "nan": ("khz = 214_285", "khz = nan", "clock.khz = nan; must be a whole"),
    "inf": ("khz = 214_285", "khz = inf", "clock.khz = inf; must be a whole"),
    "date": ("khz = 214_285", "khz = 2020-01-01", "clock.khz = datetime.date(2020"),
    "list": ("khz = 214_285", "khz = [360]", "clock.khz = [360]; must be a whole"),
    "table": ("bits = 32", "bits = {a = 1}", "ddr.bits = {'a': 1}; must be one of 16"),
    "negative": ("dsp = 100", "dsp = -1", "cap_percent.dsp = -1; must be a whole num"),
    "huge": ("dsp = 100", "dsp = 0x" + "f" * 9000, "dsp = a number of 36000"),
    "no percent": ("lut = 79", "lut = 101", "cap_percent.lut = 101; must be a whole"),
    "slow": ("khz = 214_285", "khz = 214", "clock.khz = 214; must be a whole number"),
    "port": (
        "[power]",
        "[ports]\nbytes = 12\n[power]",
        "port_bytes = 12; must be one of 4, 8, 16",
    ),
    "ddr type": ('"LPDDR4"', '"HBM"', "ddr.type = 'HBM'; must be one of DDR2, DDR3,"),
    # A Versal: its processor has another block design.
    "part": (
        "xczu3eg-sbva484-1-i",
        "xcvc1902-vsva2197-2MP-e-S",
        "part = 'xcvc1902-vsva2197-2MP-e-S'; must be a part number of Zynq-7000 or "
        "Zynq UltraScale+ with package and speed grade",
    ),
    "name": ('name = "zu3eg"', 'name = "a\\nb"', r"name = 'a\nb'; must be a name of"),
    "name type": ('name = "zu3eg"', "name = 3", "name = 3; must be a name of at most"),
    "title": ('"Ultra96-V2 (Zynq UltraScale+ ZU3EG)"', '" "', "title = ' '; must be a"),
    "aliases": ('["ultra96-v2"]', "[1]", "aliases = [1]; must be a list of names"),
    "missing": ("bits = 32\n", "", "ddr.bits is missing; must be one of 16, 32, 64"),
    "missing table": (
        "[clock]\nkhz = 214_285\n",
        "",
        "clock.khz is missing; must be a whole number from 1000 to 2000000",
    ),
    "missing name": ('name = "zu3eg"\n', "", "name is missing; must be a name of at m"),
    "extra": (
        "ff = 50",
        "ff = 50\nclb = 1",
        "cap_percent.clb: unknown key; must be one of lut, ff, dsp, bram_18k, uram",
    ),
    "extra power": (
        "idle_mw = 4_300",
        "idle_mw = 4_300\npeak_mw = 1",
        "power.peak_mw: unknown key; must be one of idle_mw",
    ),
    "power in watts": ("idle_mw = 4_300", "idle_mw = 4.3", "power.idle_mw = 4.3; must"),
    "extra on top": ("name =", "nam = 1\nname =", "nam: unknown key; must be one of n"),
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
        rf"\w+\.{key} = .*; must be (a whole number from \d+ to \d+|one of .*)", message
    )


def test_every_number_of_the_file_was_tried() -> None:
    assert len(NUMBER_LINES) == 11


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
    assert message.startswith("cannot be read (more than 100000 bytes)")


def test_load_board_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.toml: no such file"):
        load_board(str(tmp_path / "no.toml"))


def test_load_board_refuses_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "x.toml"
    folder.mkdir()
    with pytest.raises(InputError, match=r"x\.toml: cannot be read \(not a file\)"):
        load_board(str(folder))


def test_load_board_refuses_a_pipe_without_waiting_on_it(tmp_path: Path) -> None:
    pipe = tmp_path / "x.toml"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match=r"x\.toml: cannot be read \(not a file\)"):
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
    with pytest.raises(InputError, match=r"cannot be read .Permission denied"):
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
