"""``index.parquet``: a row a sample, to filter and plan with, without opening 400,000 files.

Built in parallel over a folder in HM-World's layout. Memory stays flat: rows are written in groups, and only a few
samples are in flight. Rows of samples whose files did not change since the last index, or since a build that was
stopped (`hmbench.data.index_journal`), are taken over. Load it with
``datasets.load_dataset("parquet", data_files="index.parquet")``, pandas or any other reader of parquet.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from hmbench.data.index_journal import Journal
from hmbench.digests import file_digest
from hmbench.durable import replacing
from hmbench.errors import SampleError
from hmbench.workers.spread import Known, in_order

if TYPE_CHECKING:
    import pyarrow as pa

    from hmbench.data.dataset import Dataset
    from hmbench.types import Event

INDEX_FILE = "index.parquet"
FORMAT = 2
"""Version of the table's columns."""
_CHUNK = 16
_ROW_GROUP = 1024


@dataclass(frozen=True, kw_only=True)
class IndexReport:
    """What building an index did."""

    path: Path
    """The parquet file."""
    samples: int
    """Rows."""
    reused: int
    """Rows taken over from the last index, or from a build that was stopped."""
    unusable: int
    """Samples that cannot be read; their rows say why in `error`."""


class _Task(NamedTuple):
    folder: Path
    sample: str
    caption: str | None
    decode: bool
    signature: str


def schema() -> pa.Schema:
    """The table's columns."""
    import pyarrow as pa

    text, number, strings = pa.string(), pa.int32(), pa.list_(pa.string())
    event = pa.struct([("label", number), ("exit", number), ("reentry", number)])
    file = pa.struct([("name", text), ("bytes", pa.int64()), ("sha256", text)])
    columns = {
        "id": text,
        "scene": text,
        "location": text,
        "subject_path": text,
        "camera_path": text,
        "take": number,
        "cell": text,
        "context_frames": number,
        "target_frames": number,
        "width": number,
        "height": number,
        "fps": pa.float64(),
        "caption": text,
        "subjects": strings,
        "events": pa.list_(event),
        "told_apart": text,
        "certainty": pa.list_(pa.float64()),
        "left_out_events": pa.list_(event),
        "decoded": pa.bool_(),
        "error": text,
        "warnings": strings,
        "files": pa.list_(file),
        "signature": text,
    }
    return pa.schema(list(columns.items()), metadata={"hmbench_index_format": str(FORMAT)})


