"""A page that asks people: two predictions of a clip side by side, which one remembers better, and what is wrong.

The page is a folder of static files: it asks nothing of the network, and what a person chose leaves it as a JSON file
that the person saves and sends. It does not say which model is which: names of files are digests, and sides are drawn
for each clip. Both follow from the study's seed, so that `hmbench.study.agreement` can turn choices back into models
without a key that could be lost.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from hmbench.data.dataset import open_dataset, open_recorded
from hmbench.errors import UserError
from hmbench.files import read_json, write_text
from hmbench.metrics.reentry.verdict import Verdict
from hmbench.report.compare_inputs import ComparedRun, check_comparable, load_runs, shared_samples
from hmbench.report.side_by_side import predicted_video
from hmbench.types import Video
from hmbench.video.files import write_video

FORMAT = 1
WORDS = (*(word for word in get_args(Verdict) if word != "returned"), "background forgotten", "background invented")
"""What can be wrong: the verdicts' own words, and two about the background."""
CRF = 18
"""x264's quality of what people look at: hard to tell from the lossless prediction, which stays as it is."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One question."""

    sample: str
    """Clip."""
    first_is_left: bool
    """Whether the study's first run stands on the left."""
    repeated: bool = False
    """Whether this clip was asked before, sides swapped: the answers of a careful person agree."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a study asks, in order; follows from runs, clips and seed."""

    study: str
    """Digest of everything below: choices of another study are refused."""
    seed: int
    """Seed."""
    runs: tuple[int, int]
    """Indices of the given runs as the study's first and second; the order in which they are given is no matter."""
    items: tuple[Item, ...]
    """Questions."""


def make_plan(runs: Sequence[ComparedRun], samples: Sequence[str], *, seed: int, repeats: int) -> Plan:
    """Draws clips' order and sides.

    Args:
        runs: The two runs.
        samples: Clips to show.
        seed: Seed.
        repeats: How many of them to ask again at the end, sides swapped.
    """
    identities = [_identity(run) for run in runs]
    first, second = sorted(range(2), key=lambda index: identities[index])
    study = _digest("study", seed, repeats, identities[first], identities[second], *sorted(samples))
    rng = np.random.default_rng(int(study, 16))
    order = [sorted(samples)[i] for i in rng.permutation(len(samples))]
    sides = rng.permutation(np.arange(len(order)) % 2 == 0)  # as often left as right
    items = [Item(sample=s, first_is_left=bool(left)) for s, left in zip(order, sides, strict=True)]
    again = [items[i] for i in rng.permutation(len(items))[:repeats]]
    items += [Item(sample=i.sample, first_is_left=not i.first_is_left, repeated=True) for i in again]
    return Plan(study=study, seed=seed, runs=(first, second), items=tuple(items))


def open_runs(folders: Sequence[Path]) -> list[ComparedRun]:
    """The two runs of a study.

    Raises:
        UserError: If they are not two, or must not be compared.
    """
    if len(folders) != 2:
        raise UserError(f"A study shows two runs, not {len(folders)}.", "Give two run folders.")
    runs = load_runs(folders)
    check_comparable(runs)
    if _identity(runs[0]) == _identity(runs[1]):
        raise UserError("Both runs are of the same model and seed.", "Give runs of two models.")
    return runs


