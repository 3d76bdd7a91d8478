"""What `doctor` says of the Hub was tried, or it says that it was not."""

from __future__ import annotations

import re

import pytest

from hmbench.run import doctor
from tests.hub_server import hub_server

MEMORY, DISK = doctor._memory, doctor._disk


def hub_of(checks: list[doctor.Check]) -> doctor.Check:
    return next(check for check in checks if check.name == "Hub")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the Hub is looked at."""
    for name in ("_software", "_memory", "_disk", "_codecs", "_lap"):
        monkeypatch.setattr(doctor, name, lambda: doctor.Check(name="other", verdict="ok", found=""))
    monkeypatch.setattr(doctor, "_devices", list)


def test_the_hub_is_tried_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with hub_server({f"datasets/{doctor.HM_WORLD}": {"README.md": b"card"}}) as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        silent = hub_of(doctor.examine())
        assert (silent.verdict, len(server.log)) == ("note", 0) and silent.found.startswith("not tried")
        found = hub_of(doctor.examine(hub=True))
        assert found.verdict == "ok" and found.found.startswith(f"{doctor.HM_WORLD} answers") and server.log
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    gone = hub_of(doctor.examine(hub=True))
    assert gone.verdict == "problem" and f"{doctor.HM_WORLD} cannot be reached" in gone.found
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert hub_of(doctor.examine(hub=True)).found.startswith("offline")


def test_amounts_have_units() -> None:
    assert re.search(r"GiB free; .* takes about 2 GiB$", MEMORY().found)
    assert re.search(r"GiB free here; .* takes about 0\.05 GiB$", DISK().found)


def test_a_study_says_what_a_clip_costs() -> None:
    from hmbench.cli.validate import took

    assert took(600, 20, 2).startswith("20 clips took 10.0 min (60 s a clip and process)")
    assert took(42, 2, 1).startswith("2 clips took 42 s (21 s a clip and process)")
