"""The LaTeX of a comparison: models as rows, chosen columns, proper names; and that LaTeX really sets it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import typer
from typer.testing import CliRunner

from hmbench.cli.compare import register
from hmbench.errors import UserError
from hmbench.report.compare import CompareSettings, compare_runs
from hmbench.report.compare_report import latex_text_of
from hmbench.report.paper_table import chosen_columns
from hmbench.report.proper_names import metric_title, model_title

from .test_compare import make_run
from .test_text_table import compiled


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.mktemp("runs")
    names = {"hydra": 0.0, "nano-frame-pack": 4.0, "a_very-long%name-of_a-model-that-someone-evaluated": -3.0}
    runs = [make_run(folder / name[:8], name, shift) for name, shift in names.items()]
    runs.append(make_run(folder / "raw", "raw", 9.0, trained=False))
    return compare_runs(runs, CompareSettings(metrics="all", pairs="all"))


def rows(latex: str) -> list[list[str]]:
    """Cells of the first tabular."""
    inside = latex.split(r"\midrule")[1].split(r"\bottomrule")[0]
    return [line.removesuffix(r" \\").split(" & ") for line in inside.strip().splitlines()]


def test_models_are_rows_and_columns_stand_in_the_order_asked_for(comparison) -> None:
    latex = latex_text_of(comparison, "lpips, psnr=Peak & noise")
    found = rows(latex)
    assert [row[0] for row in found] == [
        "HyDRA", "Nano FramePack", r"a\_very-long\%name-of\_a-model-that-someone-evaluated", r"raw$^\dagger$",
    ]  # fmt: skip
    head = latex.split(r"\toprule")[1].split(r"\midrule")[0]
    assert re.findall(r"{@{}r@{}}(.*?)\\\\(.*?)\\end", head) == [
        ("LPIPS", r"$\downarrow$"),
        (r"Peak \& noise", r"$\uparrow$ (dB)"),
    ]
    psnr = comparison.means[0]
    assert psnr.metric == "psnr" and psnr.best == 1
    for i, row in enumerate(found):
        value = f"{psnr.runs[i].mean:.3f}"
        wanted = {1: rf"\textbf{{{value}}}", 0: rf"\underline{{{value}}}"}.get(i, value)
        assert row[2].split(" {")[0] == wanted, "an unranked model is neither best nor second"
        assert rf"{{[}}{psnr.runs[i].low:.3f}, {psnr.runs[i].high:.3f}]" in row[2]


def test_columns_must_have_been_compared(comparison) -> None:
    assert chosen_columns("", comparison) == {m.metric: metric_title(m.metric) for m in comparison.means}
    for text, sentence in (("psnt", "'psnt', which is not compared"), ("psnr,psnr", "names 'psnr' twice")):
        with pytest.raises(UserError, match=sentence):
            chosen_columns(text, comparison)


@pytest.mark.parametrize(("letters", "kind"), [("T1", "article"), ("OT1", "report")])
def test_latex_sets_it_within_the_lines(comparison, tmp_path, letters: str, kind: str) -> None:
    first, *others = comparison.differences
    latex = latex_text_of(replace(comparison, differences=(replace(first, p_holm=1e-5), *others)))
    assert r"\textless{}0.001" in latex
    text = compiled(latex, tmp_path, letters=letters, kind=kind)
    if text:
        assert "<0.001" in text and "HyDRA" in text and "FramePack" in text and "LPIPS" in text


def test_the_command_takes_columns(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("hmbench.report.compare_report.write_forest", lambda *_: [])  # seconds, and tested elsewhere
    app = typer.Typer()
    register(app)
    app.callback()(lambda: None)
    runs = [str(make_run(tmp_path / name, name, shift)) for name, shift in (("a", 0.0), ("bb", 3.0))]
    asked = ["compare", *runs, "--columns", "lpips=Distance"]
    done = CliRunner().invoke(app, asked)
    assert isinstance(done.exception, UserError) and "--out" in str(done.exception.hint)
    done = CliRunner().invoke(app, [*asked, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.exception
    latex = (tmp_path / "out" / "compare.tex").read_text()
    assert "Distance" in latex and "PSNR" not in latex.split("differences")[0]


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("psnr_background", "PSNR, background"),
        ("place_iou", "Place IoU"),
        ("reentry_success", "Re-entry success"),
        ("my_own_number", "My own number"),
        ("background_fidelity", "Background fidelity"),
    ],
)
def test_titles_of_metrics(name: str, title: str) -> None:
    assert metric_title(name) == title


def test_titles_of_models() -> None:
    assert model_title("nano-full-context", {"full-context"}) == "Nano full context"
    assert model_title("copy-last", {"copy-last"}) == "Copy last" and model_title("copy-last") == "copy-last"
    assert model_title("Ours (final)", {"copy-last"}) == "Ours (final)"
