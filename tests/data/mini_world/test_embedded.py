"""The embedded sets are known before anything is drawn, and of them only what is asked for is drawn."""

from pathlib import Path

import pytest

from hmbench.cli import main
from hmbench.data.dataset import Wanted, open_dataset
from hmbench.data.embedded import SPLIT_OF
from hmbench.data.embedded_clips import EMBEDDED_CLIPS, OF, slot_of
from hmbench.data.hm_world import HMWorld
from hmbench.data.mini_world import default
from hmbench.data.mini_world.generate import GenerateConfig, _accepted
from hmbench.data.mini_world.scenes import build_scene
from hmbench.data.mini_world.spec import GENERATOR, make_plan
from hmbench.data.mini_world.splits import spread_slots
from hmbench.data.mini_world.writer import sample_id
from hmbench.errors import UserError

FIRST, SECOND, THIRD, FOURTH = EMBEDDED_CLIPS["mini"][:4]


@pytest.fixture
def small(tmp_path: Path, monkeypatch) -> Path:
    """An empty cache, and clips of 32 x 32."""
    monkeypatch.setenv("HMBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(default, "DEFAULT_SIZE", (32, 32))
    return default.default_folder(tmp_path / "mini-world")


def drawn(folder: Path) -> set[str]:
    return {path.parent.name for path in folder.glob("[!.]*/truth.json")}


@pytest.mark.parametrize("name", SPLIT_OF)
def test_the_list_is_of_this_generator(name: str) -> None:
    assert OF == (GENERATOR, default.CHOICE), "make the lists of hmbench.data.embedded_clips again"
    assert tuple(map(slot_of, EMBEDDED_CLIPS[name])) == spread_slots(SPLIT_OF[name], 0, default.DEFAULT_CLIPS)


@pytest.mark.slow
@pytest.mark.parametrize("name", SPLIT_OF)
def test_the_list_names_the_clips_that_are_drawn(name: str) -> None:
    config = GenerateConfig(out=Path(), split=SPLIT_OF[name])
    made = []
    for slot in map(slot_of, EMBEDDED_CLIPS[name]):
        spec, _ = _accepted(config, slot)
        made.append(sample_id(slot + 1, spec, make_plan(spec, build_scene(spec.scene)).location))
    assert tuple(made) == EMBEDDED_CLIPS[name]


def test_only_what_is_wanted_is_drawn(small: Path) -> None:
    heard: list[tuple[str, int]] = []
    data = open_dataset("mini", lambda name, total: heard.append((name, total)), wanted=Wanted(limit=1))
    assert drawn(small) == {FIRST} and heard == [(FIRST, 1)]
    assert data.ids("all") == data.ids("test") == tuple(sorted(EMBEDDED_CLIPS["mini"]))
    assert data.ids("unseen-both")[0] == FOURTH
    alone = data.revision((FIRST,))
    again = open_dataset("mini", lambda name, total: heard.append((name, total)), wanted=Wanted(samples=("00004",)))
    assert drawn(small) == {FIRST, FOURTH} and heard[1:] == [(FOURTH, 1)]
    assert again.revision((FIRST,)) == alone == HMWorld(small).revision((FIRST,))
    assert again.caption(FOURTH) == HMWorld(small).caption(FOURTH) and again.caption(FIRST)
    (small / FIRST / "cond.mp4").write_bytes(b"")  # a damaged clip is made again, also of a part
    assert open_dataset("mini", wanted=Wanted(limit=1)).revision((FIRST,)) == alone


def test_what_was_not_said_is_drawn_when_it_is_read(small: Path) -> None:
    data = open_dataset("mini", wanted=Wanted(limit=1))
    assert data.load(SECOND).id == SECOND and drawn(small) == {FIRST, SECOND}
    (small / "caption.txt").write_text("")  # as if another process had written them before this clip was there
    assert open_dataset("mini", wanted=Wanted(limit=1)).caption(SECOND)


@pytest.mark.parametrize("wanted", [Wanted(samples=("0000x",)), Wanted(split="sen")])
def test_a_typo_draws_nothing(small: Path, wanted: Wanted) -> None:
    with pytest.raises(UserError, match=r"no sample '0000x'|no split 'sen'"):
        open_dataset("mini", wanted=wanted)
    assert not small.exists()


def test_a_typo_on_the_command_line_draws_nothing(small: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr("sys.argv", ["hmbench", "eval", "--model", "copy-last", "--data", "mini", "--sample", "0000x"])
    with pytest.raises(SystemExit):
        main()
    assert "The data set mini has no sample '0000x'." in capsys.readouterr().err
    assert not small.exists()
