"""What is on disk: complete or not counted, and refused if it belongs to something else."""

from __future__ import annotations

import errno
import functools
import json
import math
import operator
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from training_toys import FRAMES, Waves, pico

from reference_model.model.config import hydra_wan_1_3b
from reference_model.training import cache as cache_module
from reference_model.training import codec_training as codec_module
from reference_model.training import preparing
from reference_model.training.cache import (
    CacheKey,
    Encoders,
    LatentCache,
    build_cache,
    check_key,
    encode_share,
    shards_missing,
)
from reference_model.training.checkpoints import Checkpoints, is_complete, read_state
from reference_model.training.clips import as_frames, hold_out
from reference_model.training.codec_training import build_codec, psnr, spread_evenly, train_codec
from reference_model.training.disk import write_atomically
from reference_model.training.monitor import Silent
from reference_model.training.preparing import bytes_a_clip
from reference_model.training.stop import TrainingStoppedError

KEY = CacheKey(data="waves", revision="r1", codec="c1", text="hashed 8", size=(32, 16))


def text(captions):
    rows = torch.zeros(len(captions), 4, 8)
    rows[:, : 1 + len(captions[0]) % 2] = 1.0
    return rows


@pytest.fixture
def encoders():
    codec = build_codec(pico().model.codec, 0).eval()
    return Encoders(video=codec.encode, text=text, time_stride=4)


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(cache_module, "CLIPS_A_SHARD", 3)


def test_cache_holds_what_the_codec_gives(tmp_path, encoders, small_shards):
    source = Waves(7)
    cache = build_cache(tmp_path, source, KEY, encoders)
    batch = cache.batch(["wave-006", "wave-001"])
    clip = source.load("wave-006")
    past, future = clip.cameras(4)
    torch.testing.assert_close(batch.target[0], encoders.video(clip.halves()[1])[0], atol=2e-3, rtol=2e-3)
    torch.testing.assert_close(batch.context[0], encoders.video(clip.halves()[0])[0], atol=2e-3, rtol=2e-3)
    assert torch.equal(batch.cameras[0][0], past) and torch.equal(batch.cameras[1][0], future)
    assert torch.equal(batch.text[0], text([clip.caption])[0]), "text is filled up again"
    assert len(list(tmp_path.glob("*.safetensors"))) == 3 and cache.ids == source.ids()
    assert batch.subjects.shape == batch.target[:, 0].shape and not batch.subjects.any(), "waves have no subjects"


def test_subjects_are_shares_of_latents():
    """One frame alone, then groups of four; a subject that covers a quarter of a cell in one frame of four is 1/16."""
    seen = np.zeros((9, 16, 32), bool)
    seen[0, :8, :8] = True
    seen[6, 8:12, 24:28] = True
    shares = replace(Waves(frames=9).load("wave-000"), subjects=seen).subject_share((3, 2, 4))
    assert shares.shape == (3, 2, 4) and shares[0, 0, 0] == 1 and shares[2, 1, 3] == pytest.approx(1 / 16)
    assert float(shares.sum()) == pytest.approx(1 + 1 / 16)


def test_a_cache_knows_whether_masks_told_of_subjects(tmp_path, encoders):
    class Seen(Waves):
        def load(self, clip_id):
            seen = np.zeros((FRAMES, 16, 32), bool)
            seen[:, :8, :8] = clip_id == "wave-001"
            return replace(super().load(clip_id), subjects=seen)

    cache = build_cache(tmp_path / "seen", Seen(3), KEY, encoders)
    assert cache.shows_subjects()
    shares = cache.batch(["wave-000", "wave-001"]).subjects
    assert not shares[0].any() and (shares[1, :, 0, 0] == 1).all() and float(shares[1].sum()) == len(shares[1])
    assert not build_cache(tmp_path / "none", Waves(3), KEY, encoders).shows_subjects()


def test_a_cache_of_before_subjects_is_refused(tmp_path, encoders):
    build_cache(tmp_path, Waves(2), KEY, encoders)
    key = json.loads((tmp_path / "key.json").read_text())
    del key["subjects"]
    (tmp_path / "key.json").write_text(json.dumps(key))
    with pytest.raises(TrainingStoppedError, match="subjects None"):
        build_cache(tmp_path, Waves(2), KEY, encoders)


def test_a_killed_cache_goes_on_at_the_missing_shard(tmp_path, encoders, small_shards):
    class Killed(Waves):
        def load(self, clip_id):
            if clip_id == "wave-004":
                raise KeyboardInterrupt
            return super().load(clip_id)

    with pytest.raises(KeyboardInterrupt):
        build_cache(tmp_path, Killed(7), KEY, encoders)
    with pytest.raises(TrainingStoppedError, match="holds no finished cache"):
        LatentCache(tmp_path)
    source = Waves(7)
    resumed = build_cache(tmp_path, source, KEY, encoders)
    assert source.loaded == ["wave-003", "wave-004", "wave-005", "wave-006"], "the first shard was there"
    again = Waves(7)
    assert build_cache(tmp_path, again, KEY, encoders).digest == resumed.digest and again.loaded == []


