"""Masks for anyone: label maps in every form beside a clip are subjects with identity, without a file of ours."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import write_hm_world
from PIL import Image

from hmbench.data.disc_world import DiscWorld, DiscWorldConfig
from hmbench.data.from_arrays import make_sample
from hmbench.data.hm_world import HMWorld
from hmbench.data.label_files import decode_runs, label_path, read_label_maps
from hmbench.errors import SampleError
from hmbench.types import LabelMaps, Sample
from hmbench.video.files import write_labels

WORLD = DiscWorld(DiscWorldConfig(samples=2, frames=9))
TWO = WORLD.load(WORLD.ids("all")[1])  # two discs
TRUE: LabelMaps = np.concatenate([TWO.truth.context_labels, TWO.truth.target_labels])


def runs(mask: np.ndarray) -> list[int]:
    """COCO's plain run lengths of a mask: column by column, background first."""
    flat = np.concatenate([[0], mask.T.ravel().astype(int)])
    edges = np.flatnonzero(np.diff(flat)).tolist()
    return np.diff([0, *edges, mask.size]).tolist()


def as_mkv(folder: Path) -> None:
    write_labels(folder / "masks.mkv", TRUE, fps=15)


def as_palette_pictures(folder: Path) -> None:
    (folder / "masks").mkdir()
    for t, frame in enumerate(TRUE):
        image = Image.fromarray(frame)
        image.putpalette([0, 0, 0, 200, 0, 0, 0, 200, 0])
        image.save(folder / "masks" / f"{t:05d}.png")


def as_colours(folder: Path) -> None:
    (folder / "masks").mkdir()
    colours = np.array([(0, 0, 0), (10, 200, 30), (200, 10, 30)], np.uint8)
    for t, frame in enumerate(TRUE):
        Image.fromarray(colours[frame]).save(folder / "masks" / f"frame{t}.png")  # frame10 comes after frame9


def as_folders(folder: Path) -> None:
    for label, name in ((1, "Ada"), (2, "Ben")):
        (folder / "masks" / name).mkdir(parents=True)
        for t, frame in enumerate(TRUE):
            Image.fromarray(((frame == label) * 255).astype(np.uint8)).save(folder / "masks" / name / f"{t}.png")


def as_npz(folder: Path) -> None:
    np.savez_compressed(folder / "masks.npz", maps=TRUE.astype(np.int64) * 7)


def as_coco(folder: Path) -> None:
    entries = [
        {"track_id": label, "image_id": t, "segmentation": {"size": list(frame.shape), "counts": runs(frame == label)}}
        for t, frame in enumerate(TRUE)
        for label in (1, 2)
        if (frame == label).any()
    ]
    (folder / "masks.json").write_text(json.dumps({"annotations": entries}))


def as_youtube_vis(folder: Path) -> None:
    size = list(TRUE.shape[1:])
    entries = [
        {"id": label, "segmentations": [{"size": size, "counts": runs(f)} if f.any() else None for f in label == TRUE]}
        for label in (1, 2)
    ]
    (folder / "masks.json").write_text(json.dumps({"annotations": entries}))


FORMS = (as_mkv, as_palette_pictures, as_colours, as_folders, as_npz, as_coco, as_youtube_vis)


def bare_clip(tmp_path: Path) -> Path:
    """Two discs as videos and cameras alone: no mask, no check.json, no truth.json."""
    folder = write_hm_world(tmp_path, TWO)
    for name in ("cond_mask.mp4", "tgt_mask.mp4", "check.json", "character.json"):
        (folder / name).unlink()
    return folder


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_subjects_with_identity(form, tmp_path) -> None:
    folder = bare_clip(tmp_path)
    before = HMWorld(tmp_path)
    assert not before.load(TWO.id).truth.subjects
    revision = before.revision((TWO.id,))
    form(folder)
    sample = HMWorld(tmp_path).load(TWO.id)
    truth = sample.truth
    assert truth.separate_subjects and truth.told_apart.way == "labels"
    found = np.concatenate([truth.context_labels, truth.target_labels])
    assert same_partition(found, TRUE)
    wanted = {(e.exit, e.reentry) for e in TWO.truth.events}
    assert wanted and {(e.exit, e.reentry) for e in truth.events} == wanted
    names = [subject.name for subject in truth.subjects]
    assert names == (["Ada", "Ben"] if form is as_folders else ["subject-1", "subject-2"])
    assert HMWorld(tmp_path).revision((TWO.id,)) != revision


def same_partition(a: LabelMaps, b: LabelMaps) -> bool:
    pairs = {(int(x), int(y)) for x, y in zip(a.ravel(), b.ravel(), strict=True)}
    return len(pairs) == 3 and (0, 0) in pairs


