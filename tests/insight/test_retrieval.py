"""Retrieval made visible: what was traced is what the memory did, numbers are counted by hand, pictures are drawn."""

from __future__ import annotations

import json
from dataclasses import replace
from math import comb

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from baselines.trace import trace
from hmbench.cli.models import register
from hmbench.data.cameras import parse_cameras
from hmbench.errors import UserError
from hmbench.insight.retrieval import RetrievalTrace, retrieval_record, trace_retrieval
from hmbench.insight.retrieval_picture import shown_targets, strongest, write_retrieval
from hmbench.registry import create_model
from hmbench.types import Intrinsics, Meta, Prompt, Sample, Truth
from hmbench.video.files import read_video

TOYS = {"profile": "nano", "device": "cpu"}


@pytest.fixture(scope="module")
def clip(discs) -> Sample:
    return discs.load(discs.ids("all")[0])


def model(name: str, **options: str):
    return create_model(name, **TOYS, options={"steps": "2", **options})


def toy_trace(selected: np.ndarray, overlap: np.ndarray | None = None) -> RetrievalTrace:
    """Six context parts and two target parts of a clip of 21 + 21 frames (disc world)."""
    spans = [(0, 1), *((4 * k - 3, 4 * k + 1) for k in range(1, 6))]
    targets = tuple((21 + a, 21 + b) for a, b in spans)
    return RetrievalTrace(
        model="toy",
        part="latent frame",
        parts=(*spans, *targets[:2]),
        targets=targets,
        selected=selected,
        overlap=np.zeros((6, 8)) if overlap is None else overlap,
        lens=(60.0, 40.0, 10.0),
        settings={},
    )


def test_frames_behind_parts(clip) -> None:
    found = trace(model("full-context"), clip.prompt, seed=0)
    assert found.parts == ((0, 1), (1, 5), (5, 9), (9, 13), (13, 17), (17, 21))
    assert found.targets == ((21, 22), (22, 26), (26, 30), (30, 34), (34, 38), (38, 42))
    assert found.selected.shape == (1, 1, 6, 6)
    assert found.selected.all()


def test_methods_that_look_at_cameras_are_asked(clip) -> None:
    found = trace(model("recent-window", frames="2"), clip.prompt, seed=0)
    assert found.selected[0, 0].tolist() == [[False] * 4 + [True] * 2] * 6


def test_packed_frames(clip) -> None:
    found = trace(model("frame-pack"), clip.prompt, seed=0)
    # of six latent frames the first and the last in full, two packed by 2 and the two before them by 4
    assert found.parts == ((0, 1), (1, 9), (9, 17), (17, 21))
    assert found.part == "packed frame"


def test_hydra_is_recorded_in_every_block_and_step(clip) -> None:
    built = model("hydra", top_k="2", carrier="none")  # the listener below stands where its question would be asked
    heard = []
    transformer = built.pipeline.transformer
    original = transformer.forward
    transformer.forward = lambda *args, **named: original(
        *args, **{**named, "record": lambda b, name, v: heard.append((b, v)) if name == "selected" else None}
    )
    built.generate(clip.prompt, seed=5)
    transformer.forward = original
    found = trace(built, clip.prompt, seed=5)
    blocks, bands = built.pipeline.transformer.memory.backbone.layers, built.pipeline.transformer.bands
    assert bands > 1 and found.selected.shape == (2, blocks * bands, 6, 6)
    for call, (block, value) in enumerate(heard):
        step = call // blocks
        assert block == call % blocks and len(value) == bands
        for band in range(bands):
            for frame in range(6):
                expected = sorted(value[band, 6 + frame].tolist())
                assert np.flatnonzero(found.selected[step, block * bands + band, frame]).tolist() == expected
    assert found.parts[0] == (0, 5)
    assert found.parts[3] == (21, 26)


def test_the_carriers_question_is_no_step_of_the_sampler(clip) -> None:
    found, alone = (trace(model("hydra", top_k="2", carrier=name), clip.prompt, seed=5) for name in ("shipped", "none"))
    assert found.selected.shape == alone.selected.shape
    assert np.array_equal(found.selected[0], alone.selected[0]), "the first step sees the same noise"


def test_a_frame_sees_all_of_its_own_view(clip) -> None:
    found = trace(model("hydra-fov"), clip.prompt, seed=0)
    alone = trace(model("full-context"), clip.prompt, seed=0)
    assert found.overlap.shape == (6, 6)
    assert 0 <= alone.overlap.min() <= alone.overlap.max() <= 1


