"""The documents' site: what is made from the code is whole; a strict build where somebody asks for slow tests."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def hooks():
    spec = importlib.util.spec_from_file_location("docs_site", ROOT / "docs" / "site.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Page:
    def __init__(self, uri: str) -> None:
        self.file = type("File", (), {"src_uri": uri})


def test_the_page_of_commands_has_every_command_and_option() -> None:
    from hmbench.cli import app
    from hmbench.cli.common import leaves

    text = hooks().on_page_markdown("# Commands\n", page=Page("reference/commands.md"))
    assert re.findall(r"^## hmbench (.+)$", text, re.M) == list(leaves(app))
    for option in ("`--model`, `-m`", "`--by`", "`--align`", "`--quiet`", "`--json`"):
        assert option in text


def test_the_page_of_all_metrics_has_every_metric_as_it_is() -> None:
    from hmbench.metrics.names import metric_names

    text = hooks().on_page_markdown("# All metrics\n", page=Page("reference/metrics.md"))
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in text.splitlines() if "`" in row]
    assert [row[0].strip("*`") for row in rows] == list(metric_names())
    known = {row[0].strip("*`"): row[2:5] for row in rows}
    assert known["psnr"] == ["higher", "0 to 100 (dB)", "truth"] and known["lag"][:2] == ["neither", "no ends (frames)"]
    assert known["place_error_size"][:2] == ["lower", "from 0"] and known["return_timing"][1] == "up to 1"


def test_links_to_files_lead_to_the_repository() -> None:
    lead = hooks().on_page_markdown
    page = Page("metrics/subjects.md")
    assert lead("[a](../../README.md)", page=page) == "[a](https://github.com/hmbench/hmbench/blob/main/README.md)"
    for kept in ("[a](../metrics.md)", "[a](background.md)", "[a](https://b.c/d)", "[a](#part)", "[a](nowhere.md)"):
        assert lead(kept, page=page) == kept


def test_every_page_is_in_the_navigation() -> None:
    listed = set(re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M))
    there = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}
    assert listed == there


@pytest.mark.slow
def test_a_strict_build(tmp_path: Path) -> None:
    pytest.importorskip("material")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for page in ("index.html", "reference/python/index.html", "reference/commands/index.html"):
        assert (tmp_path / "site" / page).is_file()
