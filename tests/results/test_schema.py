"""Published schemas are those of the records, and a run that the code makes fits them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hmbench.errors import UserError
from hmbench.protocols import MetricInfo
from hmbench.results.metric_record import LAST, MetricRecord, metric_records
from hmbench.results.records import EventRow, RunManifest, read_rows
from hmbench.results.run_folder import RunFolder
from hmbench.results.schema import RECORDS, schema, text
from hmbench.results.summary import bounds_of

pytest.importorskip("pydantic")
PUBLISHED = Path(__file__).resolve().parents[2] / "docs" / "schemas"


@pytest.mark.parametrize("name", RECORDS)
def test_published_schemas_are_those_of_the_records(name: str) -> None:
    """After a change: python -m hmbench.results.schema docs/schemas."""
    assert (PUBLISHED / f"{name}.schema.json").read_text() == text(RECORDS[name])
    assert all(entry["description"] for entry in schema(RECORDS[name])["properties"].values())


def test_what_a_run_writes_fits(tmp_path: Path) -> None:
    from pydantic import TypeAdapter, ValidationError
    from toys import MeanError

    from hmbench.run.evaluate import EvalRequest, generate, score

    request = EvalRequest(model="toys:toy", data="disc", out=tmp_path / "run", limit=1)
    generate(request)
    score(request, metrics=[MeanError()])
    stored = json.loads((tmp_path / "run" / "run.json").read_text())
    known = {key: value for key, value in stored.items() if key in schema(RECORDS["run"])["properties"]}
    TypeAdapter(RECORDS["run"]).validate_python(known | {"samples": tuple(known["samples"])})
    assert RunFolder(tmp_path / "run").read_manifest().metrics["mae"].version == 3
    (row,) = read_rows(tmp_path / "run" / "rows.jsonl")
    line = json.loads((tmp_path / "run" / "rows.jsonl").read_text())
    TypeAdapter(RECORDS["row"]).validate_python(line)
    assert row.value == line["value"]
    with pytest.raises(ValidationError):
        TypeAdapter(RECORDS["row"]).validate_python(line | {"version": "three"})


def test_events_of_a_run_fit_and_come_back(tmp_path: Path) -> None:
    from pydantic import TypeAdapter

    from hmbench.metrics.reentry.metrics import event_rows
    from hmbench.networks.backbones import Backbone
    from tests.metrics import stage

    actor = stage.Actor(1, stage.RED)
    case = stage.make_case((actor,), (replace(actor, x=26),))
    bare = event_rows(case)
    (line,) = event_rows(case, Backbone("colour", stage.ColourEncoder).get())
    assert bare[0].keys() == {"sample", "label", "subject", "category", "exit", "reentry", "hidden", "place", "verdict"}
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(one) + "\n" for one in (*bare, line)))
    first, event = RunFolder(tmp_path).events()
    assert (first.verdict, first.window, first.numbers) == (None, None, {})
    assert (event.exit, event.reentry, event.hidden, event.window) == (14, 30, 16, tuple(line["window"]))
    assert event.line() == line and event.numbers["success"] == line["success"] and first.line() == bare[0]
    facts = set(schema(RECORDS["event"])["properties"])
    TypeAdapter(RECORDS["event"]).validate_python(
        {key: line[key] for key in facts & set(line)} | {"numbers": event.numbers}
    )
    assert schema(RECORDS["event"])["additionalProperties"]["anyOf"] == [
        {"type": "number"}, {"type": "boolean"}, {"type": "null"},
    ]  # fmt: skip


def test_events_of_before_read_and_strangers_do_not() -> None:
    old = {
        "sample": "a",
        "label": 1,
        "subject": "BlackMan",
        "exit": 3,
        "reentry": 9,
        "verdict": "vanished",
        "seen": 0.5,
    }
    event = EventRow.from_line(old, "events.jsonl, line 1")
    assert (event.hidden, event.category, event.subject) == (6, "unknown", "BlackTopMan")
    assert event.numbers == {"seen": 0.5}
    for wrong, sentence in (
        ({"exit": "3"}, "its exit is '3'"),
        ({"seen": [1]}, "its seen is"),
        ({"label": None}, "its label is 'None'"),
    ):
        with pytest.raises(UserError, match=sentence):
            EventRow.from_line({**old, **wrong}, "events.jsonl, line 1")
    with pytest.raises(UserError, match="it has no sample"):
        EventRow.from_line({key: value for key, value in old.items() if key != "sample"}, "line 1")


def test_a_run_tells_its_model_and_metrics_as_records() -> None:
    manifest = RunManifest(
        model="m", options={}, model_info={"trained": False, "weights": None}, data="d", data_name="d",
        data_revision="r", split="all", samples=(), seed=0, profile="mini", device="cpu",
        metrics=metric_records(
            {"psnr": {"version": 2, "higher_is_better": True, "unit": "dB", "bounds": [0, None], "needs": ["truth"]}}
        ),
    )  # fmt: skip
    assert (manifest.about.name, manifest.about.standing, manifest.about.weights) == ("m", "untrained", {})
    psnr = manifest.metric("psnr")
    assert psnr is not None and (psnr.version, psnr.unit, psnr.bounds, psnr.headline) == (2, "dB", (0, None), False)
    assert psnr.needs == {"truth"} and manifest.metric("ssim") is None


def test_a_metrics_record_comes_back_and_says_what_nobody_said() -> None:
    info = MetricInfo(
        name="lpips", version=3, higher_is_better=False, bounds=(0.0, None), needs=frozenset({"truth", "alexnet"})
    )
    record = MetricRecord.of(info, weights={"alexnet/a.pth": "1"}, stamp="ab", order=4)
    content = json.loads(json.dumps(record.content()))
    assert content == {
        "name": "lpips", "version": 3, "higher_is_better": False, "unit": "", "bounds": [0.0, None],
        "needs": ["alexnet", "truth"], "source": "", "headline": False, "weights": {"alexnet/a.pth": "1"},
        "stamp": "ab", "order": 4,
    }  # fmt: skip
    assert MetricRecord.from_content("lpips", content) == record
    old = MetricRecord.from_content("psnr", {"version": 2, "higher_is_better": True, "backbone": None})
    assert (old.untold, old.needs, old.bounds) == ({"needs", "bounds"}, set(), (None, None))
    assert (old.weights, old.tracks, old.stamp, old.order) == (None, None, None, LAST)
    assert old.content() == {
        "name": "psnr", "version": 2, "higher_is_better": True, "unit": "", "source": "", "headline": False,
    }  # fmt: skip
    assert MetricRecord.from_content("psnr", old.content()) == old
    said = {"version": 2, "higher_is_better": True, "needs": None, "bounds": None}
    assert MetricRecord.from_content("psnr", said) == old, "null says as little as nothing"
    assert bounds_of(old) is None and bounds_of(record) == (0.0, None) and bounds_of(None) is None
