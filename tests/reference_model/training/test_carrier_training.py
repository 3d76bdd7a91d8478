"""The carrier's two networks are trained from exact truth; a killed run ends like another."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from hmbench.data.mini_world.splits import HELD_OUT_SUBJECTS
from reference_model.carrying.carrier import Carrier
from reference_model.carrying.following import BODY, Follower, Known, moments, places, steady, trust
from reference_model.released.checkpoint import file_digest, state_digest
from reference_model.training import carrier, follower_training, seer_training
from reference_model.training.carrier import CarrierRequest, build_carrier, main, parsed, train_carrier
from reference_model.training.carrier_data import ClipFiles, TrueClip, read_clip
from reference_model.training.follower_training import (
    Batches,
    Lesson,
    errors,
    follower_recipe,
    train_follower,
)
from reference_model.training.monitor import Silent, read_metrics
from reference_model.training.randomness import generator
from reference_model.training.seer_training import augmented, embedding_loss, iou, seer_recipe, subject_loss
from reference_model.training.small_training import SmallRecipe
from reference_model.training.stop import TrainingStoppedError
from reference_model.training.tracks import found_tracks, joined, measured_tracks, tracks_of
from reference_model.training.trainer import MiniWorldClips, spec_of_slot

HALF = 21


class Killed(Silent):
    """Stops a stage once so much of it is done."""

    def __init__(self, stage, at):
        self.wanted, self.at, self.name = stage, at, ""

    def stage(self, name, total, done):
        self.name = name

    def advance(self, done, note):
        if self.name == self.wanted and done >= self.at:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    found = ClipFiles(
        folder=tmp_path_factory.mktemp("clips"), worlds=("mini", "mini-easy"), clips=2, half=HALF, every=2
    )  # fmt: skip
    assert found.draw() == 4
    return found


def toy(recipe, batch):
    return replace(recipe, batch=batch, warmup=2, log_every=1, checkpoint_every=2)


def asked(out, files, **changes):
    return CarrierRequest(
        out=out, files=files, seer=toy(seer_recipe(3), 2), follower=toy(follower_recipe(3), 4), **changes
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(files, tmp_path_factory):
    return train_carrier(asked(tmp_path_factory.mktemp("run") / "whole", files, command="the command"))


def test_only_missing_clips_are_drawn_and_they_are_the_training_splits(files):
    path = files.folder / "easy-train-00001.npz"
    before = path.read_bytes()
    path.unlink()
    assert files.draw() == 1
    assert path.read_bytes() == before
    names = {p.name for p in files.folder.glob("*.npz")}
    assert names == {f"{split}-0000{k}.npz" for split in ("train", "easy-train") for k in (0, 1)}
    assert [p.name for p in files.held_out()] == ["train-00001.npz", "easy-train-00001.npz"]
    assert [p.name for p in files.training()] == ["train-00000.npz", "easy-train-00000.npz"]


def test_a_drawn_clip_is_the_one_that_the_reference_model_trains_on(files):
    found = read_clip(files.folder / "train-00000.npz")
    clip = MiniWorldClips(count=1, size=(112, 64), frames=(HALF, HALF)).load("slot-00000")
    assert np.array_equal(found.frames[:HALF], clip.context)
    assert np.array_equal(found.frames[HALF:], clip.target)
    assert np.array_equal(found.poses[HALF:], clip.target_poses)
    assert np.array_equal((found.labels[HALF:] > 0), clip.subjects)
    for k, seen in enumerate(found.visible, start=1):  # exact areas are those of the label maps
        assert np.array_equal(seen, (found.labels == k).sum((1, 2)))


@pytest.mark.parametrize("split", ["train", "easy-train"])
def test_no_subject_that_the_test_holds_out_is_learned(split):
    from hmbench.data.mini_world.looks import LOOKS

    for slot in range(2):
        names = {LOOKS[k].name for k in spec_of_slot(split, slot).subjects}
        assert not names & set(HELD_OUT_SUBJECTS)


def test_clips_of_another_length_are_refused(files):
    with pytest.raises(TrainingStoppedError, match=r"drawn otherwise \(half 21, now 25\). Give another --data"):
        replace(files, half=25).draw()


def test_a_damaged_clip_is_a_sentence(tmp_path):
    (tmp_path / "train-00000.npz").write_bytes(b"PK\x03\x04 half a file")
    with pytest.raises(TrainingStoppedError, match=r"cannot be read as a clip .* Delete it"):
        read_clip(tmp_path / "train-00000.npz")


@pytest.mark.parametrize(
    ("stage", "at"),
    [
        pytest.param("clips", 1, marks=pytest.mark.slow),
        pytest.param("seer", 1, marks=pytest.mark.slow),
        ("seer", 3),
        pytest.param("follower", 3, marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_ends_like_another(files, whole, tmp_path, stage, at):
    if stage == "clips":
        files = replace(files, folder=tmp_path / "clips", worlds=("mini",), clips=2)
        whole = train_carrier(asked(tmp_path / "whole", replace(files, folder=tmp_path / "others")))
    with pytest.raises(KeyboardInterrupt):
        train_carrier(asked(tmp_path / "killed", files), Killed(stage, at))
    again = train_carrier(asked(tmp_path / "killed", files))
    assert state_digest(Carrier.from_pretrained(again)) == state_digest(Carrier.from_pretrained(whole))
    for part in ("seer", "follower"):
        rows = [read_metrics(run.parent / part) for run in (again, whole)]
        assert rows[0] == rows[1]
        assert [row["step"] for row in rows[0]] == [1, 2, 3]


def test_what_is_saved(files, whole):
    digests = json.loads((whole / "digests.json").read_text())
    assert {name: file_digest(whole / name) for name in digests} == digests
    assert list(digests) == ["diffusion_pytorch_model.safetensors"]
    assert json.loads((whole / "config.json").read_text())["_class_name"] == "Carrier"
    card = (whole / "README.md").read_text()
    last = [read_metrics(whole.parent / part)[-1] for part in ("seer", "follower")]
    assert f"| {last[0]['iou']:.4f} (intersection over union) |" in card
    assert f"{last[1]['place']:.4f} (body heights); an even walk: {last[1]['straight_place']:.4f}" in card
    assert "`the command`" in card and "3 steps of 4 subjects (12 samples)" in card and "2 of them held out" in card
    start, end = build_carrier(0).state_dict(), Carrier.from_pretrained(whole).state_dict()
    assert any(not torch.equal(start[name], end[name]) for name in end if name.startswith("seer."))
    assert not torch.equal(start["follower.leave.weight"], end["follower.leave.weight"])


def test_the_card_tells_who_was_found():
    parts = [("", 12, 0.2, 0.3), ("found_", 7, 0.4, 0.5)]
    worth = {"iou": 0.5}
    for name, count, place, straight in parts:
        worth |= {f"{name}subjects": count, f"{name}place": place, f"{name}straight_place": straight}
    tracks = walk()
    text = carrier.card(
        parsed(["--out", "c"]), build_carrier(0), worth, tracks._replace(found=torch.arange(6) == 1)
    )  # fmt: skip
    assert "| who is followed | 4 subjects on true masks, 1 as the seer finds them in one clip of 3 |" in text
    assert "| place, true masks | 0.2000 (body heights); an even walk: 0.3000 (body heights) |" in text
    assert "| place, the seer's masks | 0.4000 (body heights); an even walk: 0.5000 (body heights) |" in text
    assert "| log of scale, the seer's masks | not measured, no held-out clip tells |" in text
    assert "12 subjects on true masks, and the 7 that the seer found" in text


def test_a_finished_run_is_skipped_and_another_request_refused(files, whole, monkeypatch):
    monkeypatch.setattr(carrier, "train_seer", None)  # nothing is trained
    assert train_carrier(asked(whole.parent, files)) == whole
    with pytest.raises(TrainingStoppedError, match=r"asked for differently \(seed 0, now 1\)"):
        train_carrier(asked(whole.parent, files, seed=1))


def test_what_an_older_version_began_is_not_taken_for_this(files, whole, tmp_path):
    shutil.copytree(whole.parent, tmp_path / "older")
    out = tmp_path / "older"
    shutil.rmtree(out / "carrier")
    record = next((out / "follower" / "checkpoints").glob("*/complete.json"))
    content = json.loads(record.read_text())
    del content["made_of"]["tracks"]
    record.write_text(json.dumps(content))
    with pytest.raises(TrainingStoppedError, match=r"follower holds a run .*\(tracks none, now "):
        train_carrier(asked(out, files))
    content = json.loads((out / "train.json").read_text())
    del content["found_every"]
    (out / "train.json").write_text(json.dumps(content))
    with pytest.raises(TrainingStoppedError, match=r"older holds a run .*\(found_every none, now 3\)"):
        train_carrier(asked(out, files))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--worlds mini,minni", "There is no world 'minni' to train on. Worlds: mini, mini-easy."),
        ("--worlds test", "There is no world 'test' to train on. Worlds: mini, mini-easy."),
        ("--clips 0", "There is nothing to learn from 0 clips. Give --clips 1 or more."),
        ("--seer-steps 0", "--seer-steps is 0, which trains nothing. Give 1 or more."),
    ],
)
def test_mistakes_are_sentences(tmp_path, options, sentence):
    with pytest.raises(SystemExit) as error:
        main(["--out", str(tmp_path / "run"), *options.split()])
    assert error.value.code == sentence
    assert not (tmp_path / "run").exists()


def test_the_command_line():
    line = "--out runs/c --worlds mini-easy --clips 9 --seer-steps 5 --follower-steps 7 --seed 3"
    request = parsed(line.split())
    assert (request.seer.steps, request.seer.batch, request.seer.learning_rate, request.seer.ema) == (5, 4, 2e-3, 0.995)
    assert (request.follower.steps, request.follower.batch, request.seed) == (7, 128, 3)
    assert request.files.worlds == ("mini-easy",) and request.files.folder.parts == ("runs", "c", "data")
    assert request.command == f"python -m reference_model.training.carrier {line}"


def test_rates():
    recipe = SmallRecipe(steps=1000, batch=1, learning_rate=2e-3, betas=(0.9, 0.98), ema=0.9)
    assert recipe.rate(0) == pytest.approx(2e-5)
    assert recipe.rate(500) == pytest.approx(2e-3 * 0.51)
    assert recipe.rate(1000) == pytest.approx(4e-5)


# the seer


def test_augmented_frames_follow_from_their_place_alone(files):
    clip = read_clip(files.training()[0])
    one, same, other = (augmented(clip, generator(0, "seer", 5, place)) for place in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one.picture, other.picture)
    assert one.picture.shape == (4, 3, 64, 112) and one.change.shape == (4, 4, 64, 112)
    assert ((one.labels > 0).sum((1, 2)) > seer_training.SMALLEST).sum() >= 3


def test_losses_of_known_answers():
    labels = torch.zeros(1, 4, 4, dtype=torch.int64)
    labels[0, :2] = 1
    entropy, dice = subject_loss(torch.zeros(1, 4, 4), labels)
    assert float(entropy) == pytest.approx(np.log(2) * (5 * 8 + 8) / 16)
    assert float(dice) == pytest.approx(1 - (2 * 4 + 4) / (8 + 8 + 4))
    labels[0, 1] = 2
    labels = labels.repeat_interleave(2, 1)
    right, wrong = torch.zeros(1, 2, 8, 4), torch.zeros(1, 2, 8, 4)
    right[0, 0], right[0, 0][labels[0] == 2], right[0, 1][labels[0] == 2] = 1, -1, 0
    wrong[0, 0] = 1
    draws = [generator(0, "pairs") for _ in range(2)]
    told = [float(embedding_loss(e, labels, draw)) for e, draw in zip((right, wrong), draws, strict=True)]
    same, others = np.log1p(np.exp(-5)), np.log1p(np.exp(-11))
    assert told[0] == pytest.approx((same + others) / 2, rel=1e-3)
    assert told[1] == pytest.approx((same + 5 + np.log1p(np.exp(-5))) / 2, rel=1e-3)
    assert embedding_loss(right, torch.zeros_like(labels), draws[0]) is None


def test_iou_of_known_pixels():
    def seer(picture, change):
        return picture[:, 0], None

    picture, labels = torch.full((2, 3, 8, 8), -1.0), torch.zeros(2, 8, 8, dtype=torch.int64)
    picture[0, 0, :4], labels[0, 2:6], labels[1, 0, 0] = 1.0, 2, 1
    assert iou(seer, [seer_training.Frames(picture, picture, labels)]) == 16 / (48 + 1)


# the follower


def test_moments_of_a_rectangle_put_a_body_where_it_stands():
    mask = torch.zeros(64, 112)
    mask[20:40, 50:60] = 1
    found = moments(mask)
    assert [float(value) for value in found[:3]] == [200, 55, 30]
    assert float(found.height) == pytest.approx(3.46 * 20 / 12**0.5, rel=1e-5)
    assert float(found.width) == pytest.approx(3.46 * 10 / 12**0.5, rel=1e-5)
    assert float(found.cut) == 0
    lens = torch.eye(4)[None, :3]
    point = places(type(found)(*(part[None] for part in found)), lens, 100.0, (64, 112))[0]
    depth = BODY * 100 / float(found.height)
    assert point.tolist() == pytest.approx([-0.01 * depth, -0.02 * depth, depth], rel=1e-5)


def walk(count=6, half=HALF, bend=0.0):
    """Tracks of subjects that walk past cameras which pan: labels drawn as upright bars where they stand."""
    focal, (height, width) = 60.0, (64, 112)
    time = np.arange(2 * half)
    clips = []
    for k in range(count):
        x = -1.2 + (0.05 + 0.005 * k) * time + bend * np.sin(time / 7)
        z = 6.0 + 0.3 * k + 0 * time
        poses = np.tile(np.eye(4), (2 * half, 1, 1))
        poses[:, 0, 3] = 0.5 + 0.01 * time
        labels = np.zeros((2 * half, height, width), np.uint8)
        for t in range(2 * half):
            column, high = width / 2 + (x[t] - poses[t, 0, 3]) / z[t] * focal, BODY / z[t] * focal
            rows = slice(round(height / 2 - high / 2), round(height / 2 + high / 2))
            labels[t, rows, max(0, round(column - 2)) : max(0, round(column + 2))] = 1
        box = np.stack((x, 0 * x, z, 0 * x + 0.5, 0 * x + 0.4, 0 * x + BODY), -1)
        area = (labels > 0).sum((1, 2)).astype(float)
        clips.append(
            tracks_of(
                TrueClip(np.zeros((*labels.shape, 3), np.uint8), labels, poses, np.float64(focal),
                         box[None], area[None], area[None]),
                held=k == count - 1,
            )
        )  # fmt: skip
    return joined(clips)


class Finder:
    """A carrier that finds masks of one's own; ``asked`` is where it looked for them."""

    def __init__(self, *masks):
        self.masks, self.seer, self.asked = masks, torch.nn.Linear(1, 1), []

    def subjects(self, frames, poses, focal):
        self.asked.append((frames, poses, focal))
        size = (len(self.masks), len(frames), *frames.shape[2:])
        return torch.stack(self.masks) if self.masks else torch.zeros(size), torch.zeros(size[1:])


