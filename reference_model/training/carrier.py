"""Trains a `Carrier`: draws clips, trains the `Seer`, measures what it finds, trains the `Follower`, saves all.

What is done is skipped; a killed run goes on from its newest checkpoint and ends with the same weights. Clips are kept
one by one; measures of the clips, which take some minutes, only as a whole.

Usage: ``python -m reference_model.training.carrier --out runs/carrier --worlds mini,mini-easy --clips 900
--seer-steps 5500 --follower-steps 3000 [--seed 0] [--data FOLDER]``
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from reference_model.carrying.carrier import Carrier
from reference_model.released.checkpoint import file_digest
from reference_model.training.carrier_data import ClipFiles
from reference_model.training.disk import StorageError, read_record, replacing_folder, write_atomically
from reference_model.training.export import DIGESTS
from reference_model.training.follower_training import follower_recipe, train_follower
from reference_model.training.monitor import Listener, Silent
from reference_model.training.request import differences
from reference_model.training.seer_training import FRAMES, seer_recipe, train_seer
from reference_model.training.small_training import SmallRecipe
from reference_model.training.stop import TrainingStoppedError
from reference_model.training.tracks import FOUND_EVERY, Tracks, measured_tracks

REQUEST = "train.json"
"""What was asked, in the run's folder."""


@dataclass(frozen=True, kw_only=True)
class CarrierRequest:
    """What is wanted."""

    out: Path
    """The run's folder; the carrier is saved in ``carrier`` below it."""
    files: ClipFiles
    """Clips."""
    seer: SmallRecipe
    """Training of the `Seer`."""
    follower: SmallRecipe
    """Training of the `Follower`."""
    seed: int = 0
    """Of weights, order and augmentation."""
    command: str = ""
    """How the run was asked for, for the card."""

    def record(self) -> dict[str, Any]:
        """The request as plain values, the command left out."""
        steps = {"seer_steps": self.seer.steps, "follower_steps": self.follower.steps, "found_every": FOUND_EVERY}
        return {**self.files.made_of(), **steps, "seed": self.seed}


def train_carrier(request: CarrierRequest, listener: Listener | None = None) -> Path:
    """Does what is not done yet; returns the folder of the saved carrier.

    Raises:
        TrainingStoppedError: If the folder holds another run, or this one cannot go on; what is complete is kept.
        StorageError: If the disk is full.
    """
    listener = listener or Silent()
    _remember(request)
    folder = request.out / "carrier"
    if _is_finished(folder):
        listener.notice(f"{folder} is finished already.")
        return folder
    request.files.draw(listener)
    carrier = build_carrier(request.seed)
    seen = train_seer(carrier.seer, request.files, request.out / "seer", request.seer, request.seed, listener)
    tracks = measured_tracks(request.files, carrier, request.out, listener)
    followed = train_follower(
        carrier.follower, tracks, request.files.made_of(), request.out / "follower", request.follower, request.seed,
        listener,
    )  # fmt: skip
    with replacing_folder(folder) as part:
        carrier.save_pretrained(part)
        (part / "README.md").write_text(card(request, carrier, {**seen, **followed}, tracks), encoding="utf-8")
        files = sorted(part.rglob("*.safetensors"))
        write_atomically(part / DIGESTS, {str(file.relative_to(part)): file_digest(file) for file in files})
    return folder


