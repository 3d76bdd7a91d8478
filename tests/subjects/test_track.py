"""Tracking with a detector that is known by hand: ByteTrack's pieces, their linking, files of tracks."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from hmbench.errors import UserError
from hmbench.subjects import tracks_from_json, tracks_to_json
from hmbench.subjects.boxes import framewise_iou, label_boxes, pairwise_iou, touches_edge
from hmbench.subjects.detect import Detections, DetectorConfig, YoloDetector, mini_network, network_input
from hmbench.subjects.link import LinkConfig, Tracklet, link
from hmbench.subjects.oracle import OracleTracker
from hmbench.subjects.track import TrackerConfig, YoloTracker, numbered
from hmbench.types import Track
from tests.metrics import stage

NAN = np.float32(np.nan)


class MaskDetector:
    """Finds what the labels show: the tracker's own work is what is tested."""

    name = "masks"

    def __init__(self, labels) -> None:
        self.categories = {0: "person"}
        self.boxes = [label_boxes(labels == k) for k in range(1, labels.max() + 1)]

    def detect(self, video):
        out = []
        for t in range(len(video)):
            found = np.array([b[t] for b in self.boxes if not np.isnan(b[t, 0])], np.float32).reshape(-1, 4)
            out.append(Detections(found, np.full(len(found), 0.9, np.float32), np.zeros(len(found), np.int64)))
        return out


@pytest.mark.parametrize("method", ["bytetrack", "botsort"])
def test_a_subject_keeps_its_track_across_a_gap_longer_than_any_buffer(method):
    hero, friend = stage.changed(stage.HERO, hidden=(12, 34)), stage.changed(stage.FRIEND, hidden=(0, 0))
    video, labels = stage.film([hero, friend])
    tracker = YoloTracker(MaskDetector(labels), stage.ColourEncoder(), TrackerConfig(method=method))
    tracks = tracker.track(video)
    assert len(tracks) == 2
    truth = label_boxes(labels == 1)
    best = max(tracks, key=lambda t: np.nansum(framewise_iou(t.boxes, truth)))
    assert best.present()[:12].sum() >= 10
    assert best.present()[34:].sum() >= 12
    assert not best.present()[13:34].any()
    assert tracks[0].present().sum() >= tracks[1].present().sum()
    unlinked = YoloTracker(MaskDetector(labels), None, TrackerConfig(method=method)).track(video)
    assert len(unlinked) == 3  # without appearance the hero is two


