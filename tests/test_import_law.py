"""The law of the house: cc100 → ccbuild ← xlmr, and what each room inside ccbuild may know."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {"ccbuild": ROOT / "ccbuild", "cc100": ROOT / "pipelines" / "cc100", "xlmr": ROOT / "models" / "xlmr"}
XLMR_MAY = tuple(f"ccbuild.{name}" for name in "errors config ledger lock storage tokens vocab".split())
RUNDIR_MAY = ("ccbuild.errors", "ccbuild.index", "ccbuild.ledger", "ccbuild.records", "ccbuild.storage")
ALGORITHMS = ("ccbuild.dedup", "ccbuild.langid", "ccbuild.lm", "ccbuild.text", "ccbuild.vocab")
JOINTS = ("ccbuild.records", "ccbuild.stages", "ccbuild.runner", "ccbuild.cli", "ccbuild.report", "ccbuild.door")
DOORS = ("ccbuild.cli", "ccbuild.door")


def modules() -> Iterator[tuple[str, Path]]:
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            inner = path.relative_to(folder).with_suffix("").parts
            yield ".".join((package, *(p for p in inner if p != "__init__"))), path


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def under(name: str, *packages: str) -> bool:
    return any(name == p or name.startswith(p + ".") for p in packages)


@pytest.mark.parametrize(("module", "path"), list(modules()), ids=[m for m, _ in modules()])
def test_imports(module: str, path: Path) -> None:
    names = imported(path)
    if under(module, "ccbuild") and not under(module, *DOORS):
        assert not [n for n in names if under(n, "cc100", "xlmr", "dask", "distributed", "torch")]
    if under(module, "cc100"):
        assert not [n for n in names if under(n, "xlmr", "torch", *DOORS)]
    if under(module, "xlmr"):
        assert not [n for n in names if under(n, "cc100", "dask", "distributed")]
        assert not [n for n in names if under(n, "ccbuild") and n != "ccbuild" and not under(n, *XLMR_MAY)]
    if under(module, "ccbuild.records", "ccbuild.errors"):
        assert not [n for n in names if under(n, "ccbuild")]
    if under(module, *ALGORITHMS):
        assert not [n for n in names if under(n, *JOINTS)]
    if "kernels" in module.split("."):  # numba's cache on disk would not see a change in the other file
        assert not [n for n in names if under(n, "ccbuild")]
    if under(module, "ccbuild.stages"):
        assert not [n for n in names if under(n, "ccbuild.runner", "ccbuild.report", *DOORS)]
    if under(module, "ccbuild.rundir"):
        assert not [n for n in names if under(n, "ccbuild") and not under(n, *RUNDIR_MAY) and n != "ccbuild"]
    if under(module, "ccbuild.runner"):
        assert not [n for n in names if under(n, "ccbuild.report", *DOORS)]


@pytest.mark.parametrize(("module", "path"), list(modules()), ids=[m for m, _ in modules()])
def test_importing_reads_no_environment_and_makes_no_folder(module: str, path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef | ast.Import | ast.ImportFrom):
            continue
        source = ast.unparse(node)
        for forbidden in ("os.environ", "os.getenv", "mkdir", "open(", "basicConfig", "print(", ".read_text("):
            assert forbidden not in source, f"{module} does something at import: {source}"


@pytest.mark.parametrize("path", sorted((ROOT / "tests" / "bench").glob("*.py")), ids=lambda path: path.stem)
def test_what_a_bench_imports_of_ours_is_there(path: Path) -> None:
    """They are run by hand, and seldom."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and under(node.module, *PACKAGES):
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name) or importlib.import_module(f"{node.module}.{alias.name}")
