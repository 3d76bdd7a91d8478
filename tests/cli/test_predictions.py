"""The transcripts of ``check-predictions`` and ``score --predictions``: what is refused, what is said once."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hmbench.cli import app
from hmbench.data.disc_world import DiscWorld
from hmbench.errors import UserError
from hmbench.prefixes import short_id, whole_id
from hmbench.video.files import write_lossless, write_video


@pytest.fixture
def hmbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, list(arguments))
        if isinstance(done.exception, UserError):
            return 2, str(done.exception)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.output

    return call


def truths(folder: Path, *, fps: float = 15, repeat: int = 1, name: str = "{id}.mp4") -> None:
    world = DiscWorld()
    for sample in world.ids("all"):
        truth = world.load(sample).truth
        assert truth is not None
        write_lossless(folder / name.format(id=sample), truth.target.repeat(repeat, axis=0), fps=fps)


SCORE = ("--data", "disc", "--no-tracking", "--metric", "psnr", "--device", "cpu")


def test_the_truth_at_twice_the_rate(hmbench, tmp_path: Path) -> None:
    truths(tmp_path / "p", fps=30, repeat=2)
    code, text = hmbench("score", "--predictions", "p", *SCORE, "--out", "r")
    assert code == 2 and "is 30 fps, the clip 15 fps" in text and "--align resample" in text
    assert not (tmp_path / "r" / "run.json").exists()
    code, text = hmbench("score", "--predictions", "p", *SCORE, "--out", "r", "--align", "resample")
    assert code == 0, text
    sentence = "predictions of 30 fps were resampled to 15 fps"
    assert text.count(sentence) == 1 and "(4 of 4 samples)" in text
    for table in ("table.md", "table.tex"):
        assert (tmp_path / "r" / table).read_text().count(sentence) == 1
    assert json.loads((tmp_path / "r" / "run.json").read_text())["reading"] == {"align": "resample"}
    rows = [json.loads(line) for line in (tmp_path / "r" / "rows.jsonl").read_text().splitlines()]
    assert len(rows) == 4 and all(row["value"] == 100.0 or row["value"] > 90 for row in rows)
    assert all(row["details"]["prediction"] == {"align": "resample", "rate": 30.0} for row in rows)


def test_names_by_pattern(hmbench, tmp_path: Path) -> None:
    truths(tmp_path / "p", name="{id}_seed3.mp4")
    code, text = hmbench("score", "--predictions", "p", *SCORE)
    assert code == 2 and "No file in p is named after a sample" in text and "it holds 4 videos" in text
    code, text = hmbench("score", "--predictions", "p", *SCORE, "--match", "{id}_seed3.mp4")
    assert code == 0, text


def test_a_look_before_scoring(hmbench, tmp_path: Path) -> None:
    truths(tmp_path / "p")
    first, second, third, _ = DiscWorld().ids("all")
    (tmp_path / "p" / f"{first}.mp4").unlink()
    write_lossless(tmp_path / "p" / f"{second}.mp4", np.zeros((21, 48, 48, 3), np.uint8), fps=15)
    (tmp_path / "p" / f"{third}.mp4").write_bytes(b"no video")
    write_video(tmp_path / "p" / "stranger.mp4", np.zeros((3, 48, 80, 3), np.uint8), fps=15)
    code, text = hmbench("check-predictions", "p", "disc")
    assert code == 1 and "1 of 4 predictions can be scored" in text
    for sentence in ("missing", "another shape", "damaged or no video", "--fit crop", "fits", "stranger.mp4"):
        assert sentence in text, sentence
    assert "48x48" in text and "h264 gbrp" in text and "15 fps" in text and "1.40 s" in text
    code, text = hmbench("check-predictions", "p", "disc", "--fit", "pad")
    assert code == 1 and "2 of 4 predictions can be scored" in text and "made to fit: pad" in text


def test_a_look_is_quick(hmbench, tmp_path: Path) -> None:
    """About ten milliseconds a file; measured as CPU time, since machines are shared."""
    truths(tmp_path / "p")
    hmbench("check-predictions", "p", "disc")
    started = time.process_time()
    hmbench("check-predictions", "p", "disc")
    assert time.process_time() - started < 2


def seeded(folder: Path, strengths: dict[str, float]) -> dict[str, dict[str, float]]:
    """Videos ``<id>_seed<seed>.mp4`` with noise of a strength a seed; their PSNR by seed and sample."""
    world, found = DiscWorld(), dict[str, dict[str, float]]()
    for number, (seed, strength) in enumerate(strengths.items()):
        for k, sample in enumerate(world.ids("all")):
            truth = world.load(sample).truth
            assert truth is not None
            noise = np.random.default_rng(10 * number + k).normal(0, strength + k, truth.target.shape)
            video = np.clip(np.round(truth.target + noise), 0, 255).astype(np.uint8)
            write_lossless(folder / f"{sample}_seed{seed}.mp4", video, fps=15)
            error = (video.astype(float) - truth.target).reshape(len(video), -1)
            found.setdefault(seed, {})[sample] = float(np.mean(10 * np.log10(255**2 / (error**2).mean(axis=1))))
    return found


def test_several_seeds_a_clip(hmbench, tmp_path: Path) -> None:
    told = seeded(tmp_path / "p", {"10": 5.0, "2": 9.0, "0": 20.0})
    code, text = hmbench("score", "--predictions", "p", *SCORE)
    assert code == 2 and "No file in p is named after a sample" in text
    code, text = hmbench("score", "--predictions", "p", *SCORE, "--match", "{id}_{x}.mp4")
    assert code == 2 and "has 3 predictions" in text and "{id}_seed{seed}.mp4" in text
    code, text = hmbench("check-predictions", "p", "disc", "--match", "{id}_seed{seed}.mp4")
    assert code == 0 and "12 of 12 predictions can be scored" in text
    asked = ("score", "--predictions", "p", *SCORE, "--match", "{id}_seed{seed}.mp4", "--name", "mine", "--out", "r")
    code, text = hmbench(*asked)
    assert code == 0 and "3 seeds" in " ".join(text.split()) and "(0, 2, 10)" in text, text
    record = json.loads((tmp_path / "r" / "seeds.json").read_text())
    assert record["runs"] == {"0": "seed-0", "2": "seed-2", "10": "seed-10"}
    found: dict[str, dict[str, float]] = {}
    for line in list(csv.reader((tmp_path / "r" / "rows.csv").open()))[1:]:
        found.setdefault(line[0], {})[line[1]] = float(line[4])
    assert {s: pytest.approx(values, abs=1e-6) for s, values in told.items()} == found
    assert [json.loads((tmp_path / "r" / f"seed-{s}" / "run.json").read_text())["seed"] for s in told] == [10, 2, 0]
    means = np.array([[told[seed][sample] for seed in told] for sample in DiscWorld().ids("all")])
    psnr = record["metrics"]["psnr"]
    assert psnr["mean"] == pytest.approx(means.mean(), abs=1e-6) and psnr["scored"] == psnr["total"] == 4
    assert psnr["spread"]["seeds"] == pytest.approx(np.sqrt(means.var(axis=1, ddof=1).mean()), abs=1e-6)
    table = (tmp_path / "r" / "table.md").read_text()
    assert f"{psnr['spread']['seeds']:.4f}" in table and "4 of 4" in table

    code, text = hmbench(*[{"psnr": "psnr_subject"}.get(one, one) for one in asked], "--all-metrics")
    assert code == 0 and "psnr " in text and "psnr_subject " in text, "a second metric adds to every seed"
    code, text = hmbench("score", "--predictions", "p", *SCORE, "--match", "{id}_seed10.mp4", "--out", "o")
    code, text = hmbench("compare", "o", "r", "--metrics", "psnr")
    assert code == 0 and "mine (3 seeds)" in " ".join(text.split()), text


def test_a_seed_without_a_clip_has_a_row_that_says_so(hmbench, tmp_path: Path) -> None:
    seeded(tmp_path / "p", {"a": 5.0, "b": 9.0})
    first = DiscWorld().ids("all")[0]
    (tmp_path / "p" / f"{first}_seedb.mp4").unlink()
    asked = ("score", "--predictions", "p", *SCORE, "--match", "{id}_seed{seed}.mp4", "--out", "r")
    code, text = hmbench(*asked)
    assert code == 1 and "1 of seed b" in text, text
    record = json.loads((tmp_path / "r" / "seeds.json").read_text())
    assert record["metrics"]["psnr"]["scored"] == 4, "the clip has a value of its other seed"
    code, text = hmbench("score", "--predictions", "p", *SCORE, "--match", "{id}_seedb.mp4", "--out", "r")
    assert code == 2 and "is not empty and holds no run" in text
    code, text = hmbench("score", "--predictions", "p", *SCORE, "--match", "{id}_{seed}_{seed}.mp4")
    assert code == 2 and "must have {seed} once" in text


def test_a_look_at_some_samples_shows_ids_that_can_be_typed(hmbench, tmp_path: Path, monkeypatch) -> None:
    """At 80 columns an id of fifty letters was broken into five lines, and neither --limit nor --data was there."""
    monkeypatch.setenv("COLUMNS", "80")
    truths(tmp_path / "p")
    first, *others = DiscWorld().ids("all")
    for sample in others:
        (tmp_path / "p" / f"{sample}.mp4").unlink()
    code, text = hmbench("check-predictions", "p", "--data", "disc", "--limit", "1")
    assert code == 0 and "1 of 1 predictions can be scored." in text
    assert short_id(first, DiscWorld().ids("all")) in text
    code, text = hmbench("check-predictions", "p", "disc", "--sample", others[0])
    assert code == 2 and "is named after a sample of these data" in text
    code, text = hmbench("check-predictions", "p", "disc", "--data", "mini")
    assert code == 2 and "Data are given twice: 'disc' and --data 'mini'" in text


def test_short_ids() -> None:
    ids = ["a_1_x", "a_2_x", "b_1_x", "b_1_y", "ab", "a_1_xy"]
    assert [short_id(one, ids) for one in ids] == ["a_1_x", "a_2", "b_1_x", "b_1_y", "ab", "a_1_xy"]
    assert all(whole_id(short_id(one, ids), ids, "They") == one for one in ids)


def test_a_folder_of_odd_names(hmbench, tmp_path: Path) -> None:
    """Upper-case suffixes, ids cut off at a word, a table with a byte-order mark, semicolons and Windows' line ends."""
    folder = tmp_path / "Meine Vidéos"
    truths(folder, name="{id}_seed0.mp4")
    ids = DiscWorld().ids("all")
    heads = [sample.partition("_")[0] for sample in ids]
    for sample, head in zip(ids, heads, strict=True):
        (folder / f"{sample}_seed0.mp4").rename(folder / f"{head}_seed0.MP4")
    check = ("check-predictions", "Meine Vidéos", "disc")
    code, text = hmbench(*check)
    assert code == 2 and "If these are the ones: --match '{id}_seed{seed}.MP4'." in text
    assert hmbench(*check, "--match", "{id}_seed0.mp4")[0] == 0
    assert "4 of 4 predictions can be scored" in hmbench(*check, "--match", "{id}_seed{seed}.mp4")[1]
    lines = ["id;file", *(f"{head};{head}_seed0.MP4" for head in heads)]
    (folder / "names.CSV").write_bytes(("\ufeff" + "\r\n".join(lines) + "\r\n").encode())
    assert hmbench(*check, "--match", str(folder / "names.CSV"))[0] == 0
    for head in heads:
        (folder / f"{head}_seed0.MP4").rename(folder / f"{head}.MP4")
    assert hmbench(*check)[0] == 0