def write_page(
    folders: Sequence[Path],
    out: Path,
    *,
    data: str | None = None,
    clips: int | None = None,
    seed: int = 0,
    repeats: int = 2,
    on_item: Callable[[str], None] | None = None,
) -> Plan:
    """Writes the page and its videos.

    Args:
        folders: The two runs.
        out: Folder of the page: new, empty, or of the same study.
        data: Where the clips are; the runs' own data by default.
        clips: How many clips; all that both runs have by default.
        seed: Seed of order and sides; which clips are taken follows from it, too.
        repeats: Clips that are asked again at the end.
        on_item: Called with each clip that has been written.

    Raises:
        UserError: If the runs cannot be shown together or `out` holds something else.
    """
    import jinja2

    runs = open_runs(folders)
    samples = shared_samples(runs)
    if clips is not None and clips < len(samples):
        chosen = np.random.default_rng([seed, 1]).permutation(len(samples))[:clips]
        samples = [samples[i] for i in sorted(chosen)]
    plan = make_plan(runs, samples, seed=seed, repeats=min(repeats, len(samples)))
    _check_folder(out, plan)
    dataset = open_dataset(data) if data else open_recorded(runs[0].manifest.data)
    shown: dict[str, dict[str, str]] = {}
    for item in plan.items:
        if item.repeated:
            continue
        sample = dataset.load(item.sample)
        videos = {"context": sample.prompt.context}
        for name, index in zip(("first", "second"), plan.runs, strict=True):
            videos[name] = predicted_video(runs[index], sample)
        shown[item.sample] = {
            name: _video(out, plan, item.sample, name, video, sample.prompt.fps) for name, video in videos.items()
        }
        if on_item:
            on_item(item.sample)
    questions = [_question(number, item, shown[item.sample]) for number, item in enumerate(plan.items)]
    template = Path(__file__).parent / "templates" / "study.html"
    page = jinja2.Environment(autoescape=True).from_string(template.read_text(encoding="utf-8"))
    content = {"format": FORMAT, "study": plan.study, "seed": seed, "questions": questions, "words": list(WORDS)}
    write_text(out / "index.html", page.render(content=_in_script(content), words=WORDS))
    return plan


def study_of(folders: Sequence[Path], choices: dict[str, Any]) -> Plan:
    """The plan that a file of choices belongs to.

    Raises:
        UserError: If the choices are of other runs, clips or another seed.
    """
    runs = open_runs(folders)
    asked = {c["sample"] for c in choices["choices"]}
    samples = [s for s in choices["clips"] if s in set(shared_samples(runs))]
    plan = make_plan(runs, samples, seed=choices["seed"], repeats=choices["repeats"])
    if plan.study != choices["study"] or not asked <= set(samples):
        raise UserError(
            f"These choices (study {choices['study'][:12]}) were made on other runs or clips than "
            f"{runs[0].label} and {runs[1].label}.",
            "Give the two run folders that the page was made from, unchanged.",
        )
    return plan


def _identity(run: ComparedRun) -> str:
    """What tells a run from another, whatever its folder is called."""
    return _digest(json.dumps(run.manifest.identity(), sort_keys=True))


def _digest(*parts: object) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:24]


def _video(out: Path, plan: Plan, sample: str, name: str, video: Video, fps: float) -> str:
    """Writes a video under a name that tells nothing; returns its place in the page."""
    place = f"videos/{_digest(plan.study, sample, name)}.mp4"
    if not (out / place).is_file():
        write_video(out / place, video, fps=fps, crf=CRF, gop=8)
    return place


def _question(number: int, item: Item, videos: dict[str, str]) -> dict[str, Any]:
    left, right = ("first", "second") if item.first_is_left else ("second", "first")
    return {
        "item": number,
        "sample": item.sample,
        "context": videos["context"],
        "left": videos[left],
        "right": videos[right],
        "repeated": item.repeated,
    }


def _in_script(content: dict[str, Any]) -> Any:
    """JSON that is safe inside a script element, whatever a clip is called."""
    from markupsafe import Markup

    text = json.dumps(content, ensure_ascii=True)
    safe = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Markup(safe)  # noqa: S704


def _check_folder(out: Path, plan: Plan) -> None:
    marker = out / "study.json"
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file.", "Give a folder for the page.")
    if marker.is_file() and read_json(marker, kind=dict).get("study") == plan.study:
        return
    if out.is_dir() and any(out.iterdir()):
        raise UserError(f"{out} holds other things.", "Give a new or empty folder for the page.")
    write_text(marker, json.dumps({"format": FORMAT, "study": plan.study}))
