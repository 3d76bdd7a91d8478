"""The list of mutations (`python tests/mutations`) still fits the code."""

import importlib.util
import json
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LIST = json.loads((HERE / "mutations" / "mutations.json").read_text())


def tool():
    spec = importlib.util.spec_from_file_location("mutations", HERE / "mutations" / "__main__.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("mutation", LIST, ids=[m["name"] for m in LIST])
def test_each_changes_one_place_that_exists(mutation):
    text = (HERE.parent / mutation["file"]).read_text()
    assert text.count(mutation["old"]) == 1, "rewrite it where the code now stands, in the same spirit"
    assert mutation["new"] != mutation["old"]
    assert all((HERE.parent / test).exists() for test in mutation["tests"].split() if not test.startswith("-"))


def test_what_becomes_of_a_mutation(tmp_path):
    (tmp_path / "sums.py").write_text("def total(a, b):\n    return a + b\n")
    (tmp_path / "test_sums.py").write_text("from sums import total\n\ndef test_it():\n    assert total(2, 2) == 4\n")
    plus = {"file": "sums.py", "old": "a + b", "tests": "test_sums.py"}
    found = [tool().attempt(tmp_path, {**plus, "new": new}) for new in ("a - b", "a * b", "a +")]
    assert found == ["killed", "survived", "broken"]
    assert tool().attempt(tmp_path, {**plus, "old": "a / b", "new": "a"}) == "gone"
    assert (tmp_path / "sums.py").read_text() == "def total(a, b):\n    return a + b\n"
