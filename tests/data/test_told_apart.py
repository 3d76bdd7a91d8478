"""Clips in HM-World's poverty, against their exact truth: right, or refused with a sentence; nothing in between."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from hmbench.data.annotations import Actor, Annotations
from hmbench.data.camera_conventions import HM_WORLD, NAMES, convention
from hmbench.data.card import DataCard, read_card, write_card
from hmbench.data.hm_world import HMWorld, read_sample
from hmbench.data.masks import colour_labels, find_palette, subject_pixels
from hmbench.data.mini_world.as_hm_world import (
    PALETTES,
    SCHEMAS,
    HMWorldForm,
    _walkers,
    impoverish,
    impoverish_clip,
    painted,
)
from hmbench.data.mini_world.generate import GenerateConfig, make_slot
from hmbench.data.overview import check_sample
from hmbench.data.told_apart.bodies import Places
from hmbench.data.told_apart.cast import _about, contradicted, never_alone
from hmbench.data.told_apart.evidence import mask_evidence
from hmbench.data.told_apart.quality import clear_events, judge
from hmbench.data.told_apart.readings import UNREAL, Fit
from hmbench.data.told_apart.split import divide, enlarged
from hmbench.data.told_apart.stage import _missed, _named_by_flags
from hmbench.errors import SampleError, UserError
from hmbench.types import Event, Sample
from hmbench.video.files import read_labels, read_video, write_video

TWO, THREE = 4, 8
"""Slots of the test split with two and three subjects."""
ALONE = DataCard(tracker="none")


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of the mini world with exact truth, of two and three subjects."""
    folder = tmp_path_factory.mktemp("rich")
    config = GenerateConfig(out=folder, size=(224, 128), clips=16)
    for slot in (TWO, THREE):
        make_slot(config, slot)
    return folder


def clip_of(rich: Path, slot: int) -> Path:
    return next(rich.glob(f"{slot + 1:05d}_*"))


def poor_sample(rich: Path, slot: int, out: Path, card: DataCard = ALONE, **form: object) -> Sample:
    source = clip_of(rich, slot)
    impoverish_clip(source, out / source.name, HMWorldForm(**form))  # type: ignore[arg-type]
    return read_sample(out / source.name, "", card)


def agreement(sample: Sample, rich: Path, slot: int) -> float:
    """Share of the true subject pixels (that the mask shows) that have their own subject's label, by name."""
    truth = json.loads((clip_of(rich, slot) / "truth.json").read_text())
    exact = read_labels(clip_of(rich, slot) / "masks.mkv")
    assert sample.truth is not None
    found = np.concatenate([sample.truth.context_labels, sample.truth.target_labels])
    labels = {subject.name: subject.label for subject in sample.truth.subjects}
    both = (exact > 0) & (found > 0)
    right = sum(int(((exact == s["label"]) & (found == labels[s["name"]]) & both).sum()) for s in truth["subjects"])
    return right / int(both.sum())


def true_events(rich: Path, slot: int) -> list[tuple[str, int, int]]:
    truth = json.loads((clip_of(rich, slot) / "truth.json").read_text())
    return sorted((s["name"], e["exit"], e["reentry"]) for s in truth["subjects"] for e in s["events"])


def same_events(sample: Sample, rich: Path, slot: int) -> bool:
    """Every event within two frames (H.264 moves the threshold), none invented; one may be declared unclear."""
    assert sample.truth is not None and sample.truth.told_apart is not None
    names = {s.label: s.name for s in sample.truth.subjects}
    left_out = sample.truth.told_apart.left_out
    assert len(left_out) <= 1
    found = sorted((names[e.label], e.exit, e.reentry) for e in (*sample.truth.events, *left_out))
    wanted = true_events(rich, slot)
    return len(found) == len(wanted) and all(
        a[0] == b[0] and abs(a[1] - b[1]) <= 2 and abs(a[2] - b[2]) <= 2 for a, b in zip(found, wanted, strict=True)
    )


