"""Publishing through huggingface-hub's real client, to a Hub on this machine."""

from __future__ import annotations

import json
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfApi
from typer.testing import CliRunner

from hmbench.errors import UserError
from hmbench.report.pages.site import write_site
from leaderboard.cli import app
from leaderboard.publish import push, write_dataset
from leaderboard.site import leaderboard_site
from leaderboard.submission import accept, read_entries
from tests.hub_server import hub_server
from tests.leaderboard.test_leaderboard import make_run


@pytest.fixture
def entries(tmp_path):
    run = make_run(tmp_path / "good")
    event = {
        "sample": "clip02",
        "label": 1,
        "exit": 40,
        "reentry": 90,
        "verdict": "late",
        "success": 0.4,
        "identity": 0.7,
    }
    (run / "events.jsonl").write_text(json.dumps(event) + "\n")
    accept(run, name="good", results=tmp_path / "results")
    accept(make_run(tmp_path / "bad", -1.0), name="bad", results=tmp_path / "results")
    return read_entries(tmp_path / "results")


def test_tables_hold_every_value_and_event(tmp_path, entries) -> None:
    write_dataset(entries, tmp_path / "data set")
    folder = tmp_path / "data set" / "data"
    values = pq.read_table(folder / "values.parquet").to_pylist()
    assert len(values) == 2 * 3 * 22
    by_place = {(v["entry"], v["metric"], v["clip"]): v["value"] for v in values}
    good = next(e for e in entries if e.name == "good")
    assert by_place["good", "psnr", "clip04"] == good.values["psnr"][4]
    assert by_place["good", "extra", "clip03"] is None, "missing stays missing"
    events = pq.read_table(folder / "events.parquet").to_pylist()
    assert [(e["entry"], e["clip"], e["verdict"], e["hidden"], e["success"]) for e in events] == [
        ("good", "clip02", "late", 50, 0.4)
    ]
    assert json.loads(events[0]["numbers"]) == {"identity": 0.7}
    facts = {e["name"]: e for e in pq.read_table(folder / "entries.parquet").to_pylist()}
    assert json.loads(facts["good"]["videos"]) == good.videos
    assert json.loads(facts["good"]["weights"]) == {"w": "ab"}


@pytest.mark.slow
def test_datasets_loads_them(tmp_path, entries) -> None:
    write_dataset(entries, tmp_path / "set")
    code = (
        "import sys, datasets\n"
        "for name in ('values', 'events', 'entries'):\n"
        "    print(name, datasets.load_dataset(sys.argv[1], name, split='train', cache_dir=sys.argv[2]).num_rows)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "set"), str(tmp_path / "cache")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["values", "132", "events", "1", "entries", "2"]


def test_entries_and_site_are_pushed(tmp_path, entries) -> None:
    write_site(leaderboard_site(entries, None, rank_by=["psnr"]), tmp_path / "site")
    with hub_server({}) as hub:
        api = HfApi(endpoint=hub.url, token="hf_x")
        addresses = push(entries, "me/board", api=api, staging=tmp_path / "staging", site=tmp_path / "site")
        assert [a.removeprefix(hub.url) for a in addresses] == ["/datasets/me/board", "/spaces/me/board"]
        there = hub.files["datasets/me/board"]
        assert set(there) == {"README.md", "data/values.parquet", "data/events.parquet", "data/entries.parquet"}
        assert there["data/values.parquet"] == (tmp_path / "staging" / "data" / "values.parquet").read_bytes()
        assert b"config_name: values" in there["README.md"]
        assert b'load_dataset("me/board", "values"' in there["README.md"], "a line to copy and run"
        pages = hub.files["spaces/me/board"]
        assert pages["index.html"] == (tmp_path / "site" / "index.html").read_bytes()
        assert b"sdk: static" in pages["README.md"]
        assert "assets/vendor/LICENSES.txt" in pages


def test_videos_of_unknown_licence_stay_here(tmp_path, entries) -> None:
    write_site(leaderboard_site(entries, None, rank_by=["psnr"]), tmp_path / "site")
    (tmp_path / "site" / "media").mkdir()
    (tmp_path / "site" / "media" / "x.mp4").write_bytes(b"somebody's clip")
    with hub_server({}) as hub:
        api = HfApi(endpoint=hub.url, token="hf_x")
        with pytest.raises(UserError, match="whose licence hmbench does not know"):
            push(entries, "me/board", api=api, staging=tmp_path / "a", site=tmp_path / "site")
        assert hub.files == {}, "nothing was sent"
        push(entries, "me/board", api=api, staging=tmp_path / "b", site=tmp_path / "site", licence="cc-by-4.0")
        assert hub.files["spaces/me/board"]["media/x.mp4"] == b"somebody's clip"
        assert b"license: cc-by-4.0" in hub.files["spaces/me/board"]["README.md"]


def test_mistakes_are_told_before_anything_is_sent(tmp_path, entries) -> None:
    for repo, site, what in (("board", None, "no name of a repository"), ("me/board", tmp_path, "no site of hmbench")):
        with pytest.raises(UserError, match=what):
            push(entries, repo, api=HfApi(endpoint="http://127.0.0.1:9"), staging=tmp_path / "s", site=site)
    with pytest.raises(UserError, match="no entry to publish"):
        push([], "me/board", api=HfApi(endpoint="http://127.0.0.1:9"), staging=tmp_path / "s")


def test_command(tmp_path, entries, monkeypatch) -> None:
    with hub_server({}) as hub:
        arguments = ["push", "me/board", "--endpoint", hub.url, "--results", str(tmp_path / "results")]
        monkeypatch.setenv("HF_TOKEN", "hf_x")
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
        assert "/datasets/me/board" in done.output
        assert "data/values.parquet" in hub.files["datasets/me/board"]
