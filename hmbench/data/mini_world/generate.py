"""Many clips, in parallel and resumable: slots of a split, each with its own candidates, each written once.

A slot's clip does not depend on any other slot, so one worker or ten make the same files, and a killed run goes on.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from hmbench.data.mini_world.card import shortfall
from hmbench.data.mini_world.clip import render_clip
from hmbench.data.mini_world.filter import rejection
from hmbench.data.mini_world.motion import CONTEXT
from hmbench.data.mini_world.probes import Probe
from hmbench.data.mini_world.scenes import build_scene
from hmbench.data.mini_world.spec import GENERATOR, ClipSpec, make_plan
from hmbench.data.mini_world.splits import SPLITS, SplitName, candidate, cell_of, least_share, version_of
from hmbench.data.mini_world.writer import sample_id, write_captions, write_clip
from hmbench.durable import flush_folder, own_folder
from hmbench.errors import UserError
from hmbench.files import read_json, write_text
from hmbench.subject_names import NAMES_VERSION
from hmbench.workers.spread import spread

MAX_ATTEMPTS = 400
CHUNK = 6
PROBE_FOLDER = "probes"
JOURNAL = "journal"
MAX_CRF = 51
"""The largest that x264 knows."""


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """What to generate."""

    out: Path
    """Folder of the clips; variants go to ``<out>/probes/<kind>-<strength>/``."""
    split: SplitName = "test"
    """``train`` or ``test``."""
    clips: int = 16
    """How many: the first slots of the split."""
    slots: tuple[int, ...] | None = None
    """Instead of the first `clips` slots, these."""
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
        if not 0 <= self.crf <= MAX_CRF:
            raise UserError(
                f"There is no H.264 quality (crf) {self.crf}.",
                f"Take 0 to {MAX_CRF}; 17 is hard to tell from the original, and larger is worse.",
            )

    @property
    def wanted(self) -> tuple[int, ...]:
        """Slots to make."""
        return tuple(range(self.clips)) if self.slots is None else self.slots


class Made(NamedTuple):
    """What became of one slot."""

    slot: int
    name: str
    attempts: int
    """Candidates looked at; the last was taken."""
    rejections: dict[str, int]
    """Reasons of the others."""
    shortfall: str | None
    """Rule of the filter that the finished clip breaks at its own size, or None."""
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

    @property
    def shortfalls(self) -> dict[str, int]:
        """How many finished clips break a rule of the filter at their own size, by rule."""
        return dict(Counter(made.shortfall for made in self.made if made.shortfall).most_common())


def generate(config: GenerateConfig, on_done: Callable[[Made], None] | None = None) -> Report:
    """Make the clips that are not there yet.

    Args:
        config: What to make.
        on_done: Called after each clip, for progress.

    Raises:
        UserError: If the folder holds clips of another generator, size, split or seed, or anything else, or cannot be
            written.
    """
    with _writing(config):
        _check_folder(config)
    made = []
    with closing(_run(config)) as run:
        for one in run:
            made.append(one)
            if on_done:
                on_done(one)
    with _writing(config):
        write_captions(config.out)
        for probe in config.probes:
            write_captions(config.out / PROBE_FOLDER / str(probe))
    return Report(sorted(made, key=lambda one: one.slot))


def make_slot(config: GenerateConfig, slot: int) -> Made:
    """Make one slot's clip and its variants, unless they are there.

    Raises:
        UserError: If no candidate passes the filter, or the files cannot be written.
    """
    old = _made(config, slot)
    if old is not None:
        return old
    spec, reasons = _accepted(config, slot)
    name = sample_id(slot + 1, spec, make_plan(spec, build_scene(spec.scene)).location)
    extra = {
        "slot": slot,
        "attempts": len(reasons) + 1,
        "split": config.split,
        "seed": config.seed,
        "version": version_of(config.split),
    }
    with _writing(config):
        for folder, probe in _variants(config, name):
            if not (folder / "truth.json").is_file():
                clip = render_clip(spec, config.size, probe, half=config.half)
                write_clip(folder, clip, cell=cell_of(config.split, slot), crf=config.crf, extra=extra)
        made = Made(
            slot=slot,
            name=name,
            attempts=len(reasons) + 1,
            rejections=dict(Counter(reasons)),
            shortfall=shortfall(read_json(config.out / name / "truth.json")),
            was_there=False,
        )
        write_text(_record(config, slot), json.dumps(made._asdict()))
    return made


def _record(config: GenerateConfig, slot: int) -> Path:
    return config.out / f".{JOURNAL}" / f"{slot:05d}.json"


def _made(config: GenerateConfig, slot: int) -> Made | None:
    """Return what the journal tells of a slot whose files are all there; a damaged entry tells nothing."""
    with suppress(UserError, TypeError, KeyError):
        old = read_json(_record(config, slot))
        if all((folder / "truth.json").is_file() for folder, _ in _variants(config, old["name"])):
            if "shortfall" not in old:  # written before there was any
                old["shortfall"] = shortfall(read_json(config.out / old["name"] / "truth.json"))
            return Made(**(old | {"slot": slot, "was_there": True}))
    return None


def accepted_specs(split: SplitName, seed: int, count: int) -> Iterator[tuple[str, ClipSpec]]:
    """Yield (cell, specification) of the first clips of a split without rendering them: for in-memory use."""
    config = GenerateConfig(out=Path(), split=split, seed=seed, clips=count)
    for slot in range(count):
        yield cell_of(split, slot), _accepted(config, slot)[0]


def _accepted(config: GenerateConfig, slot: int) -> tuple[ClipSpec, list[str]]:
    reasons: list[str] = []
    for attempt in range(MAX_ATTEMPTS):
        spec = candidate(config.split, config.seed, slot, attempt)
        reason = rejection(spec, least=least_share(config.split))
        if reason is None:
            return spec, reasons
        reasons.append(reason)
    why = ", ".join(f"{count} {reason}" for reason, count in Counter(reasons).most_common())
    raise UserError(
        f"None of {MAX_ATTEMPTS} candidates for clip {slot + 1} of split {config.split!r}, seed {config.seed}, passes "
        f"the exit-entry filter: {why}.",
        "Take another seed.",
    )


def _variants(config: GenerateConfig, name: str) -> list[tuple[Path, Probe | None]]:
    folders: list[tuple[Path, Probe | None]] = [(config.out / name, None)]
    return folders + [(config.out / PROBE_FOLDER / str(p) / name, p) for p in config.probes]


def _run(config: GenerateConfig) -> Generator[Made, None, None]:
    there = [made for slot in config.wanted if (made := _made(config, slot))]
    yield from there
    chunks = _chunks(config, {made.slot for made in there})
    make = partial(make_slot, config)
    if config.workers == 1 or len(chunks) == 1:
        for chunk in chunks:
            yield from map(make, chunk)
    elif chunks:
        warm_up()
        yield from spread(make, chunks, config.workers)


def _chunks(config: GenerateConfig, there: set[int]) -> list[list[int]]:
    """Return the slots to make in groups of at most `CHUNK` of one scene: baking one takes a third of a clip's time."""
    by_scene: dict[int, list[int]] = {}
    for slot in sorted(set(config.wanted) - there):
        by_scene.setdefault(candidate(config.split, config.seed, slot, 0).scene, []).append(slot)
    return [slots[i : i + CHUNK] for slots in by_scene.values() for i in range(0, len(slots), CHUNK)]