def test_a_look_at_predictions_keeps_to_80_columns(hmbench, tmp_path: Path, monkeypatch) -> None:
    truths(tmp_path / "p", fps=30, repeat=2)
    monkeypatch.setenv("COLUMNS", "80")
    text = hmbench("check-predictions", "p", "disc")[1]
    table = [line for line in text.splitlines() if line and line[0] in "┏┃┡│└"]
    assert max(map(len, table)) <= 80 and [cell.strip() for cell in table[1].strip("┃").split("┃")] == [
        "samples", "frames", "rate", "size", "lasts", "stored as", "verdict",
    ]  # fmt: skip
    assert "no, see 1" in " ".join(text.split())
    assert "1: is 30 fps, the clip 15 fps: its 42 frames last 1.40 s, the target's 21 last 1.40 s." in text.splitlines()


def test_arrays_of_a_wrong_kind_are_one_line_with_a_remedy(hmbench, tmp_path: Path) -> None:
    """Each file had a line and a sentence of its own, which ended in two full stops."""
    world = DiscWorld()
    (tmp_path / "p").mkdir()
    for sample in world.ids("all"):
        np.save(tmp_path / "p" / f"{sample}.npy", world.load(sample).truth.target / np.float32(255))
    text = hmbench("check-predictions", "p", "disc")[1]
    assert "1: holds float32 (21, 48, 80, 3), expected uint8 [T, H, W, 3].\n" in text and "\n2:" not in text
    assert "floats in [0, 1] as (x * 255).round().astype('uint8')" in text


