"""Masks beside a clip that other tools write: right labels, or a sentence; never other labels without a word."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from hmbench.array_files import read_array
from hmbench.data.hm_world import HMWorld
from hmbench.data.label_files import read_label_maps
from hmbench.data.masks import find_palette, subject_pixels, why_no_mask
from hmbench.errors import SampleError
from hmbench.video.files import read_video, write_video

TRUE = np.zeros((3, 8, 12), np.uint8)
TRUE[:, 1:4, 1:5] = 1
TRUE[1:, 4:8, 6:11] = 2


def pictures(folder: Path, frames: np.ndarray, mode: str | None = None, **how) -> Path:
    folder.mkdir(exist_ok=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame, mode).save(folder / f"{number}.png", **how)
    return folder


def rgba(alpha: int) -> np.ndarray:
    out = np.zeros((*TRUE.shape, 4), np.uint8)
    out[..., 0], out[..., 1], out[..., 3] = (TRUE == 1) * 200, (TRUE == 2) * 150, 255
    out[0, 0, 0, 3] = alpha
    return out


RIGHT = {
    "16 bits of grey": lambda folder: pictures(folder, TRUE.astype(np.uint16) * 300),
    "opaque RGBA": lambda folder: pictures(folder, rgba(255), "RGBA"),
    "grey far apart": lambda folder: pictures(folder, TRUE * np.uint8(127)),
    "one subject in white": lambda folder: pictures(folder, (TRUE == 1) * np.uint8(255)),
}


@pytest.mark.parametrize("form", RIGHT)
def test_labels_come_out_right(tmp_path: Path, form: str) -> None:
    wanted = (TRUE == 1).astype(np.uint8) if form.startswith("one") else TRUE
    # red, 200 << 16, is a larger number than green, 150 << 8: labels go by the numbers
    wanted = np.array([0, 2, 1], np.uint8)[wanted] if form == "opaque RGBA" else wanted
    np.testing.assert_array_equal(read_label_maps(RIGHT[form](tmp_path / "masks"), 3).maps, wanted)


def as_16_bit_colours(folder: Path) -> Path:
    folder.mkdir()
    for number, frame in enumerate(TRUE):
        cv2.imwrite(str(folder / f"{number}.png"), np.repeat(frame[..., None], 3, axis=2).astype(np.uint16))
    return folder


def as_jpeg(folder: Path) -> Path:
    folder.mkdir()
    for number, frame in enumerate(TRUE):
        Image.fromarray(frame).save(folder / f"{number}.png", format="JPEG")
    return folder


def as_moving(folder: Path) -> Path:
    frames = [Image.fromarray(frame) for frame in TRUE]
    folder.mkdir()
    frames[0].save(folder / "0.png", save_all=True, append_images=frames[1:])
    return folder


def as_pipe(folder: Path) -> Path:
    folder.mkdir()
    os.mkfifo(folder / "0.png")
    return folder


def saved(path: Path, **arrays) -> Path:
    np.savez(path, **arrays)
    return path


def coco(folder: Path, **change) -> Path:
    one = {"track_id": 1, "image_id": 0, "segmentation": {"size": [8, 12], "counts": [0, 96]}, **change}
    folder.with_suffix(".json").write_text(json.dumps({"annotations": [one]}))
    return folder.with_suffix(".json")


VOID = np.where(TRUE == 2, 255, TRUE).astype(np.uint8)
WRONG = {
    "half transparent": (lambda f: pictures(f, rgba(0), "RGBA"), "parts of it are transparent"),
    "16 bits a colour": (as_16_bit_colours, "16 bits a colour"),
    "JPEG called PNG": (as_jpeg, "it is JPEG"),
    "a picture that moves": (as_moving, "it has 2 frames|it has 3 frames"),
    "a pipe": (as_pipe, "no ordinary file"),
    "void": (lambda f: pictures(f, VOID), "the label 255 beside 1 more"),
    "void in an array": (lambda f: saved(f.with_suffix(".npz"), maps=VOID), "the label 255 beside 1 more"),
    "negative": (lambda f: saved(f.with_suffix(".npz"), maps=TRUE.astype(int) - 1), "the label -1 beside 1 more"),
    "several arrays": (lambda f: saved(f.with_suffix(".npz"), a=TRUE, b=TRUE), "holds 2 arrays .a, b.: which is meant"),
    "objects": (lambda f: saved(f.with_suffix(".npz"), maps=np.array([None])), "holds no array"),
    "fractions": (lambda f: saved(f.with_suffix(".npz"), maps=TRUE / 2), "no label map: float64"),
    "negative runs": (lambda f: coco(f, segmentation={"size": [8, 12], "counts": [-4, 100]}), "runs of 96"),
    "a huge picture": (lambda f: coco(f, segmentation={"size": [10**5, 10**5], "counts": []}), "3 frames of 100000x"),
    "a frame too far": (lambda f: coco(f, image_id=10**12), "frame 1000000000000"),
}  # fmt: skip


@pytest.mark.parametrize("form", WRONG)
def test_what_is_no_map_of_labels_is_refused(tmp_path: Path, form: str) -> None:
    write, said = WRONG[form]
    path = write(tmp_path / "masks")
    with pytest.raises(SampleError, match=said):
        read_label_maps(path, 3)


def test_an_array_among_others_is_taken_by_its_name(tmp_path: Path) -> None:
    path = saved(tmp_path / "masks.npz", ids=np.arange(3), maps=TRUE)
    np.testing.assert_array_equal(read_label_maps(path, 3).maps, TRUE)


def test_arrays_that_expand_or_are_damaged_are_refused_before_they_take_memory(tmp_path: Path) -> None:
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": (10**6, 10**6)})
    (tmp_path / "huge.npy").write_bytes(head.getvalue())
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive:
        archive.writestr("a.npy", head.getvalue())
    for name in ("huge.npy", "huge.npz"):
        with pytest.raises(SampleError, match="an array of 7,629,394 MiB"):
            read_array(tmp_path / name)
    whole = saved(tmp_path / "a.npz", a=TRUE).read_bytes()
    for number, content in enumerate((whole[:-30], whole[:40], b"PK\x05\x06", b"", b"\x93NUMPY\x01\x00\xff\xff{")):
        path = tmp_path / f"bad{number}.npz"
        path.write_bytes(content)
        with pytest.raises(SampleError, match="holds no array"):
            read_array(path)
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': [[[[[")
    with pytest.raises(SampleError, match="holds no array"):
        read_array(tmp_path / "bad.npy")


def world() -> tuple[np.ndarray, np.ndarray]:
    """A textured clip ``[18, 48, 80, 3]`` and where its subject is, ``[18, 48, 80, 1]``."""
    rng = np.random.default_rng(0)
    ground = cv2.GaussianBlur(rng.uniform(0, 255, (48, 116, 3)), (0, 0), 2.0)
    ground = np.clip((ground - 127) * 3 + 127, 30, 225)
    clip = np.stack([ground[:, 2 * t : 2 * t + 80] for t in range(18)]).astype(np.uint8)
    there = np.zeros((18, 48, 80, 1), bool)
    for t in range(18):
        there[t, 10:38, 5 + 2 * t : 25 + 2 * t] = True
    return clip, there


RED, BLACK, WHITE = ((np.array(c, np.uint8)) for c in ((255, 0, 0), (0, 0, 0), (255, 255, 255)))


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lambda clip, there: np.where(there, RED, BLACK), None),
        (lambda clip, there: np.where(there, BLACK, WHITE), None),
        (lambda clip, there: np.where(there, np.repeat(255 * np.eye(3, dtype=int), 16, axis=0)[:, None], BLACK), None),
        (lambda clip, there: np.where(there, 1, 0).repeat(3, axis=-1), None),
        (lambda clip, there: np.where(there, clip // 2 + RED // 2, clip), "pictures or overlays"),
        (lambda clip, there: np.where(there, clip, clip // 4), "pictures or overlays"),
        (lambda clip, there: clip, "pictures or overlays"),
        (lambda clip, there: np.where(there, clip, BLACK), "cut out of the picture"),
        (lambda clip, there: np.where(there, clip, WHITE), "cut out of the picture"),
        (lambda clip, there: np.where(there ^ (np.arange(18) > 8)[:, None, None, None], WHITE, BLACK), "the other on"),
    ],
    ids=[
        "red",
        "black on white",
        "three colours",
        "dark",
        "overlay",
        "dimmed",
        "the clip",
        "cut out",
        "on white",
        "halves",
    ],
)
def test_overlays_and_pictures_are_no_masks(tmp_path: Path, draw, said: str | None) -> None:
    """An overlay was read as a mask: PSNR of a subject 26.9 dB where 13.3 is right, without a word."""
    clip, there = world()
    drawn = draw(clip, there).astype(np.uint8)
    palette = find_palette((drawn[:9], drawn[9:]))
    why = why_no_mask((drawn[:9], drawn[9:]), (clip[:9], clip[9:]), palette)
    assert why is None if said is None else said in str(why)
    if said is None:
        np.testing.assert_array_equal(subject_pixels(drawn, palette), there[..., 0])


@pytest.mark.parametrize("crf", [17, 35])
def test_masks_through_a_codec_stay_masks(tmp_path: Path, crf: int) -> None:
    clip, there = world()
    write_video(tmp_path / "m.mp4", np.where(there, RED, BLACK), fps=15, crf=crf)
    drawn = read_video(tmp_path / "m.mp4")
    assert why_no_mask((drawn,), (clip,), find_palette((drawn,))) is None


def test_a_sample_with_an_overlay_for_a_mask_is_refused(disc_folder: Path) -> None:
    sample_id = HMWorld(disc_folder).ids("all")[0]
    for half in ("cond", "tgt"):
        mask, picture = (read_video(disc_folder / sample_id / f"{half}{end}.mp4") for end in ("_mask", ""))
        (disc_folder / sample_id / f"{half}_mask.mp4").unlink()
        tinted = np.where(mask > 127, picture // 2 + 127, picture).astype(np.uint8)
        write_video(disc_folder / sample_id / f"{half}_mask.mp4", tinted, fps=15)
    with pytest.raises(SampleError, match=r"cond_mask.mp4 and tgt_mask.mp4 are no masks: only \d+% of the background"):
        HMWorld(disc_folder).load(sample_id)
