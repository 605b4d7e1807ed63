"""Feature maps as bytes: how frames go into DDR and results come out."""

import numpy as np
from numpy.typing import NDArray

from hao.emission.arena import StoredMap
from hao.emission.steps import Table
from hao.engine.design import Design
from hao.ir.passes import codes_of, frame_planes, planes_of

Bytes = NDArray[np.uint8]


def map_bytes(
    codes: NDArray[np.int64], stored: StoredMap, *, port_bytes: int, act_bits: int
) -> Bytes:
    """Return maps of codes as they lie in DDR.

    Args:
        codes: Shape (batch, channels, height, width).
        stored: Where and how they are stored.
        port_bytes: Bytes of a beat.
        act_bits: Width of a code.

    Returns:
        Shape (batch, bytes of the map).
    """
    batch, channels, height, width = codes.shape
    bits = 8 * port_bytes // stored.beat_channels
    row = np.zeros(
        (batch, height, stored.row_beats * stored.beat_channels), dtype=np.int64
    )
    pixels = row[:, :, : width * stored.pixel_channels].reshape(
        batch, height, width, stored.pixel_channels
    )
    pixels[..., :channels] = codes.transpose(0, 2, 3, 1) & ((1 << act_bits) - 1)
    row[:, :, : width * stored.pixel_channels] = pixels.reshape(batch, height, -1)
    per_byte = 8 // bits
    lanes = row.reshape(batch, -1, per_byte) << (bits * np.arange(per_byte))
    result: Bytes = lanes.sum(axis=-1).astype(np.uint8)
    return result


def frame_bytes(
    codes: NDArray[np.int64], stored: StoredMap, *, design: Design, signed: bool
) -> Bytes:
    """Return frames as they lie in DDR, where need be as planes of digits.

    Args:
        codes: Shape (frames, channels, height, width).
        stored: Where and how they are stored.
        design: Its network and engine.
        signed: Codes are signed.

    Returns:
        Shape (frames, bytes of the frame).
    """
    if frame_planes(design.network) > 1:
        codes = planes_of(codes, signed=signed)
    port, bits = design.board.port_bytes, design.engine.act_bits
    return map_bytes(codes, stored, port_bytes=port, act_bits=bits)


def frame_codes(
    data: Bytes, stored: StoredMap, *, design: Design, signed: bool
) -> NDArray[np.int64]:
    """Return the codes of frames in DDR; the inverse of `frame_bytes`.

    Args:
        data: Shape (frames, bytes of the frame).
        stored: Where and how they are stored.
        design: Its network and engine.
        signed: Codes are signed.

    Returns:
        Shape (frames, channels, height, width).
    """
    port, bits = design.board.port_bytes, design.engine.act_bits
    codes = map_codes(data, stored, port_bytes=port, act_bits=bits, signed=signed)
    return codes_of(codes) if frame_planes(design.network) > 1 else codes


def map_codes(
    data: Bytes, stored: StoredMap, *, port_bytes: int, act_bits: int, signed: bool
) -> NDArray[np.int64]:
    """Return the codes of maps in DDR; the inverse of `map_bytes`.

    Args:
        data: Shape (batch, bytes of the map).
        stored: Where and how they are stored.
        port_bytes: Bytes of a beat.
        act_bits: Width of a code.
        signed: Codes are two's complement.

    Returns:
        Shape (batch, channels, height, width).
    """
    bits = 8 * port_bytes // stored.beat_channels
    per_byte = 8 // bits
    lanes = data[..., None].astype(np.int64) >> (bits * np.arange(per_byte))
    rows = (lanes & ((1 << act_bits) - 1)).reshape(len(data), stored.shape.height, -1)
    shape = stored.shape
    codes = rows[:, :, : shape.width * stored.pixel_channels].reshape(
        len(data), shape.height, shape.width, stored.pixel_channels
    )
    values = codes[..., : shape.channels].transpose(0, 3, 1, 2)
    if signed:
        values = np.where(
            values >= 1 << (act_bits - 1), values - (1 << act_bits), values
        )
    return values.astype(np.int64)


def step_maps(
    table: Table, maps: dict[str, NDArray[np.int64]], *, port_bytes: int, act_bits: int
) -> bytes:
    """Return what every step leaves in DDR, all frames alike, for the test bench.

    Args:
        table: Steps of the engine.
        maps: Codes by layer, shape (1, channels, height, width), for every layer whose
            map passes through DDR.
        port_bytes: Bytes of a beat.
        act_bits: Width of a code.

    Returns:
        For each step: first beat and beats (two 32-bit integers), then the bytes. A
        step that completes no map has no beats.
    """
    parts = []
    for run, frame in zip(table.runs, table.frames, strict=True):
        if run is None or run.tile < run.tiles - 1:
            parts.append(np.zeros(2, dtype="<i4").tobytes())
            continue
        stored = table.arena.maps[run.invocation.output_name]
        codes = maps[run.invocation.output_name]
        data = map_bytes(codes, stored, port_bytes=port_bytes, act_bits=act_bits)
        base = stored.base + frame * table.arena.frame_beats
        parts.append(np.array([base, stored.beats], dtype="<i4").tobytes())
        parts.append(data[0].tobytes())
    return b"".join(parts)
