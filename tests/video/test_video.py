import hashlib
from pathlib import Path

import numpy as np
import pytest

from hmbench.errors import SampleError
from hmbench.video.files import probe, read_labels, read_video, resize_video, write_labels, write_lossless, write_video


@pytest.fixture
def clip() -> np.ndarray:
    smooth = np.linspace(0, 255, 48 * 64 * 3).reshape(48, 64, 3)
    rng = np.random.default_rng(0)
    return np.stack([(smooth + 8 * k + rng.normal(0, 2, smooth.shape)).clip(0, 255) for k in range(9)]).astype(np.uint8)


def test_lossless_round_trip(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (5, 34, 50, 3)).astype(np.uint8)
    write_lossless(tmp_path / "a.mp4", noise, fps=15)
    np.testing.assert_array_equal(read_video(tmp_path / "a.mp4", frames=5, size=(34, 50)), noise)
    assert probe(tmp_path / "a.mp4")[:3] == (50, 34, 15.0)


def test_ordinary_video_is_close_and_its_colours_agree_with_opencv(tmp_path: Path, clip: np.ndarray) -> None:
    import cv2

    write_video(tmp_path / "a.mp4", clip, fps=12.5, crf=10)
    ours = read_video(tmp_path / "a.mp4", frames=9).astype(float)
    assert np.abs(ours - clip).mean() < 4
    capture = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    theirs = np.stack([capture.read()[1][..., ::-1] for _ in range(9)]).astype(float)
    assert np.abs(ours - theirs).mean() < 3
    assert probe(tmp_path / "a.mp4").fps == 12.5


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    """x264's macroblock tree made one in ten of these different, depending on what had been in memory before."""
    rng = np.random.default_rng(0)
    frames = rng.normal(128, 40, (13, 64, 112, 3)).clip(0, 255).astype(np.uint8)
    digests = set()
    for k in range(40):
        used_before = [rng.bytes(int(size)) for size in rng.integers(1, 200_000, 5)]
        write_video(tmp_path / f"{k}.mp4", frames.copy(), fps=15)
        digests.add(hashlib.sha256((tmp_path / f"{k}.mp4").read_bytes()).hexdigest())
        del used_before
    assert len(digests) == 1
    assert b" mbtree=0 " in (tmp_path / "0.mp4").read_bytes()  # the encoder's note of its options


def test_labels_round_trip(tmp_path: Path) -> None:
    labels = np.random.default_rng(2).integers(0, 5, (6, 20, 30)).astype(np.uint8)
    write_labels(tmp_path / "m.mkv", labels, fps=15)
    np.testing.assert_array_equal(read_labels(tmp_path / "m.mkv", frames=6), labels)


def test_nothing_half_written_stays(tmp_path: Path, clip: np.ndarray) -> None:
    with pytest.raises(ValueError, match="without frames"):
        write_video(tmp_path / "a.mp4", clip[:0], fps=15)
    with pytest.raises((ValueError, TypeError)):
        write_lossless(tmp_path / "a.mp4", clip.astype(np.float64), fps=15)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [("missing", "There is no video"), ("text", "damaged or no video"), ("half", "damaged or no video")],
)
def test_a_damaged_file_raises(tmp_path: Path, clip: np.ndarray, damage: str, sentence: str) -> None:
    path = tmp_path / "a.mp4"
    if damage == "text":
        path.write_text("this is no video, however long it may be " * 50)
    elif damage == "half":
        write_video(path, clip, fps=15)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SampleError, match=sentence):
        read_video(path)


def test_damage_inside_the_stream_is_not_concealed(tmp_path: Path, clip: np.ndarray) -> None:
    """H.264 has no checksums: some noise decodes as a picture. Without err_detect all of it would be concealed."""
    write_video(tmp_path / "a.mp4", clip, fps=15)
    content = (tmp_path / "a.mp4").read_bytes()
    start = content.index(b"mdat") + 1000  # past the encoder's own text, inside the first picture
    noticed = 0
    for seed in range(10):
        noise = bytes(np.random.default_rng(seed).integers(0, 256, 400, dtype=np.uint8))
        (tmp_path / "b.mp4").write_bytes(content[:start] + noise + content[start + 400 :])
        try:
            read_video(tmp_path / "b.mp4")
        except SampleError as error:
            assert "damaged" in error.what
            noticed += 1
    assert noticed >= 3


def test_wrong_length_and_size_tell_the_numbers(tmp_path: Path, clip: np.ndarray) -> None:
    write_video(tmp_path / "a.mp4", clip, fps=15)
    with pytest.raises(SampleError, match="has 9 frames, expected 13"):
        read_video(tmp_path / "a.mp4", frames=13)
    with pytest.raises(SampleError, match="is 64x48 pixels, expected 48x64"):
        read_video(tmp_path / "a.mp4", size=(64, 48))


def test_resize_keeps_what_fits(clip: np.ndarray) -> None:
    assert resize_video(clip, 48, 64) is clip
    assert resize_video(clip, 24, 32).shape == (9, 24, 32, 3)
