"""Where the feature maps lie in DDR.

All maps share one arena. Two maps may overlap if the last run that reads the one comes
before the run that writes the other. Placing maps in the order in which they are made,
each at the lowest place that is free while it lives, is not optimal but close: a chain
of layers needs its two largest neighbours.
"""

from dataclasses import dataclass, replace

from hao.cost.memory import beat_channels, pixel_channels, row_bytes, store_bits
from hao.engine.design import Design
from hao.hw.board import Board
from hao.ir.passes import frame_planes
from hao.ir.tensor import Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMap:
    """A feature map in the arena; all sizes in beats or codes.

    Attributes:
        shape: Channels, rows, columns that exist.
        base: First beat.
        pixel_channels: Codes of a pixel.
        row_beats: Beats of a row.
        beat_channels: Codes of a beat.
        act_bits: Width of a code.
    """

    shape: Shape
    base: int
    pixel_channels: int
    row_beats: int
    beat_channels: int
    act_bits: int

    @property
    def beats(self) -> int:
        """Return the beats of the whole map."""
        return self.shape.height * self.row_beats

    @property
    def pixel_beats(self) -> int:
        """Return the beats of a pixel; 0 if several pixels share one."""
        return self.pixel_channels // self.beat_channels


@dataclass(frozen=True, slots=True, kw_only=True)
class Arena:
    """The stored maps of a network, and their extent.

    Attributes:
        maps: Of the first frame of a start, by the layer that makes them.
        frame_beats: From a map of one frame to that of the next.
        frames: Of a start.
    """

    maps: dict[str, StoredMap]
    frame_beats: int
    frames: int

    @property
    def beats(self) -> int:
        """Return the beats of the maps of all frames."""
        return self.frames * self.frame_beats

    def of_frame(self, number: int) -> "Arena":
        """Return the arena with the maps of another frame, from 0."""
        behind = number * self.frame_beats
        moved = {
            name: replace(stored, base=stored.base + behind)
            for name, stored in self.maps.items()
        }
        return replace(self, maps=moved)


def stored_map(shape: Shape, *, base: int, act_bits: int, board: Board) -> StoredMap:
    """Return how a map of `shape` is stored at beat `base`."""
    beat = beat_channels(act_bits, board)
    row = row_bytes(shape.channels, shape.width, act_bits, board)
    assert 8 * board.port_bytes == beat * store_bits(act_bits)
    return StoredMap(
        shape=shape,
        base=base,
        pixel_channels=pixel_channels(shape.channels, beat),
        row_beats=row // board.port_bytes,
        beat_channels=beat,
        act_bits=act_bits,
    )


def map_lives(design: Design) -> dict[str, tuple[int, int]]:
    """Return which invocation writes each map, and until the end of which it is kept.

    Invocations count from 1; the host writes the frame before them, at 0. A map is kept
    until it is read for the last time. The frame and the result stay in place for the
    whole run, so that the driver may read and write them at any time between frames.
    """
    runs = [segment.invocation for segment in design.segments]
    lives = {design.network.input.name: (0, len(runs))}
    for number, run in enumerate(runs, start=1):
        for name in (run.input_name, run.residual_name):
            if name is not None:
                born, kept = lives[name]
                lives[name] = born, max(kept, number)
        lives[run.output_name] = number, number
    lives[runs[-1].output_name] = len(runs), len(runs)
    return lives


def place_maps(design: Design) -> Arena:
    """Return where each map that passes through DDR lies."""
    act_bits, board = design.engine.act_bits, design.board
    frame = design.network.input
    channels = frame.ofm.channels * frame_planes(design.network)
    shapes = {frame.name: replace(frame.ofm, channels=channels)}
    for segment in design.segments:
        shapes[segment.invocation.output_name] = segment.invocation.ofm
    lives = map_lives(design)
    placed: dict[str, StoredMap] = {}
    for name, (born, kept) in lives.items():
        here = stored_map(shapes[name], base=0, act_bits=act_bits, board=board)
        taken = sorted(
            (other.base, other.base + other.beats)
            for key, other in placed.items()
            if born <= lives[key][1] and lives[key][0] <= kept
        )
        base = 0
        for begin, end in taken:
            if base + here.beats <= begin:
                break
            base = max(base, end)
        placed[name] = replace(here, base=base)
    extent = max(stored.base + stored.beats for stored in placed.values())
    return Arena(maps=placed, frame_beats=extent, frames=board.batch)
