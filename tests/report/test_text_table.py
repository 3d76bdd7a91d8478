"""One writer for every table: what LaTeX, Markdown and CSV say, and that LaTeX really compiles it."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess

import numpy as np
import pytest

from hmbench.report.ranking import first_and_second, standings
from hmbench.report.text_table import ROWS, TextTable, latex_text, number, p_value
from leaderboard.submission import read_entries
from leaderboard.tables import PUBLISHED, board_table, make_boards, published_table

NASTY = r'a_b & 50 % $x$ #1 {curly} ~ ^ \input{/etc/passwd} <tag> | "quoted" † − ± 中 ü'
TABLE = TextTable(
    title=f"Title of {NASTY}",
    header=["model", "psnr ↑ (dB)", "lpips ↓"],
    rows=[["[bracket", "*1.0", "0.5"], [NASTY, "−2.00 [−3.00, −1.00]", "–"], ["two\nlines", "x|y", "\x1b[31m"]],
    notes=[f"A note with {NASTY}"],
    notice="Untrained: 100 % no_result",
    bold=frozenset({(0, 1)}),
    underlined=frozenset({(1, 1)}),
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b", r"a\_b"),
        ("\\", r"\textbackslash{}"),
        ("[0, 1]", "{[}0, 1]"),
        ("x\ny", "x y"),
        ("\x1b", "{[}U+001B]"),
        ("ü–", "ü--"),
        ("中", "{[}U+4E2D]"),
    ],
)
def test_latex_text(text: str, expected: str) -> None:
    assert latex_text(text) == expected


def test_best_is_bold_and_second_underlined() -> None:
    text = TABLE.latex()
    assert r"{[}bracket & \textbf{{*}1.0} & 0.5 \\" in text
    assert r"\underline{$-$2.00 {[}$-$3.00, $-$1.00]}" in text
    assert r"psnr $\uparrow$ (dB) & lpips $\downarrow$ \\" in text
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 1
    assert "Untrained: 100 \\% no\\_result" in text.split("tabular")[0], "the notice stands with the caption"


def test_markdown_and_csv() -> None:
    lines = TABLE.markdown().splitlines()
    assert "> **Untrained: 100 % no_result**" in lines
    assert "| [bracket | ***1.0** | 0.5 |" in lines
    assert r"| two lines | x\|y |" in TABLE.markdown()
    assert list(csv.reader(io.StringIO(TABLE.csv())))[3] == ["two\nlines", "x|y", "\x1b[31m"]


@pytest.mark.parametrize(
    ("means", "up", "first", "second"),
    [
        ([1.0, 3.0, 2.0], True, {1}, {2}),
        ([1.0, 3.0, 2.0], False, {0}, {2}),
        ([3.0, 3.0, 2.0], True, {0, 1}, set()),
        ([3.0, 2.0, 2.0, None], True, {0}, {1, 2}),
        ([3.0, 3.0], True, set(), set()),
        ([3.0, None], True, set(), set()),
        ([3.0, 1.0], None, set(), set()),
    ],
)
def test_first_and_second(means, up, first, second) -> None:
    assert first_and_second(means, higher_is_better=up) == (first, second)


def test_standings_share_ranks_and_say_who_cannot_be_told_from_the_first() -> None:
    scenes = [f"s{i % 8}" for i in range(32)]
    good = [float(i % 5) for i in range(32)]
    columns = [
        [v - 3 for v in good],
        good,
        list(good),
        [v + (0.01 if i % 2 else -0.01) for i, v in enumerate(good)],
        good,
    ]
    means = [sum(c) / 32 for c in columns]
    found = standings([*means[:4], None], columns, scenes, higher_is_better=True)
    assert [s and s.rank for s in found] == [*(1 + sum(m > own for m in means[:4]) for own in means[:4]), None]
    assert [s and s.with_first for s in found] == [False, True, True, True, None]
    assert standings([None], [[None]], ["s"], higher_is_better=True) == [None]


def compiled(body: str, folder, *, letters: str = "T1", kind: str = "article") -> str:
    """The text of the PDF; nothing in it is wider than the text or higher than the page."""
    latex = shutil.which("pdflatex")
    if latex is None:
        pytest.skip("there is no LaTeX: apt-get install texlive-latex-recommended")
    head = [
        rf"\documentclass{{{kind}}}",
        rf"\usepackage[{letters}]{{fontenc}}",
        r"\usepackage{booktabs,graphicx}",
        r"\begin{document}",
    ]
    document = "\n".join([*head, body, r"\end{document}"])
    (folder / "t.tex").write_text(document, encoding="utf-8")
    done = subprocess.run(
        [latex, "-interaction=nonstopmode", "-halt-on-error", "t.tex"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    log = (folder / "t.log").read_text(errors="replace")
    wrong = [line for line in log.splitlines() if re.search("Overfull|too large|multiply", line)]
    assert not wrong, wrong
    reader = shutil.which("pdftotext")
    if reader is None:
        return ""
    return subprocess.run(
        [reader, "-layout", "t.pdf", "-"], cwd=folder, capture_output=True, text=True, check=True
    ).stdout


def test_latex_compiles_whatever_the_cells_say(tmp_path) -> None:
    text = compiled(TABLE.latex(), tmp_path)
    with pytest.raises(AssertionError, match="Overfull"):
        compiled(TABLE.latex().replace(r"\resizebox{\linewidth}{!}{\usebox0}", r"\usebox0"), tmp_path)
    if text:
        assert "[bracket" in text
        assert "[U+001B][31m" in text
        assert "root:" not in text, "nothing was read from a file"


def test_latex_of_the_leaderboard_compiles(tmp_path) -> None:
    boards = make_boards(read_entries(), rank_by=["memory_score", "psnr"])
    body = "\n".join([*(board_table(board).latex() for board in boards), published_table(PUBLISHED).latex()])
    assert r"\underline{" in body
    text = compiled(body, tmp_path)
    assert not text or re.search(r"20\.357", text)


def test_rivals_of_the_first_are_corrected_together_and_few_scenes_separate_nobody() -> None:
    """Six scenes give no p-value below 2 / 2^6: enough for one rival, not for three by Holm."""
    better = np.array([1.0, 1.1, 0.9, 1.05, 0.95, 1.02])
    best, scenes = np.linspace(20, 22, 6), [f"scene{i}" for i in range(6)]
    columns = [best, *(best - k * better for k in (1, 2, 3))]

    def told_apart(count: int, clips: int = 6) -> list[bool]:
        chosen = [list(column[:clips]) for column in columns[:count]]
        found = standings([float(np.mean(c)) for c in chosen], chosen, scenes[:clips], higher_is_better=True)
        return [not one.with_first for one in found if one is not None]

    assert told_apart(2) == [False, True]
    assert told_apart(4) == [False] * 4
    assert told_apart(2, clips=5) == [False, False]


def test_clips_of_one_scene_are_no_evidence_of_their_own() -> None:
    """Twelve clips tell two models apart if they stand in twelve scenes, not if they stand in three."""
    best = np.linspace(20, 22, 12)
    columns = [list(best), list(best - np.linspace(0.9, 1.1, 12))]
    for scenes, told in ((12, True), (3, False)):
        clusters = [f"scene{i % scenes}" for i in range(12)]
        found = standings([21.0, 20.0], columns, clusters, higher_is_better=True)
        assert [one.with_first for one in found if one] == [True, not told]


def test_means_that_differ_by_rounding_share_a_rank() -> None:
    means = [21.0, 20.0 * (1 - 2e-9), 21.0 * (1 + 1e-7), 20.0, 20.0 * (1 - 3e-6)]
    columns = [[mean] * 4 for mean in means]
    scenes = ["a", "b", "c", "d"]
    assert [s.rank for s in standings(means, columns, scenes, higher_is_better=True) if s] == [1, 3, 1, 3, 5]
    assert [s.rank for s in standings(means, columns, scenes, higher_is_better=False) if s] == [4, 2, 4, 2, 1]
    assert first_and_second(means, higher_is_better=True) == ({0, 2}, set())
    assert first_and_second(means, higher_is_better=False) == ({4}, {1, 3})
    assert first_and_second([1.0, None, 1.0 + 1e-9], higher_is_better=True) == (set(), set())


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(-0.5, 1, "−0.5"), (-0.0004, 3, "0.000"), (-0.0006, 3, "−0.001"), (0.0, 2, "0.00"), (None, 3, "–")],
)
def test_numbers_for_people(value, digits, text) -> None:
    assert number(value, digits) == text


def test_p_values_for_people() -> None:
    told = [p_value(p) for p in (None, 0.00099, 0.001, 0.0049, 0.0495, 1.0)]
    assert told == ["–", "<0.001", "0.001", "0.005", "0.050", "1.000"]


def test_notes_stand_once_below_the_last_part() -> None:
    table = TextTable(title="t", header=["a"], rows=[[str(i)] for i in range(2 * ROWS + 1)], notes=["well noted"])
    parts = table.latex().split(r"\end{table}")
    assert ["well noted" in part for part in parts] == [False, False, True, False]
    assert [f"Part {k} of 3." in parts[k - 1] for k in (1, 2, 3)] == [True] * 3
