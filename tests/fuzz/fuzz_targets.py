"""What is fuzzed: a folder that is right, the files in it that are changed, and the commands that then read them."""

from __future__ import annotations

import contextlib
import gzip
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from fuzz_forms import (
    CPU,
    SAMPLE,
    Command,
    discs,
    label_files,
    labels,
    load_shards,
    sample_files,
    shard_commands,
    shards,
)
from fuzz_mutate import Random

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]  # conftest and hm_world_archive


from hmbench.errors import UserError  # noqa: E402


class Done(NamedTuple):
    """How a command ended."""

    code: int | None
    """Its exit code; None if something escaped."""
    text: str
    """Everything that it printed, and the traceback of what escaped."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One kind of input."""

    name: str
    """What it is called in reports."""
    prepare: Callable[[Path], None]
    """Writes what is right into an empty folder, once."""
    files: Callable[[Path], list[Path]]
    """The files of that folder that are changed."""
    commands: Callable[[Path, Path, Random], Sequence[Command]]
    """Commands that read it: the folder, the changed file, the random generator."""
    light: Callable[[Path, Path], object] | None = None
    """Reads the same file without the command line, for the fast sample."""
    after: Callable[[Path, Command, Done, bool], str | None] | None = None
    """What is wrong with what a command left: of the folder, the command, how it ended, and whether something that is
    no file stands in the changed file's place."""
    reseal: Callable[[Path, Path], None] | None = None
    """Makes the digests anew of what was changed, as somebody does who knows how."""
    weight: float = 1.0
    """Share of the mutations."""
    slow: bool = False
    """Left out of the fast sample."""
    right: bool = True
    """Without a change every command ends well; if one does not, what it refuses tells nothing."""
    whole: bool = False
    """Commands change the folder itself: all of it is put back after each mutation, not the changed file alone."""


def chosen(*names: str) -> Callable[[Path], list[Path]]:
    """Files of these names."""
    return lambda folder: [p for p in sample_files(folder) if p.name in names]


def sample_of(folder: Path, changed: Path) -> str:
    """The sample that a file belongs to; the first one for a file of the whole data set."""
    first = changed.relative_to(folder / "data").parts[0]
    names = sorted(p.name for p in (folder / "data").iterdir() if p.is_dir())
    return first if first in names else names[0]


def data_commands(folder: Path, changed: Path, rng: Random) -> Sequence[Command]:
    """One of the commands that read data."""
    data = str(folder / "data")
    sample = sample_of(folder, changed)
    score = ("eval", "-m", "copy-last", "-d", data, "--no-tracking", "--metric", "psnr_subject", *CPU)
    options: list[Command] = [
        ("data", "check", data),
        ("data", "show", data, sample),
        ("data", "inspect", data),
        (*score, "--sample", sample, "--out", str(folder / "out" / "run")),
    ]
    if changed.name == "splits.json":
        options = [("data", "show", data, "--split", "test"), ("data", "check", data, "--split", "test")]
    return [options[int(rng.integers(len(options)))]]


def load_sample(folder: Path, changed: Path) -> None:
    """Reads the sample whose file was changed."""
    from hmbench.data.hm_world import HMWorld

    data = HMWorld(folder / "data")
    sample = sample_of(folder, changed)
    data.ids("test")
    data.revision(data.ids("all"))
    data.load(sample)


def look_at_predictions(folder: Path, changed: Path) -> None:
    """What ``check-predictions`` does, and reads what fits."""
    from hmbench.data.hm_world import HMWorld
    from hmbench.results.predictions import read_prediction
    from hmbench.results.reading import Reading
    from hmbench.run.predictions_check import check_predictions

    data, how = HMWorld(folder / "data"), Reading(align="resample", fit="pad")
    match = str(changed) if changed.suffix == ".csv" else None
    for look in check_predictions(data, data.ids("all"), folder / "predictions", match=match, reading=how).looks:
        if look.plan is not None and look.file is not None:
            read_prediction(look.file, data.load(look.sample), how)


def read_boards(folder: Path, changed: Path) -> None:
    """What the leaderboard does before it prints."""
    from leaderboard.submission import read_entries
    from leaderboard.tables import make_boards

    make_boards(read_entries(folder / "entries"), rank_by=["psnr"])


