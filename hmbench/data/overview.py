"""What is in a folder of samples, and what is wrong with it, as tables."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from hmbench.data.dataset import Dataset
from hmbench.data.told_apart.doubts import ASKED
from hmbench.errors import SampleError, StorageError, UserError
from hmbench.files import write_text
from hmbench.types import Sample
from hmbench.video.geometry import field_of_view, relative_to, yaw

HM_WORLD_FRAMES = 77
"""Frames of an HM-World context and of its target."""
CAPTION_SHOWN = 60
"""Characters of a caption in a list of samples."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What checking one sample found."""

    sample: str
    """Sample id."""
    error: str | None
    """Why it cannot be used; None if it can."""
    warnings: tuple[str, ...] = ()
    """What deviates from HM-World as it is known."""


def check_sample(data: Dataset, sample_id: str) -> Finding:
    """Reads one sample whole and compares it with what is known of HM-World."""
    try:
        sample = data.load(sample_id)
    except StorageError:
        raise
    except UserError as error:  # whatever is wrong with one clip, the others are looked at
        return Finding(sample=sample_id, error=str(error))
    told = sample.truth.told_apart if sample.truth else None
    why = told.reason or "" if told is not None and told.way == "none" else ""
    if "reading" in why or ASKED in why:
        return Finding(sample=sample_id, error=f"its subjects cannot be told apart: {why}")
    warnings = list(sample.meta.warnings)
    frames = (sample.num_context_frames, sample.prompt.num_target_frames)
    if frames != (HM_WORLD_FRAMES, HM_WORLD_FRAMES):
        warnings.append(f"{frames[0]} + {frames[1]} frames (HM-World has 77 + 77)")
    if sample.truth is not None and sample.truth.subjects and not sample.truth.events:
        warnings.append("no subject leaves and comes back")
    if sample.meta.scene is None:
        warnings.append("the id does not tell the scene")
    return Finding(sample=sample_id, error=None, warnings=tuple(warnings))


def findings_table(findings: Sequence[Finding]) -> Table:
    """Findings, equal ones counted together."""
    table = Table(title=f"{len(findings)} samples checked", title_justify="left")
    table.add_column("finding")
    table.add_column("samples", justify="right")
    table.add_column("for example")
    usable = sum(finding.error is None for finding in findings)
    table.add_row("[green]usable[/]", str(usable), "")
    errors = [(f"[red]{escape(f.error)}[/]", f.sample) for f in findings if f.error]
    notes = [(escape(text), f.sample) for f in findings for text in f.warnings]
    for group in (errors, notes):
        examples = dict(reversed(group))
        for text, count in Counter(text for text, _ in group).most_common():
            table.add_row(text, str(count), escape(examples[text]))
    return table


def write_findings(path: Path, findings: Sequence[Finding]) -> None:
    """Findings as JSON lines."""
    write_text(path, "".join(json.dumps(asdict(finding)) + "\n" for finding in findings))


def dataset_table(data: Dataset, split: str) -> Group:
    """One line a sample: size, frames, subjects, re-entries, caption; below, which cannot be read and why."""
    table, broken = Table(title=f"{data.name}, split {split}", title_justify="left"), []
    for name in ("sample", "size", "frames", "subjects", "re-entries", "caption"):
        table.add_column(name, overflow="fold" if name in ("sample", "caption") else "ellipsis")
    for sample_id in data.ids(split):
        try:
            table.add_row(*_sample_line(data.load(sample_id)))
        except SampleError as error:
            table.add_row(escape(sample_id), *["[red]-[/]"] * 4, "[red]cannot be read (below)[/]")
            broken.append(f"[red]{escape(sample_id)}[/]: {escape(str(error))}")
    return Group(table, *broken)


def sample_table(sample: Sample) -> Table:
    """Everything that is known of one sample."""
    prompt, truth = sample.prompt, sample.truth
    table = Table(title=sample.id, title_justify="left", show_header=False)
    table.add_column("what", style="bold")
    table.add_column("value", overflow="fold")
    horizontal, vertical = field_of_view(prompt.intrinsics)
    poses = relative_to(np.concatenate([prompt.context_poses, prompt.target_poses]), prompt.target_poses[0])
    headings, places = yaw(poses), poses[:, :3, 3]
    table.add_row("video", f"{prompt.size[1]}x{prompt.size[0]}, {prompt.fps:g} fps")
    table.add_row("frames", f"{sample.num_context_frames} context + {prompt.num_target_frames} target")
    table.add_row("field of view", f"{horizontal:.1f} x {vertical:.1f} degrees")
    table.add_row("camera", f"yaw {headings.min():.1f} to {headings.max():.1f} degrees from the first target frame, "
                            f"within {np.linalg.norm(places, axis=1).max():.2f} m of it")  # fmt: skip
    table.add_row("caption", escape(prompt.caption) or "-")
    meta = sample.meta
    table.add_row(
        "scene, paths, cell",
        ", ".join(escape(str(v or "-")) for v in (meta.scene, meta.subject_path, meta.camera_path, meta.cell)),
    )
    for subject in truth.subjects if truth else ():
        seen = int((subject.visible_area > 0).sum())
        table.add_row(
            f"subject {subject.label}", f"{escape(subject.name)} ({subject.category}), visible in {seen} frames"
        )
    if truth and (told := truth.told_apart):
        sure = ", ".join(f"{value:.2f}" for value in told.certainty)
        table.add_row("told apart by", escape("; ".join(p for p in (told.way, told.detail, told.reason) if p)))
        table.add_row("certainty", f"{sure}; unclear frames {list(told.unclear)}" if sure else "-")
    for event in truth.events if truth else ():
        table.add_row(
            "re-entry",
            f"subject {event.label} leaves at {event.exit}, returns at {event.reentry}, hidden {event.hidden}",
        )
    for warning in meta.warnings:
        table.add_row("[yellow]note[/]", escape(warning))
    return table


def _sample_line(sample: Sample) -> tuple[str, ...]:
    truth, (height, width) = sample.truth, sample.prompt.size
    return (
        sample.id,
        f"{width}x{height}",
        f"{sample.num_context_frames}+{sample.prompt.num_target_frames}",
        str(len(truth.subjects)) if truth and truth.subjects else "-",
        str(len(truth.events)) if truth and truth.subjects else "-",
        escape(textwrap.shorten(sample.prompt.caption, CAPTION_SHOWN, placeholder=" ...")),
    )
