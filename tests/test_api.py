"""hmbench from Python, on discs: iterate, evaluate an object, score videos, read a run, compare; what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hmbench
from hmbench.data.disc_world import DiscWorld
from hmbench.video.files import write_video

FAST = ["psnr", "ssim"]
QUIET = {"progress": False}


class Fade:
    """Repeats the last context frame, darker."""

    def __init__(self, by: int = 0) -> None:
        self.by = by

    def generate(self, prompt, *, seed):
        frame = np.maximum(prompt.context[-1].astype(int) - self.by, 0).astype(np.uint8)
        return np.repeat(frame[None], prompt.num_target_frames, axis=0)


@pytest.fixture(scope="module")
def data() -> hmbench.Data:
    return hmbench.open_data("disc", limit=2)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, data: hmbench.Data) -> tuple[hmbench.Run, hmbench.Run]:
    folder = tmp_path_factory.mktemp("runs")
    made = [
        hmbench.evaluate(Fade(by), data, out=folder / f"fade-{by}", metrics=FAST, tracking=False, **QUIET)
        for by in (0, 40)
    ]
    return made[0], made[1]


def test_import_is_light() -> None:
    code = (
        "import sys, time; began = time.process_time(); import hmbench; took = time.process_time() - began\n"
        "assert took < 0.2, took\n"  # measured: 0.031 to 0.036
        "heavy = {'torch', 'numpy', 'pandas', 'cv2', 'rich', 'typer'} & set(sys.modules); assert not heavy, heavy\n"
        "hmbench.metrics; hmbench.UserError\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names_are_there() -> None:
    for name in hmbench.__all__:
        assert getattr(hmbench, name) is not None
    assert set(hmbench.__all__) <= set(dir(hmbench))
    with pytest.raises(AttributeError, match="no attribute 'evalute'"):
        hmbench.evalute  # noqa: B018


def test_data_are_a_sequence(data: hmbench.Data) -> None:
    world = DiscWorld()
    assert (len(data), data.ids) == (2, world.ids("all")[:2])
    assert [sample.id for sample in data] == list(data.ids)
    assert data["00001"].id == data[1].id == data[-1].id == world.ids("all")[1]
    assert np.array_equal(data[0].prompt.context, world.load(data.ids[0]).prompt.context)
    assert data[1:].ids == world.ids("all")[1:2] and data.ids[0] in data
    with pytest.raises(hmbench.UserError, match=r"2 ids begin with '0000'"):
        data["0000"]
    with pytest.raises(hmbench.UserError, match="has no sample 'x'"):
        data["x"]
    with pytest.raises(hmbench.UserError, match=r"There is no data folder 'mimi'. Did you mean 'mini'"):
        hmbench.open_data("mimi")


def test_a_sample_at_a_prompt_is_a_few_lines(data: hmbench.Data) -> None:
    """Its arrays filled a thousand lines of a notebook."""
    shown = repr(data[0])
    assert len(shown) < 2500 and shown.startswith(
        f"Sample(id='{data[0].id}', prompt=Prompt(context=<uint8 [21, 48, 80, 3]>"
    )
    assert "boxes=<float32 [42, 4]>" in shown and f"caption={data[0].prompt.caption!r}" in shown
    assert f"events=({data[0].truth.events[0]!r}," in shown and "array(" not in shown


def test_an_object_is_evaluated(runs: tuple[hmbench.Run, hmbench.Run], data: hmbench.Data) -> None:
    run = runs[1]
    assert run.model == "Fade" and run.manifest.model.endswith(":Fade")
    assert run.manifest.samples == data.ids and run.manifest.data == "disc"
    rows = run.rows()
    assert list(rows.columns) == ["sample", "metric", "value", "reason", "version", "cluster", "details"]
    video = run.video("00000")
    assert video.shape == data[0].truth.target.shape
    expected = hmbench.metrics.psnr(video, data[0].truth.target)
    found = rows[(rows["sample"] == data.ids[0]) & (rows.metric == "psnr")].value.item()
    assert found == pytest.approx(expected, abs=1e-9)


def test_tables_of_a_run(runs: tuple[hmbench.Run, hmbench.Run], data: hmbench.Data) -> None:
    run = hmbench.load_run(str(runs[0].path))
    scores, summary = run.scores(), run.summary(headline=True)
    assert scores.shape == (2, 2) and list(scores.columns) == FAST
    assert summary.loc["psnr", "mean"] == pytest.approx(scores["psnr"].mean())
    assert summary.loc["psnr", "better"] == "higher" and np.isnan(summary.loc["psnr", "low"])
    samples, events = run.samples(), run.events()
    assert list(samples.id) == list(data.ids) and set(samples.scene) == {"Dawn", "Noon"}
    assert list(events["sample"].unique()) == list(data.ids) and (events.hidden == events.reentry - events.exit).all()
    assert run.rows("psnr").metric.unique().tolist() == ["psnr"]
    with pytest.raises(hmbench.UserError, match=r"no metric 'psrn'. Did you mean 'psnr'"):
        run.rows("psrn")
    assert "<table" in run._repr_html_() and "Fade" in repr(run)


def test_scores_add_up(runs: tuple[hmbench.Run, hmbench.Run]) -> None:
    before = runs[0].rows("psnr").value.tolist()
    again = hmbench.score(runs[0].path, metrics=["ssim_background"], tracking=False, **QUIET)
    assert set(again.manifest.metrics) == {*FAST, "ssim_background"}
    assert again.rows("psnr").value.tolist() == before


def test_comparison(runs: tuple[hmbench.Run, hmbench.Run]) -> None:
    table = hmbench.compare(*runs, metrics=["psnr"])
    means = [run.summary().loc["psnr", "mean"] for run in runs]
    assert table.difference.item() == pytest.approx(means[1] - means[0])
    assert table.scenes.item() == 2 and np.isnan(table.p.item()) and "2 scenes" in table.reason.item()


def test_videos_of_anyone(tmp_path: Path, data: hmbench.Data) -> None:
    for number, sample in enumerate(data):
        write_video(tmp_path / "videos" / f"{sample.id}_seed{number}.mp4", sample.truth.target, fps=15, crf=0)
    run = hmbench.score(
        str(tmp_path / "videos"), data, out=tmp_path / "run", match="{id}_seed{n}.mp4", metrics="psnr", tracking=False,
        **QUIET,
    )  # fmt: skip
    assert (run.scores()["psnr"] > 28).all()
    with pytest.raises(hmbench.UserError, match=r"no setting 'mach'. Did you mean 'match'"):
        hmbench.score(tmp_path / "videos", data, mach="{id}.mp4", **QUIET)


def test_own_metric_object(tmp_path: Path, data: hmbench.Data) -> None:
    class Brightness:
        info = hmbench.MetricInfo(name="brightness", version=1, higher_is_better=None)

        def __call__(self, case: hmbench.Case) -> hmbench.Score:
            return hmbench.Score(float(case.prediction.mean()))

    run = hmbench.evaluate(
        Fade, data, samples=["00001"], metrics=[Brightness], out=tmp_path, tracking=False, **QUIET
    )  # a class, too
    assert run.rows().value.item() == pytest.approx(float(run.video("0").mean()))
    with pytest.raises(hmbench.UserError, match="all by name or all as objects"):
        hmbench.evaluate(Fade, data, metrics=["psnr", Brightness], out=tmp_path, **QUIET)
    for wrong in (3, None, print, dict):
        with pytest.raises(hmbench.UserError, match="is no metric"):
            hmbench.evaluate(Fade, data, metrics=[wrong], out=tmp_path / "none", **QUIET)
    assert not (tmp_path / "none").exists()


def test_a_metric_of_changed_code_or_settings_is_scored_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The former code's values stood under the new one's name: nobody raises a version while trying."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    text = "def light(case):\n    return {} * case.prediction.mean()\n"
    values = []
    for factor in ("1", "10"):
        (tmp_path / "light_of_mine.py").write_text(text.format(factor))
        monkeypatch.delitem(sys.modules, "light_of_mine", raising=False)
        run = hmbench.evaluate(
            "copy-last", "disc", limit=1, metrics=["light_of_mine:light", "psnr"], out="run", **QUIET
        )
        values.append(run.scores().iloc[0])
    assert values[1]["light"] == pytest.approx(10 * values[0]["light"]) and values[0]["psnr"] == values[1]["psnr"]

    class Above:
        info = hmbench.MetricInfo(name="above", version=1, higher_is_better=None)

        def __init__(self, level: int) -> None:
            self.level = level

        def __call__(self, case: hmbench.Case) -> hmbench.Score:
            return hmbench.Score(float((case.prediction > self.level).mean()))

    asked = {"limit": 1, "out": "other", **QUIET}
    runs = (hmbench.evaluate("copy-last", "disc", metrics=[Above(level)], **asked) for level in (0, 255))
    shares = [run.rows().value.iloc[0] for run in runs]
    assert shares[0] > 0.5 and shares[1] == 0


def test_data_without_a_name_have_that_of_their_class_and_lack_nothing_else() -> None:
    """A class with the four methods that the documents ask for ended in a traceback."""
    inner = hmbench.open_data("disc", limit=1).source

    class Mine:
        ids, load, caption, revision = inner.ids, inner.load, inner.caption, inner.revision

    assert hmbench.open_data(Mine()).name == "Mine"
    lame = type("Lame", (), {"ids": inner.ids, "load": inner.load})
    with pytest.raises(hmbench.UserError, match="gives is no data source: Lame has no caption and revision"):
        hmbench.open_data(lame())


def test_changed_code_or_settings_are_another_run(runs: tuple[hmbench.Run, hmbench.Run], data: hmbench.Data) -> None:
    with pytest.raises(hmbench.UserError, match=r"holds another run: it differs in model_info \(by\)"):
        hmbench.evaluate(Fade(3), data, out=runs[0].path, metrics=FAST, tracking=False, **QUIET)


def test_code_typed_at_a_prompt_has_a_digest() -> None:
    from hmbench.registry import code_digest

    def typed(body: str) -> type:
        names: dict = {"__name__": "__main__"}
        exec(f"class Model:\n    def generate(self, prompt, *, seed):\n        return {body}", names)
        return names["Model"]

    assert code_digest(typed("prompt")) == code_digest(typed("prompt"))
    assert code_digest(typed("prompt")) != code_digest(typed("prompt + 1"))
    assert code_digest(typed("prompt.a")) != code_digest(typed("prompt.b"))


def test_what_is_no_model_is_refused(data: hmbench.Data) -> None:
    with pytest.raises(hmbench.UserError, match="no model: int has no method generate"):
        hmbench.evaluate(3, data, **QUIET)
    with pytest.raises(hmbench.UserError, match="Did you mean 'copy-last'"):
        hmbench.evaluate("copy-lst", data, **QUIET)
