"""Which pragmas each tool generation knows: options, values and where they may stand.

Source: for Vitis HLS the option table of its open-sourced front end (github.com/Xilinx/
hls-llvm-project, clang/include/clang/Basic/XlxPragmaOption.td, 2022) and the pragma
pages of UG1399; for Vivado HLS UG902 (2019.2 and 2020.1), chapter "High-Level Synthesis
Reference Guide". The places are those of UG1399 and of AMD's scope rules (github.com/
Xilinx/ross-ai-assistant, skills/hls-pragma-scope).

Names and values are in lower case: both tools ignore case. `_common` is one table,
and so longer than a function should be.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from types import MappingProxyType

from hao.lint.finding import Tool


class Kind(Enum):
    """What the value of an option is."""

    INTEGER = auto()  # a constant expression, at least the option's minimum
    NAME = auto()  # a variable of the code
    WORD = auto()  # a free word, such as the name of a bundle
    ENUM = auto()  # one of a list


class Place(Enum):
    """What encloses a pragma directly."""

    FILE = "outside a function"
    FUNCTION = "a function body"
    LOOP = "a loop body"
    REGION = "a block"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One `name=value` of a pragma.

    Attributes:
        values: Allowed words of an ENUM.
        minimum: Smallest INTEGER.
        positional: The words of an ENUM may stand without `name=`.
        keyword: They may stand with it.
    """

    kind: Kind
    values: frozenset[str] = frozenset()
    minimum: int = 0
    required: bool = False
    positional: bool = False
    keyword: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """Options, bare flags and legal places of one pragma."""

    options: Mapping[str, Option] = field(default_factory=lambda: MappingProxyType({}))
    flags: frozenset[str] = frozenset()
    places: frozenset[Place] = frozenset(Place) - {Place.FILE}


FUNCTION = frozenset({Place.FUNCTION})
LOOP = frozenset({Place.LOOP})
FUNCTION_OR_LOOP = FUNCTION | LOOP
VARIABLE = Option(kind=Kind.NAME, required=True)
COUNT = Option(kind=Kind.INTEGER)
POSITIVE = Option(kind=Kind.INTEGER, minimum=1)
LATENCY = Option(kind=Kind.INTEGER, minimum=-1)
WORD = Option(kind=Kind.WORD)

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

_PORT_MODES = frozenset(
    {
        *("ap_none", "ap_vld", "ap_ack", "ap_hs", "ap_ovld", "ap_fifo", "ap_memory"),
        *("bram", "axis", "s_axilite", "m_axi", "ap_stable"),
        *("ap_ctrl_none", "ap_ctrl_hs", "ap_ctrl_chain"),
    }
)


def _choice(*values: str, vitis: bool, positional: bool = True) -> Option:
    """Return an option whose words stand alone, with Vitis HLS also after `name=`."""
    return Option(
        kind=Kind.ENUM,
        values=frozenset(values),
        positional=positional,
        keyword=vitis,
    )


def _split(*, vitis: bool) -> dict[str, Option]:
    return {
        "variable": VARIABLE,
        "type": _choice("block", "cyclic", "complete", vitis=vitis),
        "factor": POSITIVE,
        "dim": COUNT,
    }


def _dependence(*, vitis: bool) -> dict[str, Option]:
    return {
        "variable": Option(kind=Kind.NAME),
        "class": _choice("array", "pointer", vitis=vitis),
        "type": _choice("intra", "inter", vitis=vitis),
        "direction": _choice("raw", "war", "waw", vitis=vitis),
        "dependent": _choice("true", "false", vitis=vitis),
        "distance": POSITIVE,
    }


def _interface(*, vitis: bool) -> Grammar:
    options = {
        "port": VARIABLE,
        "mode": Option(
            kind=Kind.ENUM,
            values=_PORT_MODES if vitis else _PORT_MODES | {"ap_bus"},
            positional=True,
            keyword=vitis,
        ),
        "register_mode": Option(
            kind=Kind.ENUM,
            values=frozenset({"forward", "reverse", "both", "off"}),
            positional=True,
        ),
        **dict.fromkeys(("bundle", "name", "clock", "offset"), WORD),
        **dict.fromkeys(
            (
                *("depth", "latency", "num_read_outstanding", "num_write_outstanding"),
                *("max_read_burst_length", "max_write_burst_length"),
            ),
            COUNT,
        ),
    }
    if vitis:
        options |= dict.fromkeys(("storage_type", "storage_impl"), WORD)
        options |= dict.fromkeys(("max_widen_bitwidth", "channel", "interrupt"), COUNT)
    return Grammar(options=options, flags=frozenset({"register"}), places=FUNCTION)


