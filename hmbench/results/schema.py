"""JSON schemas of a run's files, made from the records: ``python -m hmbench.results.schema docs/schemas``.

Programs that read runs may check them against these. Needs pydantic, which the extra ``test`` brings.
"""

from __future__ import annotations

import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from hmbench.errors import UserError
from hmbench.files import write_text
from hmbench.protocols import ModelInfo
from hmbench.results.metric_record import MetricRecord
from hmbench.results.records import EventRow, Row, RunManifest
from hmbench.results.sample_row import SampleRow

RECORDS: dict[str, type] = {
    "run": RunManifest,
    "row": Row,
    "event": EventRow,
    "sample": SampleRow,
    "model": ModelInfo,
    "metric": MetricRecord,
}
"""Name of the schema to the record that it describes: ``run.json``, lines of ``rows.jsonl``, ``events.jsonl`` and
``samples.jsonl``, and what ``run.json`` says of its model (``model_info``) and of each of its metrics (``metrics``)."""
FLAT = {"event": "numbers", "sample": "reading"}
"""Schema to the field whose entries stand beside the others on disk."""


def schema(record: type) -> dict[str, Any]:
    """The JSON schema of a record, its fields' docstrings as descriptions.

    Raises:
        UserError: If pydantic is not installed.
    """
    try:
        from pydantic import TypeAdapter
    except ModuleNotFoundError as error:
        raise UserError("Schemas are made by pydantic, which is not installed.", "pip install pydantic") from error
    found = TypeAdapter(record).json_schema()
    _describe(found, record)
    for name, inner in found.get("$defs", {}).items():
        if told := next((one for one in RECORDS.values() if one.__name__ == name), None):
            _describe(inner, told)
    for name, inner in FLAT.items():
        if RECORDS[name] is record:
            numbers = found["properties"].pop(inner)
            kinds = numbers["additionalProperties"]  # True for anything
            about = {"description": numbers["description"]}
            found["additionalProperties"] = {**(kinds if isinstance(kinds, dict) else {}), **about}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def text(record: type) -> str:
    """The schema as a file holds it."""
    return json.dumps(schema(record), indent=1, sort_keys=True) + "\n"


def _describe(found: dict[str, Any], record: type) -> None:
    """Writes the fields' docstrings into a schema, and takes out fields that no file holds."""
    described: dict[str, str] = {}
    for above in reversed(record.__mro__[:-1]):
        described |= _docstrings(above)
    for one in fields(record):
        if one.metadata.get("on disk") is False:
            del found["properties"][one.name]
        else:
            found["properties"][one.name]["description"] = described.get(one.name, "")


def _docstrings(record: type) -> dict[str, str]:
    """What stands in a string below each field."""
    import ast
    import inspect
    import textwrap

    body = ast.parse(textwrap.dedent(inspect.getsource(record))).body[0]
    assert isinstance(body, ast.ClassDef), f"{record} is no class"
    found = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        told = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and told:
            found[field.target.id] = " ".join(str(below.value.value).split())  # type: ignore[attr-defined]
    return found


if __name__ == "__main__":
    for _name, _record in RECORDS.items():
        write_text(Path(sys.argv[1]) / f"{_name}.schema.json", text(_record))
