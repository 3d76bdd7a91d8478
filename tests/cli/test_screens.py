"""Whatever strangers' names hold and whatever a terminal can say: text on the screen, no traceback."""

import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.table import Table

from hmbench.cli.console import SafeConsole, progress_bar
from hmbench.data.mini_world import jit
from hmbench.report.run_tables import interval_notes, table_lines
from hmbench.results.metric_record import MetricRecord
from hmbench.results.records import RunManifest
from hmbench.results.summary import MetricSummary

NAMES = (
    "[/]x",
    "[/red]",
    "[bold]",
    "[link=https://a.b]c[/link]",
    "[blink]x",
    "\x1b[31mred\x1b[0m",
    "a\\[b]",
    "[@click=quit()]",
)


def shown(*things, width: int = 200) -> str:
    console = SafeConsole(file=io.StringIO(), width=width, force_terminal=False)
    for thing in things:
        console.print(thing)
    return console.file.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_names_are_text_in_sentences_tables_and_bars(name: str) -> None:
    table = Table(title=name)
    table.add_column(name)
    table.add_row(name)
    text = shown(f"{name} is a name", table)
    assert "\x1b" not in text
    if name in ("[/]x", "[link=https://a.b]c[/link]", "[blink]x", "[@click=quit()]"):
        assert text.count(name) == 4
    with progress_bar() as progress:
        progress.update(progress.add_task("render", total=1, note=name), advance=1)


def test_our_own_styles_stay_styles() -> None:
    assert shown("[bold red]Error:[/] it broke") == "Error: it broke\n"


@pytest.mark.parametrize("name", NAMES)
def test_a_runs_table_shows_names_as_text(name: str) -> None:
    from hmbench.report.run_tables import screen_table

    manifest = RunManifest(
        model=name, options={}, model_info={"name": name}, data="disc", data_name=name, data_revision="x", split="all",
        samples=("a",), seed=0, profile="mini", device="cpu",
        metrics={"m": MetricRecord(name="m", headline=True, higher_is_better=True, version=1)},
    )  # fmt: skip
    summary = MetricSummary(metric="m", version=1, mean=1.0, low=None, high=None, scored=1, total=1, reasons={})
    text = shown(screen_table(manifest, {"m": summary}))
    assert "\x1b" not in text and (name in text or "\x1b" in name or "\\" in name)


def test_a_run_without_headline_values_shows_what_it_has() -> None:
    """A video without a truth had an empty table, and a metric that was asked for by name was not shown."""
    manifest = RunManifest(
        model="m", options={}, model_info={"name": "m"}, data="disc", data_name="d", data_revision="x", split="all",
        samples=("a",), seed=0, profile="mini", device="cpu",
        metrics={n: MetricRecord(name=n, headline=n == "top", higher_is_better=True, version=1) for n in NUMBERS},
    )  # fmt: skip

    def lines(asked: tuple[str, ...] = (), **values: float | None) -> list[str]:
        found = {
            n: MetricSummary(
                metric=n, version=1, mean=v, low=None, high=None, scored=v is not None, total=1, reasons={}
            )
            for n, v in values.items()
        }
        return [line[0] for line in table_lines(manifest, found, headline_only=True, asked=asked)]

    assert lines(top=1.0, one=2.0, two=None) == ["top"]
    assert lines(top=1.0, one=2.0, two=None, asked=("one", "two")) == ["top", "one"]
    assert lines(top=None, one=2.0, two=None) == ["one"]


NUMBERS = ("top", "one", "two")


def test_a_mean_without_an_interval_says_why() -> None:
    two = MetricSummary(metric="m", version=1, mean=1.0, low=None, high=None, scored=2, total=2, reasons={}, scenes=2)
    said = {n: interval_notes({"m": replace(two, scenes=n), "l": replace(two, scenes=4, low=0.5)}) for n in (1, 2, 4)}
    assert said == {
        1: ["No interval on 1 scene: at least 4 are needed."],
        2: ["No interval on 2 scenes: at least 4 are needed."],
        4: [],
    }
    assert interval_notes({"m": replace(two, scenes=3), "l": replace(two, scenes=2)}) == [
        "No interval on 2 or 3 scenes: at least 4 are needed."
    ]


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "ascii", "utf-8"])
def test_a_terminal_that_cannot_say_an_arrow(tmp_path: Path, encoding: str) -> None:
    code = (
        "from hmbench.streams import say_everything; say_everything()\n"
        "import sys; print('PSNR \\u2191 \\u00b1 1 \\u4e2d'); print('LPIPS \\u2193', file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONIOENCODING": encoding}, capture_output=True, check=True
    )
    plain = {"utf-8": "PSNR ↑ ± 1 中", "ascii": "PSNR ^ +- 1 ?"}.get(encoding, "PSNR ^ ± 1 ?")
    assert done.stdout.decode(encoding).strip() == plain
    assert done.stderr.decode(encoding).strip() == ("LPIPS ↓" if encoding == "utf-8" else "LPIPS v")


def test_kernels_compile_into_the_cache_where_the_package_cannot_be_written(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HMBENCH_CACHE", str(tmp_path / "cache"))
    assert jit.compiled_folder(tmp_path) is None, "a package that can be written keeps them itself"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert jit.compiled_folder(tmp_path) == tmp_path / "cache" / "numba"
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HMBENCH_CACHE", str(tmp_path / "file" / "cache"))
    elsewhere = jit.compiled_folder(tmp_path)
    assert elsewhere is not None and elsewhere.is_dir() and elsewhere.name.startswith("hmbench-numba-")


def test_numba_uses_that_folder(tmp_path: Path) -> None:
    code = (
        "import os, sys; real = os.access\n"
        "os.access = lambda path, mode, **k: False if 'mini_world' in str(path) else real(path, mode, **k)\n"
        "import hmbench.data.mini_world.kernels as k; import numba; print(numba.config.CACHE_DIR)"
    )
    environment = {**os.environ, "HMBENCH_CACHE": str(tmp_path)}
    environment.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(tmp_path / "numba")
