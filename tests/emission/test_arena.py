"""Places of feature maps in DDR: sizes by hand, and no two live maps overlap."""

from itertools import pairwise

import pytest

from hao.cost.memory import feature_bytes
from hao.emission.arena import Arena, StoredMap, place_maps, stored_map
from hao.hw.board_file import load_board
from tests.cost.samples import shape
from tests.emission.designs import SEEDS, sample, small_design

BOARD = load_board("zu3eg")  # ports of 16 bytes


@pytest.mark.parametrize(
    ("channels", "act_bits", "codes", "beat", "row_beats", "pixel_beats"),
    [
        # 3 codes fill up to 4; 5 pixels are 20 bytes: 2 beats of 16.
        (3, 8, 4, 16, 2, 0),
        # 9 codes fill up to 16: a beat a pixel.
        (9, 8, 16, 16, 5, 1),
        # 17 codes fill up to 2 beats.
        (17, 8, 32, 16, 10, 2),
        # 4-bit codes: 32 a beat; 5 pixels of 8 codes are 40: 2 beats.
        (7, 4, 8, 32, 2, 0),
        # 2-bit codes: 64 a beat; 3 bits are stored in 4.
        (33, 2, 64, 64, 5, 1),
        (33, 3, 64, 32, 10, 2),
    ],
)
def test_stored_map_by_hand(
    channels: int,
    act_bits: int,
    codes: int,
    beat: int,
    row_beats: int,
    pixel_beats: int,
) -> None:
    stored = stored_map(shape(channels, 3, 5), base=7, act_bits=act_bits, board=BOARD)
    assert stored == StoredMap(
        shape=shape(channels, 3, 5),
        base=7,
        pixel_channels=codes,
        row_beats=row_beats,
        beat_channels=beat,
        act_bits=act_bits,
    )
    assert stored.pixel_beats == pixel_beats
    assert stored.beats == 3 * row_beats
    bytes_ = feature_bytes(stored.shape, act_bits, BOARD)
    assert stored.beats * BOARD.port_bytes == bytes_


def read_back(seed: int) -> None:
    """Walk a sample's runs over an arena of names; a map must be whole when read."""
    design = sample(seed).design
    arena = place_maps(design)
    owner: list[str | None] = [None] * arena.beats

    def write(name: str) -> None:
        stored = arena.maps[name]
        assert stored.base >= 0
        assert stored.base + stored.beats <= arena.beats
        for beat in range(stored.base, stored.base + stored.beats):
            owner[beat] = name

    def check(name: str) -> None:
        stored = arena.maps[name]
        held = set(owner[stored.base : stored.base + stored.beats])
        assert held == {name}, f"{sample(seed)}: {name} was overwritten by {held}"

    write(design.network.input.name)
    for segment in design.segments:
        run = segment.invocation
        check(run.input_name)
        # It writes while it reads: what it reads must still be whole afterwards.
        write(run.output_name)
        check(run.input_name)
        if run.residual_name is not None:
            check(run.residual_name)
    check(design.segments[-1].invocation.output_name)
    # The driver may read the result and write the next frame at any time.
    check(design.network.input.name)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_map_is_overwritten_before_its_last_reader(seed: int) -> None:
    read_back(seed)


def beats(arena: Arena) -> int:
    return sum(stored.beats for stored in arena.maps.values())


@pytest.mark.parametrize("seed", SEEDS)
def test_the_arena_is_no_larger_than_its_maps(seed: int) -> None:
    arena = place_maps(sample(seed).design)
    assert arena.beats <= beats(arena)
    ends = [stored.base + stored.beats for stored in arena.maps.values()]
    assert arena.beats == max(ends)


def test_maps_share_space_once_they_are_read() -> None:
    shared = [
        seed
        for seed in SEEDS
        if place_maps(sample(seed).design).beats
        < beats(place_maps(sample(seed).design))
    ]
    # Those of two or three maps cannot; most of the others do.
    assert len(shared) > len(SEEDS) // 4


def test_every_map_that_passes_through_ddr_has_a_place() -> None:
    design = small_design()
    arena = place_maps(design)
    runs = [segment.invocation for segment in design.segments]
    assert set(arena.maps) == {"image", *(run.output_name for run in runs)}
    for before, after in pairwise(runs):
        assert after.input_name in {before.output_name, before.input_name, "stem"}
    # The mean is one pixel of 12 codes, the sum before it never leaves the engine.
    assert arena.maps["average"].beats == 1
    assert "add" not in arena.maps