@pytest.mark.parametrize("slot", [TWO, THREE])
def test_one_red_mask_is_told_apart_by_positions(rich: Path, tmp_path: Path, slot: int) -> None:
    sample = poor_sample(rich, slot, tmp_path)
    assert sample.truth is not None and sample.truth.separate_subjects and sample.truth.told_apart is not None
    assert sample.truth.told_apart.way == "positions"
    assert sample.truth.told_apart.detail.startswith("x,-y,z cm world (fit 0.9")
    assert agreement(sample, rich, slot) > 0.98
    assert same_events(sample, rich, slot)
    exact = read_sample(clip_of(rich, slot), "").truth
    assert exact is not None
    for subject in sample.truth.subjects:
        twin = next(s for s in exact.subjects if s.name == subject.name)
        assert subject.positions is not None and twin.positions is not None
        assert np.linalg.norm(subject.positions - twin.positions, axis=1).max() < 0.5


VARIANTS: list[dict[str, object]] = [
    *({"positions": schema} for schema in SCHEMAS),
    *({"positions": "records", "axes": axes} for axes in ("world", "y-up", "opencv")),
    *({"positions": "texts", "unit": "m", "axes": axes} for axes in ("world", "y-up", "opencv")),
    {"positions": "matrices", "unit": "m"},
    {"positions": "lists", "unit": "mm", "axes": "y-up"},
    {"point": "feet"},
    {"lag": 3, "noise": 0.2},
    {"jitter": 0.2},
    {"same_character": True},
    {"check": "none"},
    {"check": "events"},
    *({"masks": palette} for palette in PALETTES),
]  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: ",".join(f"{k}={x}" for k, x in v.items()))
def test_every_variant_is_right(rich: Path, tmp_path: Path, variant: dict[str, object]) -> None:
    sample = poor_sample(rich, TWO, tmp_path, **variant)
    assert sample.truth is not None and sample.truth.told_apart is not None
    assert sample.truth.separate_subjects, sample.meta.warnings
    assert len(sample.truth.subjects) == 2
    if variant.get("same_character"):
        assert [s.name.split(" ")[1] for s in sample.truth.subjects] == ["(actor_1)", "(actor_2)"]
        return
    assert agreement(sample, rich, TWO) > 0.97
    assert same_events(sample, rich, TWO)


def test_without_positions_and_trackers_nothing_is_guessed(rich: Path, tmp_path: Path) -> None:
    sample = poor_sample(rich, TWO, tmp_path, positions="none")
    assert sample.truth is not None and not sample.truth.separate_subjects
    assert len(sample.truth.subjects) == 1 and sample.truth.subjects[0].name == "all-subjects"
    assert sample.truth.told_apart is not None and "no positions of" in str(sample.truth.told_apart.reason)


def test_positions_that_fit_nothing_are_refused(rich: Path, tmp_path: Path) -> None:
    source = clip_of(rich, TWO)
    poor = tmp_path / source.name
    impoverish_clip(source, poor, HMWorldForm())
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.normal(size=(154, 3)) * 20, axis=0).tolist()
    names = [s["name"] for s in json.loads((source / "truth.json").read_text())["subjects"]]
    half = {f"actor_{k + 1}": {name: walk[k : k + 77]} for k, name in enumerate(names)}
    (poor / "character.json").write_text(json.dumps({"cond_character": half, "tgt_character": half}))
    truth = read_sample(poor, "", ALONE).truth
    assert truth is not None and truth.told_apart is not None and not truth.separate_subjects
    assert "reading" in str(truth.told_apart.reason)


def rewritten(rich: Path, slot: int, poor: Path, content: Callable[[list[Any]], Any]) -> Sample:
    """A poor clip whose ``character.json`` is made anew from its walkers."""
    source = clip_of(rich, slot)
    impoverish_clip(source, poor / source.name, HMWorldForm())
    made = content(_walkers(json.loads((source / "truth.json").read_text()), HMWorldForm(), source.name))
    (poor / source.name / "character.json").write_text(json.dumps(made))
    return read_sample(poor / source.name, "", ALONE)


