"""Which pragmas each tool generation knows: options, values and where they may stand.

Source: for Vitis HLS the option table of its open-sourced front end (github.com/Xilinx/
hls-llvm-project, clang/include/clang/Basic/XlxPragmaOption.td, 2022) and the pragma
pages of UG1399; for Vivado HLS UG902 (2019.2 and 2020.1), chapter "High-Level Synthesis
Reference Guide". The places are those of UG1399 and of AMD's scope rules (github.com/
Xilinx/ross-ai-assistant, skills/hls-pragma-scope).

Names and values are in lower case: both tools ignore case.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from types import MappingProxyType

from hao.lint.finding import Tool


class ValueKind(Enum):
    """What the value of an option is."""

    INTEGER = auto()  # a constant expression, at least the option's minimum
    NAME = auto()  # a variable of the code
    WORD = auto()  # a free word, such as the name of a bundle
    ENUM = auto()  # one of a list


class PragmaPlace(Enum):
    """What encloses a pragma directly."""

    FILE = "outside a function"
    FUNCTION = "a function body"
    LOOP = "a loop body"
    REGION = "a block"


@dataclass(frozen=True, slots=True, kw_only=True)
class PragmaOption:
    """One `name=value` of a pragma.

    Attributes:
        values: Allowed words of an ENUM.
        minimum: Smallest INTEGER.
        positional: The words of an ENUM may stand without `name=`.
        keyword: They may stand with it.
    """

    kind: ValueKind
    values: frozenset[str] = frozenset()
    minimum: int = 0
    required: bool = False
    positional: bool = False
    keyword: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """Options, bare flags and legal places of one pragma."""

    options: Mapping[str, PragmaOption] = field(
        default_factory=lambda: MappingProxyType({})
    )
    flags: frozenset[str] = frozenset()
    places: frozenset[PragmaPlace] = frozenset(PragmaPlace) - {PragmaPlace.FILE}


STORAGE_IMPLS = {
    # UG1399, pragma HLS bind_storage: implementations of each storage type.
    "fifo": frozenset({"auto", "bram", "lutram", "srl", "uram", "memory"}),
    "ram_1p": frozenset({"auto", "bram", "lutram", "uram"}),
    "ram_1wnr": frozenset({"auto", "bram", "lutram", "uram"}),
    "ram_2p": frozenset({"auto", "bram", "lutram", "uram"}),
    "ram_s2p": frozenset({"auto", "bram", "bram_ecc", "lutram", "uram", "uram_ecc"}),
    "ram_t2p": frozenset({"auto", "bram", "uram"}),
    "rom_1p": frozenset({"auto", "bram", "lutram"}),
    "rom_2p": frozenset({"auto", "bram", "lutram"}),
    "rom_np": frozenset({"auto", "bram", "lutram"}),
}
_INTEGER_IMPLS = frozenset({"fabric", "dsp", "auto"})
_FLOAT_IMPLS = frozenset(
    {"fabric", "meddsp", "fulldsp", "maxdsp", "primitivedsp", "auto"}
)
OPERATION_IMPLS = {
    # UG1399, pragma HLS bind_op: implementations of each operation.
    **dict.fromkeys(("mul", "add", "sub"), _INTEGER_IMPLS),
    **{
        prefix + name: _FLOAT_IMPLS
        for prefix in "fdh"
        for name in (
            *("add", "sub", "mul", "div", "exp", "log", "sqrt", "rsqrt", "recip"),
        )
    },
}
_CORE_MEMORIES = ("RAM_1P", "RAM_2P", "RAM_S2P", "RAM_T2P")
_CORE_ROMS = ("ROM_1P", "ROM_2P", "ROM_nP")
CORES = frozenset(
    core.lower()
    for core in (
        # UG902, table "Functional Cores" and "Storage Cores".
        *_CORE_MEMORIES,
        *(f"{name}_{impl}" for name in _CORE_MEMORIES for impl in ("BRAM", "URAM")),
        *(f"{name}_LUTRAM" for name in _CORE_MEMORIES if name != "RAM_T2P"),
        *_CORE_ROMS,
        *(f"{name}_{impl}" for name in _CORE_ROMS for impl in ("BRAM", "LUTRAM")),
        *("ROM_1P_1S", "XPM_MEMORY"),
        *("FIFO", "FIFO_BRAM", "FIFO_LUTRAM", "FIFO_SRL"),
        *("AddSub", "AddSubnS", "AddSub_DSP", "DivnS", "DSP48", "Mul", "MulnS"),
        *("Mul_LUT", "Mul2S", "Mul3S", "Mul4S", "Mul5S", "Mul6S", "Mux"),
        *(f"F{name}" for name in ("AddSub_nodsp", "AddSub_fulldsp", "Div", "Sqrt")),
        *(f"FMul_{name}" for name in ("nodsp", "meddsp", "fulldsp", "maxdsp")),
    )
)
FABRIC_CORES = frozenset({"mul_lut"})
DSP_CORES = frozenset(
    {"dsp48", "mul", "mulns", "mul2s", "mul3s", "mul4s", "mul5s", "mul6s"}
)

# One pragma a line: name, tool if only one knows it, places (Function, Loop, Region),
# then its options: `!` required; `>=` an integer, `=` a word that may stand alone (with
# Vivado HLS it must), `~` one that may with both, `:` one that follows `name=`; NAME is
# that of a variable, WORD any; `+` a flag; `@` the tool that knows option or word.
_TABLE = """
aggregate@vitis FLR variable!:NAME compact=bit|byte|none|auto
alias@vitis F ports!:WORD offset:WORD distance:WORD
allocation FLR instances!:WORD limit!>=1 type=function|operation|core@vivado
array_map@vivado FLR variable!:NAME instance:WORD offset>=0 mode=horizontal|vertical
array_partition FLR variable!:NAME type=block|cyclic|complete factor>=1 dim>=0
    +dynamic@vitis
