"""Data that are fuzzed: clips in HM-World's layout, with label maps in all forms, and as shards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from fuzz_mutate import Random

CPU = ("--device", "cpu")
Command = tuple[str, ...]
SAMPLE = "00001_Noon_loc0_Straight_Sweep_0"
"""The clip with exact labels."""


def discs(folder: Path) -> None:
    """Two disc clips of 9 + 9 frames in HM-World's layout; the second with exact label maps and a truth.json."""
    from conftest import write_hm_world

    from hmbench.data.disc_world import DiscWorld, DiscWorldConfig
    from hmbench.video.files import write_labels

    world = DiscWorld(DiscWorldConfig(samples=2, frames=9))
    data = folder / "data"
    for number, sample_id in enumerate(world.ids("all")):
        sample = world.load(sample_id)
        own = write_hm_world(data, sample)
        if number == 1:
            truth = sample.truth
            assert truth is not None and truth.context_labels is not None and truth.target_labels is not None
            write_labels(own / "masks.mkv", np.concatenate([truth.context_labels, truth.target_labels]), fps=15)
            places = {"positions": [[0.0, 0.0, 1.0]] * 18, "amodal_area": [20.0] * 18}
            subjects = [{"label": s.label, "name": s.name, "category": s.category, **places} for s in truth.subjects]
            content = {"subjects": subjects, "intrinsics": {"focal": 118.0}, "cell": "seen", "captions": {"full": "a"}}
            (own / "truth.json").write_text(json.dumps(content))
    lines = [f"{i}\t{world.load(i).prompt.caption}\n" for i in world.ids("all")]
    (data / "caption.txt").write_text("".join(lines))
    card = {"cameras": "unreal-cm", "tracker": "none"}
    (data / "hmbench.json").write_text(json.dumps(card))
    (data / "splits.json").write_text(json.dumps({"test": list(world.ids("all"))}))


def sample_files(folder: Path) -> list[Path]:
    """All files of the data."""
    return sorted(p for p in (folder / "data").rglob("*") if p.is_file())


def labels(folder: Path) -> None:
    """A clip with label maps in each form that other tools write."""
    from PIL import Image

    from hmbench.video.files import read_labels

    discs(folder)
    source = folder / "data" / SAMPLE
    maps = read_labels(source / "masks.mkv")
    (source / "masks.mkv").unlink()
    (source / "truth.json").unlink()
    for number, form in enumerate(("npz", "json", "png", "npy"), 2):
        own = folder / "data" / f"{number:05d}_Noon_loc0_Straight_Sweep_0"
        shutil.copytree(source, own)
        if form == "npz":
            np.savez_compressed(own / "masks.npz", maps=maps)
        elif form == "npy":
            np.save(own / "masks.npy", maps)
        elif form == "json":
            runs = [
                [int(r) for r in np.diff([0, *np.flatnonzero(np.diff([0, *(m.T.ravel() > 0)])), m.size])] for m in maps
            ]
            size = list(maps.shape[1:])
            entries = [
                {"track_id": 1, "image_id": t, "segmentation": {"size": size, "counts": r}} for t, r in enumerate(runs)
            ]
            (own / "masks.json").write_text(json.dumps({"annotations": entries}))
        else:
            (own / "masks").mkdir()
            for t, frame in enumerate(maps):
                Image.fromarray(frame).save(own / "masks" / f"{t}.png")
    shutil.rmtree(source)
    (folder / "data" / "splits.json").unlink()


def label_files(folder: Path) -> list[Path]:
    """All of them, of the pictures the first three."""
    found = [p for p in sample_files(folder) if p.name.startswith("masks.") or p.parent.name == "masks"]
    return [p for p in found if p.suffix != ".png"] + [p for p in found if p.suffix == ".png"][:3]


def shards(folder: Path) -> None:
    """The clips as shards of both forms."""
    from hmbench.data.hm_world import HMWorld
    from hmbench.data.shards import export_shards

    discs(folder)
    data = HMWorld(folder / "data")
    for form in ("webdataset", "parquet"):
        export_shards(data, data.ids("all"), folder / form, form)  # type: ignore[arg-type]


def load_shards(folder: Path, changed: Path) -> None:
    """Every clip of the shards that were changed."""
    from hmbench.data.dataset import open_dataset

    data = open_dataset(str(changed.parent))
    for sample in data.ids("all"):
        data.load(sample)


def shard_commands(folder: Path, changed: Path, rng: Random) -> Sequence[Command]:
    """Evaluate on them."""
    out = ("--no-tracking", "--metric", "psnr", *CPU, "--out", str(folder / "out" / "run"))
    return [("eval", "-m", "copy-last", "-d", str(changed.parent), *out)]