def unreal_cameras(rich: Path, slot: int) -> np.ndarray:
    halves = json.loads((clip_of(rich, slot) / "camera.json").read_text())
    return np.array([halves[key][str(i)] for key in ("cond_cam", "tgt_cam") for i in range(77)])


@pytest.mark.parametrize(
    ("who", "said"),
    [
        ("camera", "Other is never in view"),
        ("stands in view", "Other is no subject of the mask: it is in view in 79 frames"),
        ("before the lens", "Other is no subject of the mask: it is in view in 154 frames"),
        ("before the lens, swaying", None),
    ],
)
def test_whom_check_json_does_not_list_claims_nobody(rich: Path, tmp_path: Path, who: str, said: str | None) -> None:
    cameras = unreal_cameras(rich, TWO)
    ahead = {"camera": 0.0, "stands in view": 700.0}.get(who, 600.0)
    frames = cameras if who != "stands in view" else np.repeat(cameras[:1], 154, axis=0)
    sway = 60 * np.sin(np.arange(154) / 9)[:, None] * frames[:, :3, 1] * who.endswith("swaying")
    path = (frames[:, :3, 3] + ahead * frames[:, :3, 0] + sway).tolist()
    sample = rewritten(
        rich,
        TWO,
        tmp_path,
        lambda walkers: {"a_9": {"Other": path}} | {w.actor: {w.character: w.points.tolist()} for w in walkers},
    )
    assert sample.truth is not None and sample.truth.told_apart is not None
    if said is None:  # often on the mask by chance, for that is where the camera looks
        assert "check.json does not have Other in frame, and the mask shows it" in str(sample.truth.told_apart.reason)
        return
    assert any(said in warning for warning in sample.meta.warnings)
    assert len(sample.truth.subjects) == 2 and "Other" not in sample.meta.extra["names"]
    assert agreement(sample, rich, TWO) > 0.98


def test_positions_without_names_take_those_of_the_flags(rich: Path, tmp_path: Path) -> None:
    sample = rewritten(
        rich, TWO, tmp_path, lambda walkers: {"paths": {str(k): w.points.tolist() for k, w in enumerate(walkers)}}
    )
    assert agreement(sample, rich, TWO) > 0.98
    assert same_events(sample, rich, TWO)


@pytest.mark.parametrize("wrong", ["another clip", "reversed", "halves swapped"])
def test_positions_of_something_else_are_refused(rich: Path, tmp_path: Path, wrong: str) -> None:
    source = clip_of(rich, THREE)
    others = _walkers(json.loads((source / "truth.json").read_text()), HMWorldForm(), source.name)

    def content(walkers: list[Any]) -> Any:
        paths = {
            "another clip": [o.points for o in others],
            "reversed": [w.points[::-1] for w in walkers],
            "halves swapped": [np.roll(w.points, 77, axis=0) for w in walkers],
        }[wrong]
        return {w.actor: {w.character: path.tolist()} for w, path in zip(walkers, paths, strict=False)}

    truth = rewritten(rich, TWO, tmp_path, content).truth
    assert truth is not None and truth.told_apart is not None and not truth.separate_subjects
    assert truth.told_apart.reason


OFF: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "as they are": (lambda path: path, ""),
    "40 frames late": (lambda path: np.concatenate([np.repeat(path[:1], 40, axis=0), path[:-40]]), "frames late"),
    "a metre off": (lambda path: np.add(path, [-65.0, -76.0, 0.0]), "where no position is"),
    "standing still": (lambda path: np.repeat(path[:1], len(path), axis=0), ""),
}
"""Positions in centimetres, and what is said of them, where another rule does not come first."""


