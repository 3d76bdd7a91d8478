"""The pages in a real browser: sorted, filtered, cited, played in step, read by keyboard, in both themes, on a phone.

Chromium is Debian's, driven by playwright. axe-core comes from npm: ``npm install --prefix build/axe axe-core@4.14.1``.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from hmbench.report.pages.content import Site
from hmbench.report.pages.from_runs import boards_from_runs
from hmbench.report.pages.site import Videos, write_site
from hmbench.results.intervals import mean_interval
from tests.report.pages.stage import CONTEXT, TARGET, ToyData, make_run

pytestmark = pytest.mark.browser
AXE = Path(os.environ.get("HMBENCH_AXE", "build/axe/node_modules/axe-core/axe.min.js"))
HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script>\x1b[31m\u202e[bold]'


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    os.environ["HMBENCH_CACHE"] = str(folder / "cache")
    runs = [
        make_run(folder / "good", shift=1, videos=2),
        make_run(folder / "fine", shift=1, videos=2),
        make_run(folder / "worse", shift=-2, videos=2),
        make_run(folder / "oracle", shift=5, videos=2, trained=None, notice="oracle is shown the truth."),
        make_run(folder / "evil", shift=-3, videos=1, words={"name": HOSTILE, "description": HOSTILE}),
        make_run(folder / "elsewhere", data_revision="rev2"),
    ]
    rare = json.dumps("late"), json.dumps("rare")  # one event of 24
    text = (runs[2] / "events.jsonl").read_text()
    (runs[2] / "events.jsonl").write_text(text.replace(*rare, 1))
    boards = boards_from_runs(runs)
    content = Site(title="toys", lead="A lead.", boards=tuple(boards))
    write_site(content, folder / "site", videos=Videos(which="all"), open_data=lambda board: ToyData())
    os.environ.pop("HMBENCH_CACHE")
    return folder / "site"


def opened(page, site: Path, path: str = "index.html"):
    page.goto((site / path.split("#")[0]).as_uri() + ("#" + path.split("#")[1] if "#" in path else ""))
    if path.startswith("index"):
        page.wait_for_selector("#board:not([aria-busy]) [data-sort]")
    return page


def until(page, true: str, seconds: float = 20.0) -> None:
    """Waits for an expression; playwright's own wait evaluates text, which the pages' policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(true):
        assert time.monotonic() < end, f"not within {seconds} s: {true}"
        page.wait_for_timeout(50)


def names(page) -> list[str]:
    return page.eval_on_selector_all("#board tbody th.name a", "all => all.map(a => a.textContent)")


def column(page, label: str) -> list[float | None]:
    return page.evaluate(
        """label => {
          const heads = [...document.querySelectorAll('#board thead th')];
          const k = heads.findIndex(h => h.querySelector(`[data-sort="${label}"]`));
          const values = [...document.querySelectorAll('#board tbody tr')].map(r => r.cells[k].dataset.value);
          return values.map(v => v === '' ? null : Number(v));
        }""",
        label,
    )


def clip_page(site: Path, k: int = 0) -> str:
    folder = next((site / "b").glob("*rev1*"))
    return str(sorted((folder / "clips").glob("*.html"))[k].relative_to(site))


def test_table_is_sorted_by_any_column_and_bounds_stay_apart(page, site) -> None:
    opened(page, site)
    assert names(page)[:3] == ["fine", "good", "worse"]
    assert names(page)[-1] == "oracle", "a bound is best and is not ranked"
    ranks = page.eval_on_selector_all("#board tbody td.rank", "all => all.map(c => c.textContent)")
    assert ranks == ["1=", "1=", "3", "4", "–"]
    page.click('[data-sort="lpips"]')
    values = column(page, "lpips")[:4]
    assert values == sorted(values), "lower is better, so the lowest is first"
    assert page.get_attribute('th:has([data-sort="lpips"])', "aria-sort") == "ascending"
    page.click('[data-sort="lpips"]')
    assert column(page, "lpips")[:4] == values[::-1]
    assert names(page)[-1] == "oracle"
    page.click('[data-sort="model"]')
    assert names(page)[1:4] == ["fine", "good", "worse"]


def test_a_view_is_cited_by_its_address(page, site, chromium) -> None:
    opened(page, site)
    page.click('[data-sort="psnr"]')
    page.click("summary:has-text('Columns')")
    page.uncheck("#columns input[value=lpips]")
    page.check("#columns input[value=extra]")
    page.select_option("#filters select[data-kind=cell]", "unseen-both")
    until(page, "document.getElementById('count').textContent.startsWith('6 of 24')")
    address, seen = page.url, (names(page), column(page, "psnr"), column(page, "extra"))
    assert "sort=psnr" in address
    other = chromium.new_context().new_page()
    other.goto(address)
    until(other, "document.getElementById('count').textContent.startsWith('6 of 24')")
    assert (names(other), column(other, "psnr"), column(other, "extra")) == seen
    assert other.query_selector('[data-sort="lpips"]') is None
    other.context.close()
    opened(page, site, "index.html#sort=nonsense&col=__proto__&f.cell=<b>&board=x")
    assert names(page)[:2] == ["fine", "good"], "an address that makes no sense shows the standard view"