array_reshape FLR variable!:NAME type=block|cyclic|complete factor>=1 dim>=0
    +object@vitis
bind_op@vitis FLR variable!:NAME op!:OPERATIONS impl:OPERATION_IMPLS latency>=-1
bind_storage@vitis FLR variable!:NAME type!:STORAGES impl:STORAGE_IMPLS latency>=-1
clock@vivado F domain:WORD
data_pack@vivado FLR variable!:NAME instance:WORD byte_pad=struct_level|field_level
dataflow FL +disable_start_propagation@vitis
dependence FL variable:NAME class=array|pointer type=intra|inter direction=raw|war|waw
    dependent=true|false distance>=1
disaggregate@vitis FLR variable!:NAME
expression_balance FLR +off
function_instantiate F variable!:NAME
inline FR +off +recursive +region +self@vitis +all@vitis
interface F port!:NAME
    mode=ap_none|ap_vld|ap_ack|ap_hs|ap_ovld|ap_fifo|ap_memory|ap_bus@vivado|bram|
    axis|s_axilite|m_axi|ap_stable|ap_ctrl_none|ap_ctrl_hs|ap_ctrl_chain
    register_mode~forward|reverse|both|off bundle:WORD name:WORD clock:WORD offset:WORD
    depth>=0 latency>=0 num_read_outstanding>=0 num_write_outstanding>=0
    max_read_burst_length>=0 max_write_burst_length>=0 storage_type@vitis:WORD
    storage_impl@vitis:WORD max_widen_bitwidth@vitis>=0 channel@vitis>=0
    interrupt@vitis>=0 +register