def build_index(
    folder: Path,
    path: Path | None = None,
    *,
    workers: int | None = None,
    decode: bool = True,
    on_row: Callable[[str], None] | None = None,
) -> IndexReport:
    """Indexes a folder; the rows do not depend on the number of workers.

    Args:
        folder: A folder in HM-World's layout.
        path: The parquet file; by default ``index.parquet`` in the folder.
        workers: Processes; None is one a core, 1 works in this process.
        decode: Decode every video, which finds damage and the events; else only headers, cameras and digests.
        on_row: Called with each sample's id.

    Raises:
        UserError: If the folder holds no sample.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from hmbench.data.hm_world import HMWorld

    data = HMWorld(folder)
    path = path or data.folder / INDEX_FILE
    journal = Journal(path, {"format": FORMAT, "decode": decode})
    known = (_Known(_stored_rows(path, decode)), _Known(journal.rows()))
    tasks = (
        _Task(place.parent, sample, data.caption(sample), decode, _signature(place, data.caption(sample)))
        for sample, place in ((sample, data.place(sample)) for sample in data.ids("all"))
    )
    samples = unusable = 0
    with (
        journal,
        replacing(path) as temporary,
        pq.ParquetWriter(temporary, schema(), compression="zstd") as writer,
    ):
        rows = _ordered_rows(tasks, known, workers or os.cpu_count() or 1, journal.add)
        while group := list(islice(rows, _ROW_GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema()))
            samples += len(group)
            unusable += sum(row["error"] is not None for row in group)
            for row in group if on_row else ():
                cast(Callable[[str], None], on_row)(row["id"])
    return IndexReport(path=path, samples=samples, reused=sum(one.taken for one in known), unusable=unusable)


def index_row(task: tuple[Path, str, str | None, bool, str]) -> dict[str, Any]:
    """The row of one sample; what cannot be read becomes its `error`.

    Args:
        task: Folder, sample id, caption, whether to decode, signature of its files.
    """
    folder, sample_id, caption, decode, signature = task
    row: dict[str, Any] = dict.fromkeys(schema().names)
    row |= {"id": sample_id, "caption": caption, "decoded": decode, "signature": signature, "warnings": []}
    row |= _id_columns(sample_id)
    row["files"] = [_file(path) for path in sorted((folder / sample_id).iterdir()) if path.is_file()]
    try:
        row |= _decoded(folder / sample_id, caption) if decode else _from_headers(folder / sample_id)
    except SampleError as error:
        row["error"] = str(error)
    return row


def _id_columns(sample_id: str) -> dict[str, Any]:
    from hmbench.data.ids import parse_id
    from hmbench.data.splits import cell_of

    parts = parse_id(sample_id)
    if parts is None:
        return {}
    names = ("scene", "location", "subject_path", "camera_path", "take")
    return {"cell": cell_of(sample_id), **{name: getattr(parts, name) for name in names}}


def _decoded(folder: Path, caption: str | None) -> dict[str, Any]:
    from hmbench.data.hm_world import read_sample
    from hmbench.data.overview import check_sample

    sample = read_sample(folder, caption)
    truth = sample.truth
    assert truth is not None, folder

    class Loaded:
        def load(self, sample_id: str) -> Any:
            return sample

    finding = check_sample(cast("Dataset", Loaded()), sample.id)
    height, width = sample.prompt.size
    return {
        "context_frames": len(sample.prompt.context),
        "target_frames": len(truth.target),
        "width": width,
        "height": height,
        "fps": sample.prompt.fps,
        "subjects": [subject.name for subject in truth.subjects],
        "events": _events(truth.events),
        "told_apart": truth.told_apart.way if truth.told_apart else None,
        "certainty": list(truth.told_apart.certainty) if truth.told_apart else None,
        "left_out_events": _events(truth.told_apart.left_out) if truth.told_apart else None,
        "warnings": list(finding.warnings),
    }


def _events(events: Iterable[Event]) -> list[dict[str, int]]:
    return [{"label": e.label, "exit": e.exit, "reentry": e.reentry} for e in events]


def _from_headers(folder: Path) -> dict[str, Any]:
    from hmbench.data.cameras import parse_cameras
    from hmbench.data.inspection import clip_facts
    from hmbench.errors import UserError
    from hmbench.files import read_json

    context, target = clip_facts(folder / "cond.mp4"), clip_facts(folder / "tgt.mp4")
    try:
        content = read_json(folder / "camera.json")
    except UserError as error:
        raise SampleError(error.what, error.hint) from error
    parse_cameras(content, context.frames, target.frames, str(folder / "camera.json"))
    return {
        "context_frames": context.frames,
        "target_frames": target.frames,
        "width": context.width,
        "height": context.height,
        "fps": context.fps,
    }


def _file(path: Path) -> dict[str, Any]:
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": file_digest(path)}


def _signature(folder: Path, caption: str | None) -> str:
    """Changes whenever a file of the sample or its caption does, without reading the files."""
    digest = hashlib.sha256((caption or "").encode())
    for path in sorted(folder.iterdir()):
        stat = path.stat()
        digest.update(f"{path.name}\t{stat.st_size}\t{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


class _Known:
    """Rows that were made before, in the order of their ids, read alongside the sorted tasks."""

    def __init__(self, rows: Iterator[dict[str, Any]]) -> None:
        self.taken = 0
        self._rows = rows
        self._next: dict[str, Any] | None = next(self._rows, None)

    def take(self, task: _Task) -> dict[str, Any] | None:
        """The row of a task, if its files are unchanged; ids must come in sorted order."""
        while self._next is not None and self._next["id"] < task.sample:
            self._next = next(self._rows, None)
        found = self._next
        if found is None or found["id"] != task.sample or found.get("signature") != task.signature:
            return None
        self.taken += 1
        return found


def _stored_rows(path: Path, decode: bool) -> Iterator[dict[str, Any]]:
    """Rows of the last index; none if it is damaged or of another kind."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        return
    try:
        with pq.ParquetFile(path) as file:
            if not file.schema_arrow.equals(schema()):
                return
            for batch in file.iter_batches(batch_size=_ROW_GROUP):
                yield from (row for row in batch.to_pylist() if row["decoded"] or not decode)
    except (pa.ArrowException, OSError):
        return  # it is built anew


def _take(task: _Task, known: Iterable[_Known]) -> dict[str, Any] | None:
    return next((row for one in known if (row := one.take(task)) is not None), None)


def _ordered_rows(
    tasks: Iterable[_Task], known: Sequence[_Known], workers: int, on_made: Callable[[dict[str, Any]], None]
) -> Iterator[dict[str, Any]]:
    """Rows in the order of the tasks, at most a few chunks a worker ahead; `on_made` hears of each that is new."""
    if workers == 1:
        for task in tasks:
            if (row := _take(task, known)) is None:
                row = index_row(task)
                on_made(row)
            yield row
        return
    fresh: set[str] = set()
    for rows in in_order(index_row, _runs(tasks, known, fresh), workers):
        for row in rows:
            if row["id"] in fresh:
                fresh.discard(row["id"])
                on_made(row)
            yield row


def _runs(tasks: Iterable[_Task], old: Sequence[_Known], asked: set[str]) -> Iterator[list[_Task] | Known]:
    """Runs of unchanged samples as they are, runs of others as work, of at most `_CHUNK` samples."""
    fresh: list[_Task] = []
    known: list[dict[str, Any]] = []
    for task in tasks:
        row = _take(task, old)
        if fresh and (row is not None or len(fresh) == _CHUNK):
            yield fresh
            fresh = []
        if known and (row is None or len(known) == _CHUNK):
            yield Known(known)
            known = []
        if row is None:
            fresh.append(task)
            asked.add(task.sample)
        else:
            known.append(row)
    if fresh:
        yield fresh
    if known:
        yield Known(known)