@pytest.mark.parametrize("kind", OFF)
def test_positions_that_lie_on_other_people_are_doubted(rich: Path, tmp_path: Path, kind: str) -> None:
    """A fit of 0.9 may come from them: each falls on somebody, and somebody is left without one."""
    change, said = OFF[kind]
    sample = rewritten(
        rich, THREE, tmp_path, lambda walkers: {w.actor: {w.character: change(w.points).tolist()} for w in walkers}
    )
    assert sample.truth is not None and sample.truth.told_apart is not None
    if kind == "as they are":
        assert agreement(sample, rich, THREE) > 0.98
    else:
        assert not sample.truth.separate_subjects
        assert said in str(sample.truth.told_apart.reason)
        assert str(sample.truth.told_apart.reason) in str(
            check_sample(cast(Any, SimpleNamespace(load=lambda _: sample)), sample.id).error
        )


def test_flags_contradict_a_division_where_its_fit_leaves_doubt() -> None:
    labels = np.zeros((40, 20, 20), np.uint8)
    labels[:20, 5:15, 5:15] = 1
    centre = np.full((1, 40, 2), 10.0)
    places = Places(centre=centre, scale=np.full((1, 40), 2.0), depth=np.full((1, 40), 5.0))
    seen = np.arange(40) < 20

    def said(flags: np.ndarray, score: float = 0.9, places: Places = places) -> str | None:
        return contradicted(labels, places, (Actor(name="Wolf", flags=flags),), score)

    assert said(seen) is None
    assert said(np.ones(40, np.bool_)) is None  # in frame and hidden
    assert "on the mask, and check.json out of frame, in 17 frames" in str(said(~seen))
    assert said(~seen, score=0.96) is None
    centre[:, :15] = 23.0  # a metre and a half outside
    assert "far outside the picture, and check.json in frame, in 15 frames" in str(said(seen))
    centre[:, :15] = 21.5
    assert said(seen) is None


def test_who_is_mostly_off_the_mask_and_never_alone_on_it_is_no_subject() -> None:
    certainty = np.array([np.where(np.arange(30) < 20, 1.0, np.nan), np.where(np.arange(30) < 6, 0.9, np.nan)])
    shared = np.array([np.arange(30) < 6, np.arange(30) < 6])
    fit = Fit(
        reading=UNREAL, on_mask=0.8, explained=1.0, height=1.7, views=np.array([20, 30]), hits=np.array([20.0, 6.0])
    )
    assert "Cat is in view in 30 frames, and the mask shows it in about 6" in str(
        never_alone(fit, certainty, shared, ("Wolf", "Cat"))
    )
    shared[1, :3] = False  # three frames of its own
    assert never_alone(fit, certainty, shared, ("Wolf", "Cat")) is None


def test_a_mask_that_shows_nobody_is_an_error(rich: Path, tmp_path: Path) -> None:
    source = clip_of(rich, TWO)
    impoverish_clip(source, tmp_path / source.name, HMWorldForm())
    for half in ("cond", "tgt"):
        write_video(tmp_path / source.name / f"{half}_mask.mp4", np.zeros((77, 128, 224, 3), np.uint8), fps=15)
    with pytest.raises(
        SampleError, match=r"the masks show nobody \(nothing on black\), but check.json has .* in frame"
    ):
        read_sample(tmp_path / source.name, "", ALONE)


def test_one_name_for_two_people_is_not_scored_as_one(rich: Path, tmp_path: Path) -> None:
    source = clip_of(rich, TWO)
    impoverish_clip(source, tmp_path / source.name, HMWorldForm(positions="none"))
    path = tmp_path / source.name / "check.json"
    check = json.loads(path.read_text())
    path.write_text(json.dumps({half: {"actor_1": actors["actor_1"]} for half, actors in check.items()}))
    truth = read_sample(tmp_path / source.name, "", ALONE).truth
    assert truth is not None and truth.told_apart is not None and not truth.separate_subjects
    assert "the mask shows two apart" in str(truth.told_apart.reason)