def test_filtered_means_and_intervals_are_those_of_the_clips(page, site) -> None:
    opened(page, site)
    page.select_option("#filters select[data-kind='camera path']", "Pan")
    until(page, "document.getElementById('count').textContent.startsWith('12 of 24')")
    folder = next((site / "data").glob("*rev1*"))

    def data(name: str):
        text = (folder / f"{name}.js").read_text()
        return json.loads(json.loads(text.split("JSON.parse(", 1)[1].removesuffix("));\n")))

    board, clips, values = data("board"), data("clips"), data("values-1")
    facts = dict(clips["facts"])["camera path"]
    picked = [i for i, k in enumerate(facts["of"]) if facts["values"][k] == "Pan"]
    order = [m["name"] for m in board["models"]]
    expected = dict(zip(order, [float(np.mean([row[i] for i in picked])) for row in values], strict=True))
    assert column(page, "psnr") == pytest.approx([expected[n] for n in names(page)], rel=1e-9)
    got = page.evaluate(
        "([v, s]) => hm.summarise(v, s, 4, [0, 100])",
        [[values[0][i] for i in picked], [clips["scene"][i] for i in picked]],
    )
    inside = mean_interval(
        np.array([values[0][i] for i in picked]), [str(clips["scene"][i]) for i in picked], bounds=(0, 100)
    )
    assert got[1:3] == pytest.approx([inside.low, inside.high], rel=1e-6)


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (None, None), (0.0, None)])
@pytest.mark.parametrize("seed", range(4))
def test_intervals_of_the_page_are_those_of_the_tables(page, site, bounds, seed) -> None:
    rng = np.random.default_rng(seed)
    scenes = rng.integers(0, 7 + seed, size=40)
    values = np.clip(rng.beta(0.4, 2, 40) + 0.05 * scenes, 0, 1)
    opened(page, site)
    got = page.evaluate("([v, s, b]) => hm.summarise(v, s, 4, b)", [values.tolist(), scenes.tolist(), list(bounds)])
    expected = mean_interval(values, [str(s) for s in scenes], bounds=bounds)
    # Wilson's is a formula; the bootstrap-t draws other scenes here than in Python
    close = 1e-6 if bounds == (0.0, 1.0) else 0.03
    assert got[0] == pytest.approx(values.mean(), rel=1e-12)
    assert got[1:3] == pytest.approx([expected.low, expected.high], abs=close)


def test_another_board_can_be_chosen(page, site) -> None:
    opened(page, site)
    other = page.eval_on_selector_all("#boards option", "all => all.map(o => o.value)")[1]
    page.select_option("#boards", other)
    until(page, "document.querySelectorAll('#board tbody tr').length === 1")
    assert names(page) == ["elsewhere"]
    assert "board=" in page.url


def test_plots_are_drawn(page, site) -> None:
    opened(page, site)
    page.evaluate("document.getElementById('plots').scrollIntoView()")
    page.wait_for_selector("#plots[data-drawn]", timeout=20000)
    for name in ("scatter", "verdicts", "hidden", "places"):
        assert page.query_selector(f"#{name} svg"), name
        assert page.get_attribute(f"#{name} svg[role=img]", "aria-label"), name
    dots = page.eval_on_selector_all("#scatter [data-mark=dot]", "all => all.map(g => g.children.length)")
    assert dots[0] == 4 and sum(dots[1:]) == 0, "four that are ranked"
    page.check("#scatter-bounds")
    dots = page.eval_on_selector_all("#scatter [data-mark=dot]", "all => all.map(g => g.children.length)")
    assert dots == [4, 1], "and, asked, the one that is not"
    page.select_option("#x-axis", label="parameters")
    assert "parameters" in page.text_content("#scatter")