def test_names_come_from_flags_where_they_tell(tmp_path) -> None:
    """Both discs leave and return together, so that flags say nothing, until one comes back later."""
    late = TRUE.copy()
    late[12:17][late[12:17] == 2] = 0
    for maps, names in ((TRUE, {"subject-1", "subject-2"}), (late, {"Ada", "Ben"})):
        video = np.concatenate([TWO.prompt.context, TWO.truth.target])
        sample = make_sample(TWO.id, video[:9], video[9:], labels=maps, names={1: "Ada", 2: "Ben"})
        folder = write_hm_world(tmp_path / "-".join(sorted(names)), sample)
        np.save(folder / "masks.npy", 3 - maps.astype(int) - 3 * (maps == 0))  # the other way round
        truth = HMWorld(folder.parent).load(TWO.id).truth
        assert truth.separate_subjects and {s.name for s in truth.subjects} == names
    found = {s.name: s.visible_area for s in truth.subjects}
    np.testing.assert_array_equal(found["Ada"], (late == 1).sum(axis=(1, 2)))
    np.testing.assert_array_equal(found["Ben"], (late == 2).sum(axis=(1, 2)))


def test_pictures_of_masks_belong_to_the_revision(tmp_path) -> None:
    folder = bare_clip(tmp_path)
    as_palette_pictures(folder)
    revision = HMWorld(tmp_path).revision((TWO.id,))
    Image.fromarray(TRUE[1]).save(folder / "masks" / "00000.png")
    assert HMWorld(tmp_path).revision((TWO.id,)) != revision


def test_one_label_for_two_named_subjects_is_one_mask(tmp_path) -> None:
    folder = write_hm_world(tmp_path, TWO)
    np.save(folder / "masks.npy", (TRUE > 0))
    truth = HMWorld(tmp_path).load(TWO.id).truth
    assert not truth.separate_subjects and "one label for 2 subjects" in truth.told_apart.reason


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (lambda f: np.save(f / "masks.npy", TRUE[1:]), "label maps of 17 frames, the clip 18"),
        (lambda f: np.save(f / "masks.npy", TRUE / 2), "no label map: float64"),
        (lambda f: np.save(f / "masks.npy", np.arange(TRUE.size).reshape(TRUE.shape)), "more than 32"),
        (lambda f: np.save(f / "masks.npy", TRUE[:, 2:]), "the video"),
        (lambda f: (f / "masks.npz").write_bytes(b"PK"), "holds no array"),
        (lambda f: (f / "masks").mkdir(), "no .png pictures"),
        (lambda f: (f / "masks.json").write_text('{"annotations": []}'), "no COCO file"),
        (
            lambda f: (f / "masks.json").write_text(
                '{"annotations": [{"id": 1, "image_id": 0, "segmentation": {"size": [48, 80], "counts": [5]}}]}'
            ),
            "runs of 5 pixels for a picture of 3840",
        ),
    ],
)
def test_what_is_no_label_map_is_refused(write, sentence: str, tmp_path) -> None:
    write(bare_clip(tmp_path))
    with pytest.raises(SampleError, match=sentence):
        HMWorld(tmp_path).load(TWO.id)


def test_compressed_run_lengths() -> None:
    """Made by pycocotools 2.0."""
    expected = np.zeros((6, 9), bool)
    expected[1:4, 2:5] = expected[5, 7] = True
    np.testing.assert_array_equal(decode_runs("=33000`0NC", 6, 9), expected)


def test_forms_have_an_order(tmp_path) -> None:
    np.save(tmp_path / "masks.npy", TRUE)
    assert label_path(tmp_path).name == "masks.npy"
    write_labels(tmp_path / "masks.mkv", TRUE, fps=15)
    assert label_path(tmp_path).name == "masks.mkv" and label_path(tmp_path, "other") is None
    assert len(read_label_maps(tmp_path / "masks.npy").maps) == 18


def test_masks_from_a_tracker(tmp_path) -> None:
    from hmbench.data.own_notes import add_notes
    from hmbench.subjects.masks_from_tracks import masks_from_tracker
    from hmbench.types import Track

    class Two:
        name = "two"

        def track(self, video):
            box = np.full((len(video), 4), np.nan, np.float32)
            far, near, short = box.copy(), box.copy(), box.copy()
            far[:9], near[2:18], short[:2] = (10, 5, 30, 25), (20, 5, 40, 40), (0, 0, 9, 9)
            return tuple(
                Track(id=n, boxes=b, scores=np.ones(len(video), np.float32), category=kind)
                for n, (b, kind) in enumerate(((far, "person"), (near, "person"), (short, "animal")))
            )

    folder = bare_clip(tmp_path)
    found = masks_from_tracker(np.concatenate([TWO.prompt.context, TWO.truth.target]), Two())
    assert found.names == {1: "person-1", 2: "person-2"} and found.left_out == 1
    assert found.labels[4, 10, 25] == 1 and found.labels[4, 10, 15] == 2 and found.labels[0, 10, 25] == 2
    write_labels(folder / "masks.mkv", found.labels, fps=15)
    add_notes(folder, found.names, "masks are boxes")
    sample: Sample = HMWorld(tmp_path).load(TWO.id)
    assert [s.name for s in sample.truth.subjects] == ["person-1", "person-2"]
    assert "masks are boxes" in sample.meta.warnings