def take_context(folder: Path, changed: Path) -> None:
    """Somebody's video as a sample."""
    from hmbench.data.own_video import OwnVideoConfig, sample_from_video

    camera = folder / "camera.json" if changed.suffix == ".json" else "static"
    sample_from_video(folder / "my.mp4", camera, "", OwnVideoConfig(num_context=9, num_target=9, size=(48, 80)))


def predictions(folder: Path) -> None:
    """The data, and a video for each clip: one alone, one with its context; and other forms."""
    from hmbench.data.hm_world import HMWorld
    from hmbench.video.files import write_lossless

    discs(folder)
    data = HMWorld(folder / "data")
    for number, sample_id in enumerate(data.ids("all")):
        sample = data.load(sample_id)
        assert sample.truth is not None
        video = sample.truth.target
        if number:
            video = np.concatenate([sample.prompt.context, video])
            np.save(folder / "predictions" / f"{sample_id}.npy", video)
        else:
            write_lossless(folder / "predictions" / f"{sample_id}.mp4", video, fps=sample.prompt.fps)
    table = "id,file\n" + "".join(f"{p.stem},{p.name}\n" for p in sorted((folder / "predictions").iterdir()))
    (folder / "predictions" / "names.csv").write_text(table)


def prediction_commands(folder: Path, changed: Path, rng: Random) -> Sequence[Command]:
    """A look or a score, with or without leave to fit."""
    videos, data = str(folder / "predictions"), str(folder / "data")
    fit = [
        (),
        ("--align", "resample"),
        ("--align", "first-frames"),
        ("--fit", "crop"),
        ("--fit", "pad"),
    ]
    how = fit[int(rng.integers(len(fit)))] + (("--match", f"{videos}/names.csv") if changed.suffix == ".csv" else ())
    if rng.random() < 0.5:
        return [("check-predictions", videos, data, *how)]
    out = ("--out", str(folder / "out" / "run"))
    return [("score", "--predictions", videos, "-d", data, "--no-tracking", "--metric", "psnr", *CPU, *how, *out)]


def own_video(folder: Path) -> None:
    """Somebody's video and camera file."""
    from fuzz_run import call

    from hmbench.data.cameras import to_unreal
    from hmbench.video.files import write_video

    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    write_video(folder / "my.mp4", rng.integers(0, 255, (12, 48, 80, 3)).astype(np.uint8), fps=15)
    still = to_unreal(np.tile(np.eye(4), (9, 1, 1))).tolist()
    half = {str(i): m for i, m in enumerate(still)}
    (folder / "camera.json").write_text(json.dumps({"cond_cam": half, "tgt_cam": half}))
    for camera in ("static", str(folder / "camera.json")):
        done = call(_continued(folder, camera))
        assert done.code == 0, done.text
        shutil.rmtree(folder / "out")


def _continued(folder: Path, camera: str, *odd: str) -> Command:
    base = ("eval", "-m", "copy-last", "--video", str(folder / "my.mp4"), "--camera", camera, "--video-frames", "9")
    size = ("--video-size", "80x48")
    return (*base, *size, *odd, "--no-tracking", *CPU, "--out", str(folder / "out" / "run"))


def own_commands(folder: Path, changed: Path, rng: Random) -> Sequence[Command]:
    """Continue the video with odd options now and then."""
    camera = str(folder / "camera.json") if changed.suffix == ".json" else str(rng.choice(["static", "pan-left:40"]))
    odd = [
        (),
        (),
        ("--video-size", "own"),
        ("--video-size", "0x0"),
        ("--video-size", "16x4096"),
        ("--caption", "\x1b[1m"),
    ]
    return [_continued(folder, camera, *odd[int(rng.integers(len(odd)))])]


RUN = ("--metric", "psnr", "--metric", "psnr_subject")


def runs(folder: Path) -> None:
    """A finished run with tracks, and another to compare it with."""
    from fuzz_run import call

    discs(folder)
    for name, model in (("run", "copy-last"), ("other", "noise")):
        done = call(("eval", "-m", model, "-d", str(folder / "data"), *RUN, *CPU, "--out", str(folder / name)))
        assert done.code == 0, done.text
    shutil.copytree(folder / "run", folder / "right")
    for kind, command in run_readers(folder).items():
        done = call(command)
        assert done.code == 0, done.text
        (folder / "right" / f"{kind}.txt").write_text(done.text)
    shutil.copy(folder / "out" / "entries" / "x.json", folder / "right")
    shutil.rmtree(folder / "out")


