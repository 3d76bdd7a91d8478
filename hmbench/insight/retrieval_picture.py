"""The picture of a retrieval: what was retrieved for every target frame, and, for some, where its cameras looked.

Above, a row a target frame and a column a part of the past; darker was retrieved in more blocks and steps. Below, for a
few target frames: seen from above, the views of the target (black) and of what was retrieved (coloured) among all of
the past (grey); the real target frame; and the retrieved frames with the share of the target's view that they saw.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hmbench.durable import replacing
from hmbench.files import write_json
from hmbench.insight.retrieval import RetrievalTrace, parts_showing, retrieval_record
from hmbench.types import Sample
from hmbench.video.geometry import relative_to

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROWS = 4
"""Target frames shown in detail."""
THUMBNAILS = 6
"""Retrieved frames shown for each."""


def write_retrieval(trace: RetrievalTrace, sample: Sample, out: Path) -> dict[str, Any]:
    """Writes ``retrieval.json`` and ``retrieval.png``; returns the content of the former."""
    record = retrieval_record(trace, sample)
    write_json(out / "retrieval.json", record)
    draw_retrieval(trace, sample, out / "retrieval.png")
    return record


def draw_retrieval(trace: RetrievalTrace, sample: Sample, path: Path) -> None:
    """Writes the picture as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = shown_targets(trace, sample)
    figure = Figure(figsize=(17, 4.2 + 2.6 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(1 + len(rows), THUMBNAILS + 2, height_ratios=[1.7, *[1.0] * len(rows)])
    _heat_map(figure.add_subplot(grid[0, :]), trace, sample)
    for line, target in enumerate(rows, start=1):
        _top_view(figure.add_subplot(grid[line, 0]), trace, sample, target)
        _target_picture(figure.add_subplot(grid[line, 1]), trace, sample, target)
        for place, part in enumerate(strongest(trace, target)):
            _retrieved_picture(figure.add_subplot(grid[line, 2 + place]), trace, sample, (target, part), place)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=90)


def shown_targets(trace: RetrievalTrace, sample: Sample) -> list[int]:
    """Target latent frames to show in detail: where subjects return first, then evenly spread ones, in order."""
    events = sample.truth.events if sample.truth is not None else ()
    returns = [i for e in events for i, (start, stop) in enumerate(trace.targets) if start <= e.reentry < stop]
    spread = np.linspace(0, len(trace.targets) - 1, ROWS).round().astype(int).tolist()
    return sorted(dict.fromkeys([*returns, *spread]))[:ROWS] if len(returns) < ROWS else sorted(set(returns))[:ROWS]


def strongest(trace: RetrievalTrace, target: int) -> list[int]:
    """Parts retrieved most often for a target frame, most overlap first among equals; none that never was."""
    share = trace.selected[:, :, target].mean((0, 1))
    order = np.lexsort((-trace.overlap[target], -share))
    return [int(part) for part in order[:THUMBNAILS] if share[part] > 0]


def _heat_map(axis: Axes, trace: RetrievalTrace, sample: Sample) -> None:
    share = trace.selected.mean((0, 1))
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    axis.set_xticks(range(len(trace.parts)), [_span(part) for part in trace.parts], fontsize=7, rotation=60)
    axis.set_yticks(range(len(trace.targets)), [_span(target) for target in trace.targets], fontsize=7)
    axis.set_xlabel(f"{trace.part}s of the past, by frames", fontsize=8)
    axis.set_ylabel("target frames", fontsize=8)
    title = f"{trace.model} on {sample.id}: share of blocks and steps in which each {trace.part} was retrieved"
    if sample.truth is not None and sample.truth.events:
        event = sample.truth.events[0]
        subject = next(s for s in sample.truth.subjects if s.label == event.label)
        for part in np.flatnonzero(parts_showing(trace, sample, subject)):
            axis.plot(part, -0.75, "v", color="tab:orange", markersize=5, clip_on=False)
        back = next(i for i, (start, stop) in enumerate(trace.targets) if start <= event.reentry < stop)
        axis.axhline(back - 0.5, color="tab:orange", linewidth=1)
        title += f"; orange: parts that show {subject.name}, and its return in frame {event.reentry}"
    axis.set_title(title, fontsize=9, loc="left", pad=12)


def _top_view(axis: Axes, trace: RetrievalTrace, sample: Sample, target: int) -> None:
    poses = np.concatenate([sample.prompt.context_poses, sample.prompt.target_poses])
    poses = relative_to(poses, sample.prompt.target_poses[0])
    for _, stop in trace.parts:
        if stop <= sample.num_context_frames:
            axis.fill(*_sector(poses[stop - 1], trace.lens), color="0.8", alpha=0.25, linewidth=0)
    for place, part in enumerate(strongest(trace, target)):
        corners = _sector(poses[trace.parts[part][1] - 1], trace.lens)
        axis.fill(*corners, color=f"C{place}", alpha=0.22, linewidth=0)
        axis.plot(*corners, color=f"C{place}", linewidth=1)
    axis.plot(*_sector(poses[trace.targets[target][1] - 1], trace.lens), color="black", linewidth=1.6)
    axis.plot(poses[:, 0, 3], poses[:, 2, 3], color="0.4", linewidth=0.8)
    axis.set_aspect("equal")
    axis.tick_params(labelsize=6)
    axis.set_title(f"from above (m), {trace.lens[0]:.3g}°, {trace.lens[2]:.3g} m", fontsize=8)


def _target_picture(axis: Axes, trace: RetrievalTrace, sample: Sample, target: int) -> None:
    start, stop = trace.targets[target]
    if sample.truth is not None:
        axis.imshow(sample.truth.target[stop - 1 - sample.num_context_frames])
    else:
        _blank(axis, sample, "unknown")
    _frame(axis, "black")
    axis.set_title(f"target {_span((start, stop))}", fontsize=8)


def _retrieved_picture(axis: Axes, trace: RetrievalTrace, sample: Sample, which: tuple[int, int], place: int) -> None:
    target, part = which
    start, stop = trace.parts[part]
    if stop <= sample.num_context_frames:
        axis.imshow(sample.prompt.context[stop - 1])
    else:
        _blank(axis, sample, "being generated")
    _frame(axis, f"C{place}")
    share = trace.selected[:, :, target, part].mean()
    axis.set_title(f"{_span((start, stop))}: {share:.0%}, overlap {trace.overlap[target, part]:.2f}", fontsize=8)


def _blank(axis: Axes, sample: Sample, text: str) -> None:
    """A grey picture of the clip's shape."""
    axis.imshow(np.full((*sample.prompt.size, 3), 225, dtype=np.uint8))
    axis.text(0.5, 0.5, text, ha="center", va="center", fontsize=8, transform=axis.transAxes)


def _frame(axis: Axes, colour: str) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_color(colour)
        spine.set_linewidth(2.5)


def _sector(pose: NDArray[np.float64], lens: tuple[float, float, float]) -> tuple[list[float], list[float]]:
    """Outline (x, z) of what a camera sees, from above."""
    angles = np.radians(np.linspace(-lens[0] / 2, lens[0] / 2, 24))
    rim = np.stack([np.sin(angles), np.zeros_like(angles), np.cos(angles)], axis=1) * lens[2]
    world = np.concatenate([np.zeros((1, 3)), rim, np.zeros((1, 3))]) @ pose[:3, :3].T + pose[:3, 3]
    return world[:, 0].tolist(), world[:, 2].tolist()


def _span(frames: tuple[int, int]) -> str:
    start, stop = frames
    return str(start) if stop - start == 1 else f"{start}–{stop - 1}"
