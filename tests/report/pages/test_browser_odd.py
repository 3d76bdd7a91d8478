"""In a real browser: sites on a host's sub-path, of odd runs, of hostile words; what is saved and what is cited."""

from __future__ import annotations

import csv
import functools
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hmbench.report.pages.content import Site
from hmbench.report.pages.from_runs import boards_from_runs
from hmbench.report.pages.site import Videos, write_site
from tests.report.pages.stage import TARGET, make_run
from tests.report.pages.test_browser import clip_page, opened, until
from tests.report.pages.test_hostile import HOSTILE, built

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HMBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Two models, one with tracks and one without; two clips of ten have videos, and no data are here."""
    folder = tmp_path_factory.mktemp("odd")
    runs = [make_run(folder / name, clips=10, videos=2, shift=k) for k, name in enumerate(("low", "higher"))]
    for run in runs:
        shutil.rmtree(run / "tracks")
    place = folder / "host" / "a sub path" / "site"
    content = Site(title="toys", lead="A lead.", boards=tuple(boards_from_runs(runs)))
    write_site(content, place, videos=Videos(which="all"))
    return place


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Says nothing."""


def test_a_site_on_a_sub_path_of_a_host(chromium, site) -> None:
    host = site.parents[1]
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=str(host))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}/a%20sub%20path/site/"
        with chromium.new_context() as context:
            page = context.new_page()
            asked, wrong = [], []
            page.on("request", lambda request: asked.append(request.url))
            page.on("response", lambda r: wrong.append(r.url) if r.status >= 400 else None)
            page.on("console", lambda m: wrong.append(m.text) if m.type in {"error", "warning"} else None)
            page.goto(base)
            page.wait_for_selector("#board:not([aria-busy]) [data-sort]")
            page.click("#board tbody th.name a")
            assert page.text_content("h1") == "higher"
            page.goto(base + clip_page(site))
            until(page, "[...document.querySelectorAll('video')].every(v => v.readyState >= 2)")
            assert page.evaluate("hm.player.shows().length") == 2
        server.shutdown()
    assert wrong == []
    assert all(url.startswith((base, "blob:", "data:")) for url in asked), asked


def test_without_tracks_and_data_videos_play_and_boxes_are_not_asked_for(page, site) -> None:
    opened(page, site, clip_page(site))
    until(page, "[...document.querySelectorAll('video')].every(v => v.readyState >= 2)")
    page.keyboard.press("b")
    page.keyboard.press("End")
    page.wait_for_timeout(200)
    assert not page.is_visible("#boxes") and not page.is_checked("#boxes")
    assert page.evaluate("hm.player.frame") == TARGET - 1


def test_the_table_is_saved_with_its_intervals(page, site, tmp_path) -> None:
    opened(page, site)
    with page.expect_download() as caught:
        page.click("#csv")
    caught.value.save_as(tmp_path / "table.csv")
    rows = list(csv.reader((tmp_path / "table.csv").open()))
    assert rows[0][:6] == [
        "rank",
        "model",
        "memory_score",
        "memory_score low",
        "memory_score high",
        "memory_score clips",
    ]
    assert [row[:2] for row in rows[1:]] == [["1", "higher"], ["2", "low"]]
    shown = page.eval_on_selector_all("#board tbody td[data-value]", "all => all.map(c => c.dataset.value)")
    assert float(rows[1][2]) == float(shown[0]) and rows[1][5] == "10"
    assert float(rows[1][3]) < float(rows[1][2]) < float(rows[1][4])


def test_what_a_plot_shows_is_kept_in_the_address(page, site) -> None:
    opened(page, site)
    page.evaluate("document.getElementById('plots').scrollIntoView()")
    page.wait_for_selector("#plots[data-drawn]", timeout=20000)
    page.select_option("#x-axis", label="parameters")
    page.select_option("#hidden-metric", label="psnr")
    assert "x=parameters" in page.url and "over=psnr" in page.url
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector("#board:not([aria-busy]) [data-sort]")
    chosen = "id => document.getElementById(id).selectedOptions[0].text"
    assert [page.evaluate(chosen, name) for name in ("x-axis", "y-axis", "hidden-metric")] == [
        "parameters", "memory_score", "psnr",
    ]  # fmt: skip
    page.click("#clear")
    assert page.evaluate(chosen, "x-axis") == "parameters", "the table is reset, the plots stay"


def test_clips_with_videos_are_found(page, site) -> None:
    folder = next((site / "b").iterdir()).name
    opened(page, site, f"b/{folder}/clips.html#videos=yes")
    page.wait_for_selector("#clips:not([aria-busy]) article")
    assert page.text_content("#count") == "2 of 10 clips."
    page.select_option("#videos", "")
    until(page, "document.getElementById('count').textContent === '10 of 10 clips.'")


@pytest.mark.parametrize("kind", ["all others", "long"])
def test_hostile_words_do_nothing(page, tmp_path, kind) -> None:
    text = HOSTILE[kind] if kind == "long" else "".join(HOSTILE[k] for k in HOSTILE if k not in {"long", "address"})
    site = built(tmp_path, text)
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    page.set_viewport_size({"width": 320, "height": 800})
    paths = [p for p in site.rglob("*.html") if "metrics" not in p.parts or p.name == "index.html"]
    for path in [site / "index.html", *paths, next((site / "metrics").glob("w*.html"), site / "index.html")]:
        opened(page, site, str(path.relative_to(site)) if path.parent != site else "index.html")
        page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
        page.wait_for_timeout(300)
        over = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert over <= 0, (path.relative_to(site), over)
        assert page.evaluate("document.querySelectorAll('img[src=x], svg[onload]').length") == 0
