import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from hmbench.data.captions_file import read_caption_file, read_captions
from hmbench.data.card import DataCard, write_card
from hmbench.data.disc_world import DiscWorld, DiscWorldConfig
from hmbench.data.hm_world import HMWorld, read_sample
from hmbench.data.ids import check_id, parse_id
from hmbench.data.index import build_index
from hmbench.data.inspection import inspect_folder
from hmbench.errors import SampleError, UserError
from hmbench.video.files import read_video, write_labels, write_lossless

FIRST = "00000_Dawn_loc0_Straight_Sweep_0"


def test_a_written_sample_reads_back_the_same(disc_folder: Path) -> None:
    world = DiscWorld(DiscWorldConfig(samples=2, frames=9))
    data = HMWorld(disc_folder)
    assert data.ids("all") == world.ids("all")
    got, want = data.load(FIRST), world.load(FIRST)
    np.testing.assert_array_equal(got.prompt.context, want.prompt.context)
    np.testing.assert_allclose(got.prompt.target_poses, want.prompt.target_poses, atol=1e-9)
    assert got.truth is not None and want.truth is not None
    np.testing.assert_array_equal(got.truth.target, want.truth.target)
    np.testing.assert_array_equal(got.truth.target_labels, want.truth.target_labels)
    assert got.truth.subjects[0].name == "disc-1" and got.truth.separate_subjects
    assert got.truth.events == want.truth.events
    assert (got.prompt.caption, got.meta.scene, got.meta.camera_path) == (want.prompt.caption, "Dawn", "Sweep")
    nobody, cameras = got.meta.warnings
    assert nobody == "character.json has no positions that could be read: it holds no 3D points"
    assert "the camera lies on its side" in cameras  # the discs' world has y down, and a flat background tells nothing


def test_where_any_subject_is_seen_is_read_without_the_rest(disc_folder: Path) -> None:
    data = HMWorld(disc_folder)
    truth = data.load(FIRST).truth
    assert truth is not None and truth.target_labels is not None and truth.context_labels is not None
    counts = len(truth.context_labels), len(truth.target_labels)
    seen = data.subjects_seen(FIRST, counts)
    assert seen is not None and np.array_equal(seen, truth.target_labels > 0) and seen.any()
    with pytest.raises(SampleError, match="expected 5"):
        data.subjects_seen(FIRST, (9, 5))
    (disc_folder / FIRST / "tgt_mask.mp4").unlink()
    assert data.subjects_seen(FIRST, counts) is None
    labels = np.concatenate((truth.context_labels, truth.target_labels))
    write_labels(disc_folder / FIRST / "masks.mkv", labels, fps=15)
    assert np.array_equal(data.subjects_seen(FIRST, counts), truth.target_labels > 0)
    with pytest.raises(SampleError, match="expected 14"):
        data.subjects_seen(FIRST, (9, 5))


def test_two_subjects_under_one_mask_are_one(disc_folder: Path) -> None:
    sample = HMWorld(disc_folder).load("00001_Noon_loc0_Straight_Sweep_0")
    assert sample.truth is not None and not sample.truth.separate_subjects
    assert len(sample.truth.subjects) == 1
    assert any("one mask for all subjects" in w for w in sample.meta.warnings)


def test_exact_masks_win_over_the_red_ones(disc_folder: Path) -> None:
    labels = np.zeros((18, 48, 80), dtype=np.uint8)
    labels[:, 10:20, 10:20] = 3
    write_labels(disc_folder / FIRST / "masks.mkv", labels, fps=15)
    sample = HMWorld(disc_folder).load(FIRST)
    assert sample.truth is not None
    assert [s.label for s in sample.truth.subjects] == [3]
    np.testing.assert_array_equal(sample.truth.subjects[0].boxes[0], [10, 10, 20, 20])


def test_flags_that_contradict_the_masks_are_reported(disc_folder: Path) -> None:
    path = disc_folder / FIRST / "check.json"
    check = json.loads(path.read_text())
    for entry in check["tgt_check"]["actor"]["disc-1"]:
        entry["inFrame"] = not entry["inFrame"]
    path.write_text(json.dumps(check))
    assert any(
        "check.json contradicts the masks of disc-1" in w for w in HMWorld(disc_folder).load(FIRST).meta.warnings
    )


