"""Runs on real Ray: the same rows as in one process, whatever dies on the way."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from toys import MeanError, Sometimes

from hmbench.data.disc_world import DiscWorld
from hmbench.errors import UserError
from hmbench.run import jobs as run_jobs
from hmbench.run import workers as on_workers
from hmbench.run.evaluate import EvalRequest, evaluate, generate, score
from hmbench.run.jobs import Probe
from hmbench.run.workers import run_on_workers
from hmbench.run.workers_request import Progress, Workers

pytest.importorskip("ray", reason="needs Ray: pip install 'hmbench[cluster]'")
RESULT_FILES = ("rows.jsonl", "events.jsonl", "samples.jsonl", "summary.json", "table.md", "table.csv", "table.tex")
SAMPLES = DiscWorld().ids("all")
NOON = SAMPLES[1]
HERE = Path(__file__).parent
METRICS = (MeanError(), Sometimes())
PATHS = [str(HERE), str(HERE.parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(PATHS), "RAY_worker_niceness": "0"}


class Listener:
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.notices: list[str] = []
        self.failures: dict[str, str] = {}
        self.seen: list[Progress] = []

    def stage(self, name: str, total: int, done: int) -> None:
        pass

    def advance(self, sample_id: str) -> None:
        pass

    def failed(self, sample_id: str, stage: str, message: str) -> None:
        self.failures[sample_id] = message

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def progress(self, progress: Progress) -> None:
        self.seen.append(progress)


def request(out: Path, count: int = 2, **changes) -> EvalRequest:
    more = {name: changes.pop(name) for name in ("tries", "timeout", "scorers", "address", "grace") if name in changes}
    workers = Workers(count=count, gpus_each=0, **more)
    return EvalRequest(**{"model": "toys:toy", "data": "disc", "out": out, "workers": workers, **changes})


def alone(out: Path, **changes) -> Path:
    asked = replace(request(out, **changes), workers=Workers())
    evaluate(asked, metrics=METRICS)
    return out


def files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in RESULT_FILES}


def test_two_workers_give_the_rows_of_one_process(tmp_path: Path) -> None:
    heard = Listener()
    result = run_on_workers(request(tmp_path / "two"), heard, metrics=METRICS)
    assert files(tmp_path / "two") == files(alone(tmp_path / "one"))
    assert result.missing == () and heard.failures == {}
    last = heard.seen[-1]
    assert (last.total, last.generated, last.tracked, last.scored, last.failed) == (4, 4, 4, 4, 0)
    assert json.loads((tmp_path / "two" / "run.json").read_text())["device"] == "cpu"
    assert not list((tmp_path / "two" / ".work").glob("probe*")) and not list(
        (tmp_path / "two" / ".work" / "claims").iterdir()
    )


@pytest.mark.slow
def test_one_worker_and_roles_and_shards_give_the_same_rows(tmp_path: Path) -> None:
    expected = files(alone(tmp_path / "one"))
    run_on_workers(request(tmp_path / "a", 1), metrics=METRICS)
    run_on_workers(request(tmp_path / "b", 1, scorers=1), metrics=METRICS)
    for shard in ((1, 2), (0, 2)):
        run_on_workers(request(tmp_path / "c", 1, shard=shard), metrics=METRICS)
    for _ in range(2):  # the second has nothing to do, and starts nobody
        run_on_workers(request(tmp_path / "d", 1), stages=("generate",))
    run_on_workers(request(tmp_path / "d", 2), stages=("score",), metrics=METRICS)
    assert all(files(tmp_path / name) == expected for name in "abcd")


@pytest.mark.slow
def test_a_clip_on_which_the_model_breaks_fails_as_in_one_process(tmp_path: Path) -> None:
    options = {"fail_at": "Noon"}
    heard = Listener()
    run_on_workers(request(tmp_path / "two", options=options), heard, metrics=METRICS)
    assert files(tmp_path / "two") == files(alone(tmp_path / "one", options=options))
    assert heard.failures == {NOON: "RuntimeError: the toy broke"}


@pytest.mark.slow
def test_a_model_that_crashes_its_process_on_one_clip(tmp_path: Path) -> None:
    heard = Listener()
    asked = request(tmp_path / "run", model="toys:deadly", options={"at": "Noon"})
    result = run_on_workers(asked, heard, metrics=METRICS)
    assert list(result.failures) == [NOON] and "2 workers were lost on it" in result.failures[NOON]
    assert result.summary["mae"].scored == 3 and result.summary["mae"].total == 4
    rows = [json.loads(line) for line in (tmp_path / "run" / "rows.jsonl").read_text().splitlines()]
    assert all("generate failed: 2 workers were lost" in r["reason"] for r in rows if r["sample"] == NOON)
    assert sum("goes to another" in text for text in heard.notices) == 1
    once = request(tmp_path / "again", model="toys:deadly", options={"at": "Noon", "mark": str(tmp_path / "mark")})
    again = run_on_workers(once, metrics=METRICS)
    assert again.failures == {} and again.summary["mae"].scored == 4, "a clip is tried on a second worker"


@pytest.mark.slow
def test_a_model_that_hangs_on_one_clip(tmp_path: Path) -> None:
    heard = Listener()
    asked = request(tmp_path / "run", model="toys:hanging", options={"at": "Noon"}, timeout=30.0, tries=1)
    result = run_on_workers(asked, heard, metrics=METRICS)
    assert result.failures == {NOON: "generate: 1 worker was lost on it: it took longer than 30 s"}
    assert result.summary["mae"].scored == 3


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_its_clip_in_flight_alone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    asked = request(tmp_path / "run", options={"log": str(log), "pause": "1"})
    killed = []

    class Killer(Listener):
        def progress(self, progress: Progress) -> None:
            busy = [line for line in progress.workers if "generating" in line]
            if busy and not killed:
                killed.append(int(busy[0].split("process ")[1].split(")")[0]))
                os.kill(killed[0], signal.SIGKILL)

    heard = Killer()
    result = run_on_workers(asked, heard, metrics=METRICS)
    assert killed and result.failures == {} and result.summary["mae"].scored == 4
    assert any("goes to another" in text for text in heard.notices)
    assert 4 <= len(log.read_text().splitlines()) <= 5
    assert files(tmp_path / "run") == files(alone(tmp_path / "one", options={"log": str(log), "pause": "1"}))


def test_mistakes_are_told_before_anything_is_computed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There cannot be 0 tries"):
        Workers(tries=0)
    with pytest.raises(UserError, match="A worker cannot have -1 GPUs"):
        Workers(gpus_each=-1)
    with pytest.raises(ValueError, match=r"hmbench\.run\.workers"):
        generate(request(tmp_path))
    with pytest.raises(UserError, match="No model was named"):
        run_on_workers(request(tmp_path / "r", model=None))
    with pytest.raises(ValueError, match=r"hmbench\.run\.workers"):
        score(request(tmp_path))


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "nowhere.invalid:6379"])
def test_where_nobody_listens_there_is_no_cluster_and_nobody_waits(tmp_path: Path, address: str) -> None:
    began = time.monotonic()
    with pytest.raises(UserError, match=rf"There is no Ray cluster at '{address}': .*(refused|known|resolution)"):
        run_on_workers(request(tmp_path / "a", address=address), metrics=METRICS)
    assert time.monotonic() - began < 15


@pytest.mark.slow
def test_no_such_option_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no option 'fail_att'.*Did you mean 'fail_at'"):
        run_on_workers(request(tmp_path / "b", options={"fail_att": "x"}), metrics=METRICS)
    assert not (tmp_path / "b" / "predictions").exists()


def test_machines_that_differ_are_refused(tmp_path: Path) -> None:
    about = run_jobs.About("a", {"torch": "2.8", "platform": "x"}, "rev", "cpu", {"name": "toy"}, ())
    assert on_workers._unlike(about, about._replace(host="b", environment={"torch": "2.8", "platform": "y"})) == ""
    other = about._replace(environment={"torch": "2.7", "platform": "x"}, device="cuda", model_info={"name": "other"})
    said = on_workers._unlike(about, other)
    assert "torch is 2.8 and 2.7" in said and "cpu and cuda" in said and "other settings or weights" in said


def test_a_folder_that_others_do_not_see_is_one_sentence(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(run_jobs, "PROBE_WAIT", 0.0)
    probe = Probe.write(tmp_path / "run")
    probe.check()
    assert [p.name for p in probe.path.parent.iterdir()] == [probe.path.name]
    elsewhere = probe._replace(path=tmp_path / "other" / ".work" / probe.path.name)
    with pytest.raises(UserError, match="does not see the run folder"):
        elsewhere.check()
    probe.path.write_text("another file of that name")
    with pytest.raises(UserError, match="does not see the run folder"):
        probe.check()


def command(out: Path, *more: str) -> list[str]:
    code = "import sys; from hmbench.cli import main; main()"
    chosen = ["--model", "toys:toy", "--data", "disc", "--metric", "psnr", "--no-tracking", "--out", str(out)]
    return [sys.executable, "-c", code, "eval", *chosen, *more]


def started(out: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(out, *more), cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=ENVIRONMENT, start_new_session=True,
    )  # fmt: skip


def wait_for(what, seconds: float = 600, of: list[psutil.Process] | None = None) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"waited too long; still there: {left(of or [])}"
        time.sleep(0.1)


def videos(folder: Path) -> int:
    return len(list((folder / "predictions").glob("0*.mp4")))


def kin(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def left(processes: list[psutil.Process]) -> list[list[str]]:
    """Command lines of those that still run."""
    out = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                out.append(process.cmdline())
    return out


def gone(processes: list[psutil.Process]) -> bool:
    return not left(processes)


@pytest.mark.slow
def test_another_programs_port_is_no_cluster(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        asked = started(tmp_path / "run", "--ray-address", f"127.0.0.1:{other.getsockname()[1]}")
        _, said = asked.communicate(timeout=300)
    assert asked.returncode == 2 and "There is no Ray cluster at" in said and "Traceback" not in said


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_run_with_workers(tmp_path: Path, number: int, code: int) -> None:
    slow = ("-O", "pause=2", "--workers", "1")
    victim = started(tmp_path / "run", *slow)
    wait_for(lambda: videos(tmp_path / "run") >= 1)
    family = kin(victim.pid)
    victim.send_signal(number)
    _, said = victim.communicate(timeout=90)
    assert victim.returncode == code, said
    assert "the same command goes on from there" in said and "Traceback" not in said
    assert 1 <= videos(tmp_path / "run") < 4
    wait_for(lambda: gone(family), 30, of=family)
    again = started(tmp_path / "run", *slow)
    assert again.wait(600) == 0, again.stderr.read() if again.stderr else ""
    assert "4 of 4" in (tmp_path / "run" / "table.md").read_text()


@pytest.mark.slow
def test_a_driver_that_is_killed_leaves_no_process_and_goes_on(tmp_path: Path) -> None:
    slow = ("-O", "pause=1", "--workers", "2")
    victim = started(tmp_path / "run", *slow)
    wait_for(lambda: videos(tmp_path / "run") >= 1)
    family = kin(victim.pid)
    assert len(family) > 3
    victim.kill()
    victim.communicate()
    wait_for(lambda: gone(family), 180, of=family)  # Ray's agents look for their parent now and then
    before = videos(tmp_path / "run")
    again = started(tmp_path / "run", *slow)
    _, said = again.communicate(timeout=600)
    assert again.returncode == 0, said
    assert before >= 1 and "4 of 4" in (tmp_path / "run" / "table.md").read_text()
    whole = started(tmp_path / "whole", "-O", "pause=1")
    assert whole.wait(600) == 0
    assert (tmp_path / "whole" / "rows.jsonl").read_bytes() == (tmp_path / "run" / "rows.jsonl").read_bytes()


@pytest.mark.slow
def test_a_signal_ends_a_run_in_one_process(tmp_path: Path) -> None:
    victim = started(tmp_path / "run", "-O", "pause=2")
    wait_for(lambda: videos(tmp_path / "run") >= 1)
    victim.send_signal(signal.SIGTERM)
    _, said = victim.communicate(timeout=60)
    assert victim.returncode == 143 and "Traceback" not in said
    assert "Stopped by SIGTERM. What was complete is kept" in said
    assert not list((tmp_path / "run" / ".work" / "sessions").iterdir())


def node(*where: str, **more_environment: str) -> subprocess.Popen[bytes]:
    """`ray start` on this machine, with room for one worker."""
    env = {**ENVIRONMENT, "RAY_AUTH_MODE": "disabled", **more_environment, "RAY_TMPDIR": f"/tmp/hm{os.getpid()}"}
    more = ["--disable-usage-stats", "--object-store-memory", "100000000", "--block"]
    chosen = [*where, "--num-cpus", "1", "--num-gpus", "0", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "ray.scripts.scripts", "start", *chosen],
        env=env, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL for a node and everything on it, as a machine that loses its power."""
    if process.poll() is None:
        for one in [*kin(process.pid), psutil.Process(process.pid)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
    process.wait()


def listens(port: int) -> bool:
    with socket.socket() as one:
        one.settimeout(2)
        return one.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def cluster() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A cluster of two nodes on this machine; the second may join while the run goes on."""
    port = 20000 + os.getpid() % 10000
    head = node("--head", "--port", str(port), "--include-dashboard", "false")
    wait_for(lambda: listens(port))
    time.sleep(20)  # the head's other processes
    second = node("--address", f"127.0.0.1:{port}")
    yield f"127.0.0.1:{port}", second
    end(second)
    end(head)


@pytest.mark.slow
def test_a_cluster_that_wants_a_token_says_so(tmp_path: Path) -> None:
    port, token = 30000 + os.getpid() % 10000, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}
    head = node("--head", "--port", str(port), "--include-dashboard", "false", **token)
    try:
        wait_for(lambda: listens(port), 120)
        asked = started(tmp_path / "run", "--ray-address", f"127.0.0.1:{port}")
        _, said = asked.communicate(timeout=300)
        assert asked.returncode == 2 and "wants its token. Set RAY_AUTH_MODE=token here" in " ".join(said.split()), said
    finally:
        end(head)


@pytest.mark.slow
def test_a_node_of_a_cluster_that_is_killed_costs_its_clips_in_flight(tmp_path: Path, cluster, monkeypatch) -> None:
    address, second = cluster
    killed = []

    class Killer(Listener):
        def progress(self, progress: Progress) -> None:
            here = {p.pid for p in kin(second.pid)} if not killed else set()
            busy = [line for line in progress.workers if "generating" in line]
            if busy and any(f"process {pid})" in line for pid in here for line in busy):
                killed.append(second.pid)
                end(second)

    heard = Killer()
    asked = request(tmp_path / "run", 2, address=address, options={"pause": "40"})
    result = run_on_workers(asked, heard, metrics=METRICS)
    assert killed, "no clip was in flight on the second node"
    assert result.failures == {} and result.summary["mae"].scored == 4
    assert files(tmp_path / "run") == files(alone(tmp_path / "one"))
