"""Subjects are named by their clothes; files of before, which named people by a colour alone, read as the same ones."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from hmbench.data.hm_world import read_sample
from hmbench.data.mini_world.captions import describe
from hmbench.data.mini_world.default import CHOICE
from hmbench.data.mini_world.generate import GenerateConfig, generate
from hmbench.data.mini_world.looks import LOOKS
from hmbench.data.mini_world.splits import SPLITS, candidate
from hmbench.errors import UserError
from hmbench.networks.files import read_card
from hmbench.report.pages.events import checked_event
from hmbench.results.run_folder import RunFolder
from hmbench.subject_names import FORMER, current_name


def former(name: str) -> str:
    return next((old for old, new in FORMER.items() if new == name), name)


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
def test_a_name_says_what_the_caption_says(look) -> None:  # type: ignore[no-untyped-def]
    words = describe(look).split()
    if look.body == "person":  # "a man in a striped black coat and ..."
        told = words[4 : words.index("and")]
        assert look.name == "".join(word.capitalize() for word in (*told, look.kind)) and told[-1] in ("coat", "top")
    else:
        pattern = "" if look.pattern == "plain" else look.pattern
        assert look.name == pattern.capitalize() + look.top.capitalize() + look.kind.capitalize()


def test_every_person_and_nobody_else_was_renamed() -> None:
    persons = {look.name for look in LOOKS if look.body == "person"}
    assert set(FORMER.values()) == persons and len(FORMER) == len(persons) == 25
    assert not set(FORMER) & {look.name for look in LOOKS}
    assert {old: old for old in FORMER} == {
        old: new.replace("Coat", "").replace("Top", "") for old, new in FORMER.items()
    }
    assert current_name("BlackManDuplicate") == "BlackTopManDuplicate" and current_name("BrownDog") == "BrownDog"
    assert current_name("BlackTopMan") == "BlackTopMan" and current_name("Duplicate") == "Duplicate"


def test_the_shipped_gallery_and_the_splits_know_todays_names() -> None:
    assert set(read_card("reid")["gallery"]) <= {look.name for look in LOOKS}
    specs = [candidate(split, 0, slot, k).to_json() for split in SPLITS for slot in range(40) for k in range(2)]
    digest = hashlib.sha256(json.dumps(specs, sort_keys=True).encode()).hexdigest()
    assert digest[:16] == "b6fac3f317a72953", "clips of the splits are other ones than before the subjects' renaming"


def test_clips_of_before_read_as_the_same_subjects(tmp_path: Path) -> None:
    config = GenerateConfig(out=tmp_path / "data", slots=(2,), size=(32, 32), half=5)
    folder = config.out / generate(config).made[0].name
    now = read_sample(folder, None)
    names = [subject.name for subject in now.truth.subjects]
    assert set(names) & set(FORMER.values()), "no person in this clip: choose another"
    for name in ("truth.json", "check.json", "character.json"):
        text = (folder / name).read_text()
        for new in names:
            text = text.replace(f'"{new}"', f'"{former(new)}"')
        (folder / name).write_text(text.replace('"names":2,', ""))
    assert f'"{names[0]}"' not in (folder / "truth.json").read_text()
    before = read_sample(folder, None)
    assert [subject.name for subject in before.truth.subjects] == names and before.meta == now.meta

    marks = json.loads((config.out / "mini.json").read_text())
    del marks["names"]
    (config.out / "mini.json").write_text(json.dumps(marks))
    with pytest.raises(UserError, match=r"names 1 \(asked: 2\)") as refused:
        generate(GenerateConfig(out=config.out, slots=(3,), size=(32, 32), half=5))
    assert "Another version of hmbench" in str(refused.value.hint) and CHOICE == 3


def test_events_of_old_runs_and_entries_name_the_same_subjects(tmp_path: Path) -> None:
    event = {"sample": "a", "label": 1, "subject": "BlackMan", "exit": 3, "reentry": 9, "verdict": "vanished"}
    (tmp_path / "events.jsonl").write_text(json.dumps(event) + "\n")
    assert [one["subject"] for one in RunFolder(tmp_path).lines("events.jsonl")] == ["BlackTopMan"]
    assert checked_event(event)["subject"] == "BlackTopMan"