def test_without_masks_nothing_is_invented(disc_folder: Path) -> None:
    (disc_folder / FIRST / "tgt_mask.mp4").unlink()
    sample = HMWorld(disc_folder).load(FIRST)
    assert sample.truth is not None
    assert sample.truth.target_labels is None and sample.truth.subjects == () and sample.truth.events == ()
    assert any("no masks (tgt_mask.mp4)" in w for w in sample.meta.warnings)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda f: (f / "tgt.mp4").unlink(), "There is no video"),
        (lambda f: (f / "tgt.mp4").write_bytes(b"\0" * 5000), "damaged or no video"),
        (lambda f: (f / "camera.json").unlink(), "There is no file"),
        (lambda f: (f / "camera.json").write_text('{"cond_cam": {'), "no valid JSON"),
        (lambda f: write_lossless(f / "tgt.mp4", np.zeros((7, 48, 80, 3), np.uint8), fps=15), "cameras for 7 frames"),
        (lambda f: write_lossless(f / "tgt.mp4", np.zeros((9, 32, 80, 3), np.uint8), fps=15), "is 80x32 pixels"),
        (lambda f: write_lossless(f / "tgt_mask.mp4", np.zeros((5, 48, 80, 3), np.uint8), fps=15), "expected 9"),
        (lambda f: (f / "truth.json").write_text("{}"), "truth.json does not parse"),
    ],
)
def test_damage_is_a_sentence(disc_folder: Path, damage, sentence: str) -> None:
    damage(disc_folder / FIRST)
    with pytest.raises(SampleError, match=sentence):
        HMWorld(disc_folder).load(FIRST)


def test_half_written_samples_of_a_killed_run_are_no_samples(disc_folder: Path) -> None:
    before = HMWorld(disc_folder).ids("all")
    shutil.copytree(disc_folder / FIRST, disc_folder / f".{FIRST}.part-4711")
    assert HMWorld(disc_folder).ids("all") == before


def test_an_empty_folder_tells_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"No HM-World samples in .*hmbench data make-mini"):
        HMWorld(tmp_path)


def test_the_folder_above_works_too(disc_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "up").mkdir()
    shutil.move(disc_folder, tmp_path / "up" / "HM-World")
    assert len(HMWorld(tmp_path / "up").ids("all")) == 2


def test_revision_follows_what_matters(disc_folder: Path) -> None:
    ids = HMWorld(disc_folder).ids("all")
    before = HMWorld(disc_folder).revision(ids)
    assert HMWorld(disc_folder).revision(ids[::-1]) == before
    camera = disc_folder / FIRST / "camera.json"
    camera.write_text(camera.read_text().replace("1.0", "1.00", 1))
    assert HMWorld(disc_folder).revision(ids) != before


def test_listed_splits(disc_folder: Path) -> None:
    (disc_folder / "splits.json").write_text(json.dumps({"tiny": [FIRST]}))
    assert HMWorld(disc_folder).ids("tiny") == (FIRST,)
    with pytest.raises(UserError, match="Did you mean 'tiny'"):
        HMWorld(disc_folder).ids("tinny")
    (disc_folder / "splits.json").write_text(json.dumps({"tiny": FIRST}))
    with pytest.raises(UserError, match="its split 'tiny' is no list of ids"):
        HMWorld(disc_folder).ids("tiny")


@pytest.mark.parametrize(
    "text",
    [
        "a\tA dog runs.\nb\tA cat sits.\n",
        "a: A dog runs.\nb: A cat sits.\n",
        "HM-World/a.mp4 A dog runs.\nb A cat sits.\n",
        '{"a": "A dog runs.", "b": "A cat sits."}',
        '{"id": "a", "caption": "A dog runs."}\n{"id": "b", "caption": "A cat sits."}\n',
        "A dog runs.\n\nA cat sits.\n",
        'a,"A dog runs."\nb,"A cat sits."\n',
        "id,caption\na,A dog runs.\nb,A cat sits.\n",
        "HM-World/a/cond.mp4|A dog runs.\nHM-World/b/cond.mp4|A cat sits.\n",
        "a\nA dog runs.\nb\nA cat sits.\n",
        "a.mp4\n  A dog runs.\n\nb.mp4\n  A cat sits.\n",
        "\ufeffa\tA dog runs.\nb\tA cat sits.\n",
        "c\tA third.\na\tA dog runs.\nd\tA fourth.\nb\tA cat sits.\n",
        '{"video": "x/a.mp4", "text": "A dog runs."}\n{"video": "x/b.mp4", "text": "A cat sits."}\n',
    ],
)
def test_captions_in_every_form(tmp_path: Path, text: str) -> None:
    (tmp_path / "caption.txt").write_text(text)
    assert read_captions(tmp_path / "caption.txt", ["a", "b"]) == {"a": "A dog runs.", "b": "A cat sits."}


