import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer

from hmbench.cli import app, main
from hmbench.errors import UserError
from hmbench.run.request import checked_device
from hmbench.video.files import write_lossless


@pytest.fixture
def hmbench(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path):
    """Runs the command line in this process, in an empty folder: (exit code, everything printed)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")

    def call(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["hmbench", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capfd.readouterr()
        return int(stop.value.code or 0), captured.out + captured.err

    return call


@pytest.mark.parametrize(
    ("arguments", "sentences"),
    [
        (["eval", "-m", "hydrra", "-d", "disc"], ["There is no model 'hydrra'", "Did you mean 'hydra'"]),
        (["eval", "-m", "noise", "-d", "nowhere"], ["There is no data folder 'nowhere'", "disc, mini"]),
        (["eval", "-m", "noise", "-d", "disc", "--profile", "huge"], ["no profile 'huge'", "mini, paper"]),
        (["eval", "-m", "noise", "-d", "disc", "--device", "gpu7"], ["There is no device 'gpu7'"]),
        (["eval", "-m", "noise", "-d", "disc", "--shard", "1of2"], ["is not of the form k/n", "0/4"]),
        (["eval", "-m", "noise", "-d", "disc", "--metric", "pnsr"], ["no metric 'pnsr'", "Did you mean 'psnr'"]),
        (["eval", "-m", "noise", "-d", "disc", "--tracker", "sort"], ["no tracker 'sort'", "Did you mean 'botsort'"]),
        (["score", "--predictions", ".", "--tracker", "sort"], ["no tracker 'sort'", "botsort, bytetrack"]),
        (["eval", "-m", "noise", "-d", "disc", "--no-tracking", "--any-class"], ["--any-class", "--no-tracking"]),
        (["score", "--run", ".", "--out", "x", "--limit", "2"], ["--out and --limit", "--predictions"]),
        (["weights", "list", "--verify"], ["--verify needs a folder"]),
        (["eval", "-m", "noise", "-d", "disc", "-O", "speed"], ["Option 'speed' has no value", "name=value"]),
        (["eval", "-m", "noise", "-d", "disc", "-O", "speed=3"], ["has no option 'speed'"]),
        (["eval", "-m", ".", "-d", "disc"], ["is not a saved model", "hmbench_model.json"]),
        (["eval", "-m", "no_such_package:model", "-d", "disc"], ["module 'no_such_package'", "cannot be imported"]),
        (["score"], ["Give either --run or --predictions"]),
        (["score", "--run", "."], ["is not a run: it has no run.json"]),
        (["score", "--predictions", "none", "-d", "disc"], ["There is no folder of predictions none"]),
        (["validate-metrics", "--device", "gpu7"], ["There is no device 'gpu7'"]),
        (["validate-metrics", "--device", "cuda"], ["--device cuda was asked for, but torch sees no GPU"]),
        (["weights", "pull", "file"], ["file is a file, not a folder"]),
        (["weights", "pull", "w", "--only", "musik"], ["no weights named 'musik'", "Did you mean 'musiq'"]),
        (["weights", "list", "file"], ["file is a file, not a folder"]),
        (["weights", "list", "nowhere"], ["The weights folder nowhere does not exist", "hmbench weights pull nowhere"]),
        (["data", "show", "."], ["No HM-World samples in", "make-mini"]),
        (["data", "import-examples", ".", "out"], ["No example clips in", "cam1.json"]),
        (["evaluate"], ["No such command"]),
    ],
)
def test_mistakes_end_in_a_sentence_without_traceback(
    hmbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentences: list[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (tmp_path / "file").write_text("")
    code, text = hmbench(*arguments)
    assert code == 2
    for sentence in sentences:
        assert sentence in text
    assert "Traceback" not in text


def test_eval_shows_a_table_and_says_where_the_rest_is(hmbench, tmp_path: Path) -> None:
    code, text = hmbench("eval", "-m", "copy-last", "-d", "disc", "--limit", "2", "--no-tracking")
    assert code == 0, text
    assert "copy-last on disc" in text and "psnr" in text and "runs/copy-last-disc-seed0" in text
    assert (tmp_path / "runs" / "copy-last-disc-seed0" / "rows.jsonl").is_file()
    code, text = hmbench("eval", "-m", "copy-last", "-d", "disc", "--limit", "2", "--no-tracking")
    assert code == 0 and "2 of 2 were complete already" in text


def test_generate_then_score_elsewhere(hmbench, tmp_path: Path) -> None:
    code, text = hmbench("generate", "-m", "noise", "-d", "disc", "--limit", "1", "--out", "one")
    assert code == 0 and "1 of 1 videos" in text
    shutil.move(tmp_path / "one", tmp_path / "two")
    code, text = hmbench("score", "--run", "two", "--no-tracking", "--all-metrics")
    assert code == 0 and "noise on disc" in text and "ssim" in text


def test_a_failed_sample_makes_the_exit_code_non_zero(hmbench, disc_folder: Path) -> None:
    (disc_folder / "00000_Dawn_loc0_Straight_Sweep_0" / "tgt.mp4").write_bytes(b"broken")
    code, text = hmbench("eval", "-m", "copy-last", "-d", str(disc_folder), "--no-tracking")
    assert code == 1
    assert "1 of 2 samples failed" in text and "damaged or no video" in text


def test_data_check_names_what_is_wrong(hmbench, disc_folder: Path) -> None:
    code, text = hmbench("data", "check", str(disc_folder))
    assert code == 0 and "usable" in text and "9 + 9 frames (HM-World has 77 + 77)" in text
    (disc_folder / "00000_Dawn_loc0_Straight_Sweep_0" / "camera.json").write_text("{}")
    code, text = hmbench("data", "check", str(disc_folder), "--report", "findings.jsonl")
    assert code == 1 and "in no known camera format" in text and Path("findings.jsonl").is_file()


BAD_FILES = {
    "nothing": b"",
    "a pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "a page": b"<html>not found</html>",
    "deep": b"[" * 100_000,
    "digits": b'{"a": ' + b"9" * 6000 + b"}",
    "null": b"null",
    "noise": bytes(range(256)) * 8,
}


@pytest.mark.parametrize(
    "what",
    [
        "null",
        "a loop",
        *(pytest.param(n, marks=pytest.mark.slow) for n in [*BAD_FILES, "a folder", "a pipe"] if n != "null"),
    ],
)
def test_one_bad_file_costs_its_own_clip_alone(hmbench, disc_folder: Path, what: str) -> None:
    bad, good = sorted(p for p in disc_folder.iterdir() if p.is_dir())
    for path in sorted(bad.iterdir()):
        content = path.read_bytes()
        path.unlink()
        if what in BAD_FILES:
            path.write_bytes(BAD_FILES[what])
        elif what == "a folder":
            path.mkdir()
        elif what == "a loop":
            path.symlink_to(path)
        else:
            os.mkfifo(path)
        code, text = hmbench("data", "check", str(disc_folder), "--report", "findings.jsonl")
        found = {f["sample"]: f["error"] for f in map(json.loads, Path("findings.jsonl").read_text().splitlines())}
        assert found.get(good.name, "missing") is None, (path.name, text)
        assert code == (1 if found.get(bad.name) else 0)
        if path.name in ("cond.mp4", "tgt.mp4", "camera.json") and what in BAD_FILES:
            assert found[bad.name] and path.name in found[bad.name], (path.name, found)
        shutil.rmtree(path) if what == "a folder" else path.unlink()
        path.write_bytes(content)


def test_data_show(hmbench, disc_folder: Path) -> None:
    code, text = hmbench("data", "show", str(disc_folder))
    assert code == 0 and "80x48" in text and "9+9" in text
    code, text = hmbench("data", "show", str(disc_folder), "00000_Dawn_loc0_Straight_Sweep_0")
    assert code == 0 and "field of view" in text and "disc-1" in text


def test_doctor(hmbench) -> None:
    code, text = hmbench("doctor")
    assert code == 0 and "codecs" in text and "RAM" in text and "problem" not in text


def test_the_commands_are_these() -> None:
    """A new command is a decision: it is added here too."""
    names = {command.name for command in app.registered_commands}
    assert names == {
        "check-predictions", "compare", "distribution", "doctor", "eval", "generate", "inspect", "leaderboard",
        "models", "report", "retrieval", "score", "train-reference", "validate-metrics",
    }  # fmt: skip


RUN_OPTIONS = {
    "--data", "--split", "--limit", "--sample", "--device", "--profile", "--out", "--help",
    "--shard", "--join", "--workers", "--ray-address", "--gpus-per-worker", "--tries", "--clip-timeout", "--grace",
    "--verbose", "--quiet",
}  # fmt: skip
SCORING_OPTIONS = {
    "--vbench/--no-vbench",
    "--weights", "--metric", "--quality/--no-quality", "--tracking/--no-tracking", "--tracker", "--any-class",
    "--all-metrics",
}  # fmt: skip
OWN_VIDEO = {"--video", "--camera", "--caption", "--video-size", "--video-frames", "--fps", "--fov", "--part"}
FITTING = {"--match", "--align", "--frames", "--fit"}
OPTIONS = {
    "eval": {"--model", "--seed", "--option", "--score-workers", "--json"} | RUN_OPTIONS | SCORING_OPTIONS | OWN_VIDEO,
    "generate": {"--model", "--seed", "--option"} | RUN_OPTIONS | OWN_VIDEO,
    "score": {"--run", "--predictions", "--name", "--json", *FITTING} | RUN_OPTIONS | SCORING_OPTIONS,
    "check-predictions": {"--data", "--split", "--limit", "--sample", "--help", "--quiet", "--json", *FITTING},
    "validate-metrics": {
        "--out", "--clips", "--split", "--size", "--strengths", "--oracle", "--cache", "--seed", "--device",
        "--profile", "--weights", "--processes", "--help", "--quiet",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
def test_the_options_of_a_run_are_these(name: str) -> None:
    """A new option is a decision, too."""
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    shown = {
        "/".join([option.opts[0], *option.secondary_opts])
        for option in command.get_params(typer.Context(command))
        if option.param_type_name == "option"
    }
    assert shown == OPTIONS[name]


def test_the_tracker_is_chosen_and_recorded(hmbench, tmp_path: Path) -> None:
    arguments = ["-d", "disc", "--limit", "1", "--metric", "hota", "--device", "cpu"]
    code, text = hmbench("eval", "-m", "copy-last", *arguments, "--tracker", "bytetrack", "--any-class", "--out", "r")
    assert code == 0, text
    recorded = json.loads((tmp_path / "r" / "run.json").read_text())
    assert recorded["tracker_settings"]["tracker"]["method"] == "bytetrack"
    assert recorded["tracker_settings"]["detector"]["any_class"] is True
    code, text = hmbench("score", "--run", "r", "--metric", "hota", "--device", "cpu")
    assert code == 0, text
    recorded = json.loads((tmp_path / "r" / "run.json").read_text())
    assert recorded["tracker_settings"]["tracker"]["method"] == "botsort"


def test_the_script_is_installed() -> None:
    script = Path(sys.executable).with_name("hmbench")
    done = subprocess.run([script, "--help"], capture_output=True, text=True, check=True)
    assert "hybrid memory" in done.stdout


def test_own_video_is_continued_and_scored_without_a_truth(hmbench, tmp_path: Path) -> None:
    write_lossless(
        tmp_path / "my.mp4", np.random.default_rng(0).integers(0, 255, (21, 48, 80, 3)).astype(np.uint8), fps=15
    )
    arguments = ["--video", "my.mp4", "--camera", "pan-left-and-back", "--video-size", "64x32", "--video-frames", "21"]
    code, text = hmbench("eval", "-m", "copy-last", *arguments, "--no-tracking")
    assert code == 0 and "no real continuation" in text and "runs/copy-last-my-pan-left-and-back-seed0" in text
    code, text = hmbench("score", "--run", "runs/copy-last-my-pan-left-and-back-seed0", "--no-tracking")
    assert code == 0, text
    code, text = hmbench("eval", "-m", "copy-last", *arguments, "--camera", "pan-lft", "--out", "x")
    assert code == 2 and "pan-left" in text
    code, text = hmbench("eval", "-m", "copy-last", *arguments[:2], "--video-size", "big", "--out", "x")
    assert code == 2 and "is not of the form WIDTHxHEIGHT" in text


def test_inspect_shows_events_although_a_metric_broke(hmbench, tmp_path: Path) -> None:
    from toys import Breaks

    from hmbench.files import write_sealed
    from hmbench.run.evaluate import EvalRequest, generate, score

    request = EvalRequest(model="copy-last", data="disc", out=tmp_path / "run", limit=1)
    (sample,) = generate(request).samples
    score(request, metrics=[Breaks()])
    code, text = hmbench("inspect", "run", sample)
    assert code == 0 and "Pictures: run/inspect" in text, text
    stored = tmp_path / "run" / "scores" / f"{sample}.json"
    content = json.loads(stored.read_text())
    content.pop("digest", None)
    write_sealed(stored, {**content, "failures": [{"part": "score", "message": "torn", "traceback": ""}]})
    assert "could not be evaluated: torn" in hmbench("inspect", "run", sample)[1]
    del content["failures"]
    stored.write_text(json.dumps(content))
    assert "was scored by another version of hmbench" in hmbench("inspect", "run", sample)[1]


@pytest.mark.parametrize("gpu", [True, False])
def test_validate_metrics_resolves_the_device(hmbench, monkeypatch: pytest.MonkeyPatch, gpu: bool) -> None:
    asked = []

    def study(config, on_case):
        asked.append(config.device)
        raise UserError("Enough.")

    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    monkeypatch.setattr("hmbench.study.validity.run_study", study)
    code, text = hmbench("validate-metrics", "--device", "auto")
    assert (code, asked) == (2, ["cuda" if gpu else "cpu"]), text


def test_a_gpu_that_is_not_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert checked_device("cuda") == "cuda" and checked_device("cuda:1") == "cuda:1"
    with pytest.raises(UserError, match=r"--device cuda:2 was asked for, but torch sees 2 GPUs"):
        checked_device("cuda:2")


def test_weights_list_shows_every_network_and_its_licence(hmbench, tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    code, text = hmbench("weights", "list", "w")
    assert code == 0, text
    for word in ("clip_b16", "yolo11", "musiq", "niqe", "CC-BY-NC-SA-4.0", "AGPL-3.0", "missing", "shipped"):
        assert word in text, word


def test_a_data_card_is_written_added_to_and_checked(hmbench, tmp_path: Path) -> None:
    sample = tmp_path / "data" / "00001_A_loc1_Walk_Pan_1"
    sample.mkdir(parents=True)
    (sample / "cond.mp4").touch()
    code, said = hmbench("data", "card", "data", "--cameras", "opencv-w2c")
    assert code == 0 and "cameras: opencv-w2c, positions: not said, tracker: mini" in said
    code, said = hmbench("data", "card", "data", "--positions", "x,z,-y mm world", "--tracker", "none")
    card = {"cameras": "opencv-w2c", "positions": "x,z,-y mm world", "tracker": "none"}
    assert code == 0 and json.loads((tmp_path / "data" / "hmbench.json").read_text()) == card
    before = (tmp_path / "data" / "hmbench.json").stat().st_mtime_ns
    code, said = hmbench("data", "card", "data")
    assert code == 0 and "cameras: opencv-w2c, positions: x,z,-y mm world, tracker: none" in said
    for option, wrong, sentence in (
        ("--cameras", "opencw", "no camera convention 'opencw'"),
        ("--positions", "x,y,q cm world", "is no reading of positions"),
        ("--tracker", "sort", "no tracker 'sort' for data"),
    ):
        code, said = hmbench("data", "card", "data", option, wrong)
        assert code == 2 and sentence in said and "Traceback" not in said
    assert (tmp_path / "data" / "hmbench.json").stat().st_mtime_ns == before
    code, said = hmbench("data", "card", "nowhere", "--tracker", "none")
    assert code == 2 and "No HM-World samples in nowhere" in said
