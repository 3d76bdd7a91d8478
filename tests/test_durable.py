"""Files on the disk: whole, flushed, under names of their own, swept, and refused in a sentence."""

import errno
import json
import multiprocessing
import os
import pickle
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from hmbench import durable
from hmbench.durable import is_temporary, make_folder, replacing, replacing_folder, sweep, write_bytes
from hmbench.errors import StorageError, UserError
from hmbench.files import JsonLimits, parse_json, read_json, read_sealed, seal, write_json, write_sealed, write_text


class Calls:
    """What reaches the file system, in order."""

    def __init__(self, monkeypatch) -> None:
        self.seen: list[str] = []
        for name in ("fsync", "replace", "rename", "mkdir"):
            monkeypatch.setattr(os, name, self._spy(name, getattr(os, name)))

    def _spy(self, name, real):
        def called(*args, **keywords):
            if name == "fsync":
                kind = "folder" if stat.S_ISDIR(os.fstat(args[0]).st_mode) else "file"
                self.seen.append(f"flush {kind}")
            else:
                self.seen.append(name)
            return real(*args, **keywords)

        return called


def test_a_file_is_flushed_before_it_takes_its_name_and_the_folder_after(tmp_path: Path, monkeypatch) -> None:
    calls = Calls(monkeypatch)
    write_text(tmp_path / "a.txt", "one")
    assert calls.seen == ["flush file", "replace", "flush folder"]
    calls.seen.clear()
    with replacing(tmp_path / "b.bin") as temporary:
        temporary.write_bytes(b"two")
    assert calls.seen == ["mkdir", "flush file", "replace", "flush folder"]
    calls.seen.clear()
    with replacing_folder(tmp_path / "c") as temporary:
        (temporary / "inside.txt").write_text("three")
    assert calls.seen == ["mkdir", "mkdir", "flush file", "flush folder", "rename", "flush folder"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "b.bin", "c"]


def test_new_folders_are_flushed_into_those_above(tmp_path: Path, monkeypatch) -> None:
    calls = Calls(monkeypatch)
    make_folder(tmp_path / "x" / "y")
    assert calls.seen == ["mkdir", "flush folder", "mkdir", "flush folder"]


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(RuntimeError), replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise RuntimeError("the library broke")
    with pytest.raises(RuntimeError), replacing_folder(tmp_path / "b") as temporary:
        (temporary / "x").write_text("half")
        raise RuntimeError("the library broke")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"] and (tmp_path / "a.txt").read_text() == "old"