def test_a_caption_with_every_mark(tmp_path: Path) -> None:
    """Commas, colons, bars and quotation marks inside a caption stay where they are."""
    text = 'A man, a "dog": both | walk.'
    path = tmp_path / "caption.txt"
    for line in (f"s1\t{text}", f"s1|{text}", f"s1: {text}", 's1,"A man, a ""dog"": both | walk."'):
        path.write_text(line + "\n" + line.replace("s1", "s2").replace("man", "cat") + "\n")
        found = read_caption_file(path, ["s1", "s2"])
        assert found.captions == {"s1": text, "s2": text.replace("man", "cat")}, found.form
    path.write_text("s1,A man, a dog\ns2,A cat, alone\n")
    assert read_captions(path, ["s1", "s2"]) == {"s1": "A man, a dog", "s2": "A cat, alone"}


def test_bare_captions_go_by_numbers(tmp_path: Path) -> None:
    ids = sorted(f"sample{n}" for n in range(1, 13))  # sample1, sample10, sample11, sample12, sample2, ...
    path = tmp_path / "caption.txt"
    path.write_text("".join(f"Caption number {n}.\n" for n in range(1, 13)), encoding="utf-16")
    assert read_captions(path, ids) == {f"sample{n}": f"Caption number {n}." for n in range(1, 13)}


def test_captions_of_a_partial_download_reach_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "caption.txt"
    path.write_text("".join(f"Caption number {n}.\n" for n in range(1, 13)))
    found = read_caption_file(path, ["sample2", "sample7"])
    assert found.captions == {} and found.problem == (
        "its 12 lines name no sample, and there are 2 samples: which caption belongs to which cannot be known"
    )
    path.write_text("".join(f"sample{n} Caption number {n}.\n" for n in range(1, 13)))
    assert read_captions(path, ["sample2", "sample7"]) == {
        "sample2": "Caption number 2.",
        "sample7": "Caption number 7.",
    }


def test_captions_that_begin_with_an_id_by_chance(tmp_path: Path) -> None:
    path = tmp_path / "caption.txt"
    path.write_text("2 dogs run.\n3 cats sit.\n2 men wait.\n")
    assert read_captions(path, ["1", "2", "3"]) == {"1": "2 dogs run.", "2": "3 cats sit.", "3": "2 men wait."}


def test_two_captions_for_one_sample_are_none(tmp_path: Path) -> None:
    path = tmp_path / "caption.txt"
    path.write_text("x/a|A dog.\ny/a|A cat.\nx/b|A hen.\ny/b|A hen.\n")
    found = read_caption_file(path, ["a", "b"])
    assert found.captions == {"b": "A hen."}
    assert found.problem == "1 samples have several different captions, such as a"


def test_captions_that_fit_nothing_are_none(tmp_path: Path) -> None:
    (tmp_path / "caption.txt").write_text("one line\ntwo lines\nthree lines\n")
    assert read_captions(tmp_path / "caption.txt", ["a", "b"]) == {}
    assert read_captions(tmp_path / "missing.txt", ["a"]) == {}


def test_ids() -> None:
    parts = parse_id("00001_City_loc10_Complex_Follow_1")
    assert parts == (1, "City", "loc10", "Complex", "Follow", 1)
    assert parse_id("sample7") is None
    for bad in ("../x", ".hidden", "a/b", "", "a\\b"):
        with pytest.raises(SampleError, match="cannot name a file"):
            check_id(bad)


