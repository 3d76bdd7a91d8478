"""A site built from runs with known numbers: what its files hold, without a browser."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hmbench.cli import app
from hmbench.digests import video_digest
from hmbench.errors import UserError
from hmbench.report.pages.content import Contender, Metric, Site
from hmbench.report.pages.from_runs import boards_from_runs, make_board, read_clips
from hmbench.report.pages.gallery import choose_clips, plan, spans
from hmbench.report.pages.site import HERE, Quiet, Videos, write_site
from hmbench.results.run_folder import RunFolder
from hmbench.results.sample_row import SampleRow
from hmbench.results.summary import MetricSummary, summarise
from tests.report.pages.stage import METRICS, make_run

VOID = {"meta", "wbr", "link", "input", "img", "br", "hr", "line", "circle", "rect"}
HOSTILE = "<script>alert(1)</script>\"'>\x1b[31m\u202e[bold]javascript:"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HMBENCH_CACHE", str(tmp_path / "cache"))


def build(out: Path, *runs: Path, **videos) -> Path:
    site = Site(title="toys", lead="A lead.", boards=tuple(boards_from_runs(runs)))
    write_site(site, out, videos=Videos(**videos) if videos else None)
    return out


def content_of(path: Path):
    """What a data file hands to the page."""
    name, text = re.fullmatch(r'hm\.receive\(("[^"]+"),JSON\.parse\((".*")\)\);\n', path.read_text()).groups()
    assert json.loads(name) == f"{path.parent.name}/{path.stem}"
    return json.loads(json.loads(text))


def board_file(site: Path) -> Path:
    return next((site / "data").glob("*/board.js"))


class Page(HTMLParser):
    """Tags that are not closed in order, texts, and addresses."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.attributes: set[str] = set()
        self.feed(html)
        self.wrong += self.open

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses += [value for name, value in attrs if name in {"src", "href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def test_board_holds_the_runs_numbers(tmp_path) -> None:
    good, bad = make_run(tmp_path / "good", shift=1.0), make_run(tmp_path / "bad", shift=-2.0)
    board = content_of(board_file(build(tmp_path / "site", bad, good)))
    assert [m["name"] for m in board["models"]] == ["good", "bad"], "best first"
    expected = summarise(RunFolder(good).rows(), metrics=METRICS)["psnr"]
    psnr = next(k for k, m in enumerate(board["metrics"]) if m["name"] == "psnr")
    mean, low, high, scored, total = board["summary"][psnr][0]
    assert (mean, low, high) == tuple(float(f"{v:.5g}") for v in (expected.mean, expected.low, expected.high))
    assert (scored, total) == (24, 24)
    extra = next(k for k, m in enumerate(board["metrics"]) if m["name"] == "extra")
    assert board["summary"][extra][0][3:] == [23, 24]
    assert board["columns"] == ["memory_score", "psnr", "lpips"]
    assert board["standing"][psnr] == [[1, True], [2, False]]
    assert board["standing"][extra] is None, "only headline metrics are tested"
    assert [m["better"] for m in board["metrics"]] == [1, 1, -1, 0, 1]
    assert dict(map(tuple, board["about"]))["data revision"] == "rev1"
    assert dict(map(tuple, board["kinds"]))["camera path"] == ["Pan", "Truck"]


def test_values_and_facts_of_clips(tmp_path) -> None:
    run = make_run(tmp_path / "a", clips=8)
    site = build(tmp_path / "site", run)
    folder = board_file(site).parent
    rows = {(r.metric, r.sample): r.value for r in RunFolder(run).rows()}
    samples = RunFolder(run).read_manifest().samples
    for k, metric in enumerate(METRICS):
        column = content_of(folder / f"values-{k}.js")[0]
        known = [rows[metric, s] for s in samples]
        assert column == [None if v is None else float(f"{v:.5g}") for v in known]
    clips = content_of(folder / "clips.js")
    facts = {kind: [f["values"][i] for i in f["of"]] for kind, f in clips["facts"]}
    assert facts["cell"] == ["seen", "unseen-scene", "unseen-subject", "unseen-both"] * 2
    assert facts["subjects"] == ["1", "2", "3", "1", "2", "3", "1", "2"]
    assert clips["hidden"] == [10, 11, 12, 13, 14, 15, 16, 17]
    events = content_of(folder / "events.js")
    assert len(events) == 8
    assert events[0][4:] == [16, 0.2, 0.5], "hidden frames, and where it returns"


def test_equal_means_share_a_rank_and_bounds_have_none(tmp_path) -> None:
    runs = [
        make_run(tmp_path / "aaaa", shift=1),
        make_run(tmp_path / "bbbb", shift=1),
        make_run(tmp_path / "low", shift=-2),
    ]
    bound = make_run(tmp_path / "oracle", shift=9, trained=None, notice="oracle is shown the truth.")
    site = build(tmp_path / "site", bound, *runs)
    board = content_of(board_file(site))
    assert [m["name"] for m in board["models"]] == ["aaaa", "bbbb", "low", "oracle"]
    assert board["standing"][0] == [[1, True], [1, True], [3, False], None]
    html = (site / "index.html").read_text()
    assert re.findall(r'<td class="rank">([^<]*)<', html) == ["1", "1", "3", "–"]


def test_every_page_is_whole_and_asks_nobody(tmp_path) -> None:
    site = build(
        tmp_path / "site", make_run(tmp_path / "a", videos=2), make_run(tmp_path / "b", videos=1), which="worst:24"
    )
    pages = sorted(site.rglob("*.html"))
    assert len(pages) == 1 + 1 + 24 + 2 + 1 + len(METRICS)
    for path in pages:
        page = Page(path.read_text())
        assert page.wrong == [], path
        assert not {"style", "iframe", "form", "object", "embed"} & set(page.tags), path
        assert not {name for name in page.attributes if name.startswith("on")}, path
        for address in page.addresses:
            target = address.split("#")[0]
            assert not re.match(r"[a-z]+:|//", target), (path, address)
            assert (path.parent / target).is_file() or not target, (path, address)


def test_hostile_words_stay_words(tmp_path) -> None:
    words = {"name": HOSTILE, "description": HOSTILE, "link": "javascript:alert(1)", "settings": {HOSTILE: HOSTILE}}
    run = make_run(tmp_path / "evil", clips=5, words=words, data_name=HOSTILE, split=HOSTILE, tracker=HOSTILE)
    board = boards_from_runs([run])[0]
    # runs refuse such ids when they are read; entries of strangers come as they are
    ids = (HOSTILE, "__proto__", "../../escape", "constructor", "ok")
    evil = SampleRow(id=HOSTILE, cell=HOSTILE, warnings=(HOSTILE,))
    board = replace(board, clips=tuple(read_clips(ids, {}, {HOSTILE: evil})))
    site = tmp_path / "site"
    write_site(Site(title="toys", lead="A lead.", boards=(board,)), site, videos=Videos(which="all"))
    assert not (tmp_path / "escape.html").exists()
    for path in [*site.rglob("*.html"), *(site / "data").rglob("*.js")]:
        text = path.read_text()
        assert "<script>alert" not in text, path
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", text), path
        if path.suffix == ".html":
            page = Page(text)
            assert page.wrong == [], path
            assert not any("alert" in (a or "") and ":" in (a or "").split("/")[0] for a in page.addresses), path
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in (site / "index.html").read_text()
    clips = content_of(board_file(site).parent / "clips.js")
    assert len({f.casefold() for f in clips["files"]}) == 5


def test_videos_are_made_once_and_only_those_that_are_shown_stay(tmp_path) -> None:
    runs = [make_run(tmp_path / "a", videos=3), make_run(tmp_path / "bb", videos=3)]
    site = build(tmp_path / "site", *runs, which="all")
    media = {p.name: p.stat().st_mtime_ns for p in (site / "media").iterdir()}
    assert len([n for n in media if n.endswith(".mp4")]) == 4, "two of the six are equal"
    cached = {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*.mp4")}
    assert len(cached) == 4
    build(site, *runs, which="worst:1")
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*.mp4")} == cached, "nothing was encoded again"
    assert len(list((site / "media").glob("*.mp4"))) <= 2


def test_a_site_does_not_overwrite_other_things(tmp_path) -> None:
    run = make_run(tmp_path / "a")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="something else than a site"):
        build(tmp_path / "mine", run)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_choice_of_clips(tmp_path) -> None:
    board = boards_from_runs([make_run(tmp_path / "a", clips=12)])[0]
    values = board.contenders[0].values[board.rank_by]
    worst = sorted(sorted(range(12), key=lambda i: values[i])[:3])
    assert [c.id for c in choose_clips(board, "worst:3")] == [board.clips[i].id for i in worst]
    assert choose_clips(board, "none") == ()
    assert choose_clips(board, "all") == board.clips
    for wrong in ("some", "worst:0", "worst:x", "best:3"):
        with pytest.raises(UserError, match="not understood"):
            choose_clips(board, wrong)


def test_max_size_refuses_before_anything_is_made(tmp_path) -> None:
    run = make_run(tmp_path / "a", videos=6)
    assert plan(boards_from_runs([run])[0], "all").videos == 6 + 2 * 24
    with pytest.raises(UserError, match="more than --max-size") as caught:
        build(tmp_path / "site", run, which="all", max_bytes=20_000)
    assert "--videos worst:" in caught.value.hint
    assert not (tmp_path / "site").exists()


def test_other_data_other_boards(tmp_path) -> None:
    boards = boards_from_runs([make_run(tmp_path / "a"), make_run(tmp_path / "b", data_revision="rev2")])
    assert [b.about["data revision"] for b in boards] == ["rev1", "rev2"]
    assert len({b.file for b in boards}) == 2


def test_spans() -> None:
    assert spans([]) == ()
    assert spans([True, True]) == ((0, 2),)
    assert spans([False, True, False, True, True, False]) == ((1, 2), (3, 5))


def test_vendored_libraries_are_the_packages_own() -> None:
    table = (HERE / "vendor" / "README.md").read_text()
    listed = dict(re.findall(r"^\| (\S+\.js) .* ([0-9a-f]{64}) \|$", table, re.M))
    there = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (HERE / "vendor").glob("*.js")}
    assert listed == there
    for name in there:
        assert (HERE / "vendor" / f"{name.split('.')[0]}.LICENSE.txt").read_text().strip()


def test_command(tmp_path) -> None:
    run = make_run(tmp_path / "a", videos=1)
    done = CliRunner().invoke(app, ["report", str(run), "--out", str(tmp_path / "site"), "--videos", "worst:1"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "site" / "index.html").is_file()
    wrong = CliRunner().invoke(app, ["report", str(tmp_path), "--out", str(tmp_path / "other")])
    assert isinstance(wrong.exception, UserError)
    assert "is not a run" in wrong.exception.what
    assert video_digest(RunFolder(run).prediction(RunFolder(run).read_manifest().samples[0]))


def test_the_bar_of_pages_ends_where_the_pages_do(tmp_path) -> None:
    class Counting(Quiet):
        def __init__(self) -> None:
            self.stages: list[list[int]] = []

        def stage(self, name: str, total: int) -> None:
            self.stages.append([total, 0])

        def page(self) -> None:
            self.stages[-1][1] += 1

    runs = [make_run(tmp_path / name, name=name) for name in ("a", "b")]
    watcher = Counting()
    site = Site(title="toys", lead="A lead.", boards=tuple(boards_from_runs(runs)))
    write_site(site, tmp_path / "out", watcher=watcher)
    assert len(watcher.stages) == 2 and all(total == done for total, done in watcher.stages)
    assert sum(done for _, done in watcher.stages) == len(list((tmp_path / "out").rglob("*.html")))


def test_pages_order_by_a_metric_that_has_values() -> None:
    """Runs of PSNR alone were ordered "by memory_score", of which no clip had a value."""
    metrics = [Metric(name=name, version=1, higher_is_better=True, headline=True) for name in ("memory_score", "psnr")]
    about = {"data": "d", "split": "all"}
    runs = [
        Contender(name=n, file=n, ranked=True, values={}, summaries={"memory_score": summary(None), "psnr": summary(x)})
        for n, x in (("low", 10.0), ("high", 20.0))
    ]
    board = partial(make_board, file="b", about=about, data="d", revision="r", clips=(), metrics=metrics)
    found = board(contenders=runs, rank_by=["memory_score"])
    assert found.rank_by == "psnr" and [c.name for c in found.contenders] == ["high", "low"]
    assert board(contenders=[], rank_by=["nothing", "memory_score"]).rank_by == "memory_score"


def test_columns_of_which_nobody_has_a_value_stay_away() -> None:
    metrics = [Metric(name=n, version=1, higher_is_better=True, headline=n != "d") for n in ("a", "b", "c", "d")]
    found = {"a": summary(1.0), "b": summary(None), "c": summary(2.0, scored=2), "d": summary(3.0)}
    runs = [
        Contender(name="x", file="x", ranked=True, values={}, summaries=found),
        Contender(name="y", file="y", ranked=True, values={}, summaries={**found, "c": summary(2.0, scored=1)}),
    ]
    board = make_board(file="f", about={"data": "d", "split": "all"}, data="d", revision="r", clips=(), metrics=metrics,
                       contenders=runs, rank_by=["a"])  # fmt: skip
    assert [m.name for m in board.headline] == ["a", "c"]
    assert [board.scored(m) for m in metrics] == ["1 of 2", None, None, "1 of 2"], "c differs between the two"


def summary(mean: float | None, scored: int = 1) -> MetricSummary:
    scored = 0 if mean is None else scored
    return MetricSummary(metric="m", version=1, mean=mean, low=None, high=None, scored=scored, total=2, reasons={})
