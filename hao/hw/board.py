"""A board as data: what the device has, how fast it runs, what memory feeds it.

`Board` is the value that prices and programs read; `hao.hw.board_file` makes it from
`boards/*.toml`. Every limit that a board must keep is checked here, so that a board
made in Python is held to the same rules as one from a file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import assert_never

from hao.errors import InputError
from hao.hw.calibration import NEUTRAL, Calibration
from hao.hw.resources import Resources

PORT_BYTES = (4, 8, 16)
"""Widths of an AXI port to the PS DDR [bytes].

Source: 32 or 64 bits on Zynq-7000 (UG585), 32, 64 or 128 bits on Zynq UltraScale+
(DS891, PS-PL interfaces).
"""


BURST_BYTES = (16, 32, 64, 128)
"""Bytes of a burst of the DDR.

Source: 8 transfers of DDR3 (JESD79-3) and DDR4 (JESD79-4), 16 of LPDDR4 (JESD209-4), on
16 to 64 data lines.
"""


MOST_BATCH = 16
"""Most frames of one start (chosen here): each has steps in the engine's table."""


class DspType(Enum):
    """DSP slice; sets which products can share one (see `hao.cost.packing`)."""

    DSP48E1 = "DSP48E1"
    DSP48E2 = "DSP48E2"