def test_a_folder_replaces_the_older_one_whole(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with replacing_folder(tmp_path / "f") as temporary:
            (temporary / name).write_text(name)
    assert [p.name for p in (tmp_path / "f").iterdir()] == ["two"]
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def _write_many(folder: Path, number: int) -> None:
    os.getpid = lambda: 1  # containers have equal process ids
    for turn in range(30):
        write_json(folder / "same.json", {"by": number, "turn": turn, "fill": "x" * 5000})
        read_json(folder / "same.json", kind=dict)
        sweep(folder)


def test_processes_with_one_id_share_a_name_and_sweep_each_other(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    workers = [fork.Process(target=_write_many, args=(tmp_path, number)) for number in range(5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 5
    assert [p.name for p in tmp_path.iterdir()] == ["same.json"]


OLD_NAMES = (".run.json.4711.part", ".clip.4711.part.mp4", ".00001_x.part-4711", ".model.part")


@pytest.mark.parametrize("write", [durable.replacing, durable.replacing_folder])
def test_a_folder_that_another_sweeps_before_it_is_locked_is_made_again(tmp_path: Path, monkeypatch, write) -> None:
    """Of shards that started together one was stopped now and then: "It was removed meanwhile"."""
    real, swept = Path.mkdir, []

    def mkdir(path: Path, *rest, **more) -> None:
        real(path, *rest, **more)
        if durable.is_temporary(path.name) and not swept:
            swept.extend(durable.sweep(path.parent))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with write(tmp_path / "a") as inside:
        (inside / "b" if inside.is_dir() else inside).write_text("x")
    assert len(swept) == 1 and [p.name for p in tmp_path.iterdir()] == ["a"]


def test_what_dead_writers_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    for name in OLD_NAMES[:2]:
        (tmp_path / name).write_text("half")
    for name in OLD_NAMES[2:]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "inside").write_text("half")
    for name in ("kept.json", ".hidden", "a.part"):
        (tmp_path / name).write_text("mine")
    code = "from pathlib import Path; import os, sys; from hmbench.durable import replacing\n"
    code += "with replacing(Path(sys.argv[1])) as t: t.write_text('half'); os._exit(9)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "killed.bin")], check=False)
    assert sum(is_temporary(p.name) for p in tmp_path.iterdir()) == 5
    with replacing(tmp_path / "live.bin") as temporary:
        temporary.write_text("being written")
        assert len(sweep(tmp_path)) == 4  # this version's own was swept by whoever wrote here first
        assert temporary.is_file()
    assert sorted(p.name for p in tmp_path.iterdir()) == [".hidden", "a.part", "kept.json", "live.bin"]


def test_who_writes_into_a_folder_sweeps_it_first(tmp_path: Path) -> None:
    for name in (".a.json.0123456789ab.part", ".mine.part", "b.0123456789ab.part"):
        (tmp_path / name).write_text("x")
    (tmp_path / ".c.fedcba987654.part").mkdir()
    write_text(tmp_path / "d.json", "{}")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".mine.part", "b.0123456789ab.part", "d.json"]


KINDS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE, errno.ESTALE)


@pytest.mark.parametrize("number", KINDS)
@pytest.mark.parametrize("call", ["fsync", "replace", "open"])
def test_what_the_file_system_refuses_is_a_sentence_with_a_remedy(tmp_path: Path, monkeypatch, number, call) -> None:
    write_text(tmp_path / "a.txt", "old")

    def refuse(*args, **keywords):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(StorageError) as found:
        write_text(tmp_path / "a.txt", "new")
    monkeypatch.undo()
    assert f"{tmp_path / 'a.txt'} cannot be read or written: {os.strerror(number)}." == found.value.what
    assert found.value.hint and found.value.errno == number
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"] and (tmp_path / "a.txt").read_text() == "old"


def test_a_file_where_a_folder_is_needed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file" / "run.json", tmp_path / "file" / "deep" / "run.json"):
        with pytest.raises(StorageError, match=r"is a file where a folder is needed"):
            write_text(path, "x")
    with pytest.raises(StorageError, match="It is a folder where a file is needed"):
        write_bytes(tmp_path, b"x")


def test_libraries_say_that_the_disk_is_full_in_their_own_words(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No space left on device"), replacing(tmp_path / "w") as temporary:
        temporary.touch()
        raise RuntimeError("I/O error: No space left on device (os error 28)")
    with pytest.raises(RuntimeError, match="float and half"), replacing(tmp_path / "w"):
        raise RuntimeError("float and half")


def test_a_storage_error_is_both_and_survives_a_pipe() -> None:
    error = durable.storage_error(OSError(errno.ENOSPC, "x"), Path("a"))
    assert isinstance(error, UserError) and isinstance(error, OSError)
    assert str(error).startswith("a cannot be read or written: No space left on device. Make room")
    assert isinstance(pickle.loads(pickle.dumps(error)), StorageError)


BAD_JSON = {
    "deep": ("[" * 100_000 + "]" * 100_000, "nested"),
    "deeper than allowed": ("[" * 65 + "]" * 65, "nested more than 64 deep"),
    "digits": (f'{{"a": {"9" * 6000}}}', "digit"),
    "more digits than allowed": (f'{{"a": {"9" * 50}}}', "more than 40 digits"),
    "nan": ('{"a": NaN}', "NaN"),
    "infinity": ("[-Infinity]", "Infinity"),
    "overflow": ("[1e999]", "beyond"),
    "a key twice": ('{"a": [{"b": 1, "c": 2, "b": 3}]}', "it has 'b' twice"),
    "cut off": ('{"a": [1, 2', "no valid JSON"),
    "empty": ("", "no valid JSON"),
    "list for object": ("[1]", "holds an array, expected an object"),
    "null for object": ("null", "holds null, expected an object"),
    "number for object": ("17", "holds a number, expected an object"),
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_json_of_others_is_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    text, said = BAD_JSON[name]
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UserError, match=said):
        read_json(tmp_path / "x.json", kind=dict)


@pytest.mark.parametrize(("text", "value"), [
    ("9" * 40, 10**40 - 1), ("-" + "9" * 40, 1 - 10**40), ("0." + "1" * 60, 1 / 9), ("-1e308", -1e308),
    ("[" * 63 + "7" + "]" * 63, 7), ('"' + "[" * 99 + '"', "[" * 99), (f"[{'[],' * 99}[]]", [[]] * 100),
])  # fmt: skip
def test_json_at_its_limits_is_read(text: str, value: object) -> None:
    found = parse_json(text, "it")
    while isinstance(value, int) and isinstance(found, list):
        (found,) = found
    assert found == value


@pytest.mark.parametrize("text", ["9" * 41, "-" + "9" * 41, "1e309", "-1e309", "[" * 64 + "7" + "]" * 64, "[[1,NaN]]"])
def test_json_just_beyond_its_limits_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"it is no valid JSON: (it is nested|a whole number|a number is|it holds NaN)"):
        parse_json(text, "it")


def test_files_that_are_no_json_at_all(tmp_path: Path) -> None:
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "loop.json").symlink_to(tmp_path / "loop.json")
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    for name, said in (
        ("bytes", "no valid JSON"), ("loop", "circle"), ("pipe", "no ordinary file"), ("folder", "no ordinary file"),
        ("none", "There is no file"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=said):
            read_json(tmp_path / f"{name}.json")
    (tmp_path / "big.json").write_text(json.dumps("x" * 2_000_000))
    with pytest.raises(UserError, match="JSON of more than 1 MiB is not read"):
        read_json(tmp_path / "big.json", limits=JsonLimits(size=1 << 20))
    assert parse_json('{"a": [1, 2.5, null, "b"]}', "it", kind=dict) == {"a": [1, 2.5, None, "b"]}


def test_a_sealed_file_is_read_as_it_was_written_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    write_sealed(path, {"b": (1, 2), "a": {"x": 0.1}})
    assert read_sealed(path) == {"a": {"x": 0.1}, "b": [1, 2]}
    content = json.loads(path.read_text())
    for changed in (
        {**content, "b": [1, 3]}, {**content, "more": 1}, {"digest": content["digest"]},
        {k: v for k, v in content.items() if k != "digest"}, {**content, "digest": None},
    ):  # fmt: skip
        write_json(path, changed)
        with pytest.raises(UserError, match="not as hmbench wrote it"):
            read_sealed(path)
    write_json(path, {"old": True})
    assert read_sealed(path, required=False) == {"old": True}
    assert seal({"a": 1}) != seal({"a": 1.0})
