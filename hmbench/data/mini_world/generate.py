"""Many clips, in parallel and resumable: slots of a split, each with its own candidates, each written once.

A slot's clip does not depend on any other slot, so one worker or ten make the same files, and a killed run goes on.
"""

import itertools
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from hmbench.data.mini_world.clip import render_clip
from hmbench.data.mini_world.filter import rejection
from hmbench.data.mini_world.motion import CONTEXT
from hmbench.data.mini_world.probes import Probe
from hmbench.data.mini_world.scenes import build_scene
from hmbench.data.mini_world.spec import GENERATOR, VERSION, ClipSpec, make_plan
from hmbench.data.mini_world.splits import SPLITS, SplitName, candidate, cell_of
from hmbench.data.mini_world.writer import sample_id, write_captions, write_clip
from hmbench.errors import UserError

MAX_ATTEMPTS = 400
CHUNK = 6
PROBE_FOLDER = "probes"
JOURNAL = "journal"


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """What to generate."""

    out: Path
    """Folder of the clips; variants go to ``<out>/probes/<kind>-<strength>/``."""
    split: SplitName = "test"
    """``train`` or ``test``."""
    clips: int = 16
    """How many."""
    size: tuple[int, int] = (416, 240)
    """(W, H), multiples of 16."""
    seed: int = 0
    """Another seed is another set of clips."""
    probes: tuple[Probe, ...] = ()
    """Faults to render beside the clean clips."""
    workers: int = 1
    """Processes."""
    crf: int = 17
    """H.264 quality."""
    half: int = CONTEXT
    """Frames of each half."""

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise UserError(
                f"There is no split {self.split!r} in the mini world.", f"Choose one of {', '.join(SPLITS)}."
            )
        if self.size[0] % 16 or self.size[1] % 16 or min(self.size) < 32:
            raise UserError(
                f"Clips of {self.size[0]}x{self.size[1]} cannot be made: both sides must be "
                "multiples of 16, at least 32.",
                "Take 112x64, 224x128, 416x240 or 832x480.",
            )
        if self.clips < 1 or self.workers < 1:
            raise UserError(f"{self.clips} clips on {self.workers} workers cannot be made.", "Both must be at least 1.")


class Made(NamedTuple):
    """What became of one slot."""

    slot: int
    name: str
    attempts: int
    """Candidates looked at; the last was taken."""
    rejections: dict[str, int]
    """Reasons of the others."""
    was_there: bool


class Report(NamedTuple):
    """What a run made."""

    made: list[Made]

    @property
    def acceptance(self) -> float:
        """Share of candidates that passed the exit-entry filter."""
        return len(self.made) / sum(m.attempts for m in self.made)

    @property
    def rejections(self) -> dict[str, int]:
        """How many candidates failed, by reason."""
        total: Counter[str] = Counter()
        for made in self.made:
            total.update(made.rejections)
        return dict(total.most_common())


def generate(config: GenerateConfig, on_done: Callable[[Made], None] | None = None) -> Report:
    """Make the clips that are not there yet.

    Args:
        config: What to make.
        on_done: Called after each clip, for progress.

    Raises:
        UserError: If the folder holds clips of another generator, size, split or seed.
    """
    _check_folder(config)
    made = []
    for one in _run(config):
        made.append(one)
        if on_done:
            on_done(one)
    write_captions(config.out)
    for probe in config.probes:
        write_captions(config.out / PROBE_FOLDER / str(probe))
    return Report(sorted(made))


def make_slot(config: GenerateConfig, slot: int) -> Made:
    """Make one slot's clip and its variants, unless they are there."""
    record = config.out / f".{JOURNAL}" / f"{slot:05d}.json"
    if record.is_file():
        old = json.loads(record.read_text(encoding="utf-8"))
        if all((folder / "truth.json").is_file() for folder, _ in _variants(config, old["name"])):
            return Made(slot, old["name"], old["attempts"], old["rejections"], True)
    spec, reasons = _accepted(config, slot)
    name = sample_id(slot + 1, spec, make_plan(spec, build_scene(spec.scene)).location)
    extra = {"slot": slot, "attempts": len(reasons) + 1, "split": config.split, "seed": config.seed}
    for folder, probe in _variants(config, name):
        if not (folder / "truth.json").is_file():
            clip = render_clip(spec, config.size, probe, half=config.half)
            write_clip(folder, clip, cell=cell_of(config.split, slot), crf=config.crf, extra=extra)
    counts = dict(Counter(reasons))
    record.parent.mkdir(parents=True, exist_ok=True)
    part = record.with_suffix(f".part-{os.getpid()}")
    part.write_text(json.dumps({"name": name, "attempts": len(reasons) + 1, "rejections": counts}), encoding="utf-8")
    part.replace(record)
    return Made(slot, name, len(reasons) + 1, counts, False)


