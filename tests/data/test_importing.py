"""Any folder of videos as samples: rates, sizes, cameras, masks, captions; what is assumed is said; what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hmbench.cli import app
from hmbench.data.cameras import to_unreal
from hmbench.data.disc_world import DiscWorld, DiscWorldConfig
from hmbench.data.hm_world import HMWorld
from hmbench.data.importing import ImportConfig, find_videos, import_folder
from hmbench.errors import UserError
from hmbench.video.files import write_labels, write_lossless, write_video

WORLD = DiscWorld(DiscWorldConfig(samples=2, frames=9))
CLIP = WORLD.load(WORLD.ids("all")[1])
VIDEO = np.concatenate([CLIP.prompt.context, CLIP.truth.target])
LABELS = np.concatenate([CLIP.truth.context_labels, CLIP.truth.target_labels])
POSES = np.concatenate([CLIP.prompt.context_poses, CLIP.prompt.target_poses])
SMALL = ImportConfig(context=9, target=9)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A bare video, one with everything beside it, pictures, and one that is too short."""
    folder = tmp_path / "videos"
    write_lossless(folder / "bare clip.mp4", VIDEO, fps=15)
    write_lossless(folder / "whole.mp4", np.repeat(VIDEO, 2, axis=0), fps=30)
    np.save(folder / "whole_poses.npy", np.repeat(POSES, 2, axis=0))
    np.savez(folder / "whole_masks.npz", np.repeat(LABELS, 2, axis=0))
    (folder / "whole.txt").write_text("Two discs\nroll by.\n")
    (folder / "caption.txt").write_text("pictures\tDiscs as pictures.\n")
    (folder / "pictures").mkdir()
    for t, frame in enumerate(VIDEO):
        Image.fromarray(frame).save(folder / "pictures" / f"{t}.png")
    write_labels(folder / "pictures_masks.mkv", LABELS, fps=15)
    write_video(folder / "short.webm.mp4", VIDEO[:7], fps=15)
    return folder


def test_a_caption_that_is_no_text_costs_its_own_clip(source: Path, tmp_path: Path) -> None:
    (source / "whole.txt").write_bytes(b"\xff\xfeT\x00")
    config = ImportConfig(context=9, target=9, cameras="opencv")
    done = {one.name: one.problem for one in import_folder(source, tmp_path / "data", config)}
    assert "whole.txt is no valid text" in done["whole"] and done["bare clip"] is None


def test_names_with_accents_and_captions_of_windows(source: Path, tmp_path: Path) -> None:
    """A file with a byte-order mark had it in its caption; accents became dashes."""
    (source / "bare clip.mp4").rename(source / "Café Größe.MP4")
    (source / "Café Größe.txt").write_bytes("\ufeffEin Ball.\r\nNoch einer.\r\n".encode())
    import_folder(source, tmp_path / "data", ImportConfig(context=9, target=9, cameras="opencv"))
    data = HMWorld(tmp_path / "data")
    assert data.ids("all")[0] == "Cafe-Grosse" and data.caption("Cafe-Grosse") == "Ein Ball. Noch einer."
    with pytest.raises(UserError, match=r"Café Größe\.MP4 is a file\. Give the folder that holds the videos"):
        find_videos(source / "Café Größe.MP4")


def test_a_folder_becomes_samples(source: Path, tmp_path: Path) -> None:
    done = {
        one.name: one
        for one in import_folder(source, tmp_path / "data", ImportConfig(context=9, target=9, cameras="opencv"))
    }
    assert set(done) == {"bare clip", "whole", "pictures", "short.webm"}
    assert "gives 7 frames at 15 fps, fewer than 9 + 9" in done["short.webm"].problem
    data = HMWorld(tmp_path / "data")
    assert data.ids("all") == ("bare-clip", "pictures", "whole")
    whole = data.load("whole")
    np.testing.assert_array_equal(np.concatenate([whole.prompt.context, whole.truth.target]), VIDEO)
    np.testing.assert_allclose(whole.prompt.target_poses, CLIP.prompt.target_poses, atol=1e-9)
    assert {(e.exit, e.reentry) for e in whole.truth.events} == {(e.exit, e.reentry) for e in CLIP.truth.events}
    assert whole.prompt.caption == "Two discs roll by." and whole.prompt.fps == 15
    assert any("taken at 15 fps from a video of 30 fps" in w for w in whole.meta.warnings)
    assert not any("check.json" in w or "cameras" in w for w in whole.meta.warnings)
    assert done["whole"].subjects == 2 and done["whole"].cameras == "whole_poses.npy"
    pictures = data.load("pictures")
    assert pictures.prompt.caption == "Discs as pictures." and len(pictures.truth.subjects) == 2
    assert any("pictures without a rate, taken as 15 fps" in w for w in pictures.meta.warnings)
    bare = data.load("bare-clip")
    assert not bare.truth.subjects and np.array_equal(bare.prompt.target_poses, np.tile(np.eye(4), (9, 1, 1)))
    assert {"no cameras: the camera is taken as standing still"} < set(bare.meta.warnings)
    assert sum("no masks" in w for w in done["bare clip"].warnings) == 1  # said when it is imported,
    assert sum("no masks" in w for w in bare.meta.warnings) == 1  # and by the reader, not twice