def test_numbers_stand_in_their_own_bars(page, site) -> None:
    opened(page, site)
    page.evaluate("document.getElementById('plots').scrollIntoView()")
    page.wait_for_selector("#plots[data-drawn]", timeout=20000)
    box = "e => { const r = e.getBoundingClientRect(); return [r.left, r.right, r.top, r.bottom, e.textContent]; }"
    bars = page.eval_on_selector_all("#verdicts [data-mark=bar] rect", f"all => all.map({box})")
    texts = page.eval_on_selector_all("#verdicts [data-mark=text] text", f"all => all.map({box})")
    shown = [t for t in texts if t[4]]
    assert len(bars) == 21 and len(shown) == 20, "one bar, a single event of 24, is too narrow for its number"
    for left, right, top, bottom, count in shown:
        row = [b for b in bars if b[2] < (top + bottom) / 2 < b[3]]
        own = min(row, key=lambda b: abs(b[0] + b[1] - left - right))
        assert own[0] + own[1] == pytest.approx(left + right, abs=4), "in the middle"
        whole = max(b[1] for b in row) - min(b[0] for b in row)
        assert 24 * (own[1] - own[0]) / whole == pytest.approx(int(count), abs=0.3)


def test_clips_are_found_failures_first(page, site) -> None:
    folder = next((site / "b").glob("*rev1*")).name
    opened(page, site, f"b/{folder}/clips.html")
    page.wait_for_selector("#clips:not([aria-busy]) article")
    board = page.evaluate("async f => await hm.load(`${f}/board`)", folder)
    means = page.evaluate("async f => await hm.load(`${f}/values-0`)", folder)
    clips = page.evaluate("async f => await hm.load(`${f}/clips`)", folder)
    ranked = [k for k, m in enumerate(board["models"]) if m["ranked"]]
    mean = [np.mean([means[k][c] for k in ranked]) for c in range(24)]
    spread = [np.ptp([means[k][c] for k in ranked]) for c in range(24)]

    def shown() -> list[str]:
        return page.eval_on_selector_all("#clips article h3", "all => all.map(a => a.textContent)")

    assert shown() == [clips["files"][c] for c in np.argsort(mean, kind="stable")]
    page.select_option("#order", "disagreement")
    until(page, "location.hash.includes('disagreement')")
    page.wait_for_timeout(200)
    assert shown() == [clips["files"][c] for c in np.argsort(-np.array(spread), kind="stable")]
    page.select_option("#f-cell", "seen")
    until(page, "document.getElementById('count').textContent.startsWith('6 of 24')")
    assert page.query_selector("#clips article img"), "film strips"


def wait_ready(page) -> None:
    until(page, "[...document.querySelectorAll('video')].every(v => v.readyState >= 2)")


def together(page) -> list[int]:
    """Frames of the clip that the videos show, and the clock's."""
    shown = page.evaluate("hm.player.shows()")
    assert len(shown) >= 5, shown
    return [*(frame for _, frame in shown), page.evaluate("hm.player.frame")]


def test_videos_play_in_step(page, site) -> None:
    opened(page, site, clip_page(site))
    wait_ready(page)
    page.evaluate("document.getElementById('speed').value = '0.25'")
    page.evaluate(f"scrub.value = {CONTEXT + 1}; scrub.dispatchEvent(new Event('input'))")
    page.wait_for_timeout(300)
    frames = together(page)
    assert max(frames) - min(frames) <= 1, f"after scrubbing: {frames}"
    assert abs(frames[-1] - (CONTEXT + 1)) <= 1
    page.click("#play")
    time.sleep(3)
    frames = together(page)
    assert page.evaluate("hm.player.playing")
    assert max(frames) - min(frames) <= 1, f"after 3 s: {frames}"
    assert frames[-1] > CONTEXT + 3, "it plays"
    page.click("#play")
    page.wait_for_timeout(300)
    frames = together(page)
    assert max(frames) == min(frames), f"when paused, all show one frame: {frames}"


def test_steps_keys_loop_and_boxes(page, site) -> None:
    opened(page, site, clip_page(site))
    wait_ready(page)
    frame = "hm.player.frame"
    page.keyboard.press("Home")
    assert page.evaluate(frame) == 0
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    assert page.evaluate(frame) == 11
    page.keyboard.press("End")
    assert page.evaluate(frame) == CONTEXT + TARGET - 1
    page.keyboard.press("r")
    assert page.evaluate(frame) == CONTEXT + 4 - 8, "a little before the re-entry"
    page.keyboard.press("l")
    assert page.input_value("#loop") == "0"
    page.evaluate("document.getElementById('speed').value = '2'")
    page.keyboard.press(" ")
    seen = {page.evaluate(frame) for _ in range(40) if not time.sleep(0.06)}
    assert min(seen) >= CONTEXT - 4
    assert page.evaluate("hm.player.playing"), "a loop does not end"
    page.keyboard.press("k")
    assert not page.evaluate("hm.player.playing")
    page.keyboard.press("End")
    painted = """[...document.querySelectorAll('figure.panel canvas')].map(c => c.width > 1
      && c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v > 0))"""
    assert not any(page.evaluate(painted))
    page.keyboard.press("b")
    until(page, "document.querySelectorAll('figure.panel canvas')[2].width > 1")
    assert page.evaluate(painted).count(True) == 6, "the target's and five models' boxes; the context is over"
    page.keyboard.press("b")
    page.wait_for_timeout(100)
    assert not any(page.evaluate(painted))
    page.click("#cite")
    assert f"frame={CONTEXT + TARGET - 1}" in page.url


