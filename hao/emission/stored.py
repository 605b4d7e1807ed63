"""Feature maps as bytes: how frames go into DDR and results come out."""

import numpy as np
from numpy.typing import NDArray

from hao.cost.memory import store_bits
from hao.emission.arena import StoredMap
from hao.emission.steps import Table
from hao.ir.network import Network
from hao.ir.passes import codes_of, frame_planes, planes_of

Bytes = NDArray[np.uint8]


def map_bytes(codes: NDArray[np.int64], stored: StoredMap) -> Bytes:
    """Return maps of codes as they lie in DDR.

    Args:
        codes: Shape (batch, channels, height, width).
        stored: Where and how they are stored.

    Returns:
        Shape (batch, bytes of the map).
    """
    batch, channels, height, width = codes.shape
    bits = store_bits(stored.act_bits)
    row = np.zeros(
        (batch, height, stored.row_beats * stored.beat_channels), dtype=np.int64
    )
    pixels = row[:, :, : width * stored.pixel_channels].reshape(
        batch, height, width, stored.pixel_channels
    )
    pixels[..., :channels] = codes.transpose(0, 2, 3, 1) & ((1 << stored.act_bits) - 1)
    row[:, :, : width * stored.pixel_channels] = pixels.reshape(batch, height, -1)
    per_byte = 8 // bits
    lanes = row.reshape(batch, -1, per_byte) << (bits * np.arange(per_byte))
    result: Bytes = lanes.sum(axis=-1).astype(np.uint8)
    return result


def frame_bytes(
    codes: NDArray[np.int64], stored: StoredMap, *, network: Network, signed: bool
) -> Bytes:
    """Return frames as they lie in DDR, where need be as planes of digits.

    Args:
        codes: Shape (frames, channels, height, width).
        stored: Where and how they are stored.
        network: What reads them.
        signed: Codes are signed.

    Returns:
        Shape (frames, bytes of the frame).
    """
    if frame_planes(network) > 1:
        codes = planes_of(codes, signed=signed)
    return map_bytes(codes, stored)


def frame_codes(
    data: Bytes, stored: StoredMap, *, network: Network, signed: bool
) -> NDArray[np.int64]:
    """Return the codes of frames in DDR; the inverse of `frame_bytes`.

    Args:
        data: Shape (frames, bytes of the frame).
        stored: Where and how they are stored.
        network: What reads them.
        signed: Codes are signed.

    Returns:
        Shape (frames, channels, height, width).
    """
    codes = map_codes(data, stored, signed=signed)
    return codes_of(codes) if frame_planes(network) > 1 else codes


def map_codes(data: Bytes, stored: StoredMap, *, signed: bool) -> NDArray[np.int64]:
    """Return the codes of maps in DDR; the inverse of `map_bytes`.

    Args:
        data: Shape (batch, bytes of the map).
        stored: Where and how they are stored.
        signed: Codes are two's complement.

    Returns:
        Shape (batch, channels, height, width).
    """
    act_bits = stored.act_bits
    bits = store_bits(act_bits)
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


def step_maps(table: Table, maps: dict[str, NDArray[np.int64]]) -> bytes:
    """Return what every step leaves in DDR, all frames alike, for the test bench.

    Args:
        table: Steps of the engine.
        maps: Codes by layer, shape (1, channels, height, width), for every layer whose
            map passes through DDR.

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
        data = map_bytes(maps[run.invocation.output_name], stored)
        base = stored.base + frame * table.arena.frame_beats
        parts.append(np.array([base, stored.beats], dtype="<i4").tobytes())
        parts.append(data[0].tobytes())
    return b"".join(parts)
