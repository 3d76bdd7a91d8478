"""Files of one clip that do not fit together, and used to give wrong numbers without a word."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hmbench.data.hm_world import HMWorld
from hmbench.data.label_files import read_label_maps
from hmbench.errors import SampleError
from hmbench.types import LabelMaps
from hmbench.video.files import read_video, write_video

FIRST = "00000_Dawn_loc0_Straight_Sweep_0"


def labels() -> LabelMaps:
    """Frame t has a subject of t + 1 columns, and nobody from frame 4 to 6."""
    maps = np.zeros((12, 8, 16), np.uint8)
    for t in (*range(4), *range(7, 12)):
        maps[t, :, : t + 1] = 1
    return maps


def test_pictures_of_masks_are_one_series(tmp_path: Path) -> None:
    """Names were put in order by their last number alone: halves were interleaved, and copies moved what followed."""

    def folder(name: str, names: list[str]) -> Path:
        (tmp_path / name).mkdir()
        for file, frame in zip(names, labels(), strict=True):
            Image.fromarray(frame).save(tmp_path / name / file)
        return tmp_path / name

    for kind, form in {"last": "clip3_{}.png", "first": "{}_3.png"}.items():
        maps = read_label_maps(folder(kind, [form.format(t) for t in range(12)]), 12).maps
        np.testing.assert_array_equal(maps, labels())
    halves = [f"cond_{t}.png" for t in range(6)] + [f"tgt_{t}.png" for t in range(6)]
    copied = [*(f"{t}.png" for t in range(11)), "7 (1).png"]
    for kind, names in {"halves": halves, "copied": copied}.items():
        with pytest.raises(SampleError, match="pictures of several series"):
            read_label_maps(folder(kind, names), 12)


@pytest.mark.parametrize("base", [0, 1])
def test_coco_images_are_the_frames(tmp_path: Path, base: int) -> None:
    """Where only images with somebody were listed, every mask behind a gap stood in an earlier frame."""
    seen = [t for t in range(12) if labels()[t].any()]
    annotations = [
        {
            "track_id": 1,
            "image_id": t + base,
            "segmentation": {"size": [8, 16], "counts": [0, 8 * (t + 1), 8 * (15 - t)]},
        }
        for t in seen
    ]
    path = tmp_path / "masks.json"

    def read(images: list[dict[str, object]]) -> LabelMaps:
        path.write_text(json.dumps({"images": images, "annotations": annotations}))
        return read_label_maps(path, 12).maps

    every = [{"id": t + base, "file_name": f"f/{t}.jpg"} for t in range(12)]
    np.testing.assert_array_equal(read(every), labels())
    with pytest.raises(SampleError, match="9 images for 12 frames: list every frame, also where nobody is seen"):
        read([every[t] for t in seen])
    backwards = [{"id": t + base, "file_name": f"f/{11 - t}.jpg"} for t in range(12)]
    with pytest.raises(SampleError, match="another order than their ids"):
        read(backwards)


def test_context_and_target_have_one_rate(disc_folder: Path) -> None:
    folder = disc_folder / FIRST
    write_video(folder / "tgt.mp4", read_video(folder / "tgt.mp4"), fps=30)
    with pytest.raises(SampleError, match=r"cond.mp4 has 15 fps, tgt.mp4 30"):
        HMWorld(disc_folder).load(FIRST)


def test_the_lens_is_of_this_size(disc_folder: Path) -> None:
    """Clips that somebody scaled kept a focal length of the old size, in pixels."""
    lens = {"focal": 100.0, "width": 80, "height": 48}
    subject = {"label": 1, "name": "disc-1", "category": "other", "positions": [[0.0, 0.0, 1.0]] * 18}

    def load(**change: object) -> float:
        content = {"subjects": [subject], "intrinsics": lens, "cell": "seen", **change}
        (disc_folder / FIRST / "truth.json").write_text(json.dumps(content))
        return HMWorld(disc_folder).load(FIRST).prompt.intrinsics.focal

    assert load() == 100.0
    with pytest.raises(SampleError, match="focal length is of pictures of 160x96, the clip has 80x48"):
        load(intrinsics={**lens, "width": 160, "height": 96})
    assert load(num_context=9) == 100.0
    with pytest.raises(SampleError, match="of a clip with 13 context frames, this one has 9"):
        load(num_context=13)
    with pytest.raises(SampleError, match="two subjects have one label"):
        load(subjects=[subject, {**subject, "name": "disc-2"}])
    for positions, why in (([[0.0, 1.0]] * 18, "has the shape"), ([[0.0, 0.0, 1e300]] * 18, "a number beyond")):
        with pytest.raises(SampleError, match=why):
            load(subjects=[{**subject, "positions": positions}])
