"""Published schemas are those of the records, and a run that the code makes fits them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hmbench.results.records import read_rows
from hmbench.results.run_folder import RunFolder
from hmbench.results.schema import RECORDS, schema, text

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
    assert RunFolder(tmp_path / "run").read_manifest().metrics["mae"]["version"] == 3
    (row,) = read_rows(tmp_path / "run" / "rows.jsonl")
    line = json.loads((tmp_path / "run" / "rows.jsonl").read_text())
    TypeAdapter(RECORDS["row"]).validate_python(line)
    assert row.value == line["value"]
    with pytest.raises(ValidationError):
        TypeAdapter(RECORDS["row"]).validate_python(line | {"version": "three"})