def test_import_splits_real_clips_without_touching_pixels(real_clips: Path, tmp_path: Path) -> None:
    from hmbench.data.examples import import_examples

    source = tmp_path / "one"
    source.mkdir()
    for name in ("2.mp4", "cam2.json"):
        (source / name).symlink_to(real_clips / name)
    assert import_examples(source, tmp_path / "out", context_frames=33, target_frames=41) == ["example-2"]
    sample = HMWorld(tmp_path / "out").load("example-2")
    clip = read_video(real_clips / "2.mp4")
    assert sample.truth is not None
    np.testing.assert_array_equal(sample.prompt.context, clip[:33])
    np.testing.assert_array_equal(sample.truth.target, clip[33:74])
    with pytest.raises(UserError, match="not of the form 4k"):
        import_examples(source, tmp_path / "out", context_frames=36)
    with pytest.raises(SampleError, match="has 77 frames, fewer than 41 \\+ 41"):
        import_examples(source, tmp_path / "out", context_frames=41, target_frames=41)
    with pytest.raises(UserError, match="No example clips"):
        import_examples(tmp_path, tmp_path / "out")


def changed_truth(folder: Path, focal: object) -> Path:
    """The first disc sample with exact labels and this focal length."""
    import json

    from hmbench.video.files import write_labels

    own = sorted(p for p in folder.iterdir() if p.is_dir())[0]
    write_labels(own / "masks.mkv", np.zeros((18, 48, 80), np.uint8), fps=15)
    (own / "truth.json").write_text(json.dumps({"subjects": [], "intrinsics": {"focal": focal}, "cell": "seen"}))
    return own


@pytest.mark.parametrize("focal", [0, -118.0, 1e9, True, "118", None, [118.0]])
def test_a_focal_length_that_is_none_is_refused(disc_folder: Path, focal: object) -> None:
    own = changed_truth(disc_folder, focal)
    with pytest.raises(SampleError, match=r"truth.json does not parse"):
        read_sample(own, None)


@pytest.mark.parametrize("focal", [float("nan"), float("inf")])
def test_a_focal_length_that_is_no_number_is_no_json(disc_folder: Path, focal: float) -> None:
    with pytest.raises(SampleError, match=r"truth.json is no valid JSON"):
        read_sample(changed_truth(disc_folder, focal), None)


def test_a_right_focal_length_is_taken(disc_folder: Path) -> None:
    assert read_sample(changed_truth(disc_folder, 118.5), None).prompt.intrinsics.focal == 118.5


@pytest.mark.parametrize(
    ("size", "said"), [((1, 1), "1x1"), ((2, 2), "2x2"), ((16, 4096), "4096x16"), ((8, 48), "48x8")]
)
def test_pictures_in_which_nothing_is_seen_are_refused(disc_folder: Path, size: tuple[int, int], said: str) -> None:
    from hmbench.video.files import write_lossless

    own = sorted(p for p in disc_folder.iterdir() if p.is_dir())[0]
    write_lossless(own / "cond.mp4", np.zeros((9, *size, 3), np.uint8), fps=15)
    with pytest.raises(SampleError, match=f"is {said} pixels: a clip needs at least 16 on each side"):
        read_sample(own, None)


def test_a_clip_far_longer_than_its_cameras_is_refused_before_it_is_decoded(disc_folder: Path) -> None:
    from hmbench.video.files import write_lossless

    own = sorted(p for p in disc_folder.iterdir() if p.is_dir())[0]
    write_lossless(own / "cond.mp4", np.zeros((60, 48, 80, 3), np.uint8), fps=15)
    with pytest.raises(SampleError, match="has about 60 frames, expected 9"):
        read_sample(own, None)


def test_events_come_by_the_time_of_re_entry(disc_folder: Path) -> None:
    """Label 2 is back before label 1; two that return together come by label."""
    labels = np.zeros((18, 48, 80), dtype=np.uint8)
    for label, back in ((1, 14), (2, 10), (4, 10), (3, 14)):
        rows = slice(10 * (label - 1), 10 * (label - 1) + 8)
        labels[:3, rows, 10:30] = label
        labels[back:, rows, 10:30] = label
    write_labels(disc_folder / FIRST / "masks.mkv", labels, fps=15)
    truth = HMWorld(disc_folder).load(FIRST).truth
    assert truth is not None
    assert [(e.label, e.exit, e.reentry) for e in truth.events] == [(2, 3, 10), (4, 3, 10), (1, 3, 14), (3, 3, 14)]


