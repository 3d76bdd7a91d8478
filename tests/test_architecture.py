"""The house's plan, checked: who may import whom, what the package ships, how large its rooms are."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("hmbench", "reference_model", "baselines", "leaderboard")
MAY_IMPORT = {
    "hmbench": {"hmbench"},
    "reference_model": {"reference_model", "hmbench"},
    "baselines": {"baselines", "reference_model", "hmbench"},
    "leaderboard": {"leaderboard", "hmbench"},
}
FLOORS = {
    "errors": 0, "types": 1, "protocols": 2, "case": 2, "geometry": 2, "video": 2, "events": 2, "results": 2,
    "environment": 2, "cache": 2, "registry": 3, "data": 4, "subjects": 4, "metrics": 5, "weights": 4, "tables": 4,
    "requests": 3, "stages": 6,
    "scorers": 6, "evaluate": 7, "compare": 7, "doctor": 7, "cli": 8,
}  # fmt: skip
"""Modules of hmbench import from their own floor or below. `metrics` stands above `subjects` and `data`: metrics read
tracks and label maps, never the other way round."""


def modules() -> list[Path]:
    return sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))


def imports(path: Path, *, at_run_time_only: bool = True) -> set[str]:
    """Dotted names of our modules that a file imports, those under TYPE_CHECKING left out."""
    tree = ast.parse(path.read_text())
    hidden = {
        id(child)
        for node in ast.walk(tree)
        if at_run_time_only and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for child in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] in PACKAGES}


@pytest.mark.parametrize("package", PACKAGES)
def test_dependencies_point_one_way(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (ROOT / package).rglob("*.py")
        for name in imports(path)
        if name.split(".")[0] not in MAY_IMPORT[package]
    ]
    assert wrong == []


def test_only_the_glue_of_the_reference_model_knows_hmbench() -> None:
    allowed = {"world_model", "models", "cli", "paper_weights", "memory_plan", "weights"}
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (ROOT / "reference_model").rglob("*.py")
        for name in imports(path)
        if name.startswith("hmbench") and not {path.stem, path.parent.name} & allowed
    ]
    assert wrong == []


def test_floors_of_hmbench() -> None:
    wrong = []
    for path in (ROOT / "hmbench").rglob("*.py"):
        own = path.relative_to(ROOT / "hmbench").with_suffix("").parts[0]
        for name in imports(path):
            parts = name.split(".")
            other = parts[1] if len(parts) > 1 else ""
            if FLOORS.get(own, 99) < FLOORS.get(other, 0):
                wrong.append(f"{path.relative_to(ROOT)} (floor of {own}) imports {name}")
    assert wrong == []


def test_no_circles_between_modules() -> None:
    names = {str(p.relative_to(ROOT).with_suffix("")).replace("/", ".").removesuffix(".__init__"): p for p in modules()}
    graph = {
        name: {found for found in imports(path) if found in names and found != name} for name, path in names.items()
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, f"import circle: {' -> '.join([*trail[trail.index(name) :], name])}"
        if name not in done:
            for other in sorted(graph[name]):
                if not (other.startswith(f"{name}.") or name.startswith(f"{other}.")):
                    visit(other, (*trail, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())


def test_every_package_is_shipped() -> None:
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    there = {str(p.parent.relative_to(ROOT)).replace("/", ".") for p in modules() if p.name == "__init__.py"}
    assert listed == there


def test_leaderboard_needs_no_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import pkgutil, importlib, leaderboard\n"
        "for m in pkgutil.iter_modules(leaderboard.__path__): importlib.import_module(f'leaderboard.{m.name}')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_help_needs_no_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['ultralytics'] = None\n"
        "import hmbench.cli as c; sys.argv = ['hmbench', '--help']; c.main()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT)


def test_files_stay_readable() -> None:
    long = {str(p.relative_to(ROOT)): n for p in modules() if (n := len(p.read_text().splitlines())) > 400}
    assert long == {}


def test_public_things_are_documented() -> None:
    missing = []
    for path in modules():
        for node in ast.parse(path.read_text()).body:
            public = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
            if public and ast.get_docstring(node) is None:
                missing.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert missing == []
