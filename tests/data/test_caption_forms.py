"""Captions in the forms that people write them in: each reaches its own clip, or nobody's and it is said why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hmbench.data.captions_file import CaptionFile, names_sample, read_caption_file

IDS = [f"sample{n}" for n in range(1, 13)]
TEXT = {name: f"A dog runs, number {n}: fast." for n, name in enumerate(IDS, 1)}
MIXED = [IDS[n * 5 % 12] for n in range(12)]  # no order that a reader could guess


def read(folder: Path, text: str | bytes, ids: list[str] = IDS) -> CaptionFile:
    path = folder / "caption.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_caption_file(path, sorted(ids))


def lines(form: Callable[[str], str]) -> str:
    return "".join(form(name) + "\n" for name in MIXED)


NAMED = {
    "semicolon": lines(lambda i: f"{i};{TEXT[i]}"),
    "equals": lines(lambda i: f"{i} = {TEXT[i]}"),
    "arrow": lines(lambda i: f"{i} => {TEXT[i]}"),
    "dash": lines(lambda i: f"{i} – {TEXT[i]}"),
    "several bars": lines(lambda i: f"{i} ||| {TEXT[i]}"),
    "hashes": lines(lambda i: f"{i}###{TEXT[i]}"),
    "brackets": lines(lambda i: f"[{i}] {TEXT[i]}"),
    "list": lines(lambda i: f"- {i}: {TEXT[i]}"),
    "single quotes": lines(lambda i: f"'{i}': '{TEXT[i]}',"),
    "JSON that is not closed": "{\n" + lines(lambda i: f'  "{i}": "{TEXT[i]}",'),
    "folded": lines(lambda i: f"{i}: >\n  {TEXT[i]}"),
    "numbers before ids": "".join(f"{n}. {i}: {TEXT[i]}\n" for n, i in enumerate(MIXED, 1)),
    "path with blanks": lines(lambda i: f"my data/{i}/cond.mp4 {TEXT[i]}"),
    "Windows path": lines(lambda i: f"C:\\data\\{i}\\cond.mp4: {TEXT[i]}"),
    "suffix": lines(lambda i: f"{i}.MP4\t{TEXT[i]}"),
    "tab behind": lines(lambda i: f"{TEXT[i]}\t{i}"),
    "bar behind": lines(lambda i: f"{TEXT[i]}|{i}.mp4"),
    "comma behind": lines(lambda i: f'"{TEXT[i]}",{i}'),
    "brackets behind": lines(lambda i: f"{TEXT[i]} ({i})"),
    "caption above": lines(lambda i: f"{TEXT[i]}\n{i}"),
    "two lines below": lines(lambda i: f"{i}\nA dog runs,\nnumber {i[6:]}: fast.\n"),
    "table": "id,scene,caption\n" + lines(lambda i: f'{i},Dawn,"{TEXT[i]}"'),
    "table, caption unquoted": "id,scene,caption\r\n" + lines(lambda i: f"{i},Dawn,{TEXT[i]}"),
    "table, caption first": "caption\tscene\tvideo\n" + lines(lambda i: f"{TEXT[i]}\tDawn\t{i}.mp4"),
    "table over lines": "id,caption\n" + lines(lambda i: f'{i},"{TEXT[i]}"').replace("runs, ", "runs, "),
    "object by path": json.dumps({f"HM-World/{i}/tgt.mp4": TEXT[i] for i in MIXED}),
    "object of objects": json.dumps({i: {"scene": "x" * 99, "caption": TEXT[i]} for i in MIXED}, indent=1),
    "object in an object": json.dumps({"version": "1", "data": {i: TEXT[i] for i in MIXED}}, indent=1),
    "list in an object": json.dumps({"captions": [{"id": i, "caption": TEXT[i]} for i in MIXED]}),
    "columns": json.dumps({"id": MIXED, "caption": [TEXT[i] for i in MIXED]}),
    "pairs": json.dumps([[i, TEXT[i]] for i in MIXED]),
    "list of texts": json.dumps([TEXT[i] for i in IDS], indent=1),
    "lines with longer texts": lines(lambda i: json.dumps({"path": "/" + "x" * 99, "id": i, "caption": TEXT[i]})),
    "lines by id": lines(lambda i: json.dumps({i: [TEXT[i]]})),
    "bare, numbered": "".join(f"{n}) {TEXT[f'sample{n}']}\n" for n in (5, 1, 12, 2, 3, 4, 6, 11, 10, 9, 8, 7)),
    "bare, Mac": "".join(TEXT[i] + "\r" for i in IDS),
    "UTF-16 without a mark": lines(lambda i: f"{i}\t{TEXT[i]}").encode("utf-16-le"),
    "UTF-32": lines(lambda i: f"{i}\t{TEXT[i]}").encode("utf-32"),
}


@pytest.mark.parametrize("form", NAMED)
def test_each_reaches_its_clip(form: str, tmp_path: Path) -> None:
    found = read(tmp_path, NAMED[form])
    assert found.captions == TEXT and found.problem is None, found.form


@pytest.mark.parametrize("form", [name for name in NAMED if not name.startswith("bare") and name != "list of texts"])
def test_of_a_partial_download(form: str, tmp_path: Path) -> None:
    """One is the beginning of the other."""
    few = ["sample1", "sample12"]
    assert read(tmp_path, NAMED[form], few).captions == {name: TEXT[name] for name in few}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (lines(lambda i: f"{i.upper()}\t{TEXT[i]}"), "seem to name samples"),
        (lines(lambda i: f"sample{int(i[6:]):04d} {TEXT[i]}"), "seem to name samples"),
        (lines(lambda i: f"{i}{TEXT[i]}"), "seem to name samples"),
        (lines(lambda i: f"clip {i[6:]}\t{TEXT[i]}"), "look like a table"),
        (lines(lambda i: f"{i[6:]}|{TEXT[i]}"), "look like a table"),
        (json.dumps({str(n): TEXT[i] for n, i in enumerate(IDS)}), "none of the 12 samples is named"),
        (json.dumps({str(n): TEXT[i] for n, i in enumerate(IDS[:10])}, indent=1), "none of the 12 samples is named"),
        (str(TEXT), "seem to name samples"),
        ("\n".join(TEXT[i] for i in IDS[:6]) + "\n\n" + "\n".join(TEXT[i] for i in IDS[7:]) + "\n\nx\n", "2 more are"),
    ],
)
def test_nobody_s_where_it_cannot_be_known(text: str, why: str, tmp_path: Path) -> None:
    found = read(tmp_path, text)
    assert found.captions == {} and why in (found.problem or "")


def test_an_empty_line_is_a_clip_without_words(tmp_path: Path) -> None:
    """With as many lines as clips; with one clip less, nobody knows whose line the empty one was."""
    text = "".join(("" if i == "sample3" else TEXT[i]) + "\n" for i in IDS)
    assert read(tmp_path, text).captions == {i: TEXT[i] for i in IDS if i != "sample3"}
    assert read(tmp_path, text, [i for i in IDS if i != "sample7"]).captions == {}


def test_one_id_with_two_captions_has_none(tmp_path: Path) -> None:
    for more in ("sample2\tA cat.\n", "sample2: A cat.\n", json.dumps({"id": "sample2", "caption": "A cat."}) + "\n"):
        found = read(tmp_path, lines(lambda i: f"{i}\t{TEXT[i]}") + more)
        assert found.captions == {i: TEXT[i] for i in IDS if i != "sample2"}
        assert found.problem == "1 samples have several different captions, such as sample2"
    same = read(tmp_path, 2 * lines(lambda i: f"{i}\t{TEXT[i]}"))
    assert same.captions == TEXT and same.problem is None


def test_letters_of_other_codings(tmp_path: Path) -> None:
    text = {i: f"“A dog” {i[6:]} – it’s\u2028café" for i in IDS}
    assert read(tmp_path, "".join(text[i] + "\n" for i in IDS)).captions == text  # one line each
    old = {i: text[i].replace("\u2028", " ") for i in IDS}
    written = lines(lambda i: f"{i}\t{old[i]}").encode("cp1252")
    assert read(tmp_path, written + b"other\t\xe2\x80\x9cA cat\xe2\x80\x9d\n").captions == old


def test_names_that_folders_made_longer(tmp_path: Path) -> None:
    """What two folders have under one name is called after its folder, and its path finds it."""
    text = "a/clip1|A dog.\nb/clip1|A cat.\n"
    assert read(tmp_path, text, ["clip1", "b-clip1"]).captions == {"clip1": "A dog.", "b-clip1": "A cat."}


def test_lines_of_a_sample() -> None:
    assert all(names_sample(line, "sample1") for line in ("sample1\tx", "a/sample1.mp4|x", "sample1: x", "sample1 x"))
    assert not any(names_sample(line, "sample1") for line in ("sample12\tx", "A sample1 walks.", "sample1"))