def build_carrier(seed: int) -> Carrier:
    """An untrained carrier with seeded weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        carrier: Carrier = Carrier()
    return carrier


def card(request: CarrierRequest, carrier: Carrier, worth: dict[str, float], tracks: Tracks) -> str:
    """The card as Markdown."""
    files, seer, follower = request.files, request.seer, request.follower
    learned = [int((~tracks.held & of).sum()) for of in (~tracks.found, tracks.found)]
    sizes = [sum(weight.numel() for weight in part.parameters()) for part in (carrier.seer, carrier.follower)]
    lines = [
        "# carrier",
        "",
        "Carries remembered pictures into new frames: finds subjects (the seer) and follows them (the follower).",
        "",
        "| | |",
        "|---|---|",
        f"| data | {files.made_of()['data']}, {files.clips} clips of each world, {len(files.held_out())} of "
        "them held out |",
        f"| command | `{request.command}` |",
        f"| seed | {request.seed} |",
        f"| seer | {sizes[0]} parameters, {seer.steps} steps of {seer.batch} clips "
        f"({seer.steps * seer.batch} clips, {FRAMES} frames of each) |",
        f"| follower | {sizes[1]} parameters, {follower.steps} steps of {follower.batch} subjects "
        f"({follower.steps * follower.batch} samples) |",
        f"| who is followed | {learned[0]} subjects on true masks, {learned[1]} as the seer finds them in one clip of "
        f"{FOUND_EVERY} |",
        f"| device | CPU ({platform.machine()}), {torch.get_num_threads()} thread(s) |",
        f"| torch | {torch.__version__} |",
        f"| pixels of subjects | {_told(worth, 'iou', 'intersection over union')} |",
        f"| place, true masks | {_walked(worth, '', 'place', 'body heights')} |",
        f"| place, the seer's masks | {_walked(worth, 'found_', 'place', 'body heights')} |",
        f"| log of scale, true masks | {_walked(worth, '', 'scale', 'absolute error')} |",
        f"| log of scale, the seer's masks | {_walked(worth, 'found_', 'scale', 'absolute error')} |",
        "",
        f"The last five rows are of held-out clips. Places and scales are measured where a subject is in view of the "
        f"target: {worth.get('subjects', 0):.0f} subjects on true masks, and the {worth.get('found_subjects', 0):.0f} "
        f"that the seer found of them on its own. Digests of the weights stand in `{DIGESTS}`.",
        "",
    ]
    return "\n".join(lines)


def _walked(worth: dict[str, float], masks: str, part: str, unit: str) -> str:
    found = _told(worth, masks + part, unit)
    straight = f"{masks}straight_{part}"
    return f"{found}; an even walk: {_told(worth, straight, unit)}" if straight in worth else found


def _told(worth: dict[str, float], name: str, unit: str) -> str:
    return f"{worth[name]:.4f} ({unit})" if name in worth else "not measured, no held-out clip tells"


def _remember(request: CarrierRequest) -> None:
    """Writes the request, or compares it with that of the run that is there.

    Raises:
        TrainingStoppedError: If they differ.
    """
    path, asked = request.out / REQUEST, request.record()
    if path.is_file():
        found = read_record(path)
        found.pop("command", None)
        if wrong := differences({**dict.fromkeys(asked), **found}, asked):  # what it does not say, it did not do
            raise TrainingStoppedError(
                f"{request.out} holds a run that was asked for differently ({'; '.join(wrong)}).",
                f"Give another --out, or the settings that stand in {path}.",
            )
        return
    request.out.mkdir(parents=True, exist_ok=True)
    write_atomically(path, {**asked, "command": request.command})


def _is_finished(folder: Path) -> bool:
    """Whether a carrier is there, with the weights that its digests tell of."""
    try:
        digests = json.loads((folder / DIGESTS).read_text(encoding="utf-8"))
        return bool(digests) and all(file_digest(folder / name) == digest for name, digest in digests.items())
    except (OSError, ValueError, AttributeError):
        return False


class _Told(Silent):
    """Writes a line a stage and a line of each note."""

    def __init__(self) -> None:
        self.name, self.total = "", 0

    def stage(self, name: str, total: int, done: int) -> None:
        """Writes where it begins."""
        self.name, self.total = name, total
        sys.stderr.write(f"{name}: {done} of {total} are there\n")

    def advance(self, done: int, note: str) -> None:
        """Writes every note, and every hundredth step without one."""
        if note or done % 100 == 0 or done == self.total:
            sys.stderr.write(f"{self.name} {done}/{self.total} {note}\n")

    def notice(self, text: str) -> None:
        """Writes it."""
        sys.stderr.write(f"{text}\n")


def parsed(arguments: list[str]) -> CarrierRequest:
    """The request of a command line.

    Raises:
        TrainingStoppedError: If a value cannot be.
    """
    parser = argparse.ArgumentParser(prog="python -m reference_model.training.carrier", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the run's folder")
    parser.add_argument("--worlds", default="mini,mini-easy", help="worlds to learn from, with commas between")
    parser.add_argument("--clips", type=int, default=900, help="clips of each world")
    parser.add_argument("--seer-steps", type=int, default=5500, help="steps of the network that finds subjects")
    parser.add_argument("--follower-steps", type=int, default=3000, help="steps of the network that follows them")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and augmentation")
    parser.add_argument("--data", type=Path, help="folder of the drawn clips; OUT/data unless given")
    asked = parser.parse_args(arguments)
    for name in ("seer_steps", "follower_steps"):
        if (steps := getattr(asked, name)) < 1:
            option = f"--{name.replace('_', '-')}"
            raise TrainingStoppedError(f"{option} is {steps}, which trains nothing.", "Give 1 or more.")
    worlds = tuple(world.strip() for world in asked.worlds.split(",") if world.strip())
    return CarrierRequest(
        out=asked.out,
        files=ClipFiles(folder=asked.data or asked.out / "data", worlds=worlds, clips=asked.clips),
        seer=seer_recipe(asked.seer_steps),
        follower=follower_recipe(asked.follower_steps),
        seed=asked.seed,
        command=f"python -m reference_model.training.carrier {shlex.join(arguments)}",
    )


def main(arguments: list[str] | None = None) -> None:
    """The command."""
    try:
        folder = train_carrier(parsed(sys.argv[1:] if arguments is None else arguments), _Told())
    except (TrainingStoppedError, StorageError) as error:
        sys.exit(f"{error}")
    sys.stdout.write(f"{folder}\n")


if __name__ == "__main__":
    main()
