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
FLOORS = (
    {"_moved"},
    {"errors"},
    {"durable"},
    {"files", "array_files", "flags", "prefixes", "described", "subject_names"},
    {"types", "workers"},
    {"case", "protocols", "registry", "own_code", "function_model", "cache", "digests", "streams"},
    {"video", "results"},
    {"data", "networks"},
    {"subjects"},
    {"metrics"},
    {"report", "insight"},
    {"run"},
    {"study"},
    {"cli", "api", "__main__"},
)
"""Rooms and modules of hmbench import from their own floor or below; every one of them stands on a floor."""


def floor(name: str) -> int:
    """Floor of a room; -1 for the package itself, which anybody may import."""
    return next((level for level, rooms in enumerate(FLOORS) if name in rooms), -1)


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
    allowed = {"sampling", "cli", "trainer", "disk", "paper_weights", "weights", "reference_model"}
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (ROOT / "reference_model").rglob("*.py")
        for name in imports(path)
        if name.startswith("hmbench") and not {path.stem, path.parent.name} & allowed
    ]
    assert wrong == []


def test_every_room_stands_on_a_floor() -> None:
    there = {p.relative_to(ROOT / "hmbench").with_suffix("").parts[0] for p in (ROOT / "hmbench").rglob("*.py")}
    assert there - {"__init__"} == set().union(*FLOORS)


def test_floors_of_hmbench() -> None:
    wrong = []
    for path in (ROOT / "hmbench").rglob("*.py"):
        own = path.relative_to(ROOT / "hmbench").with_suffix("").parts[0]
        for name in imports(path):
            parts = name.split(".")
            if own != "__init__" and len(parts) > 1 and floor(own) < floor(parts[1]):
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


READERS = {
    "json.JSONDecoder": {"hmbench/files.py"},  # within limits
    "json.loads": {
        "hmbench/networks/files.py",  # the cards that hmbench ships
        "hmbench/data/dataset.py", "hmbench/data/index_journal.py", "hmbench/run/sharing.py",  # each guards its own
        "hmbench/data/mini_world/as_dataset.py", "baselines/cost.py",
        "reference_model/released/weight_files.py", "reference_model/sampling/paper_pipeline.py",
        "reference_model/training/adopt.py", "reference_model/training/base.py", "reference_model/training/cache.py",
        "reference_model/training/checkpoints.py", "reference_model/training/monitor.py",
        "reference_model/training/request.py", "reference_model/training/ship.py",
        "reference_model/training/carrier.py", "reference_model/training/small_training.py",
    },
    "torch.load": {
        "hmbench/networks/files.py", "reference_model/released/checkpoint.py",
        "reference_model/released/weight_files.py", "reference_model/training/codec_checkpoints.py",
        "reference_model/training/small_training.py",
    },
    "torch.jit.load": {"hmbench/networks/motion_networks.py"},  # after check_torchscript
    "np.load": {
        "hmbench/subjects/training_data.py", "hmbench/study/probe_clips.py", "hmbench/video/sources.py",
        "reference_model/training/carrier_data.py", "reference_model/training/tracks.py",
    },
    "pickle.load": {"hmbench/workers/local.py"},  # from a process of ours
    "pickle.loads": {"hmbench/workers/local.py", "hmbench/workers/on_ray.py"},
    "yaml.load": set(),
    "eval": set(),
    "exec": set(),
}  # fmt: skip
"""Who may parse what: files of others are read in few places, which have limits. A new reader has to be looked at."""


@pytest.mark.parametrize("call", READERS)
def test_files_of_others_are_read_in_few_places(call: str) -> None:
    found = set()
    for path in modules():
        text = path.read_text()
        for node in ast.walk(ast.parse(text)) if f"{call}(" in text else ():
            if isinstance(node, ast.Call) and ast.unparse(node.func) == call:
                found.add(str(path.relative_to(ROOT)))
                assert call != "torch.load" or "weights_only=True" in ast.unparse(node), path
                assert call != "np.load" or "allow_pickle=True" not in ast.unparse(node), path
    assert found == READERS[call]