def test_gifs_of_uneven_times_keep_to_80_columns(hmbench, tmp_path: Path, monkeypatch) -> None:
    """A GIF's writer merges equal pictures: the table of four kinds lost its last border."""
    from PIL import Image

    world, monotonous = DiscWorld(), range(0, 21, 3)
    (tmp_path / "p").mkdir()
    for place, sample in enumerate(world.ids("all")):
        video = world.load(sample).truth.target.copy()
        video[:, :8, :8] = np.arange(21)[:, None, None, None] * 10  # no picture is like its neighbour ...
        for start in monotonous if place else ():
            video[start + 1] = video[start]  # ... but these
        frames = [Image.fromarray(frame) for frame in video]
        frames[0].save(tmp_path / "p" / f"{sample}.gif", save_all=True, append_images=frames[1:], duration=70)
    monkeypatch.setenv("COLUMNS", "80")
    text = hmbench("check-predictions", "p", "disc")[1]
    table = [line for line in text.splitlines() if line and line[0] in "┏┃┡│└"]
    assert {len(line) for line in table} <= set(range(81)) and all(line[-1] in "┓┃┩│┘" for line in table)
    assert "fits; predictions are GIFs of 14.29 fps, as near to 15 as a GIF can be." in text
    code, text = hmbench("score", "--predictions", "p", *SCORE, "--align", "resample", "--frames", "first")
    assert code == 0, text
    assert "predictions unevenly spaced in time (10 fps on average) were resampled to 15 fps" in text


