"""Documents that can be run are run: the blocks of docs/api.md in order, and the notebook's cells.

They name the mini world, which takes a while to render; here they get discs.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import matplotlib
import pytest

ROOT = Path(__file__).resolve().parent.parent
matplotlib.use("Agg")


def run(blocks: list[str], monkeypatch: pytest.MonkeyPatch, folder: Path) -> dict:
    """Runs blocks of code one after the other, as somebody who types them would."""
    monkeypatch.chdir(folder)
    names: dict = {"__name__": "__main__"}
    for number, block in enumerate(blocks):
        code = block.replace('"mini"', '"disc"')
        exec(compile(code, f"block {number}", "exec"), names)
    return names


def test_the_guide_to_python(monkeypatch, tmp_path, capsys) -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.S | re.M)
    assert len(blocks) == text.count("```python") == 8
    names = run(blocks, monkeypatch, tmp_path)
    assert (tmp_path / "runs" / "Freeze-disc-seed0" / "run.json").is_file()
    assert names["mine"].summary().loc["psnr", "mean"] == pytest.approx(names["run"].summary().loc["psnr", "mean"])
    said = capsys.readouterr().out
    assert "Data('disc': disc, split all, 2 samples)" in said and "leaves at frame" in said and "brightness" not in said


def test_the_notebook(monkeypatch, tmp_path) -> None:
    content = json.loads((ROOT / "examples" / "first_look.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code"]
    assert not any(cell.get("outputs") for cell in content["cells"]), "committed without outputs"
    names = run(cells, monkeypatch, tmp_path)
    assert set(names["run"].manifest.metrics) == {"psnr", "ssim"} and len(names["axes"]) == 3


def test_links_of_documents_lead_somewhere() -> None:
    pages = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "examples" / "README.md",
    ]
    broken = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", re.sub(r"```.*?```", "", page.read_text(), flags=re.S))
        if "://" not in link and not link.startswith("mailto:") and not (page.parent / link).exists()
    ]
    assert broken == []


def test_tests_that_documents_name_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "trust" / "tests.md").read_text())
    assert len(named) > 30
    assert [f"{p}::{t}" for p, t in named if f"def {t}(" not in (ROOT / p).read_text()] == []


def test_the_readme_is_short() -> None:
    """Code and tables included, but for the table that the leaderboard writes."""
    text = re.sub(r"<!-- results.*?results end -->", "", (ROOT / "README.md").read_text(), flags=re.S)
    assert sum(bool(re.search(r"\w", word)) for word in text.split()) < 900
