"""Many processes, one run folder: nothing is done twice, and the last table is whole."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from toys import MeanError, Sometimes

from hmbench.data.disc_world import DiscWorld
from hmbench.errors import UserError
from hmbench.files import write_json
from hmbench.results.run_folder import RunFolder
from hmbench.run import assemble as assembly
from hmbench.run import sharing
from hmbench.run.evaluate import EvalRequest, evaluate
from hmbench.run.sharing import DEAD, Session

HERE = Path(__file__).parent
SAMPLES = DiscWorld().ids("all")


def start(folder: Path, trials: int, *specs: str, pause: float = 0.3) -> list[str]:
    command = [sys.executable, str(HERE / "starts.py"), str(folder), str(trials), str(pause), *specs]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def whole(folder: Path) -> None:
    """All samples are in the table, and each was generated once."""
    assert "| mae | ↓ |" in (folder / "table.md").read_text() and "4 of 4" in (folder / "table.md").read_text()
    assert json.loads((folder / "summary.json").read_text())["metrics"]["mae"]["scored"] == 4
    assert len((folder / "rows.jsonl").read_text().splitlines()) == 8
    captions = [line.rsplit(" ", 1)[0] for line in (folder.parent / f"{folder.name}.log").read_text().splitlines()]
    assert len(captions) == 4, captions


def test_two_shards_that_end_together_leave_a_whole_table(tmp_path: Path) -> None:
    said = start(tmp_path, 2, "0/2", "1/2")
    assert all(line.startswith("0 ") for line in said), said
    for trial in range(2):
        whole(tmp_path / str(trial))


@pytest.mark.slow
@pytest.mark.parametrize("specs", [("0/2", "1/2"), ("0/1", "0/1"), ("0/1+join", "0/1+join"), ("0/1", "0/1+join")])
def test_twenty_double_starts(tmp_path: Path, specs: tuple[str, str]) -> None:
    said = start(tmp_path, 20, *specs)
    for trial in range(20):
        whole(tmp_path / str(trial))
    refused = [line for line in said if line.startswith("2 ")]
    assert all("is being worked on by process" in line for line in refused)
    if specs == ("0/1", "0/1"):
        assert len(refused) == 20
    elif specs == ("0/1", "0/1+join"):  # who does not ask to join is told if the other was first
        assert len({line.split(" is being")[0] for line in refused}) == len(refused) <= 20
    else:
        assert refused == []


def test_many_shards_that_end_together_assemble_a_few_times(tmp_path: Path) -> None:
    """A turn that finds nothing new reads what the last one wrote: four shards, and the last to write ends last."""
    said = start(tmp_path, 1, "0/4", "1/4", "2/4", "3/4", pause=1.0)
    assert all(line.startswith("0 ") for line in said), said
    whole(tmp_path / "0")


def test_an_assembly_with_nothing_new_reads_no_score_file(tmp_path: Path, monkeypatch) -> None:
    request = EvalRequest(model="toys:toy", data="disc", out=tmp_path / "run")
    first = evaluate(request, metrics=[MeanError(), Sometimes()])
    monkeypatch.setattr(assembly, "_assemble", lambda *_: pytest.fail("assembled again"))
    run = RunFolder(request.out)
    again = assembly.assemble(run, first.manifest)
    assert again.summary == first.summary and list(again.summary) == ["mae", "sometimes"] and again.missing == ()
    (request.out / "table.md").write_text("mine")
    monkeypatch.undo()
    assembly.assemble(run, first.manifest)
    assert "4 of 4" in (request.out / "table.md").read_text()


def test_a_table_of_an_unfinished_run_says_so_in_every_format(tmp_path: Path) -> None:
    request = EvalRequest(model="toys:toy", data="disc", out=tmp_path, shard=(0, 2))
    result = evaluate(request, metrics=[MeanError(), Sometimes()])
    assert result.missing == (SAMPLES[1], SAMPLES[3])
    assert result.summary["mae"].scored == 2 and result.summary["mae"].total == 4
    for name, cell in (("table.md", "| 2 of 4 |"), ("table.tex", "& 2 of 4 "), ("table.csv", ",2,4\n")):
        assert cell in (tmp_path / name).read_text(), name
    for name in ("table.md", "table.tex"):
        assert "unfinished: 2 of 4 samples" in (tmp_path / name).read_text(), name
    evaluate(EvalRequest(model="toys:toy", data="disc", out=tmp_path), metrics=[MeanError(), Sometimes()])
    assert "unfinished" not in (tmp_path / "table.md").read_text()


def test_the_second_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    with Session(tmp_path / "run") as first:
        with pytest.raises(UserError, match="is being worked on by") as told, Session(tmp_path / "run"):
            pass
        text = str(told.value)
        assert f"process {os.getpid()} on {first.holder.host} since {first.holder.since}" in text and "--join" in text
        with Session(tmp_path / "run", join=True) as second:
            assert [o.pid for o in second.others()] == [os.getpid()]
            assert first.claim("a", "generate") and not second.claim("a", "generate") and second.claim("b", "generate")
            first.release("a", "generate")
            assert second.claim("a", "generate")
    assert not (tmp_path / "run").exists(), "a session that left nothing behind leaves no folder"


def test_a_refused_command_takes_nothing_from_the_one_that_works(tmp_path: Path) -> None:
    """Its folders were empty a moment ago: the refused one took them for its own traces."""
    with Session(tmp_path / "run") as first:
        with pytest.raises(UserError, match="is being worked on"), Session(tmp_path / "run"):
            pass
        assert first.claim("a", "generate")
    assert not (tmp_path / "run").exists()


def test_folders_that_one_who_ends_tidies_away_are_made_again(tmp_path: Path, monkeypatch) -> None:
    publish, ended = sharing._publish, []

    def late(path: Path, text: str) -> None:
        if not ended:
            ended.append(path.parent.rmdir())
        publish(path, text)

    monkeypatch.setattr(sharing, "_publish", late)
    with Session(tmp_path / "run") as session:
        assert ended and session.claim("a", "generate")


@pytest.mark.parametrize(
    ("a", "b", "refused"),
    [((0, 4), (1, 4), False), ((1, 4), (1, 4), True), ((0, 4), (1, 2), True), ((0, 1), (1, 2), True)],
)
def test_only_shards_of_one_division_go_together(tmp_path: Path, a, b, refused: bool) -> None:
    with Session(tmp_path, a):
        if refused:
            with pytest.raises(UserError, match="is being worked on"), Session(tmp_path, b):
                pass
        else:
            with Session(tmp_path, b):
                pass


def leave_a_dead_session(folder: Path, **changes: object) -> Path:
    """A session whose process was killed: its file and its claim on a sample are still there."""
    (folder / ".work" / "sessions").mkdir(parents=True)
    (folder / ".work" / "claims").mkdir()
    content = {**vars(sharing.this_process((0, 1))), **changes}
    path = folder / ".work" / "sessions" / f"{content['token']}.json"
    write_json(path, content)
    os.link(path, folder / ".work" / "claims" / f"{SAMPLES[0]}.generate")
    return path


@pytest.mark.parametrize("changes", [{"pid": 2**22 + 7}, {"started": 12345.0}])
def test_a_dead_process_of_this_host_holds_nothing(tmp_path: Path, changes: dict[str, object]) -> None:
    path = leave_a_dead_session(tmp_path, **changes)
    with Session(tmp_path) as session:
        assert session.claim(SAMPLES[0], "generate") and not path.exists()


def test_what_this_process_could_not_take_away_does_not_hold_the_folder(tmp_path: Path, monkeypatch) -> None:
    """On a disk that refused everything the session's own file stayed, and a notebook could never go on."""
    real = Path.unlink

    def refused(path: Path, *rest: object, **more: object) -> None:
        if path.parent.name in ("sessions", "claims"):
            raise PermissionError(13, "Permission denied")
        real(path, *rest, **more)

    with pytest.raises(RuntimeError, match="the reason"), Session(tmp_path) as first:
        assert first.claim(SAMPLES[0], "generate")
        monkeypatch.setattr(Path, "unlink", refused)
        raise RuntimeError("the reason")
    monkeypatch.setattr(Path, "unlink", real)
    assert list((tmp_path / ".work" / "sessions").glob("*.json"))
    with Session(tmp_path) as session:
        assert session.claim(SAMPLES[0], "generate")


def test_a_process_of_another_host_is_alive_while_it_gives_signs(tmp_path: Path) -> None:
    path = leave_a_dead_session(tmp_path, host="node7", machine="node7 boot", pid=1)
    with pytest.raises(UserError, match="process 1 on node7 since"), Session(tmp_path):
        pass
    os.utime(path, (time.time() - DEAD - 5,) * 2)
    with Session(tmp_path) as session:
        assert session.claim(SAMPLES[0], "generate") and not path.exists()


def test_a_file_system_without_links(tmp_path: Path, monkeypatch) -> None:
    def no_link(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(sharing.os, "link", no_link)
    with Session(tmp_path / "run") as first, Session(tmp_path / "run", join=True) as second:
        assert first.claim("a", "score") and not second.claim("a", "score") and first.claim("a", "score")


def test_sessions_give_signs_of_life(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sharing, "BEAT", 0.05)
    with Session(tmp_path) as session:
        session.claim("a", "score")
        os.utime(session._file, (1, 1))
        deadline = time.monotonic() + 5
        while session._file.stat().st_mtime < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert (tmp_path / ".work" / "claims" / "a.score").stat().st_mtime > 2, "claims live as long as their session"