def test_processes_share_out_what_is_missing(tmp_path, encoders, small_shards):
    """Three processes, one of which was killed: the same cache as one process makes, no clip encoded twice."""
    alone = build_cache(tmp_path / "alone", Waves(10), KEY, encoders)
    folder, told = tmp_path / "shared", []
    check_key(folder, KEY)
    assert shards_missing(folder, 10) == 10
    sources = [Waves(10) for _ in range(3)]
    for number in (2, 0):
        encode_share(folder, sources[number], encoders, (number, 3), told.append)
    assert shards_missing(folder, 10) == 3 and told == [9, 3, 10]
    encode_share(folder, sources[1], encoders, (1, 3))
    assert sorted(functools.reduce(operator.iadd, (source.loaded for source in sources), [])) == sorted(Waves(10).ids())
    after = Waves(10)
    assert build_cache(folder, after, KEY, encoders).digest == alone.digest and after.loaded == []
    assert shards_missing(folder, 10) == 0


def test_the_disk_is_told_before_days_of_encoding(tmp_path, monkeypatch):
    paper = hydra_wan_1_3b()
    # 20 + 20 latents of 16 x 60 x 104 and 128 rows of text, two bytes a number
    assert bytes_a_clip(paper) == 2 * (16 * 40 * 60 * 104 + 128 * 4096)
    heard, free = Silent(), [600 * 10**9]
    heard.notice = lambda text: told.append(text)
    told = []
    monkeypatch.setattr(preparing.shutil, "disk_usage", lambda path: SimpleNamespace(free=free[0]))
    preparing.check_disk(tmp_path / "not" / "there", paper, 56_000, heard)
    assert told == [f"latents of 56,000 clips take about 506 GB, {tmp_path} has 600 GB free"]
    free[0] = 505 * 10**9
    with pytest.raises(TrainingStoppedError, match=r"The disk is too small: .* 506 GB, .* has 505 GB free"):
        preparing.check_disk(tmp_path, paper, 56_000, heard)
    preparing.check_disk(tmp_path, paper, 0, heard)  # all of it is there


def test_a_cache_of_something_else_is_refused(tmp_path, encoders):
    build_cache(tmp_path, Waves(2), KEY, encoders)
    with pytest.raises(TrainingStoppedError, match=r"something else: codec c1 \(now c2\)"):
        build_cache(tmp_path, Waves(2), replace(KEY, codec="c2"), encoders)


def test_a_truncated_shard_is_named(tmp_path, encoders):
    build_cache(tmp_path, Waves(2), KEY, encoders)
    shard = next(tmp_path.glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-10])
    with pytest.raises(TrainingStoppedError, match=r"shard-00000\.safetensors is not as it was written"):
        LatentCache(tmp_path)


def test_half_a_shard_does_not_stay(tmp_path, encoders, monkeypatch):
    """Older safetensors write to the very file; this one to a file of its own, which it removes."""

    def half(tensors, path):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache_module, "save_file", half)
    with pytest.raises(OSError, match="No space left"):
        build_cache(tmp_path, Waves(2), KEY, encoders)
    assert [path.name for path in tmp_path.iterdir()] == ["key.json"]


def test_clips_of_two_sizes_are_refused(tmp_path, encoders):
    class Mixed(Waves):
        def load(self, clip_id):
            return Waves(2, frames=21 if clip_id.endswith("0") else 9).load(clip_id)

    with pytest.raises(TrainingStoppedError, match="differ in size"):
        build_cache(tmp_path, Mixed(2), KEY, encoders)


def write(checkpoints, step):
    checkpoints.guarded(step, lambda folder: (folder / "weights").write_text("x" * step))
    return checkpoints.finish(step, {"seed": 5})