def test_samples_that_cannot_be_read_stand_below_the_table(source: Path, tmp_path: Path, monkeypatch) -> None:
    """The reason was squeezed into the column of sizes, with the path cut off."""
    monkeypatch.setenv("COLUMNS", "80")
    import_folder(source, tmp_path / "data", SMALL)
    np.save(tmp_path / "data" / "bare-clip" / "masks.npy", LABELS[1:])
    shown = CliRunner().invoke(app, ["data", "show", str(tmp_path / "data")]).output
    table, _, below = shown.partition("└")
    assert "cannot be read (below)" in " ".join(table.split()) and "label maps" not in table
    assert "has label maps of 17 frames, the clip 18." in " ".join(below.split())


def test_hm_worlds_camera_file(source: Path, tmp_path: Path) -> None:
    unreal = to_unreal(POSES)
    halves = {"cond_cam": unreal[:9], "tgt_cam": unreal[9:]}
    content = {key: {str(i): m.tolist() for i, m in enumerate(part)} for key, part in halves.items()}
    (source / "bare clip_camera.json").write_text(json.dumps(content))
    (source / "whole_poses.npy").unlink()
    import_folder(source, tmp_path / "data", SMALL)
    poses = HMWorld(tmp_path / "data").load("bare-clip").prompt.target_poses
    np.testing.assert_allclose(poses, CLIP.prompt.target_poses, atol=1e-9)


def test_size_and_lens(source: Path, tmp_path: Path) -> None:
    (source / "whole_poses.npy").unlink()
    config = ImportConfig(context=9, target=9, size=(24, 32), fov=60)
    import_folder(source, tmp_path / "data", config)
    sample = HMWorld(tmp_path / "data").load("whole")
    assert sample.prompt.context.shape == (9, 24, 32, 3)
    assert sample.prompt.intrinsics.focal == pytest.approx(80 / 2 / np.tan(np.radians(30)) * 0.5)
    half = LABELS[0][::2, 4:76:2][:, 2:34]
    assert (sample.truth.context_labels[0] > 0).mean() == pytest.approx((half > 0).mean(), rel=0.1)
    assert any("scaled and centre-cropped from 80x48 to 32x24" in w for w in sample.meta.warnings)


def test_own_rate_takes_every_frame(source: Path, tmp_path: Path) -> None:
    import_folder(source, tmp_path / "data", ImportConfig(context=17, target=17, fps=None, cameras="opencv"))
    sample = HMWorld(tmp_path / "data").load("whole")
    assert sample.prompt.fps == 30 and len(sample.truth.target) == 17
    np.testing.assert_array_equal(sample.prompt.context, np.repeat(VIDEO, 2, axis=0)[:17])


def test_importing_again_replaces_only_what_was_imported(source: Path, tmp_path: Path) -> None:
    for name in ("pictures_masks.mkv", "short.webm.mp4", "whole_poses.npy"):
        (source / name).unlink()
    target = tmp_path / "data"
    import_folder(source, target, SMALL)
    assert [one.problem for one in import_folder(source, target, SMALL)] == [None] * 3
    (target / "whole" / "notes.json").unlink()
    with pytest.raises(UserError, match="is there and was not imported"):
        import_folder(source, target, SMALL)


def test_what_cannot_be_imported_is_said(source: Path, tmp_path: Path) -> None:
    np.save(source / "whole_poses.npy", POSES[:5])
    np.savez(source / "pictures_masks.npz", LABELS)
    (source / "pictures_masks.mkv").unlink()
    done = {one.name: one.problem for one in import_folder(source, tmp_path / "data", SMALL)}
    assert "whole_poses.npy has 5 entries; the video has 36 frames, the clip 18" in done["whole"]
    assert done["pictures"] is None
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="There is no video in"):
        find_videos(tmp_path / "empty")
    with pytest.raises(UserError, match="There is no folder"):
        find_videos(tmp_path / "nowhere")
    with pytest.raises(UserError, match="not of the form 4k"):
        ImportConfig(context=10)


def test_command(source: Path, tmp_path: Path) -> None:
    arguments = [
        "data",
        "import",
        "videos",
        "data",
        "--context-frames",
        "9",
        "--target-frames",
        "9",
        "--cameras",
        "opencv",
    ]
    root = str(Path(__file__).resolve().parents[2])
    code = "import sys; from hmbench.cli import main; sys.argv[0] = 'hmbench'; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert "3 of 4 videos are samples in data" in said and "not imported: short.webm.mp4 gives 7 frames" in said
    assert "whole_poses.npy" in said and "whole_masks.npz" in said


def test_masks_of_the_small_detector_are_to_be_looked_at(source: Path, tmp_path: Path, monkeypatch) -> None:
    """They became truth without a word of what that detector knows."""
    monkeypatch.chdir(tmp_path)
    import_folder(source, tmp_path / "data", SMALL)
    made = CliRunner().invoke(app, ["data", "masks", "data", "--device", "cpu", "--limit", "2", "--replace"])
    assert made.exit_code == 0, made.output
    said = "detector knows the mini world's subjects only: elsewhere it finds pieces of bodies"
    assert said in " ".join(made.output.split()) and "Masks of 2 of 2 samples" in made.output
    again = CliRunner().invoke(app, ["data", "masks", "data", "--device", "cpu", "--limit", "2"])
    assert again.exit_code == 0 and "detector knows" not in again.output  # nothing was made