def two_bars():
    """A clip of two subjects, the first far smaller, before a camera that turns and comes nearer."""
    time = np.arange(2 * HALF)
    turn = 0.3 - 0.01 * time
    poses = np.tile(np.eye(4), (len(time), 1, 1))
    poses[:, 0, 0], poses[:, 2, 2] = np.cos(turn), np.cos(turn)
    poses[:, 0, 2], poses[:, 2, 0] = np.sin(turn), -np.sin(turn)
    poses[:, 2, 3] = 0.02 * time
    labels = np.zeros((len(time), 64, 112), np.uint8)
    for t in time:
        labels[t, 30:36, 10 + t // 4 : 12 + t // 4] = 1
        labels[t, 12 : 50 - t // 8, 60 + t // 2 : 70 + t // 2] = 2
    box = np.array([[0.5, 0, 9, 0.5, 0.4, 1.6], [1.0, 0.2, 5, 0.6, 0.5, 1.9]])[:, None].repeat(len(time), 1)
    area = np.stack([(labels == k).sum((1, 2)) for k in (1, 2)]).astype(float)
    frames = np.random.default_rng(0).integers(0, 255, (*labels.shape, 3), dtype=np.uint8)
    return TrueClip(frames, labels, poses, np.float64(90), box, area, area)


def test_who_is_found_is_measured_on_what_was_found():
    clip = two_bars()
    small, large = (torch.from_numpy(clip.labels[:HALF] == k).float() for k in (1, 2))
    finder = Finder(small.roll(30, 2), large, small)
    found, whole = found_tracks(finder, clip, held=True), tracks_of(clip, held=False)
    frames, poses, focal = finder.asked[0]
    assert torch.equal(frames, torch.from_numpy(clip.frames[:HALF]).permute(0, 3, 1, 2).float() / 127.5 - 1)
    relative = np.linalg.inv(clip.poses[HALF]) @ clip.poses[:HALF]
    assert np.allclose(poses.numpy(), relative[:, :3], atol=1e-6) and focal == 90
    # 252 true pixels of the first are looked for, and both are found
    assert found.found.tolist() == [True, True] and found.held.tolist() == [True, True]
    for name in ("place", "shape"):
        a, b = getattr(found, name), getattr(whole, name)
        assert torch.equal(a[:, :HALF].nan_to_num(-1), b[:, :HALF].nan_to_num(-1))
        assert a[:, HALF:].isnan().all()
    for name in ("true", "camera", "in_view"):
        assert torch.equal(getattr(found, name), getattr(whole, name))
    assert torch.equal(found.weight[:, HALF:], torch.zeros(2, HALF))
    for k, mask in enumerate((small, large)):
        assert torch.equal(found.weight[k, :HALF], steady(moments(mask), trust(moments(mask))))


def test_who_is_found_too_little_or_hardly_seen_is_left_out():
    clip = two_bars()
    large = torch.from_numpy(clip.labels[:HALF] == 2).float()
    more, less = large.clone(), large.clone()
    more[: HALF // 2], less[: HALF // 2 + 2] = 0, 0  # of 21 frames 11 are left, and 9
    second = found_tracks(Finder(more), clip, held=False)
    assert torch.equal(second.true, tracks_of(clip, held=False).true[1:])
    assert len(found_tracks(Finder(less), clip, held=False).held) == 0
    assert len(found_tracks(Finder(), clip, held=False).held) == 0
    small = torch.from_numpy(clip.labels[:HALF] == 1)
    assert len(found_tracks(Finder(small.float()), clip, held=False).held) == 1
    clip.labels[:HALF][small.numpy() & (np.arange(HALF) < 5)[:, None, None]] = 0  # 192 pixels are left
    assert len(found_tracks(Finder(torch.from_numpy(clip.labels[:HALF] == 1).float()), clip, held=False).held) == 0


def test_tracks_are_measured_once_and_again_for_another_seer(files, tmp_path):
    clip = read_clip(files.held_out()[0])
    finder = Finder(torch.from_numpy(clip.labels[:HALF] == 1).float())
    first = measured_tracks(files, finder, tmp_path)
    subjects = sum(len(read_clip(path).box3d) for path in (*files.training(), *files.held_out()))
    assert int((~first.found).sum()) == subjects
    assert len(finder.asked) == 3  # both that are held out, and the first of two to learn from
    assert first.held[first.found].any()
    again = measured_tracks(files, finder, tmp_path)
    assert len(finder.asked) == 3
    assert all(torch.equal(a.nan_to_num(-1), b.nan_to_num(-1)) for a, b in zip(first, again, strict=True))
    with np.load(tmp_path / "tracks.npz") as stored:  # as of an older version
        np.savez(tmp_path / "tracks.npz", **{name: stored[name] for name in stored.files if name != "found"})
    other = measured_tracks(files, Finder(), tmp_path)
    assert len(other.found) == subjects and not other.found.any()


def test_what_noise_does_to_places():
    batches = Batches(walk())
    rows = torch.arange(5).repeat(400)
    noisy, stand = batches._noisy(rows, generator(0, "noise")), batches.tracks.camera[rows][..., 3]
    ray = batches.tracks.place[rows] - stand
    way = ray.norm(dim=-1)
    along = ((noisy - stand) * ray).sum(-1) / way.square() - 1
    aside = ((noisy - stand)[..., 1] - ray[..., 1]) / way  # up and down no ray goes
    # rays: each frame's own, a clip's own, a drift of even change, a wave of half its height's square
    for time, even in ((0, 0.06), (HALF // 2, 0.06 * 20 / 41)):
        own = (0.03**2 / 3) + 0.03**2 + even**2 + 0.015**2 / 2
        assert float(along[:, time].std()) == pytest.approx(own**0.5, rel=0.15)
    assert float(aside[:, 0].std()) == pytest.approx((0.004**2 / 3 + 0.012**2 + 0.006**2 / 2) ** 0.5, rel=0.15)


def test_who_was_found_is_learned_from_more_often(monkeypatch):
    tracks = walk()
    found = torch.arange(6) < 2
    batches, rows = Batches(tracks._replace(found=found)), []
    monkeypatch.setattr(batches, "augmented", lambda some, draw: rows.append(some) or Batches.plain(batches, some))
    follower = Follower()
    for step in range(40):
        follower_training._loss(follower, batches, torch.arange(6), 100, 0, step)
    share = torch.bincount(torch.cat(rows), minlength=6) / 4000
    assert share.tolist() == pytest.approx([1 / 3.4] * 2 + [0.35 / 3.4] * 4, abs=0.02)


def test_measured_places_are_true_ones_to_half_a_pixel():
    tracks = walk()
    seen = tracks.weight > 0.9
    assert int(seen.sum()) > 100
    stand = tracks.camera[..., 3]
    ways = [((p - stand) / (p - stand)[..., 2:])[seen] for p in (tracks.place, tracks.true)]
    assert float((ways[0] - ways[1]).abs().max()) * 60 < 0.76
    assert float((tracks.place - tracks.true)[seen][:, 2].abs().max()) < 0.5


def test_the_untrained_follower_walks_straight_on():
    time = torch.arange(-9.0, 11.0)[None] * 4
    place = torch.stack((0.2 + 0.03 * time, 0 * time + 0.1, 5 - 0.02 * time), -1)
    weight = torch.zeros(1, 20)
    weight[:, :10] = 0.8
    known = Known(place, weight, torch.zeros(1, 20, 2), torch.zeros(1, 20, 3), time)
    lesson = Lesson(known, place, torch.eye(4)[:3].expand(1, 20, 3, 4))
    found = Follower().eval()(known)
    off = errors(found.detach(), lesson, torch.ones(1, 20))
    # the fit is drawn towards standing still by 0.004 of a second squared: to the share that spread has of it
    spread = float(((time[:, :10] / 15 - time[:, :10].mean() / 15) ** 2).mean())
    mean = place[:, :10].mean(1, keepdim=True)
    expected = mean + (place - mean) * spread / (spread + 0.004)
    assert torch.allclose(found, expected, atol=1e-5)
    assert float(off[0]) < 0.05 and float(off[1]) < 0.02


def test_errors_of_a_known_miss():
    points = torch.tensor([[[0.0, 0, 4], [0, 0, 4]]])
    lesson = Lesson(None, points, torch.eye(4)[:3].expand(1, 2, 3, 4))
    missed = points + torch.tensor([[[1.7, 0, 0], [0, 0, 4]]])
    first, second = torch.tensor([[1.0, 0]]), torch.tensor([[0, 1.0]])
    assert [float(e) for e in errors(missed, lesson, first)] == pytest.approx([1, 0])
    assert [float(e) for e in errors(missed, lesson, second)] == pytest.approx([0, np.log(2)])
    assert [float(e) for e in errors(missed, lesson, first + second)] == pytest.approx([0.5, np.log(2) / 2])


def test_a_mirrored_lesson_is_seen_mirrored():
    batches = Batches(walk())
    rows = torch.arange(5).repeat(8)
    plain, mirrored = batches.plain(rows), batches.augmented(rows, generator(0, "follower", 3))
    sides = (mirrored.true[:, :, 0] / plain.true[:, :, 0]).mean(1)
    assert set(sides.round(decimals=4).tolist()) == {-1.0, 1.0}
    assert torch.allclose(mirrored.known.camera[..., 0], plain.known.camera[..., 0] * sides[:, None])
    assert torch.equal(mirrored.known.weight[:, batches.past :], torch.zeros(40, batches.past))
    assert (mirrored.known.weight[:, : batches.past].max(1).values > 0.25).all()
    assert not torch.equal(mirrored.known.weight, plain.known.weight)


def test_nobody_of_a_held_out_clip_is_learned_from(tmp_path, monkeypatch):
    rows, augmented_as = [], Batches.augmented
    monkeypatch.setattr(
        Batches, "augmented", lambda self, some, draw: rows.append(some) or augmented_as(self, some, draw)
    )
    tracks = walk()._replace(held=torch.arange(6) % 3 == 0, found=torch.arange(6) > 2)
    tracks = tracks._replace(weight=tracks.weight * (torch.arange(6) != 4)[:, None])  # nobody sees this one
    recipe = toy(follower_recipe(4), 50)
    worth = train_follower(Follower(), tracks, {}, tmp_path, recipe, 0)
    assert set(torch.cat(rows).tolist()) == {1, 2, 5}
    assert worth["subjects"] == worth["found_subjects"] == 1


def test_a_follower_learns_what_is_no_straight_walk(tmp_path):
    tracks = walk(bend=1.0)
    net = build_carrier(0).follower
    recipe = SmallRecipe(
        steps=80, batch=16, learning_rate=5e-3, betas=(0.9, 0.999), ema=0.9, warmup=5, log_every=10, checkpoint_every=80
    )  # fmt: skip
    worth = train_follower(net, tracks, {"data": "walks"}, tmp_path, recipe, 0)
    assert set(worth) == {"subjects", "place", "scale", "straight_place", "straight_scale"}
    rows = read_metrics(tmp_path)
    assert rows[-1]["loss"] < 0.4 * rows[0]["loss"]
    assert worth["place"] < 0.3 * worth["straight_place"]
    assert worth == {name: rows[-1][name] for name in worth}


def test_nobody_to_follow_is_a_sentence(tmp_path):
    tracks = walk(2)
    with pytest.raises(TrainingStoppedError, match="No clip shows a subject well enough"):
        train_follower(
            Follower(), tracks._replace(weight=tracks.weight * 0), {}, tmp_path, follower_recipe(3), 0
        )  # fmt: skip