def run_files(folder: Path) -> list[Path]:
    """Everything in the run folder."""
    return sorted(p for p in (folder / "run").rglob("*") if p.is_file() and not p.name.startswith("."))


def run_commands(folder: Path, changed: Path, rng: Random) -> Sequence[Command]:
    """Go on with it, score it again, compare it, look into it, accept it."""
    options: list[Command] = [
        go_on(folder),
        ("score", "--run", str(folder / "run"), *RUN, *CPU),
        *run_readers(folder).values(),
        ("report", str(folder / "run"), "--out", str(folder / "out" / "site"), "--videos", "none"),
    ]
    return [options[int(rng.integers(len(options)))]]


def go_on(folder: Path) -> Command:
    """The command that made the run."""
    return ("eval", "-m", "copy-last", "-d", str(folder / "data"), *RUN, *CPU, "--out", str(folder / "run"))


def run_readers(folder: Path) -> dict[str, Command]:
    """Commands that read a run and change nothing of it."""
    run = str(folder / "run")
    return {
        "compare": ("compare", run, str(folder / "other")),
        "inspect": ("inspect", run, SAMPLE, "--out", str(folder / "out" / "pictures")),
        "leaderboard": ("leaderboard", "add", run, "--name", "x", "--results", str(folder / "out" / "entries")),
    }


def run_is_right(folder: Path, command: Command, done: Done, odd: bool) -> str | None:
    """No other number than before without a word; and the command that made the run mends it, with the same rows."""
    from fuzz_run import call

    right = folder / "right"
    if done.code == 0:
        kind = command[0]
        if kind in ("eval", "score"):
            if not same(folder / "run", right):
                return f"SILENT: {kind} ended well with other rows"
        elif kind != "report" and done.text != (right / f"{kind}.txt").read_text():
            return f"SILENT: {kind} ended well and said something else\n{done.text[-1500:]}"
        if (
            kind == "leaderboard"
            and (folder / "out" / "entries" / "x.json").read_bytes() != (right / "x.json").read_bytes()
        ):
            return "SILENT: another entry was accepted"
    if done.code != 0 or command[0] != "eval":
        again = call(go_on(folder))
        if again.code is None:
            return again.text[-3000:]
        if again.code != 0 and not odd:
            return f"STUCK: {again.text[-1500:]}"
        if again.code == 0 and not same(folder / "run", right):
            return "STUCK: made again, the rows are others"
    return None


def reseal_run(folder: Path, changed: Path) -> None:
    """Digests of a run made anew."""
    from hmbench.digests import file_digest
    from hmbench.files import SEAL, read_json, write_sealed
    from hmbench.results.run_folder import SEALED_BY_SUMMARY

    summary = folder / "run" / "summary.json"
    with contextlib.suppress(ValueError, UserError, RecursionError):  # whatever JSON cannot say
        if changed.suffix == ".json":
            content = json.loads(changed.read_text())
            if isinstance(content, dict):
                write_sealed(changed, {key: value for key, value in content.items() if key != SEAL})
        if changed.name in SEALED_BY_SUMMARY:
            content = read_json(summary, kind=dict)
            content["files"] = {name: file_digest(summary.with_name(name)) for name in SEALED_BY_SUMMARY}
            write_sealed(summary, {key: value for key, value in content.items() if key != SEAL})


def reseal_entry(folder: Path, changed: Path) -> None:
    """The digest of an entry made anew."""
    from hmbench.files import write_json
    from leaderboard.submission import entry_digest

    with contextlib.suppress(ValueError, UserError, RecursionError):
        content = json.loads(changed.read_text())
        if isinstance(content, dict):
            content.pop("digest", None)
            write_json(changed, {**content, "digest": entry_digest(content)})


def text_files(folder: Path) -> list[Path]:
    """The JSON of a run."""
    return [path for path in run_files(folder) if path.suffix in (".json", ".jsonl")]


def strange_run_commands(folder: Path, changed: Path, rng: Random) -> Sequence[Command]:
    """What is done with a run that somebody else made."""
    site = ("report", str(folder / "run"), "--out", str(folder / "out" / "site"), "--videos", "none")
    options = [("score", "--run", str(folder / "run"), *RUN, *CPU), *run_readers(folder).values(), site]
    return [options[int(rng.integers(len(options)))]]