@pytest.mark.parametrize("palette", PALETTES)
def test_palettes_survive_the_codec(rich: Path, tmp_path: Path, palette: str) -> None:
    labels = read_labels(clip_of(rich, THREE) / "masks.mkv")[::4]
    write_video(tmp_path / "mask.mp4", painted(labels, palette), fps=15, crf=17)
    video = read_video(tmp_path / "mask.mp4")
    found = find_palette([video])
    assert len(found.colours) == (3 if palette == "colours" else 1)
    seen = subject_pixels(video, found)
    assert (seen & (labels > 0)).sum() / (seen | (labels > 0)).sum() > 0.93
    if palette == "colours":
        own = colour_labels(video, found)
        codes = own.astype(int) * 4 + labels
        shares = [np.bincount(codes[labels == k]).max() / (labels == k).sum() for k in (1, 2, 3)]
        assert min(shares) > 0.9


@pytest.mark.parametrize("name", [name for name in NAMES if name != "unreal"])
def test_other_cameras_are_refused_until_the_card_says_so(rich: Path, tmp_path: Path, name: str) -> None:
    source = clip_of(rich, TWO)
    poor = tmp_path / source.name
    impoverish_clip(source, poor, HMWorldForm(cameras=name))
    if convention(name)[:2] == HM_WORLD[:2]:  # only the unit differs: told by parallax, or by sizes under positions
        with pytest.raises(SampleError, match=r"--cameras unreal-m") if parallax(poor) else nullcontext():
            sample = read_sample(poor, "", ALONE)
            assert sample.truth is not None and not sample.truth.separate_subjects
    else:
        with pytest.raises(SampleError, match=rf"--cameras {axes_of(name)}"):
            read_sample(poor, "", ALONE)
    told = read_sample(poor, "", DataCard(cameras=name, tracker="none"))
    exact = read_sample(source, "")
    assert told.truth is not None and told.truth.separate_subjects
    ours, theirs = (np.concatenate([s.prompt.context_poses, s.prompt.target_poses]) for s in (told, exact))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert agreement(told, rich, TWO) > 0.98


def axes_of(name: str) -> str:
    known = convention(name)
    return known.axes + ("" if known.to_world else "-w2c")


def parallax(poor: Path) -> bool:
    """Whether the pictures tell the unit; else sizes do, under positions."""
    try:
        read_sample(poor, "", ALONE)
    except SampleError:
        return True
    return False


def test_a_card_is_read_back_and_checked(tmp_path: Path) -> None:
    card = DataCard(cameras="opencv-cm", positions="x,z,-y m world", tracker="none")
    write_card(tmp_path, card)
    assert read_card(tmp_path) == card
    for wrong, sentence in (({"cameras": "opencw"}, "Did you mean"), ({"camera": "opencv"}, "holds 'camera'")):
        (tmp_path / "hmbench.json").write_text(json.dumps(wrong))
        with pytest.raises(UserError, match=sentence):
            read_card(tmp_path)


def test_a_card_changes_the_revision(rich: Path, tmp_path: Path) -> None:
    ids = impoverish(rich, tmp_path)
    before = HMWorld(tmp_path).revision(tuple(ids))
    write_card(tmp_path, DataCard(tracker="none"))
    assert HMWorld(tmp_path).revision(tuple(ids)) != before


def test_unclear_frames_leave_events_and_clips_out() -> None:
    areas = np.full((2, 100), 500.0)
    certainty = np.ones((2, 100))
    certainty[1, 60:80] = 0.6
    quality = judge(areas, certainty, np.zeros(100, bool), 10_000, ("Wolf", "Cat"))
    assert quality.reason is None and quality.unclear.sum(axis=1).tolist() == [0, 20]
    seen = {1: np.ones(100, bool), 2: np.ones(100, bool)}
    events = tuple(Event(label=k, exit=30, reentry=55) for k in (1, 2))
    kept, left = clear_events(events, {1: quality.unclear[0], 2: quality.unclear[1]}, seen)
    assert [e.label for e in kept] == [1] and [e.label for e in left] == [2]
    certainty[1, 20:80] = 0.6
    assert judge(areas, certainty, np.zeros(100, bool), 10_000, ("Wolf", "Cat")).reason == (
        "Cat cannot be told from the others in 60% of its frames"
    )
    lost = np.arange(100) < 15
    assert "15 frames" in str(judge(areas, np.ones((2, 100)), lost, 10_000, ("Wolf", "Cat")).reason)


