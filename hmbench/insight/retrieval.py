"""Retrieval made visible: which parts of the past each target frame saw, and whether they showed who is to return.

Packages offer tracers of their models by an entry point in the group ``hmbench.retrieval`` that names a function with
the signature of `Tracer`. Frames count pixel frames from the first of the context.

Letters: S denoising steps, L blocks, F target latent frames, M parts of the past that may be retrieved.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hmbench.errors import UserError
from hmbench.protocols import TruthModel, WorldModel
from hmbench.registry import RETRIEVAL
from hmbench.types import Event, Prompt, Sample, SubjectTruth
from hmbench.video.events import visible_frames

FORMAT = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class RetrievalTrace:
    """What one generation retrieved."""

    model: str
    """Model name."""
    part: str
    """What is retrieved, in the singular: ``latent frame``, ``memory slice``, ..."""
    parts: tuple[tuple[int, int], ...]
    """Frames ``[start, stop)`` behind each part, in order of time."""
    targets: tuple[tuple[int, int], ...]
    """Frames ``[start, stop)`` of each target latent frame."""
    selected: NDArray[np.bool_]
    """``[S, L, F, M]``; S = L = 1 where the choice is the same in every step and block."""
    overlap: NDArray[np.float64]
    """Share of each target frame's view that each part has seen, ``[F, M]``."""
    lens: tuple[float, float, float]
    """Horizontal and vertical field of view (degrees) and radius (metres) behind `overlap`."""
    settings: Mapping[str, Any]
    """Settings of the memory."""


class Tracer(Protocol):
    """What the entry point names."""

    def __call__(self, model: WorldModel | TruthModel, prompt: Prompt, *, seed: int) -> RetrievalTrace | None:
        """The trace of one generation; None for a model of another package."""
        ...


def trace_retrieval(model: WorldModel | TruthModel, prompt: Prompt, *, seed: int) -> RetrievalTrace:
    """Asks every installed tracer.

    Raises:
        UserError: If the model retrieves nothing that anybody can trace.
    """
    for name in RETRIEVAL.points():
        found: RetrievalTrace | None = RETRIEVAL.find(name)(model, prompt, seed=seed)
        if found is not None:
            return found
    raise UserError(
        f"The model {model.info.name!r} does not say what it retrieves.",
        "Choose a memory method, for example --model hydra or --model fov-retrieval (`hmbench models`).",
    )


def retrieval_record(trace: RetrievalTrace, sample: Sample) -> dict[str, Any]:
    """Everything about one generation's retrieval, as JSON types."""
    truth = sample.truth
    events = truth.events if truth is not None else ()
    reason = None
    if not events:
        reason = (
            "the clip has no truth" if truth is None else "no subject leaves and returns, or the data have no masks"
        )
    subjects = {subject.label: subject for subject in truth.subjects} if truth is not None else {}
    return {
        "format": FORMAT,
        "model": trace.model,
        "sample": sample.id,
        "part": trace.part,
        "parts": trace.parts,
        "targets": trace.targets,
        "settings": dict(trace.settings),
        "lens": {"horizontal": trace.lens[0], "vertical": trace.lens[1], "radius": trace.lens[2]},
        "overlap": np.round(trace.overlap, 4).tolist(),
        "retrieved_share": np.round(trace.selected.mean((0, 1)), 4).tolist(),
        "selected": [[[np.flatnonzero(row).tolist() for row in block] for block in step] for step in trace.selected],
        "events": [event_numbers(trace, sample, event, subjects[event.label]) for event in events],
        "events_reason": reason,
    }


def event_numbers(trace: RetrievalTrace, sample: Sample, event: Event, subject: SubjectTruth) -> dict[str, Any]:
    """Whether the memory that was retrieved for the frame of return shows the subject.

    Only parts of the context count: what the target shows of the subject is the answer, not memory.

    Returns:
        ``contains``: share of retrievals (steps and blocks) with at least one part that shows it; ``chance``: the same
        for equally many parts drawn blindly; ``share``: of the retrieved parts; ``base_share``: of all parts; the last
        three are None where nothing of the context was or could be retrieved.
    """
    shows = parts_showing(trace, sample, subject)
    past = np.array([stop <= sample.num_context_frames for _, stop in trace.parts])
    target = next(i for i, (start, stop) in enumerate(trace.targets) if start <= event.reentry < stop)
    chosen = trace.selected[:, :, target].reshape(-1, len(trace.parts)) & past
    hits, counts = (chosen & shows).sum(1), chosen.sum(1)
    available, good = int(past.sum()), int((past & shows).sum())
    return {
        "subject": subject.name,
        "label": event.label,
        "reentry": event.reentry,
        "hidden": event.hidden,
        "target_latent": target,
        "contains": float((hits > 0).mean()),
        "chance": float(np.mean([_chance(available, good, int(n)) for n in counts])) if available else None,
        "share": float(hits.sum() / counts.sum()) if counts.sum() else None,
        "base_share": good / available if available else None,
        "parts_showing_it": np.flatnonzero(shows & past).tolist(),
    }


def parts_showing(trace: RetrievalTrace, sample: Sample, subject: SubjectTruth) -> NDArray[np.bool_]:
    """Parts behind which the subject is visible in at least one frame, ``[M]``."""
    height, width = sample.prompt.size
    seen = visible_frames(subject.visible_area, height * width)
    return np.array([bool(seen[start:stop].any()) for start, stop in trace.parts], dtype=np.bool_)


def _chance(available: int, good: int, drawn: int) -> float:
    """Probability that at least one of `drawn` different parts is a good one."""
    return 1.0 - math.comb(available - good, drawn) / math.comb(available, drawn)
