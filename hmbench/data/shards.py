"""Samples in shards, as the Hub's users have them: WebDataset tars or Parquet files, written and read, also streaming.

A tar holds ``<id>.<file>`` for each file of a sample (``sample1.cond.mp4``, ``sample1.camera.json``), its caption as
``<id>.caption.txt``, samples one after the other: `webdataset` and ``load_dataset("webdataset", ...)`` group them by
the name up to the first dot. A Parquet file has a row a sample and a column of bytes for each file, beside ``id`` and
``caption``. ``shards.json`` names every file's digest, so that the data keep the revision of the folder that they came
from: runs on both are compared.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Literal, get_args

from hmbench.data.card import CARD_FILE, read_card
from hmbench.data.hm_world import SPLITS, HMWorld, ids_of_split, read_sample
from hmbench.data.hub.archive import Limits, read_archive
from hmbench.data.ids import check_id
from hmbench.durable import replacing, write_bytes
from hmbench.errors import SampleError, UserError, did_you_mean
from hmbench.files import file_name, read_json, write_json
from hmbench.types import Sample

Form = Literal["webdataset", "parquet"]
INDEX = "shards.json"
CAPTION = "caption.txt"
CLIPS_A_SHARD = 64


def export_shards(
    data: HMWorld, ids: Sequence[str], out: Path, form: Form, on_sample: Callable[[str], None] | None = None
) -> Path:
    """Writes samples as shards; shards that are there are written anew.

    Args:
        data: A folder in HM-World's layout.
        ids: Which samples.
        out: Folder of the shards.
        form: ``webdataset`` or ``parquet``.
        on_sample: Told of each sample.

    Returns:
        The index.

    Raises:
        UserError: If a sample cannot be a group of files: its id has a dot, or it has folders; or if there are
            several cards.
    """
    if form not in get_args(Form):
        raise UserError(f"There is no form {form!r}.", did_you_mean(form, get_args(Form)))
    if not ids:
        raise UserError("There is no sample to export.", "Choose another --split.")
    if len(cards := data.cards()) > 1:
        raise UserError(
            f"{data.folder} has several cards ({cards[0]}, {cards[1]}), and shards have one.", "Export each part alone."
        )
    out.mkdir(parents=True, exist_ok=True)
    known: dict[str, dict[str, str]] = {}
    shards = []
    for place, start in enumerate(range(0, len(ids), CLIPS_A_SHARD)):
        part = ids[start : start + CLIPS_A_SHARD]
        path = out / f"{place:05d}.{'tar' if form == 'webdataset' else 'parquet'}"
        write = _write_tar if form == "webdataset" else _write_parquet
        known |= write(path, [(name, _contents(data, name), data.caption(name)) for name in part], on_sample)
        shards.append({"file": path.name, "ids": list(part)})
    for path in (*cards, *([data.folder / SPLITS] if (data.folder / SPLITS).is_file() else [])):
        write_bytes(out / path.name, path.read_bytes())
    captions = {name: data.caption(name) for name in ids}
    content = {"format": 1, "name": data.name, "form": form, "shards": shards, "files": known, "captions": captions}
    write_json(out / INDEX, content)
    return out / INDEX


class Shards:
    """Samples in the shards that `export_shards` wrote.

    Args:
        folder: The folder with ``shards.json``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        content = read_json(folder / INDEX, kind=dict)
        try:
            self.name, self.form = str(content["name"]), str(content["form"])
            self._files: dict[str, dict[str, str]] = dict(content["files"])
            self._captions: dict[str, str | None] = dict(content["captions"])
            self._shard = {str(name): str(s["file"]) for s in content["shards"] for name in s["ids"]}
            for name in [*self._shard, *self._shard.values(), *(f for files in self._files.values() for f in files)]:
                file_name(name)  # they become paths: of shards that are read, and of files that are written
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"{folder / INDEX} is damaged ({error!r}).", "Export the data again.") from error
        self._card = read_card(folder)
        self._offsets: dict[str, dict[str, tuple[int, int]]] = {}

    def ids(self, split: str) -> tuple[str, ...]:
        """Ids of a split, sorted; ``splits.json`` is that of the folder."""
        return ids_of_split(self.folder, tuple(sorted(self._shard)), split)

    def caption(self, sample_id: str) -> str | None:
        """The sample's caption."""
        return self._captions.get(sample_id)

    def load(self, sample_id: str) -> Sample:
        """One sample; its files are read from their shard alone.

        Raises:
            SampleError: If they are missing or not those that were written.
        """
        check_id(sample_id)
        if sample_id not in self._shard:
            raise SampleError(f"{self.folder} has no sample {sample_id!r}.", did_you_mean(sample_id, self._shard))
        path = self.folder / self._shard[sample_id]
        if not path.is_file():
            raise SampleError(f"The shard {path} is missing.", "Fetch it again.")
        read = self._from_tar if self.form == "webdataset" else _from_parquet
        try:
            files = read(path, sample_id)
        except UserError:
            raise
        except (OSError, ValueError, LookupError, TypeError, EOFError, MemoryError, tarfile.TarError) as error:
            why = " ".join(str(error).split())[:120] or type(error).__name__
            raise SampleError(f"The shard {path} cannot be read: {why}.", "Fetch it again.") from error
        return self._sample(sample_id, files)

    def stream(self) -> Iterator[Sample]:
        """All samples in the order of the shards, each shard read forwards once."""
        for file in dict.fromkeys(self._shard.values()):
            if not (self.folder / file).is_file():
                raise UserError(f"The shard {self.folder / file} is missing.", "Fetch it again.")
            if self.form == "webdataset":
                with (self.folder / file).open("rb") as opened:
                    for name, files in stream_tar(opened):
                        yield self._sample(name, files)
            else:
                for name in (name for name, shard in self._shard.items() if shard == file):
                    yield self.load(name)

    def revision(self, ids: tuple[str, ...]) -> str:
        """That of the folder that the shards were made from (`HMWorld.revision`)."""
        digest = hashlib.sha256()
        if (self.folder / CARD_FILE).is_file():
            digest.update((self.folder / CARD_FILE).read_bytes())
        for name in sorted(ids):
            digest.update(f"{name}\t{self.caption(name) or ''}\n".encode())
            for file, known in sorted(self._files.get(name, {}).items()):
                digest.update(f"{file} {known}\n".encode())
        return digest.hexdigest()[:16]

    def _sample(self, name: str, files: dict[str, bytes]) -> Sample:
        wanted = self._files.get(name, {})
        for file, known in wanted.items():
            if file not in files or hashlib.sha256(files[file]).hexdigest() != known:
                raise SampleError(f"{name}: {file} is not the file that {INDEX} names.", "Fetch its shard again.")
        with tempfile.TemporaryDirectory(prefix="hmbench-shard-") as scratch:
            folder = Path(scratch) / name
            folder.mkdir()
            for file in wanted:
                (folder / file).write_bytes(files[file])
            return read_sample(folder, self.caption(name), self._card)

    def _from_tar(self, path: Path, name: str) -> dict[str, bytes]:
        if path.name not in self._offsets:
            with tarfile.open(path, "r:") as archive:
                self._offsets[path.name] = {m.name: (m.offset_data, m.size) for m in archive if m.isreg()}
        found = {}
        with path.open("rb") as opened:
            for member, (start, size) in self._offsets[path.name].items():
                key, _, file = member.partition(".")
                if key == name and file in self._files.get(name, {}):
                    if size > Limits().member_bytes:
                        raise SampleError(f"{path} has a file of {size >> 20:,} MiB.", "Check the shard.")
                    opened.seek(start)
                    found[file] = opened.read(size)
        return found