def same(run: Path, right: Path) -> bool:
    """Whether what people read of two runs is equal."""
    names = ("rows.jsonl", "events.jsonl", "samples.jsonl", "summary.json", "table.md")
    return all((run / name).read_bytes() == (right / name).read_bytes() for name in names)


def entries(folder: Path) -> None:
    """A leaderboard's entries."""
    from leaderboard.submission import RESULTS

    (folder / "entries").mkdir(parents=True)
    for path in sorted(RESULTS.glob("*.json"))[:3]:
        shutil.copy(path, folder / "entries" / path.name)


def entry_commands(folder: Path, changed: Path, rng: Random) -> Sequence[Command]:
    """Tables and the page."""
    results = ("--results", str(folder / "entries"))
    table = ("leaderboard", "table", *results, "--format", str(rng.choice(["markdown", "csv", "latex"])))
    return [table if rng.random() < 0.8 else ("leaderboard", "site", str(folder / "out" / "site"), *results)]


def archives(folder: Path) -> None:
    """A release in parts."""
    from hm_world_archive import IDS as SAMPLES
    from hm_world_archive import make_archive, split_parts

    packed = make_archive(SAMPLES[:3])
    for place, whole in (("parts", packed), ("plain", gzip.decompress(packed))):
        (folder / place).mkdir(parents=True)
        for name, content in split_parts(whole, 3).items():
            (folder / place / name).write_bytes(content)


def archive_commands(folder: Path, changed: Path, rng: Random) -> Sequence[Command]:
    """Extract it."""
    out = ("--out", str(folder / "out" / "data"), "--split", "all", "--no-index")
    more = [(), ("--to-the-end",), ("--skip-refused",)]
    return [("data", "download", "--parts", str(changed.parent), *out, *more[int(rng.integers(3))])]


def models(folder: Path) -> None:
    """A saved model, and data of its size."""
    discs(folder)
    weights = Path(__file__).resolve().parents[2] / "reference_model" / "weights" / "nano-no-memory"
    shutil.copytree(weights, folder / "model")


def model_files(folder: Path) -> list[Path]:
    """What of it is loaded."""
    return sorted(p for p in (folder / "model").rglob("*") if p.is_file() and p.suffix in (".json", ".safetensors"))


def model_commands(folder: Path, changed: Path, rng: Random) -> Sequence[Command]:
    """Look at it, or generate with it."""
    model, sample = str(folder / "model"), "00000_Dawn_loc0_Straight_Sweep_0"
    where = ("-d", str(folder / "data"), "--sample", sample, "--out", str(folder / "out" / "r"))
    return [("generate", "-m", model, *where, *CPU)]


def weights(folder: Path) -> None:
    """A folder of weights with its lock, and data."""
    from hmbench.files import write_json
    from hmbench.networks.files import digest
    from hmbench.networks.pull import LOCK

    discs(folder)
    files = {"alexnet/alexnet-owt-7be5be79.pth": b"a" * 3000, "pyiqa/niqe_modelparameters.mat": b"b" * 3000}
    for name, content in files.items():
        (folder / "weights" / name).parent.mkdir(parents=True)
        (folder / "weights" / name).write_bytes(content)
    record = {
        name.split("/")[0]: {
            "repo": "a/b",
            "revision": "main",
            "files": {name: {"sha256": digest(folder / "weights" / name), "bytes": 3000}},
        }
        for name in files
    }
    write_json(folder / "weights" / LOCK, record)


def weight_commands(folder: Path, changed: Path, rng: Random) -> Sequence[Command]:
    """List them, or evaluate with them."""
    own = str(folder / "weights")
    metrics = ("--metric", "psnr", "--metric", "lpips", "--no-tracking", *CPU, "--weights", own)
    run = ("eval", "-m", "copy-last", "-d", str(folder / "data"), "--limit", "1", *metrics)
    options: list[Command] = [
        ("weights", "list", own, "--verify"),
        ("weights", "list", own),
        (*run, "--out", str(folder / "out" / "run")),
    ]
    return [options[int(rng.integers(len(options)))]]


OPTIONS = (
    "guidance=nan", "guidance=inf", "guidance=-1", "steps=0", "steps=1e9", "steps=-3", "steps=x", "=", "a=b",
    "tokens=0", "checkpoint=/nowhere", "checkpoint=", "steps=" + "9" * 400, "size=0x0", "guidance=1e308", "steps=1",
)  # fmt: skip


