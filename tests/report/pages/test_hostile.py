"""Strangers' text in every place that takes text: a page has the same elements as with a harmless word there."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hmbench.report.pages.content import Published, Site
from hmbench.report.pages.from_runs import boards_from_runs
from hmbench.report.pages.site import Videos, write_site
from hmbench.results.metric_record import metric_records
from tests.report.pages.stage import ToyData, make_run

HARMLESS = "word"
HOSTILE = {
    "script": "<script>alert(1)</script>",
    "end of script": "</script></style></textarea></title><svg onload=alert(1)>",
    "comment": "<!--><img src=x onerror=alert(1)>-->",
    "quotes": "\"'><img src=x onerror=alert(1)>`",
    "attribute": "x\" onmouseover=\"alert(1)\" style=\"position:fixed",
    "address": "javascript:alert(1)//https://example.org",
    "template": "{{ 7 * 7 }}{% raw %}${7 * 7}#{7 * 7}<%= 7 %>",
    "terminal": "\x1b[31mred\x1b]8;;http://x\x07\x00\x7f\x9b",
    "markup": "[red]x[/red][link=http://x]y[/link]",
    "direction": "\u202egpj.exe\u2066\u200f\u2028\u2029\ufeff",
    "entities": "&lt;b&gt;&amp;#60;script&#x3e;",
    "long": "w" * 3000,
    "emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea e\u0301\u0301\u0301\u0301 \ud83d",
    "css": "red;} body{display:none} url(http://x/)",
    "formula": "=HYPERLINK(\"http://x\")",
}  # fmt: skip


class Elements(HTMLParser):
    """Every tag with the names of its attributes, and every address."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, ...]] = []
        self.addresses: set[str] = set()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, *(name for name, _ in attrs)))
        self.addresses |= {value or "" for name, value in attrs if name in {"href", "src", "action", "formaction"}}


class Captioned(ToyData):
    def __init__(self, caption: str) -> None:
        self.text = caption

    def load(self, sample_id: str):
        sample = super().load(sample_id)
        object.__setattr__(sample.prompt, "caption", self.text)
        return sample


def described(text: str) -> dict:
    base = {
        "version": 1,
        "headline": True,
        "bounds": [0, None],
        "source": text,
        "needs": [text],
        "weights": {text: "1"},
    }
    return metric_records(
        {
            text: {**base, "higher_is_better": True, "unit": text},
            "memory score": {**base, "higher_is_better": True, "unit": ""},
        }
    )


def built(folder: Path, text: str) -> Path:
    """A site of a run that says `text` wherever it may say anything."""
    words = {"name": text, "description": text, "notice": text, "weights": {text: text}, "link": text,
             "settings": {text: text, "inside": {text: [text]}, "steps": 3}}  # fmt: skip
    run = make_run(
        folder / "run", clips=3, videos=1, metrics=described(text), words=words, data_name=text, split=text,
        tracker=text, options={text: text}, environment={text: text}, tracker_settings={text: text},
        metric_weights={text: text},
    )  # fmt: skip
    rewrite(
        run / "rows.jsonl",
        lambda k, row: {**row, "cluster": text, **({"value": None, "reason": text} if k == 1 else {})},
    )
    said = {"subject": text, "category": text, "verdict": text}
    rewrite(run / "events.jsonl", lambda k, event: {**event, **said, text: 0.5})
    about = {"scene": text, "cell": text, "camera_path": text, "categories": [text], "warnings": [text]}
    rewrite(run / "samples.jsonl", lambda k, line: {**line, **about, "cell": f"{text}{k % 2}"})
    published = Published(title=text, header=[text, text], rows=[[text, text]], notes=[text])
    boards = boards_from_runs([run])
    site = Site(
        title=text, lead=text, boards=tuple(boards), published=published,
        explained={m.name: text for m in boards[0].metrics},
        validity={"clips": 3, "split": text, "metrics": {boards[0].metrics[0].name: {"faults": {text: {"auc": 0.9}}}}},
    )  # fmt: skip
    write_site(site, folder / "site", videos=Videos(which="all"), open_data=lambda _: Captioned(text))
    return folder / "site"


def rewrite(path: Path, change) -> None:
    lines = [change(k, json.loads(line)) for k, line in enumerate(path.read_text().splitlines())]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def elements(site: Path) -> dict[str, Elements]:
    """Kind and place of each page to what is in it: names of files follow from the text."""
    pages = sorted(site.rglob("*.html"), key=lambda p: (len(p.parts), p.parent.name, p.stat().st_mtime_ns))
    found: dict[str, Elements] = {}
    for path in pages:
        kind = path.name if path.name in {"index.html", "clips.html"} else path.parent.name
        found[f"{kind} {sum(key.startswith(kind + ' ') for key in found)}"] = Elements(path.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def harmless(tmp_path_factory) -> dict[str, Elements]:
    folder = tmp_path_factory.mktemp("harmless")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HMBENCH_CACHE", str(folder / "cache"))
        return elements(built(folder, HARMLESS))


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_page_has_the_elements_that_it_has_with_a_harmless_word(tmp_path, monkeypatch, harmless, kind) -> None:
    monkeypatch.setenv("HMBENCH_CACHE", str(tmp_path / "cache"))
    site = built(tmp_path, HOSTILE[kind])
    found = elements(site)
    assert found.keys() == harmless.keys()
    for key, page in found.items():
        assert page.tags == harmless[key].tags, key
        assert all(re.fullmatch(r"[\w./#=&%?+-]*", address) for address in page.addresses), page.addresses
    for path in [*site.rglob("*.html"), *(site / "data").rglob("*.js")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]", text), path
        if path.suffix == ".js":
            assert "<" not in text and re.fullmatch(r"hm\.receive\(\"[^\"]+\",JSON\.parse\(\".*\"\)\);\n", text), path
    shutil.rmtree(tmp_path / "site")


def test_a_link_of_the_web_is_a_link(tmp_path) -> None:
    run = make_run(tmp_path / "run", clips=2, words={"link": "https://example.org/a?b=<c>&d='e'"})
    write_site(Site(title="t", lead="l", boards=tuple(boards_from_runs([run]))), tmp_path / "site")
    page = next((tmp_path / "site" / "b").glob("*/models/*.html")).read_text()
    assert 'href="https://example.org/a?b=&lt;c&gt;&amp;d=&#39;e&#39;"' in page