def stream_tar(stream: IO[bytes] | io.RawIOBase) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Samples of a WebDataset tar from any stream that is read forwards, such as an HTTP answer: id and files."""
    name = ""
    files: dict[str, bytes] = {}
    for member in read_archive(stream):
        key, _, file = member.path.name.partition(".")
        if key != name and files:
            yield name, files
            files = {}
        name = key
        pieces = []
        while piece := member.read(1 << 20):
            pieces.append(piece)
        files[file] = b"".join(pieces)
    if files:
        yield name, files


def _contents(data: HMWorld, name: str) -> dict[str, bytes]:
    check_id(name)
    folder = data.place(name)
    nested = [path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    if "." in name or nested:
        what = f"the folder {nested[0]}" if nested else "a dot in its name"
        raise UserError(f"The sample {name} has {what}, which a shard cannot hold.", "Rename it, or leave it out.")
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if not path.name.startswith(".")}


def _digests(rows: Sequence[tuple[str, dict[str, bytes], str | None]]) -> dict[str, dict[str, str]]:
    return {name: {f: hashlib.sha256(b).hexdigest() for f, b in files.items()} for name, files, _ in rows}


def _write_tar(
    path: Path,
    rows: Sequence[tuple[str, dict[str, bytes], str | None]],
    on_sample: Callable[[str], None] | None,
) -> dict[str, dict[str, str]]:
    with replacing(path) as temporary, tarfile.open(temporary, "w:", format=tarfile.PAX_FORMAT) as archive:
        for name, files, caption in rows:
            for file, content in {CAPTION: (caption or "").encode(), **files}.items():
                info = tarfile.TarInfo(f"{name}.{file}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            if on_sample:
                on_sample(name)
    return _digests(rows)


def _write_parquet(
    path: Path,
    rows: Sequence[tuple[str, dict[str, bytes], str | None]],
    on_sample: Callable[[str], None] | None,
) -> dict[str, dict[str, str]]:
    import pyarrow as pa
    from pyarrow import parquet

    names = sorted({file for _, files, _ in rows for file in files})
    columns: dict[str, Any] = {
        "id": pa.array([name for name, _, _ in rows]),
        "caption": pa.array([caption for _, _, caption in rows], pa.string()),
        **{file: pa.array([files.get(file) for _, files, _ in rows], pa.large_binary()) for file in names},
    }
    with replacing(path) as temporary:
        parquet.write_table(pa.table(columns), temporary, row_group_size=1, compression="none")
    for name, _, _ in rows if on_sample else ():
        assert on_sample is not None
        on_sample(name)
    return _digests(rows)


def _from_parquet(path: Path, name: str) -> dict[str, bytes]:
    from pyarrow import parquet

    opened = parquet.ParquetFile(path)
    ids = opened.read(["id"])["id"].to_pylist()
    if name not in ids:
        raise SampleError(f"{path} has no row for {name}.", "Fetch it again.")
    (row,) = opened.read_row_group(ids.index(name)).to_pylist()  # a group a row: only this sample's bytes are read
    return {file: content for file, content in row.items() if isinstance(content, bytes)}


def is_shards(folder: Path) -> bool:
    """Whether a folder holds shards."""
    return (folder / INDEX).is_file() and bool(read_json(folder / INDEX, kind=dict).get("shards"))