def option_commands(folder: Path, changed: Path, rng: Random) -> Sequence[Command]:
    """Model options, seeds, shards and names."""
    options = tuple(str(o) for o in rng.choice(OPTIONS, int(rng.integers(1, 3)), replace=False))
    model = str(
        rng.choice(["hydra", "noise", "copy-last", "no-memory", "nowhere.mod:f", "", "../x", "a:b:c", "json:loads"])
    )
    base = [
        "generate",
        "-m",
        model,
        "-d",
        str(folder / "data"),
        "--limit",
        "1",
        *CPU,
        "--out",
        str(folder / "out" / "r"),
    ]
    for option in options:
        base += ["--option", option]
    odd = (
        ("--shard", "9/3"),
        ("--shard", "x"),
        ("--seed", "-5"),
        ("--split", "none"),
        ("--sample", "../x"),
        ("--device", "cuda:99"),
    )
    base += odd[int(rng.integers(len(odd)))] if rng.random() < 0.4 else ()
    return [tuple(base)]


def targets() -> list[Target]:
    """All kinds, with the share that each has."""
    sample = {"prepare": discs, "commands": data_commands, "light": load_sample}
    return [
        Target(name="videos", files=chosen("cond.mp4", "tgt.mp4"), weight=2, **sample),  # type: ignore[arg-type]
        Target(name="masks", files=chosen("cond_mask.mp4", "tgt_mask.mp4", "masks.mkv"), weight=2, **sample),  # type: ignore[arg-type]
        Target(name="cameras", files=chosen("camera.json"), **sample),  # type: ignore[arg-type]
        Target(name="flags", files=chosen("check.json", "character.json"), **sample),  # type: ignore[arg-type]
        Target(name="truth", files=chosen("truth.json"), **sample),  # type: ignore[arg-type]
        Target(name="captions", files=chosen("caption.txt", "splits.json"), **sample),  # type: ignore[arg-type]
        Target(name="card", files=chosen("hmbench.json"), weight=0.5, **sample),  # type: ignore[arg-type]
        Target(name="labels", prepare=labels, files=label_files, commands=data_commands, light=load_sample, weight=0.5),
        Target(
            name="shards",
            prepare=shards,
            files=lambda f: sorted(p for form in ("webdataset", "parquet") for p in (f / form).iterdir()),
            commands=shard_commands,
            light=load_shards,
            weight=0.5,
        ),
        Target(
            name="weights",
            prepare=weights,
            files=lambda f: sorted(p for p in (f / "weights").rglob("*") if p.is_file()),
            commands=weight_commands,
            weight=0.5,
            right=False,  # no network is in these files
            slow=True,
        ),
        Target(
            name="predictions",
            prepare=predictions,
            files=lambda folder: sorted((folder / "predictions").iterdir()),
            commands=prediction_commands,
            light=look_at_predictions,
            weight=2,
        ),
        Target(
            name="own video",
            prepare=own_video,
            files=lambda f: [f / "my.mp4", f / "camera.json"],
            commands=own_commands,
            light=take_context,
            right=False,  # some options are odd; its preparation tries the others
        ),
        Target(
            name="runs",
            prepare=runs,
            files=run_files,
            commands=run_commands,
            after=run_is_right,
            weight=2,
            whole=True,
            slow=True,
        ),
        Target(
            name="sealed runs",
            prepare=runs,
            files=text_files,
            commands=strange_run_commands,
            reseal=reseal_run,
            whole=True,
            slow=True,
        ),
        Target(
            name="sealed entries",
            prepare=entries,
            files=lambda f: sorted((f / "entries").iterdir()),
            commands=entry_commands,
            light=read_boards,
            reseal=reseal_entry,
            weight=0.5,
        ),
        Target(
            name="entries",
            prepare=entries,
            files=lambda f: sorted((f / "entries").iterdir()),
            commands=entry_commands,
            light=read_boards,
        ),
        Target(
            name="archives",
            prepare=archives,
            files=lambda f: [p for place in ("parts", "plain") for p in sorted((f / place).iterdir())],
            commands=archive_commands,
        ),
        Target(name="models", prepare=models, files=model_files, commands=model_commands, slow=True),
        Target(
            name="options",
            prepare=discs,
            files=chosen("splits.json"),
            commands=option_commands,
            slow=True,
            weight=0.5,
            right=False,
        ),
    ]
