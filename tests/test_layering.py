"""Who imports whom: packages from lower levels only, heavy libraries where allowed.

The table below is the one place that says it. Every import statement counts, wherever
it stands: inside a function, and under TYPE_CHECKING.
"""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LEVELS = (
    {"errors", "intmath", "npz", "text"},
    {"arguments", "data", "factory", "files"},
    {"ir"},
    {"csv_file", "layer_file"},
    {"hw", "zoo", "frontends", "quant", "hls"},
    {"engine"},
    {"cost", "accuracy", "lint", "model", "options", "schedule"},
    # emission writes out what cost prices: tiles, memories, DDR layout.
    {"program", "handoff", "emission"},
    {"answer", "calibration", "distillation"},
    {"measure"},
    {"report"},
    {"runs"},
    {"page"},
    {"request"},
    {"steps"},
    {"flow"},
    {"cli"},
    {"__main__"},
)
LEVEL_OF = {name: level for level, names in enumerate(LEVELS) for name in names}

# Library: the packages, or single modules, that may import it.
ALLOWED = {
    "brevitas": {"quant"},
    "click": {"cli"},
    "distributed": {"answer.workers"},
    "gurobipy": {"program"},
    "highspy": {"program"},
    "jinja2": {"emission", "page", "report"},
    "markupsafe": {"page"},
    "joblib": {"answer.workers"},
    "llvmlite": {"schedule"},
    "matplotlib": {"report"},
    "onnx": {"frontends", "quant.export", "quant.export_float"},
    "rich": {"cli", "report"},
    "safetensors": {"quant"},
    "sklearn": {"measure", "quant.known"},
    "tree_sitter": {"lint"},
    "tree_sitter_cpp": {"lint"},
    "torch": {"quant", "distillation", "frontends.from_torch"},
}
# What these packages may import besides the standard library.
LIGHT = {
    "errors": set[str](),
    "data": set[str](),
    "factory": set[str](),
    "files": set[str](),
    "intmath": set[str](),
    "npz": {"numpy"},
    "text": set[str](),
    "ir": {"numpy"},
    "hw": {"numpy", "pydantic", "pydantic_core", "annotated_types"},
    "cost": {"numpy"},
}
# Names of imports whose distribution is called otherwise, or is part of another.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "tree_sitter": "tree-sitter",
    "tree_sitter_cpp": "tree-sitter-cpp",
    "sklearn": "scikit-learn",
    "pydantic_core": "pydantic",
    "annotated_types": "pydantic",
}
# What a start must not wait for.
SLOW = ("torch", "brevitas", "onnx", "gurobipy", "highspy", "sklearn", "matplotlib")


def imports(source: str, module: str) -> list[str]:
    """Return the dotted names that a module imports, relative ones resolved."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")[: -node.level]
                base = ".".join([*parents, base] if base else parents)
            if base == "hao":
                names += [f"hao.{alias.name}" for alias in node.names]
            else:
                names.append(base)
    return names


def violations(source: str, module: str) -> list[str]:
    """Return what is wrong with the imports of one module of hao."""
    parts = module.split(".")
    if len(parts) == 1:
        # For type checkers alone: test_flow.py says what is loaded.
        names = set(imports(source, module)) - {"hao.flow"}
        return [name for name in sorted(names) if name.startswith("hao.")]
    home = parts[1]
    found: list[str] = []
    for name in imports(source, module):
        top, *rest = name.split(".")
        if top == "hao":
            target = rest[0] if rest else "__version__"
            known = target in LEVEL_OF or target.startswith("__")
            if not known or (
                target != home and LEVEL_OF.get(target, -1) >= LEVEL_OF[home]
            ):
                found.append(f"{module} imports {name}")
            continue
        inner = {".".join(parts[1:end]) for end in range(2, len(parts) + 1)}
        allowed = ALLOWED.get(top)
        if allowed is not None and not inner & allowed:
            found.append(f"{module} imports {top}")
        light = LIGHT.get(home)
        standard = top in sys.stdlib_module_names
        if light is not None and not standard and top not in light:
            found.append(f"{module} imports {top}")
    return found


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {
    module_name(path): path
    for path in sorted((ROOT / "hao").rglob("*.py"))
    if "_data" not in path.parts
}


def test_every_package_has_a_level() -> None:
    homes = {name.split(".")[1] for name in MODULES if "." in name}
    assert homes - set(LEVEL_OF) == set()


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_only_what_it_may(module: str) -> None:
    assert violations(MODULES[module].read_text(encoding="utf-8"), module) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("hao.ir.layer", "from hao.hw.board import Board"),
        ("hao.ir.layer", "import hao.hw.board"),
        ("hao.ir.layer", "from hao import hw"),
        ("hao.ir.layer", "from ..hw import board"),
        ("hao.hw.board", "from hao.zoo import mobilenet"),
        ("hao.cost.area", "def f():\n    from hao.program import mapping"),
        ("hao.cost.area", "if TYPE_CHECKING:\n    import hao.flow"),
        ("hao.cost.area", "import scipy.optimize"),
        ("hao.errors", "import numpy"),
        ("hao.answer.explore", "import gurobipy as gp"),
        ("hao.frontends.from_onnx.model", "import torch"),
        ("hao.flow", "from rich.table import Table"),
        ("hao.flow", "import hao.nowhere"),
        ("hao", "from hao.errors import HaoError"),
    ],
)
def test_a_forbidden_import_is_found(module: str, source: str) -> None:
    assert violations(source, module) != []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("hao.hw.board", "from hao.hw.resources import Resources"),
        ("hao.hw.board", "from .resources import Resources"),
        ("hao.program.mapping", "import gurobipy\nfrom hao.cost import area"),
        ("hao.frontends.from_torch.module", "from torch.fx import Graph"),
        ("hao.report.page", "from hao import __version__, errors"),
        ("hao.cost.area", "from collections.abc import Mapping\nimport numpy as np"),
    ],
)
def test_an_allowed_import_passes(module: str, source: str) -> None:
    assert violations(source, module) == []


def test_every_imported_distribution_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    listed = project["dependencies"] + [
        line for name in ("torch", "lint", "cluster") for line in extras[name]
    ]
    declared = {re.split(r"[^\w-]", line)[0] for line in listed}
    used = {
        name.split(".")[0]
        for module, path in MODULES.items()
        for name in imports(path.read_text(encoding="utf-8"), module)
    }
    third_party = used - set(sys.stdlib_module_names) - {"hao"}
    assert {DISTRIBUTIONS.get(name, name) for name in third_party} <= declared


@pytest.mark.parametrize("module", ["hao", "hao.cli"])
def test_import_loads_no_heavy_library(module: str) -> None:
    code = (
        f"import sys, {module}; print(*sorted({set(SLOW)!r}.intersection(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    assert (run.returncode, run.stderr, run.stdout.strip()) == (0, "", "")