def test_models_without_a_video_are_named_once(page, site) -> None:
    opened(page, site, clip_page(site, 1))  # of five models, one has no video of this clip
    panels = page.eval_on_selector_all("figure.panel", "all => all.map(f => f.dataset.title)")
    assert panels[:2] == ["context", "target"] and sorted(panels[2:]) == ["fine", "good", "oracle", "worse"]
    assert "Without a video: <img" in page.text_content("#player")
    lanes = page.eval_on_selector_all(".timeline .line", "all => all.map(l => l.textContent.trim())")
    assert sum("not known" in lane for lane in lanes) == 1


def test_time_line_says_who_is_in_view_when(page, site) -> None:
    opened(page, site, clip_page(site))
    label = page.get_attribute(".timeline", "aria-label")
    assert label.startswith(f"Hidden from frame 8 to {CONTEXT + 4} of {CONTEXT + TARGET}.")
    assert f"really: in view 0 to 8, {CONTEXT + 4} to {CONTEXT + TARGET}." in label
    assert f"good: in view {CONTEXT + 4} to {CONTEXT + TARGET}." in label
    lane = page.locator(".timeline .lane").first
    lane.click(position={"x": lane.bounding_box()["width"] * 0.51, "y": 4})
    assert page.evaluate("hm.player.frame") == (CONTEXT + TARGET) // 2


def test_hostile_words_stay_words(page, site) -> None:
    title = opened(page, site).title()
    evil = next(n for n in names(page) if "img" in n)
    assert evil.startswith('<img src=x onerror="document.title=1"><script>')
    assert evil.endswith("␛[31m[U+202E][bold]")
    page.evaluate("document.getElementById('plots').scrollIntoView()")
    page.wait_for_selector("#plots[data-drawn]", timeout=20000)
    assert page.title() == title
    assert not page.query_selector("img[src=x]")
    opened(page, site, clip_page(site))
    assert 'A <b>square</b> & "friends"' in page.text_content(".lead")
    assert page.title() not in {"1", "2"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_themes(chromium, site, scheme) -> None:
    with chromium.new_context(color_scheme=scheme) as context:
        page = opened(context.new_page(), site)
        background = "getComputedStyle(document.body).backgroundColor"
        dark = page.evaluate(background) == "rgb(17, 20, 23)"
        assert dark == (scheme == "dark")
        page.click("#theme")  # auto, then light, then dark
        assert page.evaluate(background) == "rgb(255, 255, 255)"
        page.click("#theme")
        assert page.evaluate(background) == "rgb(17, 20, 23)"
        page.reload()
        assert page.evaluate(background) == "rgb(17, 20, 23)", "the choice is kept"


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_needs_no_sideways_scrolling(chromium, site, width) -> None:
    with chromium.new_context(viewport={"width": width, "height": 800}) as context:
        page = context.new_page()
        folder = next((site / "b").glob("*rev1*"))
        model = next((folder / "models").glob("good.html")).relative_to(site)
        for path in ("index.html", f"b/{folder.name}/clips.html", clip_page(site), str(model), "metrics/index.html"):
            opened(page, site, path)
            page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
            page.wait_for_timeout(400)
            over = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert over <= 0, (path, over)


def test_everything_can_be_reached_by_keyboard(page, site) -> None:
    opened(page, site)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.focus('[data-sort="psnr"]')
    page.keyboard.press("Enter")
    page.wait_for_selector('th[aria-sort] [data-sort="psnr"]')
    assert page.evaluate("document.activeElement.dataset.sort") == "psnr", "the focus stays where it was"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(chromium, site, scheme) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not there: npm install --prefix build/axe axe-core@4.14.1")
    folder = next((site / "b").glob("*rev1*"))
    paths = ["index.html", f"b/{folder.name}/clips.html", clip_page(site), f"b/{folder.name}/models/good.html",
             "metrics/index.html", "metrics/psnr.html"]  # fmt: skip
    with chromium.new_context(color_scheme=scheme, bypass_csp=True) as context:
        page = context.new_page()
        for path in paths:
            opened(page, site, path)
            page.wait_for_timeout(300)
            page.add_script_tag(path=AXE)
            found = page.evaluate(
                "axe.run().then(r => r.violations.map(v => [v.impact, v.id, v.nodes[0].html.slice(0, 160)]))"
            )
            assert [v for v in found if v[0] in {"serious", "critical"}] == [], path