latency FLR min>=0 max>=0
loop_flatten L +off
loop_merge FLR +force
loop_tripcount L min>=0 max!>=0 avg>=0
occurrence R cycle>=1
performance@vitis FLR target_ti:WORD target_tl:WORD scope:loop|region
pipeline FL ii>=1 style@vitis:stp|flp|frp +rewind +off +enable_flush@vivado
protocol FLR mode=floating|fixed
reset FLR variable!:NAME +off
resource@vivado FLR variable!:NAME core!:CORES latency>=-1 metadata:WORD
stable F variable!:NAME
stream FLR variable!:NAME depth>=1 dim>=0 type@vitis:fifo|pipo|shared|unsync +off@vivado
top F name:WORD
unroll L factor>=1 +region +skip_exit_check +complete@vitis +partial@vitis
"""
_PLACES = {"F": PragmaPlace.FUNCTION, "L": PragmaPlace.LOOP, "R": PragmaPlace.REGION}
_LISTS = {
    "CORES": CORES,
    "OPERATIONS": frozenset(OPERATION_IMPLS),
    "OPERATION_IMPLS": frozenset().union(*OPERATION_IMPLS.values()),
    "STORAGES": frozenset(STORAGE_IMPLS),
    "STORAGE_IMPLS": frozenset().union(*STORAGE_IMPLS.values()),
}
_ITEM = re.compile(r"(\w+)(!?)(@\w+)?(?:(>=|[=~:])(.+))?$")
_TOOLS = {Tool.VIVADO_HLS: "@vivado", Tool.VITIS_HLS: "@vitis"}


def _grammars(tool: Tool) -> Mapping[str, Grammar]:
    """Return the pragmas of one tool by name."""
    known: dict[str, Grammar] = {}
    for line in (
        _TABLE.replace("|\n    ", "|").replace("\n    ", " ").strip().splitlines()
    ):
        head, places, *items = line.split()
        name, _, only = head.partition("@")
        options: dict[str, PragmaOption] = {}
        flags: set[str] = set()
        for item in items:
            found = _ITEM.match(item.removeprefix("+"))
            if found is None or found[3] not in {None, _TOOLS[tool]}:
                continue
            if item.startswith("+"):
                flags.add(found[1])
            else:
                options[found[1]] = _option(tool, found[2], found[4], found[5])
        if f"@{only}" in {"@", _TOOLS[tool]}:
            where = frozenset(_PLACES[letter] for letter in places)
            grammar = Grammar(options=options, flags=frozenset(flags), places=where)
            known[name] = grammar
    return MappingProxyType(known)


def _option(tool: Tool, required: str, sign: str, text: str) -> PragmaOption:
    """Return an option from its signs in the table and what follows them."""
    if sign == ">=":
        return PragmaOption(
            kind=ValueKind.INTEGER, minimum=int(text), required=bool(required)
        )
    if text in {"NAME", "WORD"}:
        return PragmaOption(kind=ValueKind[text], required=bool(required))
    words = (word.partition("@") for word in text.split("|"))
    own = {word for word, at, only in words if at + only in {"", _TOOLS[tool]}}
    return PragmaOption(
        kind=ValueKind.ENUM,
        values=_LISTS.get(text, frozenset(own)),
        required=bool(required),
        positional=sign in "=~",
        keyword=sign != "=" or tool is Tool.VITIS_HLS,
    )


GRAMMARS: Mapping[Tool, Mapping[str, Grammar]] = MappingProxyType(
    {tool: _grammars(tool) for tool in Tool}
)
# What took the place of a pragma that Vitis HLS deprecates or removed.
SUCCESSORS: Mapping[str, str] = MappingProxyType(
    {
        "array_map": "nothing: it was removed",
        "clock": "nothing: it was removed",
        "data_pack": "AGGREGATE",
        "resource": "BIND_STORAGE or BIND_OP",
    }
)
# The same for flags, by pragma and flag.
FLAG_SUCCESSORS: Mapping[tuple[str, str], str] = MappingProxyType(
    {("pipeline", "enable_flush"): "style=flp", ("stream", "off"): "type=pipo"}
)
