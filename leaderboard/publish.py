"""Entries as a data set on the Hub, and the site as a static Space.

    hmbench leaderboard push OWNER/NAME [--site SITE --licence NAME]

The data set has three tables for ``datasets.load_dataset(repo, NAME)``: ``values`` (a row an entry, metric and clip),
``events`` (a row an entry and re-entry) and ``entries`` (a row an entry: what it is, digests, settings as JSON).
Numbers are published under hmbench's own licence. Videos are somebody's data: a site that has any is refused unless
their licence is named.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hmbench.errors import UserError
from hmbench.files import write_text
from hmbench.report.pages.site import MARKER
from leaderboard.entry import Entry, entry_record

if TYPE_CHECKING:
    from huggingface_hub import HfApi

LICENCE = "apache-2.0"
"""Of the numbers."""
TABLES = ("values", "events", "entries")
FACTS = (
    "name",
    "standing",
    "model",
    "description",
    "link",
    "data_name",
    "data_revision",
    "split",
    "profile",
    "tracker",
    "told_apart",
    "seed",
    "predictions",
)
"""Fields of an entry that the table of entries holds as text."""
RECORDS = ("weights", "settings", "options", "environment", "tracker_settings", "metric_weights", "metrics", "videos")
"""Fields of an entry that the table of entries holds as JSON."""


def write_dataset(entries: Sequence[Entry], folder: Path, *, repo: str = "OWNER/NAME") -> None:
    """Writes ``data/*.parquet`` and the data set card ``README.md``.

    Args:
        entries: What to publish.
        folder: Where.
        repo: What the card calls the data set.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "data").mkdir(parents=True, exist_ok=True)
    for name, rows, schema in (
        ("values", _values(entries), _VALUES),
        ("events", _events(entries), _EVENTS),
        ("entries", [_facts(entry) for entry in entries], [(name, "string") for name in (*FACTS, *RECORDS)]),
    ):  # fmt: skip
        types = {"string": pa.string(), "float": pa.float64(), "int": pa.int64()}
        table = pa.Table.from_pylist(list(rows), schema=pa.schema([(n, types[t]) for n, t in schema]))
        pq.write_table(table, folder / "data" / f"{name}.parquet", compression="zstd")
    write_text(folder / "README.md", card(entries, repo))


def card(entries: Sequence[Entry], repo: str) -> str:
    """The data set card: what the Hub reads, then what people read."""
    configs = "".join(
        f"- config_name: {name}\n  data_files: data/{name}.parquet\n"
        + ("  default: true\n" if name == "values" else "")
        for name in TABLES
    )
    boards = sorted({(e.data_name, e.split, e.profile, len(e.samples), e.data_revision) for e in entries})
    lines = [
        f"* {_plain(data)}, {_plain(split)}, {_plain(profile)} profile: {clips} clips, revision `{_plain(revision)}`"
        for data, split, profile, clips, revision in boards
    ]
    return (
        f"---\nlicense: {LICENCE}\npretty_name: hmbench leaderboard\ntags:\n- video\n- world-models\n- benchmark\n"
        f"configs:\n{configs}---\n\n# hmbench leaderboard\n\n"
        "Scores of video world models on hybrid memory, clip by clip and re-entry by re-entry.\n\n"
        "```python\nfrom datasets import load_dataset\n"
        f'values = load_dataset("{repo}", "values", split="train")\n```\n\n'
        f"{len(entries)} entries. A value that is missing was not measured; it is never 0. Measured on:\n\n"
        + "\n".join(lines)
        + "\n\nNumbers only: no video, no caption. Their licence is Apache-2.0, as hmbench's.\n"
    )


def push(
    entries: Sequence[Entry],
    repo: str,
    *,
    api: HfApi,
    staging: Path,
    site: Path | None = None,
    licence: str = "",
    private: bool = False,
) -> list[str]:
    """Uploads the data set, and the site as a Space of the same name; returns their addresses.

    Args:
        entries: What to publish.
        repo: ``owner/name``.
        api: The Hub.
        staging: An empty folder for what is uploaded.
        site: A site of `leaderboard site`; None publishes numbers alone.
        licence: Licence of the site's videos.
        private: Whether new repositories are private.

    Raises:
        UserError: If there is nothing to publish, the folder is no site, or its videos have no known licence.
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", repo):
        raise UserError(f"{repo!r} is no name of a repository.", "Write OWNER/NAME.")
    if not entries:
        raise UserError("There is no entry to publish.", "Add one: `python -m leaderboard add RUN --name NAME`.")
    if site is not None:
        check_site(site, licence)
    write_dataset(entries, staging, repo=repo)
    addresses = [str(api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True))]
    api.upload_folder(repo_id=repo, repo_type="dataset", folder_path=staging, commit_message="Leaderboard entries")
    if site is not None:
        addresses.append(
            str(api.create_repo(repo, repo_type="space", space_sdk="static", private=private, exist_ok=True))
        )
        head = f"---\ntitle: hmbench leaderboard\nsdk: static\nlicense: {licence or LICENCE}\n---\n"
        write_text(site / "README.md", head)
        api.upload_folder(repo_id=repo, repo_type="space", folder_path=site, commit_message="Leaderboard pages")
    return addresses


def check_site(site: Path, licence: str) -> None:
    """Raises UserError unless this is a site that may be published."""
    if not (site / MARKER).is_file():
        raise UserError(f"{site} is no site of hmbench.", "Make one: `python -m leaderboard site SITE`.")
    media = list((site / "media").glob("*")) if (site / "media").is_dir() else []
    if media and not licence:
        raise UserError(
            f"{site} has {len(media)} videos and film strips of clips whose licence hmbench does not know.",
            "Name it with --licence if you may publish them, or build the site with --videos none.",
        )
    if licence and not re.fullmatch(r"[A-Za-z0-9.-]{2,40}", licence):
        raise UserError(f"{licence!r} is no licence's short name.", "Write for example apache-2.0 or cc-by-4.0.")


_VALUES = [("entry", "string"), ("metric", "string"), ("version", "int"), ("clip", "string"), ("scene", "string"),
           ("value", "float")]  # fmt: skip
_EVENTS = [("entry", "string"), ("clip", "string"), ("label", "int"), ("subject", "string"), ("category", "string"),
           ("exit", "int"), ("reentry", "int"), ("hidden", "int"), ("verdict", "string"), ("success", "float"),
           ("numbers", "string")]  # fmt: skip


def _values(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    return [
        {"entry": e.name, "metric": m, "version": e.metrics[m].version, "clip": c, "scene": s, "value": v}
        for e in entries
        for m in e.order
        for c, s, v in zip(e.samples, e.clusters, e.values[m], strict=True)
    ]


def _events(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    named = {name for name, _ in _EVENTS} | {"sample", "window", "place", "tracks"}
    rows = []
    for entry in entries:
        for event in entry.events:
            numbers = {k: v for k, v in event.items() if k not in named}
            own = {k: event.get(k) for k, _ in _EVENTS if k in event}
            own["success"] = None if event.get("success") is None else float(event["success"])
            rows.append({**own, "entry": entry.name, "clip": event["sample"], "numbers": json.dumps(numbers)})
    return rows


def _facts(entry: Entry) -> dict[str, str]:
    plain = {name: str(getattr(entry, name) if getattr(entry, name) is not None else "") for name in FACTS}
    record = entry_record(entry)
    return plain | {name: json.dumps(record[name], sort_keys=True) for name in RECORDS}


def _plain(text: str) -> str:
    """A stranger's word in Markdown: letters, digits and what names need."""
    return re.sub(r"[^\w .+-]", "?", text)[:80]
