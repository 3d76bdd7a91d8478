"""Folders: read back by the HM-World reader, resumed, refused, independent of workers."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from hmbench.cli import data_app
from hmbench.data.hm_world import HMWorld
from hmbench.data.mini_world import GenerateConfig, Probe, RenderedClip, generate, render_clip, write_clip
from hmbench.data.mini_world.card import statistics
from hmbench.data.mini_world.default import CHOICE, default_folder
from hmbench.data.mini_world.generate import accepted_specs
from hmbench.data.mini_world.nuisances import NUISANCES, brighten, reencode, shift
from hmbench.data.mini_world.sheet import make_sheet
from hmbench.data.mini_world.spec import GENERATOR, ClipSpec
from hmbench.data.mini_world.splits import TEST_CELLS
from hmbench.data.mini_world.writer import sample_id, write_captions
from hmbench.errors import UserError
from hmbench.video.events import find_events, visible_frames
from hmbench.video.files import read_labels, read_video

from .conftest import HALF, PAIR, SIZE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mini")
    generate(GenerateConfig(out=out, clips=4, size=(64, 32), half=13, probes=(Probe("frozen", 0.5),)))
    return out


def same_clip(one: Path, other: Path) -> None:
    """Every file, bit for bit: masks.mkv once differed by the threads of its encoder."""
    names = sorted(p.name for p in other.iterdir())
    assert sorted(p.name for p in one.iterdir()) == names and "masks.mkv" in names
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_the_number_of_threads_changes_no_bit(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numba
    import torch

    before = torch.get_num_threads(), numba.get_num_threads(), cv2.getNumThreads()
    many = min(2, numba.config.NUMBA_NUM_THREADS)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    torch.set_num_threads(2)
    numba.set_num_threads(many)
    cv2.setNumThreads(2)
    try:
        report = generate(GenerateConfig(out=tmp_path, clips=1, size=(64, 32), half=13))
    finally:
        torch.set_num_threads(before[0])
        numba.set_num_threads(before[1])
        cv2.setNumThreads(before[2])
    (made,) = report.made
    same_clip(tmp_path / made.name, folder / made.name)


def test_reader_gives_back_what_was_drawn(pair: RenderedClip, tmp_path: Path) -> None:
    name = sample_id(1, PAIR, pair.location)
    write_clip(tmp_path / name, pair, cell="seen")
    assert write_captions(tmp_path) == 1
    sample = HMWorld(tmp_path).load(name)
    assert sample.meta.warnings == ()
    assert (sample.meta.scene, sample.meta.cell) == ("MarketPlaza", "seen")
    assert sample.truth is not None and sample.truth.separate_subjects
    labels = np.concatenate([sample.truth.context_labels, sample.truth.target_labels])  # type: ignore[list-item]
    assert np.array_equal(labels, pair.labels)
    poses = np.concatenate([sample.prompt.context_poses, sample.prompt.target_poses])
    assert np.abs(poses - pair.poses).max() < 1e-12
    assert sample.prompt.intrinsics.focal == pytest.approx(pair.focal)
    assert sample.prompt.fps == pytest.approx(pair.fps, rel=1e-3)
    assert "market square" in sample.prompt.caption
    for read, drawn in zip(sample.truth.subjects, pair.subjects, strict=True):
        assert (read.name, read.category) == (drawn.name, drawn.category)
        assert np.allclose(read.positions, drawn.positions, atol=1e-6)  # type: ignore[arg-type]
        assert np.array_equal(read.visible_area, drawn.visible_area)
    video = np.concatenate([sample.prompt.context, sample.truth.target]).astype(float)
    assert 10 * np.log10(255**2 / ((video - pair.frames) ** 2).mean()) > 30


def test_red_masks_agree_with_the_exact_ones(pair: RenderedClip, tmp_path: Path) -> None:
    write_clip(tmp_path / "x", pair, cell="seen")
    red = np.concatenate([read_video(tmp_path / "x" / f"{half}_mask.mp4")[..., 0] > 127 for half in ("cond", "tgt")])
    assert np.array_equal(read_labels(tmp_path / "x" / "masks.mkv"), pair.labels)
    assert (red != (pair.labels > 0)).mean() < 0.01


def test_truth_records_what_made_the_clip(pair: RenderedClip, tmp_path: Path) -> None:
    write_clip(tmp_path / "x", pair, cell="seen")
    truth = json.loads((tmp_path / "x" / "truth.json").read_text())
    again = ClipSpec.from_json(truth["spec"])
    assert again == PAIR
    assert render_clip(again, SIZE, half=HALF).digest() == truth["sha256"] == pair.digest()
    pixels = SIZE[0] * SIZE[1]
    events = find_events(visible_frames(pair.subjects[0].visible_area, pixels), HALF, 1)
    assert truth["subjects"][0]["events"] == [{"exit": e.exit, "reentry": e.reentry} for e in events]
    assert truth["captions"].keys() == {"full", "short", "context"}


def test_cells_and_splits(folder: Path) -> None:
    data = HMWorld(folder)
    assert len(data.ids("test")) == 4
    for cell in TEST_CELLS:
        (name,) = data.ids(cell)
        assert data.load(name).meta.cell == cell
    variants = HMWorld(folder / "probes" / "frozen-0.5")
    assert variants.ids("all") == data.ids("all")


def test_a_stopped_run_goes_on_and_ends_the_same(folder: Path, tmp_path: Path) -> None:
    config = GenerateConfig(out=tmp_path, clips=4, size=(64, 32), half=13)
    seen: list[str] = []

    def stop(made) -> None:  # type: ignore[no-untyped-def]
        seen.append(made.name)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(config, stop)
    report = generate(config)
    assert {made.name for made in report.made if made.was_there} == set(seen)
    for made in report.made:
        same_clip(tmp_path / made.name, folder / made.name)
    assert (tmp_path / "caption.txt").read_bytes() == (folder / "caption.txt").read_bytes()
    assert not list(tmp_path.glob(".*part*"))


@pytest.mark.slow
def test_two_workers_make_the_same_files(folder: Path, tmp_path: Path) -> None:
    report = generate(GenerateConfig(out=tmp_path, clips=4, size=(64, 32), half=13, workers=2))
    for made in report.made:
        same_clip(tmp_path / made.name, folder / made.name)


def test_other_clips_in_the_folder_are_not_mixed(folder: Path) -> None:
    with pytest.raises(UserError, match=r"already holds other clips: size \[64, 32\] \(asked: \[112, 64\]\)"):
        generate(GenerateConfig(out=folder, clips=4, size=(112, 64), half=13))


def test_impossible_requests_are_explained(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="must be multiples of 16"):
        GenerateConfig(out=tmp_path, size=(100, 60))
    with pytest.raises(UserError, match="no split 'val'"):
        GenerateConfig(out=tmp_path, split="val")  # type: ignore[arg-type]


def test_accepted_clips_have_an_exit_and_a_reentry() -> None:
    for _, spec in accepted_specs("test", 0, 3):
        clip = render_clip(spec, (112, 64))
        seen = visible_frames(clip.subjects[0].visible_area, 112 * 64)
        events = find_events(seen, 77, 1)
        assert events and events[0].exit < 77 <= events[0].reentry
        assert clip.switch is not None and events[0].exit <= clip.switch.frame < events[0].reentry


def test_statistics_count_what_is_there(folder: Path) -> None:
    numbers = statistics(folder)
    assert numbers["clips"] == 4 and sum(numbers["cells"].values()) == 4
    low, middle, high = numbers["yaw sweep, degrees"]
    assert 30 < low <= middle <= high < 120
    with pytest.raises(UserError, match="holds no mini world clips"):
        statistics(folder / "probes")


def test_sheet_has_a_row_a_clip(folder: Path) -> None:
    sheet = make_sheet(folder, limit=3, columns=5)
    assert sheet.shape == (3 * (32 + 14), 5 * 64, 3)


def test_datasets_export(folder: Path) -> None:
    datasets = pytest.importorskip("datasets")
    from hmbench.data.mini_world.as_dataset import as_dataset

    data = as_dataset(folder)
    assert isinstance(data, datasets.Dataset) and data.num_rows == 4
    row = data[0]
    assert Path(row["cond_mp4"]).is_file() and json.loads(row["truth"])["scene"] == row["scene"]


def test_nuisances_are_small(pair: RenderedClip) -> None:
    for name, change in NUISANCES.items():
        changed = change(pair.frames)
        assert changed.shape == pair.frames.shape and changed.dtype == np.uint8
        assert 0 < np.abs(changed.astype(int) - pair.frames).mean() < 14, name
    assert np.array_equal(shift(pair.frames, 1)[:, :, 1:], pair.frames[:, :, :-1])
    assert (brighten(pair.frames, 6) >= pair.frames).all()
    errors = [np.abs(reencode(pair.frames, crf).astype(int) - pair.frames).mean() for crf in (17, 23, 30)]
    assert errors[0] < errors[1] < errors[2]


def test_commands_make_and_show(tmp_path: Path) -> None:
    runner = CliRunner()
    done = runner.invoke(data_app, ["make-mini", str(tmp_path / "m"), "--clips", "1", "--size", "32x32", "--seed", "3"])
    assert done.exit_code == 0, done.output
    assert "1 clips in" in done.output and "exit-entry filter took" in done.output
    done = runner.invoke(data_app, ["sheet", str(tmp_path / "m"), "--out", str(tmp_path / "s.png")])
    assert done.exit_code == 0 and (tmp_path / "s.png").stat().st_size > 500


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--size", "big"], "'big' is no size"),
        (["--split", "dev"], "There is no split 'dev'"),
        (["--probe", "melted:1"], "unknown probe 'melted'"),
    ],
)
def test_command_mistakes_are_explained(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(data_app, ["make-mini", str(tmp_path), *arguments])
    assert isinstance(done.exception, UserError) and sentence in str(done.exception)


def test_default_folder_names_version_generator_and_choice(tmp_path: Path) -> None:
    assert default_folder(tmp_path).name == f"mini-v1-g{GENERATOR}-c{CHOICE}-224x128"


def test_chosen_slots_are_the_clips_of_a_larger_set(tmp_path: Path) -> None:
    few = GenerateConfig(out=tmp_path / "few", slots=(0, 2), size=(32, 32), half=5)
    more = GenerateConfig(out=tmp_path / "more", clips=3, size=(32, 32), half=5)
    names = [made.name for made in generate(few).made]
    assert names == [made.name for made in generate(more).made if made.slot in (0, 2)]
    assert [name[:5] for name in names] == ["00001", "00003"]