def test_numbers_of_an_event_by_hand(clip) -> None:
    """One subject, visible in frames 1 to 12 and again from 30 on: parts 1, 2, 3 of the context show it."""
    subject = clip.truth.subjects[0]
    area = np.zeros(42)
    area[1:13] = area[30:] = 500.0
    event = replace(clip.truth.events[0], label=subject.label, exit=13, reentry=30)
    sample = replace(clip, truth=replace(clip.truth, subjects=(replace(subject, visible_area=area),), events=(event,)))
    selected = np.zeros((2, 2, 6, 8), dtype=bool)
    selected[0, 0, 3, [1, 5, 6]] = True  # one of two from the context shows it; part 6 is of the target
    selected[0, 1, 3, [4, 5]] = True  # none
    selected[1, 0, 3, [1, 2]] = True  # both
    selected[1, 1, 3, [0]] = True  # none
    selected[:, :, 2] = True  # another target frame does not count
    numbers = retrieval_record(toy_trace(selected), sample)["events"][0]
    assert numbers["target_latent"] == 3
    assert numbers["parts_showing_it"] == [1, 2, 3]
    assert numbers["contains"] == pytest.approx(2 / 4)
    assert numbers["share"] == pytest.approx(3 / 7)
    assert numbers["base_share"] == pytest.approx(3 / 6)
    blind = [1 - comb(3, n) / comb(6, n) for n in (2, 2, 2, 1)]
    assert numbers["chance"] == pytest.approx(sum(blind) / 4)


def test_nothing_retrieved_is_no_number(clip) -> None:
    numbers = retrieval_record(toy_trace(np.zeros((1, 1, 6, 8), dtype=bool)), clip)["events"][0]
    assert numbers["contains"] == 0.0
    assert numbers["chance"] == 0.0
    assert numbers["share"] is None


def test_record_without_events_says_why(clip) -> None:
    open_domain = retrieval_record(toy_trace(np.ones((1, 1, 6, 8), dtype=bool)), replace(clip, truth=None))
    assert (open_domain["events"], open_domain["events_reason"]) == ([], "the clip has no truth")
    plain = Truth(target=clip.truth.target, context_labels=None, target_labels=None)
    record = retrieval_record(toy_trace(np.ones((1, 1, 6, 8), dtype=bool)), replace(clip, truth=plain))
    assert "no subject leaves and returns" in record["events_reason"]


def test_strongest_parts_and_shown_targets(clip) -> None:
    selected = np.zeros((2, 1, 6, 8), dtype=bool)
    selected[:, :, 0, 4] = True
    selected[0, :, 0, [2, 3]] = True
    overlap = np.zeros((6, 8))
    overlap[0, 3] = 0.5
    found = toy_trace(selected, overlap)
    assert strongest(found, 0) == [4, 3, 2]
    assert strongest(found, 1) == []
    rows = shown_targets(found, clip)
    assert len(rows) == 4
    assert rows == sorted(rows)
    back = [i for i, (a, b) in enumerate(found.targets) if a <= clip.truth.events[0].reentry < b]
    assert set(back) <= set(rows)


def test_command(tmp_path, discs) -> None:
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    common = ["--data", "disc", "--profile", "nano", "--sample", discs.ids("all")[0], "--out", str(tmp_path)]
    result = CliRunner().invoke(app, ["retrieval", "--model", "fov-retrieval", "--option", "frames=3", *common])
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "retrieval.json").read_text())
    assert record["settings"]["frames"] == 3
    assert all(len(frame) == 3 for frame in record["selected"][0][0])
    assert (tmp_path / "retrieval.png").read_bytes()[:4] == b"\x89PNG"
    wrong = CliRunner().invoke(app, ["retrieval", "--model", "copy-last", *common])
    assert isinstance(wrong.exception, UserError)
    assert "'copy-last' does not say what it retrieves" in str(wrong.exception)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_whole_camera_paths_of_the_real_clips(real_clips, tmp_path, number) -> None:
    """77 + 77 real cameras (the real target video was never released).

    In clips 1 to 3 the camera turns away before the context ends and back in the target, so that frames from before
    the turn have seen more of the target's views than the last frames have; clip 4 stays turned.
    """
    context = read_video(real_clips / f"{number}.mp4")[:, ::4, ::4]
    poses = parse_cameras(json.loads((real_clips / f"cam{number}.json").read_text()), 77, 77, "")
    height, width = context.shape[1:3]
    prompt = Prompt(
        context=np.ascontiguousarray(context),
        context_poses=poses[0],
        target_poses=poses[1],
        caption="",
        fps=15.0,
        intrinsics=Intrinsics(focal=1257 / 4, width=width, height=height),
    )
    sample = Sample(id=f"real-{number}", prompt=prompt, truth=None, meta=Meta())
    by_view = trace_retrieval(model("fov-retrieval", frames="5"), prompt, seed=0)
    recent = trace_retrieval(model("recent-window", frames="5"), prompt, seed=0)
    gain = mean_overlap(by_view) - mean_overlap(recent)
    assert gain > 0.08 if number != 4 else abs(gain) < 0.001
    if number == 1:
        write_retrieval(by_view, sample, tmp_path)
        assert (tmp_path / "retrieval.png").stat().st_size > 50_000


def mean_overlap(found: RetrievalTrace) -> float:
    return float(found.overlap[found.selected[0, 0]].mean())