class Family(Enum):
    """Devices that hao emits a project for, by the title of the family."""

    ZYNQ_7000 = "Zynq-7000"
    ZYNQ_ULTRASCALE = "Zynq UltraScale+"

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Return how the part numbers begin: those of Kria modules are a second kind.

        Source: DS190 (Zynq-7000), DS891 (Zynq UltraScale+), DS987 and DS988 (Kria).
        """
        match self:
            case Family.ZYNQ_7000:
                return ("xc7z",)
            case Family.ZYNQ_ULTRASCALE:
                return ("xczu", "xck26", "xck24")
            case _:
                assert_never(self)

    @property
    def dsp_type(self) -> DspType:
        """Return the DSP slice of the devices. Source: DS190, DS891."""
        match self:
            case Family.ZYNQ_7000:
                return DspType.DSP48E1
            case Family.ZYNQ_ULTRASCALE:
                return DspType.DSP48E2
            case _:
                assert_never(self)


class Frames(Enum):
    """How frames follow each other, which says what a frame rate counts.

    One at a time, a program hands over a frame, waits for its result and then begins
    the next: every frame takes the host's call as well. Back to back, the host's work
    for one frame is done while the engine runs another.
    """

    ONE_AT_A_TIME = "one-at-a-time"
    BACK_TO_BACK = "back-to-back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One board.

    Attributes:
        name: What `--board` takes, such as "zu3eg".
        title: What reports print.
        device: Family member, such as "XCZU3EG".
        part: Full part number for the vendor tools.
        clock_khz: Clock of the programmable logic [kHz], at least 1.
        resources: What the device has; DSP, BRAM, LUT and FF at least 1.
        cap_percent: Share of each resource that place-and-route reaches [percent],
            from 1 to 100.
        lutram: LUTs usable as memory, at most all of them.
        dsp_type: DSP slice.
        ddr_peak_kbytes_per_s: DDR peak bandwidth [1000 bytes/s], at least 100.
        ddr_read_percent: Share of the peak that an accelerator's reads reach beside
            its writes [percent], from 1 to 100.
        ddr_write_percent: The same of its writes.
        ddr_burst_bytes: What one burst of the DDR moves, of which a short run may use
            a part only [bytes], one of `BURST_BYTES`.
        ports: AXI ports to DDR that the engine may use, at least 1.
        port_bytes: Width of a port [bytes], one of `PORT_BYTES`.
        port_max_khz: Fastest clock of a port [kHz], at least 1.
        host_call_us: What the host takes for a frame besides the engine's run, from
            handing the frame over to having its result [us], at least 0.
        frames: How frames follow each other.
        batch: Frames that one start of the engine takes, whose weights load once, from
            1 to `MOST_BATCH`.
        most_start_us: Most time of the engine for a start, first weight to last output
            [us], at least 1; `None` for any.
        sourced_khz: Fastest clock that has a source [kHz], such as a design that
            reached it, if `clock_khz` is another; else `None`.
        idle_mw: Power of the board without a design at work [mW], at least 1; `None`
            if not known.
        budget: What designs may use at most, besides the caps: DSP, BRAM, LUT and FF
            from 1 to what the device has; `None` for the caps alone.
        calibration: Corrections of the cost model's constants for this board.
        sources: Where each figure comes from, by key of the board file; not to be
            changed. Boards that differ in nothing else are equal.

    Raises:
        InputError: A figure is outside its range.
    """

    name: str
    title: str
    device: str
    part: str
    clock_khz: int
    resources: Resources
    cap_percent: Resources
    lutram: int
    dsp_type: DspType
    ddr_peak_kbytes_per_s: int
    ddr_read_percent: int
    ddr_write_percent: int
    ddr_burst_bytes: int
    ports: int
    port_bytes: int
    port_max_khz: int
    host_call_us: int
    frames: Frames = Frames.ONE_AT_A_TIME
    batch: int = 1
    most_start_us: int | None = None
    sourced_khz: int | None = None
    idle_mw: int | None = None
    budget: Resources | None = None
    calibration: Calibration = NEUTRAL
    # A plain dict, since a mapping proxy can be neither pickled nor deep-copied, and
    # boards travel to worker processes.
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        for text in ("name", "title", "device", "part"):
            if not getattr(self, text).strip():
                raise InputError(f"board {self.name!r}: {text} is empty")
        device = self.resources
        budget = self.budget or device
        for kind, excess in budget.shortfall(device).items():
            raise InputError(
                f"board {self.name!r}: budget.{kind} is {excess} above what the "
                "device has; must be at most that"
            )
        ranges: list[tuple[str, int | None, int, int | None]] = [
            ("clock_khz", self.clock_khz, 1, None),
            ("ddr_peak_kbytes_per_s", self.ddr_peak_kbytes_per_s, 100, None),
            ("ports", self.ports, 1, None),
            ("port_max_khz", self.port_max_khz, 1, None),
            ("most_start_us", self.most_start_us, 1, None),
            ("idle_mw", self.idle_mw, 1, None),
            ("sourced_khz", self.sourced_khz, 1, None),
            ("ddr_read_percent", self.ddr_read_percent, 1, 100),
            ("ddr_write_percent", self.ddr_write_percent, 1, 100),
            ("batch", self.batch, 1, MOST_BATCH),
            ("host_call_us", self.host_call_us, 0, None),
            ("lutram", self.lutram, 0, device.lut),
        ]
        for name, blocks in (("resources", device), ("budget", budget)):
            has = blocks.as_dict()
            ranges += [
                (f"{name}.{kind}", has[kind], 1, None)
                for kind in ("dsp", "bram_18k", "lut", "ff")
            ]
        shares = self.cap_percent.as_dict()
        ranges += [(f"cap_percent.{kind}", n, 1, 100) for kind, n in shares.items()]
        for key, value, low, high in ranges:
            if value is not None and not low <= value <= (high or value):
                limit = f"at least {low}" if high is None else f"from {low} to {high}"
                raise InputError(
                    f"board {self.name!r}: {key} = {value}; must be {limit}"
                )
        for key, value, allowed in (
            ("port_bytes", self.port_bytes, PORT_BYTES),
            ("ddr_burst_bytes", self.ddr_burst_bytes, BURST_BYTES),
        ):
            if value not in allowed:
                raise InputError(
                    f"board {self.name!r}: {key} = {value}; must be one of "
                    f"{', '.join(map(str, allowed))}"
                )

    def __repr__(self) -> str:
        """Return what it is in a line: what Python shows."""
        usable = ", ".join(f"{n} {k}" for k, n in self.usable.as_dict().items() if n)
        return (
            f"<Board {self.name!r}: {self.title}, {self.part} at {self.clock_mhz:g} "
            f"MHz; usable {usable}; DDR {self.ddr_kbytes_per_s / 1e6:.1f} GB/s>"
        )

    @property
    def family(self) -> Family:
        """Return the family of the part.

        A board without one can be priced and searched, but not built.

        Raises:
            InputError: The part is of no family that hao knows, or its DSP slice is
                another than `dsp_type`.
        """
        for family in Family:
            if self.part.startswith(family.prefixes):
                if self.dsp_type is not family.dsp_type:
                    raise InputError(
                        f"board {self.name!r}: dsp_type = {self.dsp_type.value!r}; "
                        f"the part {self.part!r} is of the family {family.value}, "
                        f"which has {family.dsp_type.value}"
                    )
                return family
        known = (f"{', '.join(f.prefixes)} ({f.value})" for f in Family)
        raise InputError(
            f"board {self.name!r}: part = {self.part!r}; must begin with "
            f"{' or '.join(known)}"
        )

    @property
    def usable(self) -> Resources:
        """Return the resources below the caps, rounded down, and within the budget."""
        r, c = self.resources, self.cap_percent
        b = r if self.budget is None else self.budget
        return Resources(
            dsp=min(r.dsp * c.dsp // 100, b.dsp),
            bram_18k=min(r.bram_18k * c.bram_18k // 100, b.bram_18k),
            uram=min(r.uram * c.uram // 100, b.uram),
            lut=min(r.lut * c.lut // 100, b.lut),
            ff=min(r.ff * c.ff // 100, b.ff),
        )

    @property
    def of_usable(self) -> "Board":
        """Return a board whose device is what may be used of this one, all of it."""
        usable = self.usable
        return replace(
            self,
            resources=usable,
            cap_percent=Resources(dsp=100, bram_18k=100, uram=100, lut=100, ff=100),
            lutram=min(self.lutram, usable.lut),
            budget=None,
        )

    @property
    def ddr_kbytes_per_s(self) -> int:
        """Return the DDR bandwidth that reads reach beside writes [1000 bytes/s].

        A calibration moves it; writes keep their ratio to it.
        """
        share = self.calibration.ddr_efficiency_percent
        if share is None:
            share = self.ddr_read_percent
        return self.ddr_peak_kbytes_per_s * share // 100

    @property
    def host_us(self) -> int:
        """Return what the host adds to the time of a frame [us]."""
        return self.host_call_us if self.frames is Frames.ONE_AT_A_TIME else 0

    @property
    def most_start_cycles(self) -> int | None:
        """Return the most cycles of the engine for a start, `None` for any."""
        most = self.most_start_us
        return None if most is None else most * self.clock_khz // 1000

    def frames_per_s(self, cycles: int) -> float:
        """Return the frame rate where a start of the engine takes so many cycles."""
        return 1e6 / (1000 * cycles / self.clock_khz / self.batch + self.host_us)

    @property
    def clock_mhz(self) -> float:
        """Return the clock of the programmable logic [MHz]."""
        return self.clock_khz / 1000

    def at_ddr(self, percent: int) -> "Board":
        """Return the same board whose reads reach so much of the DDR's peak.

        Its writes keep their ratio to them, as far as whole percents do.

        Args:
            percent: From 1 to 100.

        Raises:
            InputError: The share is outside that range.
        """
        writes = round(self.ddr_write_percent * percent / self.ddr_read_percent)
        return replace(
            self, ddr_read_percent=percent, ddr_write_percent=min(100, max(1, writes))
        )

    def at_clock(self, clock_khz: int) -> "Board":
        """Return the same board at another clock [kHz], at least 1.

        Raises:
            InputError: The clock is below 1 kHz.
        """
        sourced: int | None = self.sourced_khz or self.clock_khz
        if sourced == clock_khz:
            sourced = None
        return replace(self, clock_khz=clock_khz, sourced_khz=sourced)

    @property
    def clock_excess(self) -> float:
        """Return by which factor the clock is beyond the fastest sourced one, or 1."""
        return max(1.0, self.clock_khz / (self.sourced_khz or self.clock_khz))