def test_the_newest_complete_checkpoint_counts(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    assert checkpoints.newest() is None
    for step in (10, 20, 30):
        write(checkpoints, step)
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["step-00000020", "step-00000030"], "two are kept"
    assert read_state(checkpoints.newest()) | {"files": 0} == {"step": 30, "seed": 5, "files": 0}
    (checkpoints.path(30) / "weights").write_text("cut")
    assert checkpoints.newest() == checkpoints.path(20) and not is_complete(checkpoints.path(30))
    (checkpoints.path(20) / "complete.json").unlink()
    assert checkpoints.newest() is None


def test_a_flipped_bit_makes_a_checkpoint_count_for_nothing(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (10, 20):
        write(checkpoints, step)
    weights = checkpoints.path(20) / "weights"
    held = bytearray(weights.read_bytes())
    held[7] ^= 1  # one bit; the size stays
    weights.write_bytes(held)
    assert not is_complete(checkpoints.path(20)) and checkpoints.newest() == checkpoints.path(10)
    held[7] ^= 1
    weights.write_bytes(held)
    assert checkpoints.newest() == checkpoints.path(20)


def test_a_checkpoint_that_was_being_written_does_not_count(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.guarded(10, lambda folder: (folder / "weights").write_text("x"))
    assert checkpoints.newest() is None
    assert write(checkpoints, 10) == checkpoints.newest(), "the remains are overwritten"


def test_other_errors_stay_what_they_are(tmp_path):
    def fail(folder):
        raise PermissionError(errno.EACCES, "Permission denied")

    with pytest.raises(PermissionError):
        Checkpoints(tmp_path, keep=1).guarded(1, fail)


def test_held_out_clips_do_not_depend_on_their_order():
    ids = tuple(f"{k:03d}" for k in range(20))
    train, held = hold_out(ids, 4)
    assert len(held) == 4 and not set(train) & set(held) and set(train) | set(held) == set(ids)
    assert set(hold_out(ids[::-1], 4)[1]) == set(held)
    with pytest.raises(ValueError, match="4 clips cannot spare 4"):
        hold_out(ids[:4], 4)


def test_codec_training_improves_on_the_linear_codec_and_normalises():
    class Stripes(Waves):
        """Hard edges, which no 4 linear components describe."""

        def load(self, clip_id):
            clip = super().load(clip_id)
            hard = [np.where(frames > 127, 200, 50).astype(np.uint8) for frames in (clip.context, clip.target)]
            return replace(clip, context=hard[0], target=hard[1])

    source, config = Stripes(6), pico()
    training = replace(config.codec, steps=80, learning_rate=1e-2)
    codec = build_codec(config.model.codec, 0)
    report = train_codec(
        codec, source, hold_out(source.ids(), 2), training, seed=0, device=torch.device("cpu")
    )  # fmt: skip
    assert report.clips == 4 and report.psnr > report.linear_psnr + 0.2 and report.worst <= report.psnr
    held = hold_out(source.ids(), 2)[1]
    first = source.load(held[0]).halves()[0]
    assert psnr(codec, first) == pytest.approx(
        -10 * torch.log10(((codec.decode(codec.encode(first)) - first) / 2).square().mean()).item(), abs=1e-3
    )
    latents = torch.cat([codec.encode(h) for i in source.ids() for h in source.load(i).halves()])
    assert latents[:, :, 1:].std((0, 2, 3, 4)).tolist() == pytest.approx([1.0] * 4, abs=0.3)


def trained(source, config, held=2):
    codec = build_codec(config.model.codec, 0)
    ids = hold_out(source.ids(), held)
    return codec, train_codec(codec, source, ids, config.codec, seed=0, device=torch.device("cpu"))


def test_a_codec_that_diverges_is_no_codec(monkeypatch):
    config = pico()
    with pytest.raises(TrainingStoppedError, match="Training of the codec diverged: its loss of step 1 is nan"):
        monkeypatch.setattr(codec_module, "_loss", lambda codec, video, share: codec.encode_raw(video).sum() * math.nan)
        trained(Waves(6), config)
    monkeypatch.undo()
    # the loss is finite, the root of its zero has no slope
    with pytest.raises(TrainingStoppedError, match=r"step 1 is 0\.0, its gradient has the length nan"):
        monkeypatch.setattr(
            codec_module, "_loss", lambda codec, video, share: (codec.encode_raw(video) * 0).sum().sqrt()
        )
        trained(Waves(6), config)
    monkeypatch.undo()
    monkeypatch.setattr(codec_module, "psnr", lambda codec, video: math.nan)
    with pytest.raises(TrainingStoppedError, match="what comes out of it in the end is no picture"):
        trained(Waves(6), config)


def test_a_report_is_json_whatever_was_held_out(tmp_path):
    _, report = trained(Waves(4), pico(), held=0)
    assert (report.psnr, report.linear_psnr, report.worst) == (None, None, None)
    write_atomically(tmp_path / "report.json", asdict(report))
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_atomically(tmp_path / "report.json", {"psnr": math.nan})

    class Grey(Waves):
        def load(self, clip_id):
            clip = super().load(clip_id)
            grey = np.full_like(clip.context, 128)
            return replace(clip, context=grey, target=grey)

    _, report = trained(Grey(4), replace(pico(), codec=replace(pico().codec, steps=0)))
    assert 60 < report.psnr <= 100, "what is coded without an error has no infinite PSNR"


def test_codec_clips_are_held_as_bytes(monkeypatch):
    seen = []
    real = codec_module._crops

    def crops(halves, *arguments):
        seen.extend(half.dtype for half in halves)
        return real(halves, *arguments)

    monkeypatch.setattr(codec_module, "_crops", crops)
    trained(Waves(4), pico())
    assert set(seen) == {np.dtype(np.uint8)}


def test_a_sample_of_ids_is_spread_evenly():
    ids = tuple(str(k) for k in range(100))
    assert spread_evenly(ids, 4) == ("0", "25", "50", "75") and spread_evenly(ids[:3], 4) == ids[:3]


def test_frames_and_tensors_are_inverse():
    clip = Waves(1).load("wave-000")
    assert (as_frames(clip.halves()[0][0]) == clip.context).all()


def test_manifest_records_digests(tmp_path, encoders):
    build_cache(tmp_path, Waves(2), KEY, encoders)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert len(manifest["shards"][0]["sha256"]) == 64 and manifest["key"]["codec"] == "c1"