def accepted_specs(split: SplitName, seed: int, count: int) -> Iterator[tuple[str, ClipSpec]]:
    """Yield (cell, specification) of the first clips of a split without rendering them: for in-memory use."""
    config = GenerateConfig(out=Path(), split=split, seed=seed, clips=count)
    for slot in range(count):
        yield cell_of(split, slot), _accepted(config, slot)[0]


def _accepted(config: GenerateConfig, slot: int) -> tuple[ClipSpec, list[str]]:
    reasons: list[str] = []
    for attempt in itertools.count():
        spec = candidate(config.split, config.seed, slot, attempt)
        reason = rejection(spec)
        if reason is None:
            return spec, reasons
        reasons.append(reason)
        assert attempt < MAX_ATTEMPTS, f"{slot=} of {config.split} {config.seed=}: no clip in {attempt} candidates"
    raise AssertionError("unreachable")


def _variants(config: GenerateConfig, name: str) -> list[tuple[Path, Probe | None]]:
    folders: list[tuple[Path, Probe | None]] = [(config.out / name, None)]
    return folders + [(config.out / PROBE_FOLDER / str(p) / name, p) for p in config.probes]


def _run(config: GenerateConfig) -> Iterator[Made]:
    chunks = _chunks(config)
    if config.workers == 1:
        for chunk in chunks:
            for slot in chunk:
                yield make_slot(config, slot)
        return
    warm_up()
    alone = replace(config, workers=1)
    with ProcessPoolExecutor(config.workers, mp_context=get_context("spawn")) as workers:
        futures = [workers.submit(_make_chunk, alone, chunk) for chunk in chunks]
        try:
            for future in as_completed(futures):
                yield from future.result()
        except BaseException:
            workers.shutdown(cancel_futures=True)
            raise


def _chunks(config: GenerateConfig) -> list[list[int]]:
    """Return the slots in groups of at most `CHUNK` of one scene: baking a scene takes as long as a third of a clip."""
    by_scene: dict[int, list[int]] = {}
    for slot in range(config.clips):
        by_scene.setdefault(candidate(config.split, config.seed, slot, 0).scene, []).append(slot)
    return [slots[i : i + CHUNK] for slots in by_scene.values() for i in range(0, len(slots), CHUNK)]


def _make_chunk(config: GenerateConfig, slots: list[int]) -> list[Made]:
    return [make_slot(config, slot) for slot in slots]


def warm_up() -> None:
    """Compile the kernels once, so that workers load them from the cache instead of compiling each for itself."""
    render_clip(ClipSpec(scene=9, subjects=(0,), subject_path=0, camera_path=0, seed=0), (16, 16), half=5)


def _check_folder(config: GenerateConfig) -> None:
    """Refuse to mix: a folder holds one generator version, size, split, seed and length."""
    asked = {
        "version": VERSION, "generator": GENERATOR, "split": config.split, "seed": config.seed,
        "size": list(config.size), "crf": config.crf, "half": config.half,
    }  # fmt: skip
    path = config.out / "mini.json"
    config.out.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        path.write_text(json.dumps(asked, indent=1), encoding="utf-8")
        return
    found = json.loads(path.read_text(encoding="utf-8"))
    wrong = [f"{key} {found.get(key)} (asked: {value})" for key, value in asked.items() if found.get(key) != value]
    if wrong:
        raise UserError(
            f"{config.out} already holds other clips: {', '.join(wrong)}.",
            "Take an empty folder, or ask for the same again.",
        )
