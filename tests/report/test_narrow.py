"""Tables on a narrow screen: divided, never cut, no number broken."""

from __future__ import annotations

import re

import pytest

from hmbench.cli import compare as cli
from hmbench.cli import console
from hmbench.report.narrow import fitted
from hmbench.report.text_table import TextTable

MODELS = ("nearest-view", "nano-recent-window", "static-cache", "nano-full-context", "nano-frame-pack")
METRICS = ("background_fidelity", "psnr_background")
BY_CELL = TextTable(
    title="By cell",
    header=["cell", "metric", "clips", *MODELS],
    rows=[
        [cell, metric, "8", *(f"{place}.{column}07 [−0.9{column}1, 1.{place}46]" for column in range(len(MODELS)))]
        for place, (cell, metric) in enumerate((c, m) for c in ("unseen-subject", "seen") for m in METRICS)
    ],
    notes=["For looking: intervals, no tests."],
    bold=frozenset({(0, 3), (1, 7), (2, 4)}),
    text_columns=2,
)


def shown(text: TextTable, width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    screen = console.SafeConsole(width=width, highlight=False)
    monkeypatch.setattr(console, "out", screen)
    with screen.capture() as held:
        screen.print(cli.screen_table(text))
    return [line.rstrip() for line in held.get().splitlines()]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_table_by_cells_is_whole_on_any_screen(width, monkeypatch) -> None:
    lines = shown(BY_CELL, width, monkeypatch)
    text = " ".join(lines)
    assert max(map(len, lines)) <= width and "…" not in text
    for cell in {cell for row in BY_CELL.rows for cell in row} | {*MODELS, *BY_CELL.notes}:
        for word in cell.split() if "[" in cell else [cell]:
            assert re.search(rf"(?<!\S){re.escape(word)}(?!\S)", text), word
    assert text.count("For looking") == 1 and text.count("By cell: seen") == 1


def test_a_table_that_fits_is_left_alone() -> None:
    assert fitted(BY_CELL, 200) == [BY_CELL]


def test_what_stands_out_goes_along() -> None:
    parts = fitted(BY_CELL, 80)
    places = [(part.rows[r][0], part.header[c], part.rows[r][c]) for part in parts for r, c in sorted(part.bold)]
    assert places == [
        ("background_fidelity", "nearest-view", "0.007 [−0.901, 1.046]"),
        ("psnr_background", "nano-frame-pack", "1.407 [−0.941, 1.146]"),
        ("background_fidelity", "nano-recent-window", "2.107 [−0.911, 1.246]"),
    ]
    assert [part.title for part in parts if part.title] == ["By cell: unseen-subject", "By cell: seen"]
    assert [part.notes for part in parts[:-1]] == [()] * (len(parts) - 1) and parts[-1].notes == BY_CELL.notes


def test_differences_of_pairs_are_one_line_a_metric_at_80_columns(monkeypatch) -> None:
    table = TextTable(
        title="Paired differences",
        header=["metric", "model", "against", "difference", "clips", "win/tie/loss", "p", "p (Holm)"],
        rows=[
            [metric, model, "nano-hydra", "−0.001 [−0.004, 0.019]", "31", "14/14/4", "0.199", "1.000"]
            for metric in METRICS
            for model in MODELS[:2]
        ],
        text_columns=3,
    )
    lines = shown(table, 80, monkeypatch)
    assert sum(line.startswith("Paired differences: nearest-view against nano-hydra") for line in lines) == 1
    wanted = ["psnr_background", "−0.001 [−0.004, 0.019]", "31", "14/14/4", "0.199", "1.000"]
    assert [re.split(r"\s{2,}", line.strip()) for line in lines].count(wanted) == 2
