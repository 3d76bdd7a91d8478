"""Videos and pictures whose numbers are not what a viewer shows: refused by name, or said."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image, ImageCms

from hmbench.errors import SampleError
from hmbench.video.decode import pictures, read_header
from hmbench.video.sources import source_digest, source_header, source_pictures

SIZE = (32, 48)
GREEN = np.full((*SIZE, 3), (40, 180, 60), np.uint8)


def encode(path: Path, codec: str, stored: str, image: np.ndarray, frames: int = 3, **tags: Any) -> Path:
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream(codec, rate=15, options=tags.pop("options", {}))
        stream.height, stream.width, stream.pix_fmt = *SIZE, stored
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        for _ in range(frames):
            form = "rgba" if image.shape[2] == 4 else "rgb24"
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format=form).reformat(format=stored)))
        out.mux(stream.encode(None))
    return path


def with_alpha(alpha: int) -> np.ndarray:
    rgba = np.dstack([GREEN, np.full(SIZE, 255, np.uint8)])
    rgba[4:8, 4:8, 3] = alpha
    return rgba


@pytest.mark.parametrize(("codec", "stored", "suffix"), [("png", "rgba", ".mov"), ("qtrle", "argb", ".mov")])
def test_transparent_videos_are_refused_and_opaque_ones_are_not(tmp_path, codec, stored, suffix) -> None:
    with pytest.raises(SampleError, match=r"is transparent in parts \(frame 0\)"):
        list(pictures(encode(tmp_path / f"t{suffix}", codec, stored, with_alpha(254))))
    found = list(pictures(encode(tmp_path / f"o{suffix}", codec, stored, with_alpha(255))))
    assert len(found) == 3 and all((picture.image == GREEN).all() for picture in found)


def test_a_layer_of_transparency_beside_the_picture_is_refused(tmp_path) -> None:
    path = encode(tmp_path / "a.webm", "libvpx-vp9", "yuva420p", with_alpha(0), options={"lossless": "1"})
    with pytest.raises(SampleError, match="is transparent in parts"):
        list(pictures(path))


def test_a_transparent_gif_is_refused(tmp_path) -> None:
    frames = [Image.fromarray(np.roll(with_alpha(0), shift, axis=1), "RGBA") for shift in range(3)]
    frames[0].save(tmp_path / "t.gif", save_all=True, append_images=frames[1:], duration=60, disposal=2)
    with pytest.raises(SampleError, match="is transparent in parts"):
        list(pictures(tmp_path / "t.gif"))


@pytest.mark.parametrize("matrix", [8, 10, 14])
def test_matrices_that_are_not_converted_are_refused(tmp_path, matrix) -> None:
    """YCgCo, BT.2020 with constant luminance, ICtCp: read as BT.601 they gave other colours without a word."""
    path = encode(tmp_path / "m.mp4", "libx264", "yuv444p", GREEN, colorspace=matrix)
    with pytest.raises(SampleError, match=f"a matrix that is not read here .number {matrix}"):
        read_header(path)


@pytest.mark.parametrize(("curve", "said"), [(8, "linear light"), (9, "logarithmic"), (17, "ST 428"), (16, "PQ")])
def test_other_curves_are_refused(tmp_path, curve, said) -> None:
    with pytest.raises(SampleError, match=said):
        read_header(encode(tmp_path / "c.mp4", "libx264", "yuv444p", GREEN, color_trc=curve))


def test_wide_primaries_and_fields_are_said(tmp_path) -> None:
    wide = read_header(encode(tmp_path / "w.mp4", "libx264", "yuv444p", GREEN, color_primaries=9))
    assert [note.split(":")[0] for note in wide.notes] == ["its colours are BT.2020's, shown as BT.709's"]
    flags = {"flags": "+ilme+ildct", "x264-params": "tff=1"}
    fields = read_header(encode(tmp_path / "f.mkv", "libx264", "yuv420p", GREEN, options=flags))
    assert [note.split(":")[0] for note in fields.notes] == ["it is interlaced"]
    assert read_header(encode(tmp_path / "n.mp4", "libx264", "yuv444p", GREEN)).notes == ()


def test_sound_alone_is_no_video(tmp_path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as out:
        stream: Any = out.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.time_base = 44100, Fraction(1, 44100)
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with pytest.raises(SampleError, match="has no video stream"):
        read_header(tmp_path / "a.mp4")


def folder_of(tmp_path: Path, image: Image.Image, **how: Any) -> Path:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(2):
        image.save(folder / f"{number}.png", **how)
    return folder


def test_transparent_pictures_are_refused_and_opaque_ones_are_not(tmp_path) -> None:
    for number, alpha in enumerate((0, 255)):
        (tmp_path / str(number)).mkdir()
        folder = folder_of(tmp_path / str(number), Image.fromarray(with_alpha(alpha), "RGBA"))
        if alpha:
            assert all((picture.image == GREEN).all() for picture in source_pictures(folder))
            continue
        with pytest.raises(SampleError, match="is transparent in parts"):
            list(source_pictures(folder))


def test_a_palette_with_a_transparent_colour_is_refused(tmp_path) -> None:
    indexed = Image.fromarray(np.tile(np.array([0, 1], np.uint8), (32, 24)), "P")
    indexed.putpalette([0, 0, 0, 40, 180, 60])
    with pytest.raises(SampleError, match="is transparent in parts"):
        list(source_pictures(folder_of(tmp_path, indexed, transparency=0)))


def test_a_picture_that_moves_is_refused(tmp_path) -> None:
    two = [Image.fromarray(GREEN), Image.fromarray(255 - GREEN)]
    with pytest.raises(SampleError, match="holds several pictures"):
        list(source_pictures(folder_of(tmp_path, two[0], save_all=True, append_images=two[1:])))


def test_a_profile_that_is_not_srgb_is_refused(tmp_path) -> None:
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = own.replace(b"rXYZ", b"xXYZ", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"xXYZ", b"gXYZ", 1)
    for number, profile in enumerate((own, b"no profile", swapped)):
        (tmp_path / str(number)).mkdir()
        folder = folder_of(tmp_path / str(number), Image.fromarray(GREEN), icc_profile=profile)
        if profile != swapped:
            assert all((picture.image == GREEN).all() for picture in source_pictures(folder))
            continue
        with pytest.raises(SampleError, match="colour profile"):
            list(source_pictures(folder))


@pytest.mark.parametrize("name", ["a.npy", "a.mp4", "frames/0.png"])
def test_a_pipe_is_refused_and_hangs_nothing(tmp_path, name) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)
    source = path.parent if path.suffix == ".png" else path
    for read in (source_header, source_digest, lambda p: list(source_pictures(p))):
        with pytest.raises(SampleError, match=r"no ordinary file|There is no video"):
            read(source)