def _common(*, vitis: bool) -> dict[str, Grammar]:
    """Return the pragmas of both generations; Vitis HLS adds `name=` to choices."""
    flags = frozenset
    allocation = (
        ("operation", "function") if vitis else ("function", "operation", "core")
    )
    return {
        "allocation": Grammar(
            options={
                "instances": Option(kind=Kind.WORD, required=True),
                "limit": Option(kind=Kind.INTEGER, minimum=1, required=True),
                "type": _choice(*allocation, vitis=vitis),
            }
        ),
        "array_partition": Grammar(
            options=_split(vitis=vitis), flags=flags({"dynamic"} if vitis else ())
        ),
        "array_reshape": Grammar(
            options=_split(vitis=vitis), flags=flags({"object"} if vitis else ())
        ),
        "dataflow": Grammar(
            flags=flags({"disable_start_propagation"} if vitis else ()),
            places=FUNCTION_OR_LOOP,
        ),
        "dependence": Grammar(
            options=_dependence(vitis=vitis), places=FUNCTION_OR_LOOP
        ),
        "expression_balance": Grammar(flags=flags({"off"})),
        "function_instantiate": Grammar(
            options={"variable": VARIABLE}, places=FUNCTION
        ),
        "inline": Grammar(
            flags=flags(
                {"off", "recursive", "region"} | ({"self", "all"} if vitis else set())
            ),
            places=FUNCTION | {Place.REGION},
        ),
        "interface": _interface(vitis=vitis),
        "latency": Grammar(options={"min": COUNT, "max": COUNT}),
        "loop_flatten": Grammar(flags=flags({"off"}), places=LOOP),
        "loop_merge": Grammar(flags=flags({"force"})),
        "loop_tripcount": Grammar(
            options={
                "min": COUNT,
                "max": Option(kind=Kind.INTEGER, required=True),
                "avg": COUNT,
            },
            places=LOOP,
        ),
        "occurrence": Grammar(
            options={"cycle": POSITIVE}, places=frozenset({Place.REGION})
        ),
        "pipeline": Grammar(
            options={"ii": POSITIVE}
            | (
                {"style": _choice("stp", "flp", "frp", vitis=True, positional=False)}
                if vitis
                else {}
            ),
            flags=flags({"rewind", "off"} | (set() if vitis else {"enable_flush"})),
            places=FUNCTION_OR_LOOP,
        ),
        "protocol": Grammar(
            options={"mode": _choice("floating", "fixed", vitis=vitis)}
        ),
        "reset": Grammar(options={"variable": VARIABLE}, flags=flags({"off"})),
        "stable": Grammar(options={"variable": VARIABLE}, places=FUNCTION),
        "stream": Grammar(
            options={"variable": VARIABLE, "depth": POSITIVE, "dim": COUNT}
            | (
                {
                    "type": _choice(
                        "fifo", "pipo", "shared", "unsync", vitis=True, positional=False
                    )
                }
                if vitis
                else {}
            ),
            flags=flags(() if vitis else {"off"}),
        ),
        "top": Grammar(options={"name": WORD}, places=FUNCTION),
        "unroll": Grammar(
            options={"factor": POSITIVE},
            flags=flags(
                {"region", "skip_exit_check"}
                | ({"complete", "partial"} if vitis else set())
            ),
            places=LOOP,
        ),
    }


_VIVADO_ONLY = {
    "array_map": Grammar(
        options={
            "variable": VARIABLE,
            "instance": WORD,
            "offset": COUNT,
            "mode": _choice("horizontal", "vertical", vitis=False),
        }
    ),
    "clock": Grammar(options={"domain": WORD}, places=FUNCTION),
    "data_pack": Grammar(
        options={
            "variable": VARIABLE,
            "instance": WORD,
            "byte_pad": _choice("struct_level", "field_level", vitis=False),
        }
    ),
    "resource": Grammar(
        options={
            "variable": VARIABLE,
            "core": Option(kind=Kind.ENUM, values=CORES, required=True),
            "latency": LATENCY,
            "metadata": WORD,
        }
    ),
}
_VITIS_ONLY = {
    "aggregate": Grammar(
        options={
            "variable": VARIABLE,
            "compact": _choice("bit", "byte", "none", "auto", vitis=True),
        }
    ),
    "alias": Grammar(
        options={
            "ports": Option(kind=Kind.WORD, required=True),
            "offset": WORD,
            "distance": WORD,
        },
        places=FUNCTION,
    ),
    "bind_op": Grammar(
        options={
            "variable": VARIABLE,
            "op": Option(
                kind=Kind.ENUM, values=frozenset(OPERATION_IMPLS), required=True
            ),
            "impl": Option(
                kind=Kind.ENUM, values=frozenset().union(*OPERATION_IMPLS.values())
            ),
            "latency": LATENCY,
        }
    ),
    "bind_storage": Grammar(
        options={
            "variable": VARIABLE,
            "type": Option(
                kind=Kind.ENUM, values=frozenset(STORAGE_IMPLS), required=True
            ),
            "impl": Option(
                kind=Kind.ENUM, values=frozenset().union(*STORAGE_IMPLS.values())
            ),
            "latency": LATENCY,
        }
    ),
    "disaggregate": Grammar(options={"variable": VARIABLE}),
    "performance": Grammar(
        options={
            "target_ti": WORD,
            "target_tl": WORD,
            "scope": _choice("loop", "region", vitis=True, positional=False),
        }
    ),
}

GRAMMARS: Mapping[Tool, Mapping[str, Grammar]] = MappingProxyType(
    {
        Tool.VIVADO_HLS: MappingProxyType(_common(vitis=False) | _VIVADO_ONLY),
        Tool.VITIS_HLS: MappingProxyType(_common(vitis=True) | _VITIS_ONLY),
    }
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