def test_a_gif_of_the_nearest_rate_is_taken_frame_by_frame() -> None:
    from hmbench.results.predictions import Expected, plan_reading
    from hmbench.video.decode import Header

    expected = Expected(context=21, target=21, fps=15.0, size=(48, 80))
    for fps, fits in ((100 / 6, True), (100 / 7, True), (12.5, False), (20.0, False)):
        header = Header(80, 48, fps, "gif", 21, 21 / fps, True, "bgra", ())
        if fits:
            plan = plan_reading(Path("a.gif"), header, expected)
            assert (plan.resample, plan.changes) == (False, {"rate": round(fps, 4)})
            assert plan.notes == (f"predictions are GIFs of {fps:.4g} fps, as near to 15 as a GIF can be",)
        else:
            with pytest.raises(UserError, match=f"is {fps:g} fps, the clip 15 fps"):
                plan_reading(Path("a.gif"), header, expected)


def test_a_folder_of_webm_and_one_of_pictures_under_other_names(hmbench, tmp_path: Path) -> None:
    import av
    from PIL import Image

    world = DiscWorld()
    for sample in world.ids("all")[:1]:
        video = world.load(sample).truth.target
        head = sample.partition("_")[0]
        (tmp_path / "web m").mkdir()
        with av.open(str(tmp_path / "web m" / f"mine-{head}-v2.WEBM"), "w", format="webm") as file:
            stream = file.add_stream("libvpx", rate=15)
            stream.height, stream.width, stream.pix_fmt, stream.bit_rate = *video.shape[1:3], "yuv420p", 2_000_000
            for frame in [*(av.VideoFrame.from_ndarray(one, format="rgb24") for one in video), None]:
                file.mux(stream.encode(frame))
        (tmp_path / "png" / head).mkdir(parents=True)
        for t, one in enumerate(video):
            Image.fromarray(one).save(tmp_path / "png" / head / f"frame {t}.PNG")
    means = {}
    for folder, extra in (("web m", ("--match", "mine-{id}-v2.webm")), ("png", ())):
        code, text = hmbench("score", "--predictions", folder, *SCORE, "--limit", "1", "--out", f"r-{folder}", *extra)
        assert code == 0, text
        means[folder] = json.loads((tmp_path / f"r-{folder}" / "summary.json").read_text())["metrics"]["psnr"]["mean"]
    assert means["png"] == 100 and 30 < means["web m"] < 60