def warm_up() -> None:
    """Compile the kernels once, so that workers load them from the cache instead of compiling each for itself."""
    render_clip(ClipSpec(scene=9, subjects=(0,), subject_path=0, camera_path=0, seed=0), (16, 16), half=5)


def _check_folder(config: GenerateConfig) -> None:
    """Refuse to mix: a folder holds one generator version, size, split, seed and length, and nothing else."""
    asked = {
        "version": version_of(config.split), "generator": GENERATOR, "split": config.split, "seed": config.seed,
        "size": list(config.size), "crf": config.crf, "half": config.half, "names": NAMES_VERSION,
    }  # fmt: skip
    path = config.out / "mini.json"
    config.out.mkdir(parents=True, exist_ok=True)
    others = sorted(entry.name for entry in config.out.iterdir() if not entry.name.startswith("."))
    if not path.is_file():  # looked at after the others: a run beside this one writes it before all else
        if others:
            raise UserError(
                f"{config.out} has no mini.json but holds other things ({', '.join(others[:3])}"
                f"{', ...' if others[3:] else ''}): captions and splits of the mini world would replace what is there.",
                "Take a new or empty folder.",
            )
        _publish(path, json.dumps(asked, indent=1))
    found = {"names": 1} | _read_options(path)
    wrong = [f"{key} {found.get(key)} (asked: {value})" for key, value in asked.items() if found.get(key) != value]
    if wrong:
        old = any(found.get(key) != asked[key] for key in ("version", "generator", "names"))
        raise UserError(
            f"{config.out} already holds other clips: {', '.join(wrong)}.",
            "Another version of hmbench made them: take an empty folder."
            if old
            else "Take an empty folder, or ask for the same again.",
        )


def _publish(path: Path, text: str) -> None:
    """Write a file whole, unless another process did so first: then its file stays."""
    with own_folder(path) as temporary:
        part = temporary / path.name
        write_text(part, text)
        try:
            os.link(part, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            part.replace(path)
        flush_folder(path.parent)


def _read_options(path: Path) -> dict[str, Any]:
    hint = "Take another folder, or delete this one and make its clips again."
    try:
        found = read_json(path)
    except UserError as error:
        raise UserError(f"What {path.parent} holds cannot be told: {error.what}", hint) from error
    if not isinstance(found, dict):
        raise UserError(f"What {path.parent} holds cannot be told: {path} is no JSON object.", hint)
    return found


@contextmanager
def _writing(config: GenerateConfig) -> Iterator[None]:
    """Turn what the file system refuses into something to read."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"The mini world cannot be written to {config.out}: {error.strerror or error}.",
            "Give a folder that can be written, with room for a megabyte or more a clip; complete clips are kept.",
        ) from error
