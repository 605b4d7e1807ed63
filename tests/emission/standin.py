"""A stand-in of a board around a project's own engine, for the drivers' tests.

The C++ host program meets it as files and a library in front of libc (`standin.cpp`),
the Python driver as a module in place of `pynq`.
"""

import ctypes
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

SOURCE = Path(__file__).with_name("standin.cpp")
ENGINE = ("-Isrc", "-Itb/native", "-DHAO_FAST", "-Wno-unknown-pragmas")
MEMORY_BYTES = 1 << 22
TIMEOUT = 120  # [s]


def compiled(folder: Path, target: str, *words: str) -> Path:
    """Return a program or library of a project, compiled without optimisation."""
    done = subprocess.run(
        ["g++", "-std=c++14", "-Wall", *words, "-o", target],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr[:2000]
    return folder / target


def library(folder: Path) -> Path:
    """Return the stand-in of a project as a shared library."""
    flags = ("-shared", "-fPIC", "-Wno-unused-label", *ENGINE)
    sources = ("src/engine.cpp", str(SOURCE), "-ldl", "-pthread")
    return compiled(folder, "standin.so", *flags, *sources)


@dataclass(frozen=True, slots=True)
class Layout:
    """Registers as a version of the HLS tool lays them out.

    Attributes:
        header: Its x<core>_hw.h.
        places: Register and bits of each argument, as the stand-in reads them.
        base: Where memory begins for the core.
    """

    header: str
    places: str
    base: int


def layout(ports: Mapping[str, str], bits: int, base: int) -> Layout:
    """Return a layout: from 0x10 on, the words of an argument and one more."""
    lines, places = ["#define XHAO_ENGINE_CONTROL_ADDR_AP_CTRL 0x00"], []
    offset = 0x10
    for port, name in ports.items():
        lines.append(f"#define XHAO_ENGINE_CONTROL_ADDR_{name}_DATA {offset:#04x}")
        lines.append(f"#define XHAO_ENGINE_CONTROL_BITS_{name}_DATA {bits}")
        places.append(f"{port}={offset:#x}:{bits}")
        offset += 4 + bits // 8
    for name in ("first_step", "step_count"):
        lines.append(
            f"#define XHAO_ENGINE_CONTROL_ADDR_{name.upper()}_DATA {offset:#04x}"
        )
        lines.append(f"#define XHAO_ENGINE_CONTROL_BITS_{name.upper()}_DATA 32")
        places.append(f"{name}={offset:#x}:32")
        offset += 8
    return Layout("\n".join(lines) + "\n", " ".join(places), base)


VITIS = layout(
    {"ifm": "IFM", "ofm": "OFM", "residual": "RESIDUAL", "weights": "WEIGHTS"},
    64,
    0x3_7000_0000,
)
VIVADO = layout(
    {"ifm": "IFM_V", "ofm": "OFM_V", "residual": "RESIDUAL_V", "weights": "WEIGHTS_V"},
    32,
    0x1_000_0000,
)


def write_root(root: Path, base: int) -> None:
    """Write /dev and /sys as the overlay of a project leaves them."""
    uio = root / "sys/class/uio/uio0"
    buffer = root / "sys/class/u-dma-buf/hao_memory"
    for folder in (root / "dev", uio / "maps/map0", buffer):
        folder.mkdir(parents=True)
    (uio / "name").write_text("hao_engine\n")
    (uio / "maps/map0/size").write_text("0x10000\n")
    (buffer / "phys_addr").write_text(f"{base:#x}\n")
    (buffer / "size").write_text(f"{MEMORY_BYTES}\n")
    for name in ("sync_for_cpu", "sync_for_device"):
        (buffer / name).touch()
    (root / "dev/uio0").write_bytes(bytes(0x10000))
    (root / "dev/hao_memory").write_bytes(bytes(MEMORY_BYTES))


def run_host(
    folder: Path, preload: Path, kind: Layout, *words: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a project's host program on the stand-in, whose root is folder/root."""
    environment = {
        **os.environ,
        "LD_PRELOAD": str(preload),
        "HAO_LAYOUT": kind.places,
        "HAO_BASE": hex(kind.base),
        **variables,
    }
    return subprocess.run(
        [folder / "build/host", "--root", str(folder / "root"), *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


class Buffer(NDArray[np.uint8]):
    """A buffer as `pynq.allocate` makes it; the core sees what was flushed."""

    device_address = 0
    seen: NDArray[np.uint8]
    whole: "Buffer"

    def __array_finalize__(self, other: object) -> None:
        if isinstance(other, Buffer):
            self.whole = getattr(other, "whole", other)

    def _part(self) -> slice:
        first = self.ctypes.data - self.whole.ctypes.data
        return slice(first, first + self.nbytes)

    def flush(self) -> None:
        self.whole.seen[self._part()] = self

    def invalidate(self) -> None:
        self[:] = self.whole.seen[self._part()]

    def freebuffer(self) -> None: ...


class Board(ModuleType):
    """Stands in for `pynq`: the core of the overlay is a project's engine."""

    registers: ClassVar[dict[str, dict[str, int]]] = {
        "CTRL": {"address_offset": 0, "size": 32},
        "ifm_1": {"address_offset": 0x10, "size": 32},
        "ifm_2": {"address_offset": 0x14, "size": 32},
        "ofm": {"address_offset": 0x1C, "size": 64},
        "residual": {"address_offset": 0x28, "size": 64},
        "weights": {"address_offset": 0x34, "size": 64},
        "first_step": {"address_offset": 0x40, "size": 32},
        "step_count": {"address_offset": 0x48, "size": 32},
    }

    def __init__(self, engine: Path) -> None:
        super().__init__("pynq")
        self.engine = ctypes.CDLL(str(engine))
        self.buffers: list[Buffer] = []
        self.words: dict[int, int] = {}
        self.starts: list[int] = []
        self.ranges: list[tuple[int, int]] = []
        entry = {
            "type": "hao:hls:hao_engine:1.0",
            "phys_addr": 0xA000_0000,
            "addr_range": 65536,
            "registers": self.registers,
        }
        self.ip_dict = {"hao_engine_0": entry}
        self.interrupt_pins: dict[str, dict[str, object]] = {}

    def Overlay(self, bitstream: str) -> "Board":  # noqa: N802 (the name in pynq)
        assert isinstance(bitstream, str)
        return self

    def MMIO(self, base: int, length: int) -> "Board":  # noqa: N802 (likewise)
        return self

    def allocate(self, *, shape: tuple[int], dtype: type[np.uint8]) -> Buffer:
        buffer = np.full(shape, 0xEE, dtype).view(Buffer)
        buffer.whole = buffer
        buffer.seen = np.full(shape, 0xA5, dtype)
        buffer.device_address = 0x3_0000_0000 + 0x100_0000 * len(self.buffers)
        self.buffers.append(buffer)
        return buffer

    def read(self, offset: int) -> int:
        return self.words.get(offset, 0x4 if offset == 0 else 0)

    def write(self, offset: int, value: int) -> None:
        assert type(value) is int  # what pynq.MMIO asks for
        self.words[offset] = value
        if offset == 0:
            self._run()
            self.words[0] = 0x6
            self.words[0xC] = self.words[0x4] & self.words[0x8] & 1

    def _run(self) -> None:
        places = []
        for offset in (0x10, 0x34):
            address = self.words[offset] | self.words[offset + 4] << 32
            (found,) = (b for b in self.buffers if b.device_address == address)
            places.append(ctypes.c_void_p(found.seen.ctypes.data))
            self.starts.append(address)
        steps = self.words[0x40], self.words[0x48]
        self.ranges.append(steps)
        self.engine.standin_run(*places, *steps)