def test_a_large_body_that_never_stands_alone_has_its_own_size_and_keeps_its_feet() -> None:
    """A robot and a child before its arm, in one part; the child was seen alone, the robot never was."""
    labels = np.zeros((12, 120, 200), np.uint8)
    labels[:6, 40:70, 24:36] = 2
    labels[6:, 10:110, 70:130] = 1
    labels[6:, 40:70, 120:132] = 2
    inf = np.full(6, np.nan)
    centre = np.stack([
        np.column_stack([np.r_[inf, np.full(6, 100.0)], np.r_[inf, np.full(6, 60.0)]]),
        np.column_stack([np.r_[np.full(6, 30.0), np.full(6, 126.0)], np.full(12, 55.0)]),
    ])  # fmt: skip
    depth = np.stack([np.full(12, 6.0), np.full(12, 5.0)])
    places = Places(centre=centre, scale=np.full((2, 12), 20.0), depth=depth)
    video = np.full((12, 120, 200, 3), 128, np.uint8)
    video[labels == 2] = 90
    video[6:, 105:110, 70:130] = 90  # the robot's feet have the child's colour
    division = divide(mask_evidence(labels > 0), places, video)
    np.testing.assert_allclose(division.sizes, [[3.0, 5.0], [0.6, 1.5]], atol=0.11)
    assert (division.labels[6:, 105:110, 70:130] == 1).all()
    assert (division.labels == labels)[labels > 0].mean() > 0.97


@pytest.mark.parametrize("size", [(12, 16), (13, 17), (11, 15)])
def test_reduced_labels_cover_the_whole_mask_to_its_edges(size: tuple[int, int]) -> None:
    mask = np.zeros((2, *size), np.bool_)
    mask[0, :, :6] = mask[0, :, 9:] = mask[1, 5:] = True
    small = mask[:, 1::2, 1::2].astype(np.uint8)
    small[0, :, small.shape[2] // 2 :] *= 2
    full = enlarged(small, mask, 2)
    np.testing.assert_array_equal(full > 0, mask)
    assert (full[0, :, :6] == 1)[mask[0, :, :6]].all() and (full[0, :, 9:] == 2)[mask[0, :, 9:]].all()


def test_a_subject_that_the_tracker_missed_is_noticed() -> None:
    flags = np.ones(20, np.bool_)
    known = Annotations(actors=tuple(Actor(name=name, flags=flags) for name in ("Wolf", "Cat")))
    certainty = np.ones((2, 20))
    certainty[1, 3:6] = certainty[0, 10:17] = np.nan  # three frames are an edge, seven are not
    assert np.flatnonzero(_missed(certainty, known)).tolist() == list(range(10, 17))


def test_names_are_given_only_where_flags_tell_who_is_who() -> None:
    labels = np.zeros((20, 8, 8), np.uint8)
    labels[:, :4], labels[:12, 4:] = 1, 2
    both, half = np.ones(20, np.bool_), np.arange(20) < 12
    known = Annotations(actors=(Actor(name="Wolf", flags=half), Actor(name="Cat", flags=both)))
    assert {k: n.name for k, n in _named_by_flags(labels, known).notes.items()} == {1: "Cat", 2: "Wolf"}
    alike = Annotations(actors=(Actor(name="Wolf", flags=both), Actor(name="Cat", flags=both)))
    assert {k: n.name for k, n in _named_by_flags(labels, alike).notes.items()} == {1: "subject-1", 2: "subject-2"}


def test_frames_about_a_flag_are_as_many_as_the_flags_however_short_the_clip() -> None:

    assert _about(np.array([True, False, False, False, False])).tolist() == [True, True, True, True, False]
    assert _about(np.array([False] * 9 + [True])).tolist() == [False] * 6 + [True] * 4