def test_the_lens_is_that_of_the_uncropped_frame(disc_folder: Path) -> None:
    """80x48 was cut at its sides from 16:9: its lens is that of 48 rows, 85.3 columns wide."""
    record = disc_folder / FIRST / "truth.json"
    if record.is_file():
        record.write_text(json.dumps({k: v for k, v in json.loads(record.read_text()).items() if k != "focal"}))
    lens = HMWorld(disc_folder).load(FIRST).prompt.intrinsics
    assert lens.focal == pytest.approx(1.4731 * 48 * 16 / 9, rel=1e-4)
    assert (lens.width, lens.height) == (80, 48)


@pytest.mark.parametrize("name", ["camera.json", "caption.txt"])
def test_a_revision_sees_what_a_model_or_a_metric_is_given(disc_folder: Path, name: str) -> None:
    data = HMWorld(disc_folder)
    before = data.revision((FIRST,))
    path = disc_folder / name if name == "caption.txt" else disc_folder / FIRST / name
    text = path.read_text()
    digit = next(c for c in "0123456789abcdefgh" if c in text)
    path.write_text(text.replace(digit, "7" if digit != "7" else "8"))  # of equal size
    assert HMWorld(disc_folder).revision((FIRST,)) != before


@pytest.mark.parametrize("name", ["cond.mp4", "tgt_mask.mp4", "check.json", "character.json", "camera.json"])
def test_revision_follows_content_not_size(disc_folder: Path, name: str) -> None:
    """Masks replaced by others of equal size, at an equal time: other data."""
    ids = HMWorld(disc_folder).ids("all")
    before = HMWorld(disc_folder).revision(ids)
    path = disc_folder / FIRST / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    assert HMWorld(disc_folder).revision(ids) != before
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    assert HMWorld(disc_folder).revision(ids) == before
    (disc_folder / FIRST / ".hidden").write_text("x")
    assert HMWorld(disc_folder).revision(ids) == before


def test_parts_that_were_extracted_side_by_side_are_one_data_set(disc_folder: Path, tmp_path: Path) -> None:
    flat = HMWorld(disc_folder)
    ids = flat.ids("all")
    deep = tmp_path / "deep"
    homes = (deep / "part_00" / "HM-World", deep / "part_01" / "extracted" / "train")
    for number, sample in enumerate(ids):
        home = homes[number % 2]
        shutil.copytree(disc_folder / sample, home / sample)
        with (home / "caption.txt").open("a") as file:
            file.write(f"{sample}: words of {sample}\n")
    data = HMWorld(deep)
    assert data.ids("all") == ids and data.folder == deep
    for number, sample in enumerate(ids):
        got = data.load(sample)
        np.testing.assert_array_equal(got.prompt.context, flat.load(sample).prompt.context)
        assert got.id == sample and got.prompt.caption == f"words of {sample}"
        assert data.place(sample) == homes[number % 2] / sample
    before = data.revision(ids)
    write_card(deep, DataCard(tracker="none"))
    assert data.revision(ids) != before  # the card above all parts counts
    build_index(deep, deep / "index.parquet", workers=1)
    rows = pq.read_table(deep / "index.parquet").to_pylist()
    assert [(row["id"], row["error"]) for row in rows] == [(sample, None) for sample in ids]
    assert next(f.found for f in inspect_folder(deep) if f.topic == "samples") == f"{len(ids)}; {len(ids)} read"


def test_one_name_in_two_places_is_refused(disc_folder: Path, tmp_path: Path) -> None:
    for part in ("a", "b"):
        shutil.copytree(disc_folder / FIRST, tmp_path / "deep" / part / FIRST)
    with pytest.raises(UserError, match=rf"Two samples are called {FIRST}: .*a.{FIRST} and .*b.{FIRST}"):
        HMWorld(tmp_path / "deep")


def test_samples_that_lie_right_there_are_all_there_are(disc_folder: Path) -> None:
    shutil.copytree(disc_folder / FIRST, disc_folder / "old" / "copies" / "another")
    assert "another" not in HMWorld(disc_folder).ids("all")
    deep = disc_folder / "a" / "b" / "c" / "d" / "e"
    shutil.copytree(disc_folder / FIRST, deep)
    assert HMWorld(disc_folder / "a").ids("all") == ("e",)
    shutil.copytree(disc_folder / FIRST, disc_folder / "f" / "g" / ".h" / "i")
    shutil.copytree(disc_folder / FIRST, disc_folder / "f" / "1" / "2" / "3" / "4" / "5")
    with pytest.raises(UserError, match="down to 4 levels"):
        HMWorld(disc_folder / "f")
