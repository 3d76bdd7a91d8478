"""The split is a rule on single ids, frozen: a change of any constant or of the hash changes these numbers."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from hmbench.data.ids import parse_id
from hmbench.data.splits import cell_of, digest_of, in_split, split_ids, write_split
from hmbench.errors import UserError

SCENES = [f"Scene{i}" for i in range(17)]


def release(count: int = 57_000) -> list[str]:
    """Ids of a release of HM-World's size, with made-up names."""
    draw = random.Random(0)
    return [f"{i:05d}_{draw.choice(SCENES)}_loc{draw.randrange(12)}_Path{i % 10}_Cam{i % 28}_1" for i in range(count)]


@pytest.fixture(scope="module")
def ids() -> list[str]:
    return release()


@pytest.fixture(scope="module")
def test_and_train(ids: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return split_ids(ids, "hmworld-test-v1"), split_ids(ids, "hmworld-train-v1")


def test_the_rule_is_frozen(test_and_train: tuple[tuple[str, ...], ...]) -> None:
    """These digests are the version: if they change, the split needs a new name."""
    assert digest_of(test_and_train[0]) == TEST_DIGEST
    assert digest_of(test_and_train[1]) == TRAIN_DIGEST


TEST_DIGEST = "11279432d2cb43982aa54c754ad2fda4193563215f8b99bf1b8ba8aec5a85a7c"
TRAIN_DIGEST = "13fb438b3ffed907ecf8652ed50693ff4bbdd8fd03f22126bb27d4e1b4c84644"


def test_sizes_and_cells(ids: list[str], test_and_train: tuple[tuple[str, ...], ...]) -> None:
    test, train = test_and_train
    assert len(test) == 1000 and len(train) > 0.8 * len(ids)
    assert not set(test) & set(train)
    assert {cell_of(i) for i in train} == {"seen"}
    held_out = {s for s in SCENES if cell_of(f"1_{s}_loc1_a_b_1") == "unseen-scene"}
    assert 0 < len(held_out) < 6
    assert not {p.scene for i in train if (p := parse_id(i))} & held_out
    assert 0.1 < sum(cell_of(i) == "unseen-scene" for i in test) / 1000 < 0.6


def test_order_and_subsets_change_nothing(ids: list[str], test_and_train: tuple[tuple[str, ...], ...]) -> None:
    test, train = test_and_train[0], set(test_and_train[1])
    assert split_ids(random.Random(1).sample(ids, len(ids)), "test") == test == tuple(sorted(test))
    few = ids[:10_000]
    assert set(split_ids(few, "train")) == train & set(few)
    assert set(split_ids(few, "test")) >= set(test) & set(few)
    assert not {i for i in few if in_split(i, "test")} & train


def test_ids_that_do_not_parse() -> None:
    ids = [f"sample{i}" for i in range(60_000)]
    assert len(split_ids(ids, "test")) == 1000 and {cell_of(i) for i in ids} == {"seen"}
    assert len(split_ids(ids, "train")) + sum(in_split(i, "test") for i in ids) == len(ids)


def test_published_file(tmp_path: Path, ids: list[str]) -> None:
    content = write_split(tmp_path / "test.json", reversed(ids), "test", "a source")
    stored = json.loads((tmp_path / "test.json").read_text())
    assert stored == content and stored["name"] == "hmworld-test-v1" and stored["count"] == 1000
    assert stored["sha256"] == digest_of(stored["ids"]) and stored["chosen_from"]["count"] == 57_000
    assert "sha256" in stored["rule"] and stored["cells"]["seen"] + stored["cells"]["unseen-scene"] == 1000


def test_unknown_split() -> None:
    with pytest.raises(UserError, match=r"There is no split 'tests'. Did you mean 'test'"):
        split_ids(["a"], "tests")
