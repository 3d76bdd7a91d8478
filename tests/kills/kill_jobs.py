"""What is killed: commands that write, each with how to tell that it ended as it should."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[1] / "run")]

from power_loss import moments  # noqa: E402
from toys import Followed, Follower, MeanError, Sometimes  # noqa: E402

from hmbench.durable import is_temporary  # noqa: E402
from hmbench.run.evaluate import EvalRequest, evaluate, score  # noqa: E402
from hmbench.run.sharing import WORK  # noqa: E402

RESULT_FILES = ("rows.jsonl", "events.jsonl", "samples.jsonl", "summary.json", "table.md", "table.csv", "table.tex")
METRICS = (MeanError(), Sometimes(), Followed())


@dataclass(frozen=True, kw_only=True)
class Job:
    """One command.

    Attributes:
        work: Runs it on a folder; deterministic, and run again it goes on.
        prepare: Makes what lies in the folder before.
        results: What must be equal in the end, by name.
    """

    name: str
    work: Callable[[Path], object]
    prepare: Callable[[Path], object] = lambda folder: None
    results: Callable[[Path], dict[str, bytes]] = lambda folder: everything(folder)


@dataclass
class Count:
    """How a job's kills and power losses ended."""

    kills: int = 0
    losses: int = 0
    failed: list[str] = field(default_factory=list)


def everything(folder: Path) -> dict[str, bytes]:
    """All files, but for who works there (`.work`) and locks."""
    files = (p for p in folder.rglob("*") if p.is_file() and WORK not in p.parts and p.suffix != ".lock")
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def results(folder: Path) -> dict[str, bytes]:
    """What people read of a run."""
    return {name: (folder / name).read_bytes() for name in RESULT_FILES}


def try_kills(job: Job, folder: Path, *, kills: int, losses: int, seed: int) -> Count:
    """Kills a job, and takes its power away, at random file operations; then runs it again on what is left.

    Who worked on a run (`.work`) is taken away between: that process lives on here.
    """
    root, left = folder / "root", folder / "left"
    found = moments(
        lambda: job.prepare(root), lambda: job.work(root), root, left, kills=kills, losses=losses, seed=seed
    )
    wanted, count = job.results(root), Count()
    for place in found:
        count.kills += place.name.startswith("kill")
        count.losses += place.name.startswith("loss")
        shutil.rmtree(place / WORK, ignore_errors=True)
        problem = _problem(job, place, wanted)
        if problem:
            count.failed.append(f"{job.name} seed {seed} {place.name}: {problem}")
        shutil.rmtree(place)
    return count


def _problem(job: Job, place: Path, wanted: dict[str, bytes]) -> str | None:
    try:
        job.work(place)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        return f"{type(error).__name__}: {error}"
    found = job.results(place)
    if found != wanted:
        return f"other results: {sorted(k for k in found.keys() | wanted.keys() if found.get(k) != wanted.get(k))[:5]}"
    litter = [p.name for p in place.rglob("*") if is_temporary(p.name)]
    return f"left over: {litter}" if litter else None


def _evaluate(out: Path) -> None:
    evaluate(EvalRequest(model="toys:toy", data="disc", out=out), metrics=list(METRICS), tracker=Follower())


class _Second(MeanError):  # noqa: N818
    info = replace(MeanError.info, name="second")


def _score(out: Path) -> None:
    score(EvalRequest(data="disc", out=out), metrics=[_Second()], tracker=Follower())


@cache
def _made(maker: Callable[[Path], object]) -> Path:
    """A folder that is made once a process."""
    folder = Path(tempfile.mkdtemp(prefix="hmbench-kills-")) / "made"
    atexit.register(shutil.rmtree, folder.parent, ignore_errors=True)
    maker(folder)
    return folder


def _copied(maker: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda folder: shutil.copytree(_made(maker), folder)


def _mini(out: Path) -> None:
    from hmbench.data.mini_world.generate import GenerateConfig, generate

    generate(GenerateConfig(out=out, clips=2, size=(32, 32), half=9))


def _discs(folder: Path) -> None:
    from conftest import write_hm_world

    from hmbench.data.disc_world import DiscWorld, DiscWorldConfig

    world = DiscWorld(DiscWorldConfig(samples=4, frames=9))
    for sample in world.ids("all"):
        write_hm_world(folder, world.load(sample))


def _index(out: Path) -> None:
    from hmbench.data.index import build_index

    build_index(_made(_discs), out / "index.parquet", workers=1, decode=False)


def _parts(folder: Path) -> None:
    from hm_world_archive import IDS, make_archive, split_parts

    folder.mkdir(parents=True)
    for name, content in split_parts(make_archive(IDS[:3]), 3).items():
        (folder / name).write_bytes(content)


def _download(out: Path) -> None:
    from hmbench.data.hub.download import DownloadRequest, download

    download(DownloadRequest(out=out, parts=_made(_parts), split="all", to_the_end=True))


def _samples(folder: Path) -> dict[str, bytes]:
    """All but the record of the last call, which says what that call did."""
    return {name: content for name, content in everything(folder).items() if name != "download.json"}


def _poor(out: Path) -> None:
    from hmbench.data.mini_world.as_hm_world import impoverish

    impoverish(_made(_mini), out)


def _submit(out: Path) -> None:
    from leaderboard.submission import accept

    for name in ("one", "two", "three"):
        accept(_made(_evaluate), name=name, results=out, replace=True)


def _looked_at(folder: Path) -> None:
    from report.pages.stage import make_run

    for name in ("one", "other"):
        make_run(folder / name, clips=2, videos=2)


def _report(out: Path) -> None:
    from unittest.mock import patch

    from hmbench.report.pages.content import Site
    from hmbench.report.pages.from_runs import boards_from_runs
    from hmbench.report.pages.site import Videos, write_site

    runs = sorted(_made(_looked_at).iterdir())
    with patch.dict(os.environ, HMBENCH_CACHE=str(out / "cache")):
        content = Site(title="t", lead="l", boards=tuple(boards_from_runs(runs)))
        write_site(content, out / "site", videos=Videos(which="all", workers=1))


def _train(out: Path) -> None:
    from training_toys import Waves, pico

    from reference_model.training.run import train

    train(pico(steps=4, checkpoint_every=2, validate_every=4), Waves(4), out)


JOBS = (
    Job(name="eval", work=_evaluate, results=results),
    Job(name="score --run", work=_score, prepare=_copied(_evaluate), results=results),
    Job(name="make-mini", work=_mini),
    Job(name="make-mini --as-hm-world", work=_poor),
    Job(name="data index", work=_index),
    Job(name="data download", work=_download, results=_samples),
    Job(name="leaderboard add", work=_submit),
    Job(name="report", work=_report),
)
