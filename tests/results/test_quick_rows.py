"""Rows read as columns are the rows that are read one by one; what is unusual is left to the careful reader."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hmbench.results.quick_rows import quick_rows
from hmbench.results.records import Row, read_rows

LINE = {
    "sample": "a",
    "metric": "psnr",
    "version": 2,
    "value": 0.1,
    "reason": None,
    "cluster": "s",
    "details": {"k": 1},
}


def written(path: Path, *lines: object) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_both_ways_read_the_same(tmp_path) -> None:
    values = [1, 0.1 + 0.2, -0.0, 1e-308, 123456789.123456789, None]
    lines = [
        {**LINE, "sample": f"clip {k} é\u2028\U0001f600", "value": value, "reason": None if value else 'why: "x"\\'}
        for k, value in enumerate(values)
    ]
    path = written(tmp_path / "rows.jsonl", *lines)
    quick = quick_rows(path)
    assert quick is not None
    careful = [Row(**{**vars(row), "details": {}}) for row in read_rows(path)]
    assert quick == careful
    assert [str(row.value) for row in quick if row.value == 0] == ["-0.0"]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"sample": "a"}',
        json.dumps({**LINE, "value": "1"}),
        json.dumps({**LINE, "value": True}),
        json.dumps({**LINE, "version": None}),
        json.dumps({**LINE, "version": 1.5}),
        json.dumps({**LINE, "sample": 3}),
        json.dumps({**LINE, "cluster": None}),
        json.dumps(LINE).replace("0.1", "NaN"),
        json.dumps(LINE).replace("0.1", "1e999"),
        json.dumps(LINE)[:-1] + ', "value": 0.2}',
        json.dumps(LINE)[:-1] + ', "more": ' + "[" * 5000 + "]" * 5000 + "}",
        json.dumps({k: v for k, v in LINE.items() if k != "cluster"}),
    ],
    ids=range(14),
)
def test_what_is_unusual_is_left_to_the_careful_reader(tmp_path, line) -> None:
    assert quick_rows(written(tmp_path / "rows.jsonl", LINE)) is not None
    assert quick_rows(written(tmp_path / "rows.jsonl", LINE, line)) is None


def test_bytes_that_are_no_text_and_files_that_are_not_there(tmp_path) -> None:
    path = tmp_path / "rows.jsonl"
    assert quick_rows(path) is None
    path.write_bytes(json.dumps(LINE).replace('"a"', '"X"').encode().replace(b"X", b"\xff\xfe") + b"\n")
    assert quick_rows(path) is None
    path.write_bytes(b"")
    assert quick_rows(path) is None
