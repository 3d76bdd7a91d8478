"""The pages of the documents: short paragraphs, short pages, and metrics described as the code computes them."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from hmbench.metrics.names import metric_names
from hmbench.metrics.reentry.factors import Tolerance, part_scores
from hmbench.metrics.reentry.memoryless import LEAST, MARGIN, ROOM
from hmbench.metrics.reentry.verdict import Thresholds
from hmbench.metrics.summary import power_mean
from hmbench.report.pages.documents import explained, validity
from hmbench.study.summary_choice import BOTH, CANDIDATES, SURE, arithmetic, geometric, harmonic
from hmbench.study.validity_targets import NOTHING, SEEN
from hmbench.video.events import MIN_HIDDEN, VISIBLE_SHARE
from tests.metrics.reentry.test_verdict import RIGHT

ROOT = Path(__file__).resolve().parent.parent


def prose(text: str) -> list[str]:
    """Paragraphs and list items of a Markdown page; code, tables and headings are none."""
    text = re.sub(r"```.*?```|<!--.*?-->", "\n\n", text, flags=re.S)
    found: list[list[str]] = [[]]
    for line in map(str.strip, text.splitlines()):
        if not line or line[0] in "#|":
            found.append([])
            continue
        if re.match(r"([*-]|\d+\.) ", line):
            found.append([])
        found[-1].append(line)
    return [re.sub(r"\]\([^)]*\)", "]", " ".join(lines)) for lines in found if lines]


def words(text: str) -> int:
    return sum(bool(re.search(r"\w", word)) for word in text.split())


def test_paragraphs_are_told_apart() -> None:
    page = "# T\na b\nc\n* d [e f](x y)\n  g\n\n| h i |\n```\nj k\n```\nl\n"
    assert prose(page) == ["a b c", "* d [e f] g", "l"] and words("* d [e f] - g") == 4


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.stem)
def test_no_paragraph_is_longer_than_eighty_words(page: Path) -> None:
    long = [text for text in prose(page.read_text()) if words(text) > 80]
    assert long == []


LONG = {"validity.md"}
"""The generated page of a study is longer; a new page is not added here but divided."""


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.stem)
def test_pages_are_short(page: Path) -> None:
    most = {"docs/metrics.md": 900}.get(page.relative_to(ROOT).as_posix(), 1200)
    assert page.name in LONG or words(page.read_text()) < most


def test_every_metric_is_explained() -> None:
    found = explained(metric_names())
    assert set(found) == set(metric_names())
    assert found["lag"] == "`lag`: frames by which the background is late; negative if it is early"
    assert found["body_gait"].endswith("side and steps against the real one (below)")


def test_rows_go_before_items_and_links_are_words(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "* `lag` is\n  [late](x.md).\n\n| `zoom`, `psnr` | **how** [large](y) | 1 |\n| plain | no |\n* `zoom` too\n"
    )
    assert explained({"lag", "zoom", "ssim"}, [page, tmp_path / "none.md"]) == {
        "zoom": "`zoom`, `psnr`: how large",
        "lag": "`lag` is late.",
    }


def test_a_study_is_read_with_and_without_its_single_values(tmp_path: Path) -> None:
    path = tmp_path / "validity.json"
    path.write_text(json.dumps({"summary": {"clips": 3}, "values": []}))
    assert validity(path) == {"clips": 3}
    path.write_text(json.dumps({"clips": 4}))
    assert validity(path) == {"clips": 4}
    assert validity(tmp_path / "none.json") is None


def left(factor: str, **wrong: float) -> str:
    """What is left of a return of which only one thing is wrong, as the page prints it."""
    right = replace(RIGHT, texture=0.9, facing=0.9, gait=0.8, camera_lag=0)
    return f"{part_scores(replace(right, **wrong), coverage=1.0, frames=20)[factor]:.2f}"


def test_the_page_of_subjects_says_what_the_code_does() -> None:
    t, page = Tolerance, (ROOT / "docs" / "metrics" / "subjects.md").read_text()
    body = "; ".join((left("body", texture=0.0), left("body", facing=-1.0), left("body", gait=0.0).rstrip("0")))
    for row in (
        f"up to {t.aspect} | 1.5 times as wide: {left('shape', aspect=math.log(1.5))} |",
        f"up to {t.scale} | 1.5 times as large: {left('size', scale=math.log(1.5))} |",
        f"up to {t.offset} | one body height off: {left('place', offset=1.0)} |",
        f"from {t.agreement} on | {left('motion', agreement=0.0, path=None)} |",
        f"up to {t.lag} | 5 frames late: {left('timing', camera_lag=5)} |",
        f"up to {t.absence} | {left('absence', false_presence=0.6)} from 0.6 on |",
        f"from {t.view} on | 0 |",
        f"from {t.coverage} on | in proportion |",
        f"from {t.identity} on | in proportion |",
        f"| {t.texture}; {t.facing}; {t.gait} | {body} |",
        f"worth less than {Thresholds.worth} is called",
        f"less than {ROOM} apart",
        f"(product under {LEAST})",
        f"memory there, and {MARGIN} more",
        f"{math.exp(Thresholds.size):.2f} times too large",
        f"hidden for at least {MIN_HIDDEN} frames",
        f"{100 * VISIBLE_SHARE:.2f} % of the frame",
    ):
        assert row in page, row


def test_the_page_of_the_summary_says_what_the_code_does() -> None:
    page = (ROOT / "docs" / "metrics" / "summary.md").read_text()
    means = (arithmetic, power_mean, geometric, harmonic, min, math.prod)
    rows = re.findall(r"^\| ([\d.]+) \| ([\d.]+) \| (.*) \|$", page, re.M)
    assert len(rows) == 5
    for a, b, cells in rows:
        pair = (float(a), float(b))
        wanted = [power_mean(*pair) if mean is power_mean else mean(pair) for mean in means]
        shown = [float(cell.strip("* ")) for cell in cells.split("|")]
        assert shown == pytest.approx(wanted, abs=0.0051), (a, b)
    assert f"has {NOTHING} at most" in page and f"an AUC of at least {SEEN}" in page and f"p < {SURE}" in page
    assert len(CANDIDATES) == 12 and sum(c.of == BOTH for c in CANDIDATES) == 6, "Twelve candidates, six means of both"


def test_the_page_of_statistics_says_what_was_simulated() -> None:
    page = (ROOT / "docs" / "statistics.md").read_text()
    cells = json.loads((ROOT / "docs" / "data" / "statistics-coverage.json").read_text())["cells"]
    kinds = ("interval of a mean", "interval of a difference", "test")
    for scenes in sorted({cell["scenes"] for cell in cells}):
        row = re.search(rf"^\| {scenes}\b[^|]*\|(.*)\|$", page, re.M)
        assert row, scenes
        for kind, shown in zip(kinds, row[1].split("|"), strict=True):
            shares = [cell["share"] for cell in cells if cell["what"] == kind and cell["scenes"] == scenes]
            ends = re.findall(r"\d\.\d{3}", shown)
            assert [float(end) for end in ends] == pytest.approx([min(shares), max(shares)] if shares else [], abs=6e-4)
    means = [cell["share"] for cell in cells if cell["what"] == "interval of a mean"]
    assert (len(means), sum(s < 0.92 for s in means), sum(s > 0.98 for s in means)) == (192, 4, 35)


def test_the_page_of_tracking_says_what_the_cards_say() -> None:
    page = (ROOT / "docs" / "metrics" / "tracking.md").read_text()
    card = json.loads((ROOT / "hmbench" / "networks" / "reid.json").read_text())
    assert card["command"] in page
    for key in ("same", "different", "rank1"):
        assert f"{card[key]:.2f}" in page, key
    command = json.loads((ROOT / "hmbench" / "networks" / "detector.json").read_text())["command"]
    assert command.split("train_detector ")[1].replace("START", "FILE") in page
