"""Run a project's demo on a released `pynq` whose device is a stand-in.

    python pynq_check.py PROJECT STANDIN.so

Run by `test_host.py` in an environment that has that release. Buffers, registers and
the search for an interrupt are PYNQ's own (`pynq.allocate`, `PynqBuffer`, `pynq.MMIO`);
the device that they belong to, and the overlay, stand in.
"""

import ctypes
import runpy
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pynq
from numpy.typing import NDArray
from pynq.buffer import PynqBuffer
from pynq.pl_server.device import Device

PROJECT, ENGINE = Path(sys.argv[1]), ctypes.CDLL(sys.argv[2])
PORTS = ("ifm", "ofm", "residual", "weights")
REGISTERS = {
    f"{port}_{half + 1}": {"address_offset": 0x10 + 12 * n + 4 * half, "size": 32}
    for n, port in enumerate(PORTS)
    for half in (0, 1)
} | {
    "first_step": {"address_offset": 0x40, "size": 32},
    "step_count": {"address_offset": 0x48, "size": 32},
}


class Core(NDArray[np.uint32]):
    """Registers: writing the first one runs the engine."""

    def __setitem__(self, index: int, value: np.uint32) -> None:  # type: ignore[override]
        super().__setitem__(index, value)
        if index == 0 and value & 1:
            DEVICE.run(self)
            super().__setitem__(0, np.uint32(0x6))


class StandIn(Device):  # type: ignore[misc]  # pynq is not typed
    """Memory of the host; the core sees what was flushed."""

    def __init__(self) -> None:
        super().__init__("stand-in")
        self.seen: dict[int, NDArray[np.uint8]] = {}
        self.places: dict[int, int] = {}
        self.registers = np.zeros(16384, np.uint32).view(Core)
        np.ndarray.__setitem__(self.registers, 0, 0x4)

    def has_capability(self, name: str) -> bool:
        return name == "MEMORY_MAPPED"

    def mmap(self, base: int, length: int) -> NDArray[np.uint32]:
        assert (base, length) == (0xA0000000, 65536)
        return self.registers

    def allocate(
        self, shape: tuple[int], dtype: type[np.uint8], **_: object
    ) -> PynqBuffer:
        at = 0x300000000 + 0x1000000 * len(self.seen)
        buffer = PynqBuffer(shape, dtype, device=self, device_address=at, bo=at)
        self.seen[at] = np.full(shape, 0xA5, dtype)
        self.places[at] = buffer.virtual_address
        return buffer

    def flush(self, bo: int, offset: int, place: int, size: int) -> None:
        assert place == self.places[bo] + offset
        ctypes.memmove(self.seen[bo].ctypes.data + offset, place, size)

    def invalidate(self, bo: int, offset: int, place: int, size: int) -> None:
        assert place == self.places[bo] + offset
        ctypes.memmove(place, self.seen[bo].ctypes.data + offset, size)

    def run(self, words: NDArray[np.uint32]) -> None:
        places = []
        for first in (4, 13):
            address = int(words[first]) | int(words[first + 1]) << 32
            places.append(ctypes.c_void_p(self.seen[address].ctypes.data))
        ENGINE.standin_run(*places, int(words[16]), int(words[18]))


class Overlay:
    """What the parser of a .hwh says of the design of run_vivado.tcl."""

    ip_dict: ClassVar[dict[str, dict[str, object]]] = {
        "hao_engine_0": {
            "type": "hao:hls:hao_engine:1.0",
            "phys_addr": 0xA0000000,
            "addr_range": 65536,
            "registers": {"CTRL": {"address_offset": 0, "size": 32}, **REGISTERS},
        }
    }
    interrupt_pins: ClassVar[dict[str, dict[str, object]]] = {
        "hao_engine_0/interrupt": {"controller": "", "index": 0, "raw_irq": 121}
    }

    def __init__(self, bitstream: str) -> None:
        assert isinstance(bitstream, str)


DEVICE = StandIn()
Device.active_device = DEVICE
pynq.Overlay = Overlay
print("pynq", pynq.__version__)
sys.path.insert(0, str(PROJECT / "driver"))
sys.argv = ["demo.py", "--repeat", "2", "--invocations"]
runpy.run_path(str(PROJECT / "driver" / "demo.py"), run_name="__main__")
