"""Device blocks as a value: DSP, BRAM, URAM, LUT, FF.

Sums and comparisons treat every kind apart, so `a <= b` is a partial order: of two
values neither may fit in the other.
"""

from dataclasses import asdict, dataclass

from hao.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Counts of device blocks, each at least 0; BRAM in 18 Kb halves.

    Raises:
        InputError: A count is negative.
    """

    dsp: int = 0
    bram_18k: int = 0
    uram: int = 0
    lut: int = 0
    ff: int = 0

    def __post_init__(self) -> None:
        if min(self.dsp, self.bram_18k, self.uram, self.lut, self.ff) < 0:
            raise InputError(f"{self}: every count must be at least 0")

    def __add__(self, other: "Resources") -> "Resources":
        return Resources(
            dsp=self.dsp + other.dsp,
            bram_18k=self.bram_18k + other.bram_18k,
            uram=self.uram + other.uram,
            lut=self.lut + other.lut,
            ff=self.ff + other.ff,
        )

    def __le__(self, other: "Resources") -> bool:
        return not self.shortfall(other)

    def shortfall(self, limit: "Resources") -> dict[str, int]:
        """Return by how much each kind exceeds `limit`; empty if all fit."""
        excess = {
            "dsp": self.dsp - limit.dsp,
            "bram_18k": self.bram_18k - limit.bram_18k,
            "uram": self.uram - limit.uram,
            "lut": self.lut - limit.lut,
            "ff": self.ff - limit.ff,
        }
        return {name: value for name, value in excess.items() if value > 0}

    def as_dict(self) -> dict[str, int]:
        """Return the counts by name, zeros included, in the order of the fields."""
        return asdict(self)
