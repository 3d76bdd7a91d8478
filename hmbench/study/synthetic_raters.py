"""People who do not exist: seeded choices for trying out a study, and for the worked example of the documentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

from hmbench.report.compare_inputs import shared_samples
from hmbench.study.page import FORMAT, make_plan, open_runs


def synthetic_choices(
    folders: Sequence[Path],
    lead: Mapping[str, float],
    *,
    raters: int,
    sharpness: float = 1.0,
    undecided: float = 0.1,
    seed: int = 0,
    repeats: int = 2,
) -> list[dict[str, Any]]:
    """Choices of simulated people, as the page would save them.

    A person prefers the first given run with the probability 1 / (1 + exp(-sharpness * lead)).

    Args:
        folders: The two runs.
        lead: Clip to how much better the first given run is there, in people's eyes; its clips are those asked.
        raters: How many people.
        sharpness: 0 chooses blindly.
        undecided: Share of answers "no difference".
        seed: Seed of the page and of the people.
        repeats: Clips asked twice.
    """
    runs = open_runs(folders)
    samples = [s for s in shared_samples(runs) if s in lead]
    plan = make_plan(runs, samples, seed=seed, repeats=repeats)
    towards = 1.0 if plan.runs[0] == 0 else -1.0
    files = []
    for rater in range(raters):
        rng = np.random.default_rng([seed, rater])
        choices = []
        for number, item in enumerate(plan.items):
            odds = towards * sharpness * lead[item.sample]
            first = rng.random() < special.expit(odds)
            side = "left" if first == item.first_is_left else "right"
            better = "equal" if rng.random() < undecided else side
            worse = {"left": "right", "right": "left"}.get(better)
            choices.append(
                {
                    "item": number,
                    "sample": item.sample,
                    "better": better,
                    "left_wrong": ["vanished"] if worse == "left" else [],
                    "right_wrong": ["vanished"] if worse == "right" else [],
                    "seconds": round(float(rng.gamma(8, 2)), 1),
                }
            )
        files.append(
            {
                "format": FORMAT,
                "study": plan.study,
                "seed": seed,
                "repeats": repeats,
                "rater": f"synthetic {rater + 1}",
                "clips": samples,
                "choices": choices,
            }
        )
    return files