def test_a_subject_is_kept_while_the_camera_swings():
    """It crosses the view by its own width a frame, so that its boxes never overlap: the camera's motion is known."""
    step, frames, (height, width) = 14, 14, (96, 160)
    rng = np.random.default_rng(5)
    blocks = rng.integers(60, 180, (height // 6, (width + step * frames) // 6 + 1, 3), dtype=np.uint8)
    wall = np.repeat(np.repeat(blocks, 6, axis=0), 6, axis=1)
    wall[30:70, 170:184] = (220, 40, 40)
    video = np.stack([wall[:height, t * step : t * step + width] for t in range(frames)])
    labels = (video == (220, 40, 40)).all(axis=3).astype(np.uint8)
    seen = int(labels.any(axis=(1, 2)).sum())
    kept = {}
    for method in ("bytetrack", "botsort"):
        tracks = YoloTracker(MaskDetector(labels), None, TrackerConfig(method=method)).track(video)
        kept[method] = max((int(t.present().sum()) for t in tracks), default=0)
    assert seen >= 10
    assert kept["botsort"] >= seen - 3, kept
    assert kept["bytetrack"] == 0, kept
    assert TrackerConfig().method == "botsort"


def test_another_subject_does_not_inherit_a_track():
    hero = stage.changed(stage.HERO, hidden=(12, 60))
    stranger = stage.changed(stage.FRIEND, x=40, hidden=(0, 30))
    video, labels = stage.film([hero, stranger])
    assert len(YoloTracker(MaskDetector(labels), stage.ColourEncoder()).track(video)) == 2


def piece(frames, x, colour):
    boxes = np.full((30, 4), NAN, np.float32)
    boxes[list(frames)] = [x, 0, x + 10, 20]
    scores = np.where(np.isnan(boxes[:, 0]), NAN, np.float32(0.8))
    return Tracklet(boxes=boxes, scores=scores, votes={"person": 1.0}, embedding=np.array(colour, np.float32))


def test_linking_needs_looks_time_and_a_possible_speed():
    red, blue = [1, 0, 0], [0, 1, 0]
    config = LinkConfig()
    size = (60, 120)
    assert len(link([piece(range(5), 0, red), piece(range(20, 30), 80, red)], size, 0.2, config)) == 1
    assert len(link([piece(range(5), 0, red), piece(range(20, 30), 80, blue)], size, 0.2, config)) == 2
    assert len(link([piece(range(5), 0, red), piece(range(4, 12), 80, red)], size, 0.2, config)) == 2  # both at once
    assert len(link([piece(range(5), 0, red), piece(range(6, 12), 100, red)], size, 0.2, config)) == 2  # too fast


def test_linking_prefers_the_likest():
    a, b = np.array([1.0, 0, 0]), np.array([0.9, 0.436, 0])
    first, second = piece(range(5), 0, a), piece(range(5), 40, b)
    later = piece(range(15, 20), 20, b)
    linked = link([first, second, later], (60, 120), 0.0, LinkConfig())
    joined = max(linked, key=lambda t: t.present.sum())
    assert joined.boxes[0, 0] == 40


def test_tracks_survive_their_file():
    boxes = np.array([[1.234, 2, 30.5, 40], [NAN] * 4, [3, 4, 5, 6]], np.float32)
    scores = np.array([0.5, NAN, 0.75], np.float32)
    track = Track(id=3, boxes=boxes, scores=scores, category="animal", embedding=np.array([0.6, 0.8], np.float32))
    text = json.dumps(tracks_to_json([track]), allow_nan=False)
    (read,) = tracks_from_json(json.loads(text))
    np.testing.assert_allclose(read.boxes, boxes, atol=0.005)
    np.testing.assert_allclose(read.scores, scores, atol=1e-4)
    assert (read.id, read.category) == (3, "animal")
    assert json.dumps(tracks_to_json([read]), allow_nan=False) == text


def test_a_damaged_file_of_tracks_is_a_sentence():
    with pytest.raises(UserError, match="damaged") as error:
        tracks_from_json({"format": 1, "tracks": [{"id": 1}]})
    assert error.value.hint == "Track the predictions again."


def test_a_tracker_gives_what_its_file_will_hold():
    video, labels = stage.film([stage.HERO])
    tracks = YoloTracker(MaskDetector(labels), stage.ColourEncoder()).track(video)
    again = tracks_from_json(json.loads(json.dumps(tracks_to_json(tracks))))
    for a, b in zip(tracks, again, strict=True):
        np.testing.assert_array_equal(a.boxes, b.boxes)
        np.testing.assert_array_equal(a.embedding, b.embedding)


def test_the_oracle_refuses_another_clip():
    video, labels = stage.film([stage.HERO])
    with pytest.raises(ValueError, match="do not fit"):
        OracleTracker(labels).track(video[1:])


def test_boxes_by_hand():
    a = np.array([[0, 0, 10, 10]], np.float32)
    b = np.array([[5, 0, 15, 10], [20, 20, 30, 30]], np.float32)
    np.testing.assert_allclose(pairwise_iou(a, b), [[50 / 150, 0]])
    assert touches_edge(np.array([[0, 5, 9, 9], [5, 5, 9, 9]], np.float32), (40, 40)).tolist() == [True, False]


def test_detections_come_back_in_pixels_of_the_frame():
    class Fixed:
        """Says where a box is in the network's own input."""

        def eval(self):
            return self

        def parameters(self):
            import torch

            yield torch.zeros(1)

        def __call__(self, images):
            import torch

            raw = torch.zeros(len(images), 5, 3)
            raw[:, :4, 0] = torch.tensor([40.0, 20.0, 20.0, 30.0])
            raw[:, :4, 1] = torch.tensor([41.0, 20.0, 20.0, 30.0])  # the same subject once more, weaker
            raw[:, 4] = torch.tensor([0.9, 0.6, 0.05])
            return (raw,)

    video = np.zeros((2, 60, 160, 3), np.uint8)
    detector = YoloDetector(Fixed(), {0: "person"}, DetectorConfig(input_width=320), name="fixed")
    images, scale = network_input(video, 320)
    assert images.shape == (2, 3, 128, 320)
    assert scale == 2
    found = detector.detect(video)
    assert len(found) == 2
    np.testing.assert_allclose(found[0].boxes, [[15, 2.5, 25, 17.5]])


def test_the_network_can_be_rebuilt_from_tensors():
    import torch

    a, b = mini_network(), mini_network()
    b.load_state_dict(a.state_dict())
    image = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        assert torch.equal(a.eval()(image)[0], b.eval()(image)[0])


def test_importing_ultralytics_leaves_no_trace(tmp_path):
    code = "from hmbench.subjects.quiet_ultralytics import ultralytics_modules as m; m()"
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    environment.pop("YOLO_CONFIG_DIR", None)
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("", "")
    assert [str(p) for p in tmp_path.rglob("*") if "ltralytics" in p.name] == []


def test_released_yolo_files_are_read_by_the_real_loader(tmp_path):
    """A small network with 80 classes, saved as ultralytics saves: the paper profile's path without its weights."""
    import torch

    from hmbench.subjects.detect import COCO, load_yolo11

    network = mini_network(num_classes=80)
    network.args = {}
    torch.save({"model": network, "train_args": {}}, tmp_path / "yolo11x.pt")
    detector = load_yolo11(tmp_path / "yolo11x.pt", "cpu")
    assert detector.name.startswith("yolo11x@")
    found = detector.detect(np.zeros((1, 48, 80, 3), np.uint8))
    assert len(found) == 1
    assert set(found[0].classes.tolist()) <= set(COCO)
    (tmp_path / "broken.pt").write_bytes(b"no weights")
    with pytest.raises(UserError, match="cannot be read"):
        load_yolo11(tmp_path / "broken.pt", "cpu")


def test_tracks_of_one_length_are_numbered_by_their_first_frame_then_by_place() -> None:
    def track(first: int, left: float, count: int = 3) -> Track:
        boxes = np.full((10, 4), np.nan, np.float32)
        boxes[first : first + count] = (left, 5, left + 4, 9)
        return Track(id=0, boxes=boxes, scores=np.where(np.isnan(boxes[:, 0]), np.nan, 0.5).astype(np.float32))

    found = numbered([track(4, 1), track(2, 3), track(2, 1), track(6, 0, count=4)])
    told = [(t.id, int(np.argmax(t.present())), float(np.nanmin(t.boxes))) for t in found]
    assert told == [(1, 6, 0.0), (2, 2, 1.0), (3, 2, 3.0), (4, 4, 1.0)]
