import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toys import Breaks, Followed, Follower, MeanError, Sometimes, Unstorable

from hmbench.data.disc_world import DiscWorld
from hmbench.data.hm_world import HMWorld
from hmbench.errors import UserError
from hmbench.results.prediction_record import record_path
from hmbench.results.records import read_rows
from hmbench.results.run_folder import RunFolder
from hmbench.run.evaluate import EvalRequest, EvalResult, evaluate, generate, score
from hmbench.run.request import Silent, default_out
from hmbench.run.stages import sample_seed
from hmbench.types import Score
from hmbench.video.files import write_lossless

RESULT_FILES = ("rows.jsonl", "events.jsonl", "samples.jsonl", "summary.json", "table.md", "table.csv", "table.tex")


def run(out: Path, **changes) -> EvalResult:
    request = EvalRequest(**{"model": "toys:toy", "data": "disc", "out": out, **changes})
    if request.predictions is None:
        generate(request)
    return score(request, metrics=[MeanError(), Sometimes()])


def files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in RESULT_FILES}


def test_a_run_leaves_rows_that_a_machine_reads(tmp_path: Path) -> None:
    result = run(tmp_path / "a", seed=5)
    rows = list(read_rows(tmp_path / "a" / "rows.jsonl"))
    assert len(rows) == 4 * 2
    assert {r.sample for r in rows} == set(DiscWorld().ids("all"))
    assert {r.sample: r.cluster for r in rows} == {i: i.split("_")[1] for i in DiscWorld().ids("all")}
    skipped = [r for r in rows if r.value is None]
    assert len(skipped) == 2 and all(r.reason == "two discs" and r.metric == "sometimes" for r in skipped)
    assert all(r.version == 3 and r.model == "toy" and r.data_revision for r in rows if r.metric == "mae")
    assert result.summary["sometimes"].scored == 2 and result.summary["mae"].mean is not None
    by_hand = np.mean([r.value for r in rows if r.metric == "mae"])
    assert result.summary["mae"].mean == pytest.approx(by_hand)
    manifest = json.loads((tmp_path / "a" / "run.json").read_text())
    assert manifest["seed"] == 5 and manifest["environment"]["torch"] and manifest["metrics"]["mae"]["version"] == 3
    table = (tmp_path / "a" / "table.md").read_text()
    assert "1.0000 |" in table and "2 of 4" in table


def test_shards_in_any_order_give_the_same_bytes(tmp_path: Path) -> None:
    run(tmp_path / "whole")
    for shard in ((2, 3), (0, 3), (1, 3)):
        result = run(tmp_path / "parts", shard=shard)
    assert result.missing == ()
    assert files(tmp_path / "parts") == files(tmp_path / "whole")


def test_scoring_again_computes_nothing_and_changes_nothing(tmp_path: Path) -> None:
    run(tmp_path)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "scores").iterdir()}
    first = files(tmp_path)
    run(tmp_path)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "scores").iterdir()} == before
    assert files(tmp_path) == first


def test_anyones_changed_video_is_scored_again(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p", 21)
    before = run(tmp_path / "a", model=None, predictions=tmp_path / "p").summary["mae"].mean
    sample = DiscWorld().ids("all")[0]
    write_lossless(tmp_path / "p" / f"{sample}.mp4", np.zeros((21, 48, 80, 3), np.uint8), fps=15)
    after = run(tmp_path / "a", model=None, predictions=tmp_path / "p").summary["mae"].mean
    assert after != before


def test_a_prediction_that_the_model_did_not_make_is_refused_and_made_again(tmp_path: Path) -> None:
    before = run(tmp_path).summary["mae"].mean
    sample = DiscWorld().ids("all")[0]
    video = RunFolder(tmp_path).prediction(sample)
    whole = video.read_bytes()
    write_lossless(video, np.zeros((21, 48, 80, 3), np.uint8), fps=15)
    result = score(EvalRequest(data="disc", out=tmp_path), metrics=[MeanError(), Sometimes()])
    assert set(result.failures) == {sample} and "is not the video that was generated" in result.failures[sample]
    assert run(tmp_path).summary["mae"].mean == before and video.read_bytes() == whole


def test_a_killed_run_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    """kill -9 in the middle: complete samples are kept, nothing is generated twice, and every byte is the same."""
    log = tmp_path / "log.txt"
    code = (
        "from hmbench.run.evaluate import *; from pathlib import Path; from toys import *; import sys;"
        "r = EvalRequest(model='toys:toy', data='disc', out=Path(sys.argv[1]),"
        " options={'pause': '0.4', 'log': sys.argv[2]});"
        "generate(r); score(r, metrics=[MeanError(), Sometimes()])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "killed"), str(log)]
    where = str(Path(__file__).parent)
    victim = subprocess.Popen(command, cwd=where)
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "killed" / "predictions").glob("0*.mp4"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    done = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "killed" / "predictions").glob("0*.mp4")}
    assert 2 <= len(done) < 4, "the kill came too late to test anything"
    subprocess.run(command, cwd=where, check=True)
    for name, when in done.items():
        assert (tmp_path / "killed" / "predictions" / name).stat().st_mtime_ns == when
    assert len(log.read_text().splitlines()) <= 5, "a complete sample was generated again"
    options = {"pause": "0.4", "log": str(log)}
    run(tmp_path / "whole", options=options)
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


def test_clips_at_once_give_the_same_run(tmp_path: Path) -> None:
    log, alone = tmp_path / "calls", tmp_path / "alone"
    run(alone)
    made = generate(
        EvalRequest(model="toys:together", options={"batch": "3", "log": str(log)}, data="disc", out=tmp_path / "m")
    )
    assert log.read_text().split() == ["3"], "four clips: three at once, and one alone"
    for i in made.samples:
        assert RunFolder(tmp_path / "m").prediction(i).read_bytes() == RunFolder(alone).prediction(i).read_bytes()
        record = json.loads(record_path(RunFolder(tmp_path / "m").prediction(i)).read_text())
        assert record["seed"] == sample_seed(0, i) and record["seconds"] >= 0


def test_a_batch_that_breaks_is_made_clip_by_clip(tmp_path: Path) -> None:
    heard = Heard()
    asked = EvalRequest(
        model="toys:together", options={"batch": "4", "fail_at": "Noon"}, data="disc", out=tmp_path / "m"
    )
    made = generate(asked, heard)
    there = [i for i in made.samples if RunFolder(tmp_path / "m").prediction(i).is_file()]
    (lost,) = set(made.samples) - set(there)
    assert (
        "RuntimeError: the toy broke"
        in json.loads(RunFolder(tmp_path / "m").failure(lost, "generate").read_text())["message"]
    )
    assert "4 clips at once failed and are made one by one: RuntimeError: the toy broke" in heard.notices


def test_one_bad_clip_does_not_stop_the_others(tmp_path: Path) -> None:
    result = run(tmp_path, options={"fail_at": "Noon"})
    bad = "00001_Noon_loc0_Straight_Sweep_0"
    assert result.failures == {bad: "generate: RuntimeError: the toy broke"}
    rows = [r for r in read_rows(tmp_path / "rows.jsonl") if r.sample == bad]
    assert len(rows) == 2 and all(r.value is None and "generate failed: RuntimeError" in str(r.reason) for r in rows)
    assert result.summary["mae"].scored == 3 and result.summary["mae"].total == 4
    assert "Traceback" in json.loads((tmp_path / "errors" / f"{bad}.generate.json").read_text())["traceback"]


def test_a_model_of_the_wrong_length_is_told(tmp_path: Path) -> None:
    result = run(tmp_path, options={"shape": "short"}, limit=1)
    (text,) = result.failures.values()
    assert "returned uint8 (18, 48, 80, 3)" in text and "expected uint8 (21, 48, 80, 3)" in text


def test_other_options_are_refused_before_data_and_model_are_made(tmp_path: Path, monkeypatch) -> None:
    """A memory that is tried untrained and then trained has one usual folder: that was said after a minute."""
    run(tmp_path / "one", limit=1)
    (tmp_path / "one-2").mkdir()
    monkeypatch.setattr("hmbench.run.evaluate.open_data", None)
    with pytest.raises(UserError, match=r"it differs in options\..*for example .*one-3, or delete"):
        run(tmp_path / "one", options={"fail_at": "Noon"}, limit=1)


def test_usual_folders_have_no_blanks() -> None:
    assert default_out("my model", "my holiday-pan-left:40", 3) == Path("runs/my-model-my-holiday-pan-left.40-seed3")


def test_another_run_is_never_mixed_in(tmp_path: Path) -> None:
    run(tmp_path, seed=1)
    with pytest.raises(UserError, match=r"it differs in samples \(4 there, 2 asked for: --limit, --sample\)\. Choose"):
        run(tmp_path, seed=1, limit=2)
    with pytest.raises(UserError, match=r"holds another run: it differs in seed\..*for example .*-2, or delete"):
        run(tmp_path, seed=2)
    shutil.rmtree(tmp_path / "predictions")
    (tmp_path / "run.json").unlink()
    with pytest.raises(UserError, match="is not empty and holds no run"):
        run(tmp_path)


def test_a_run_inside_a_sample_is_refused_before_anything_is_generated(disc_folder: Path) -> None:
    """Its files became part of the data: every clip was generated, and none could be scored."""
    sample = sorted(p.name for p in disc_folder.iterdir() if p.is_dir())[0]
    out = disc_folder / sample / "runs" / "a"
    with pytest.raises(UserError, match=f"is inside the sample {sample}"):
        evaluate(EvalRequest(model="toys:toy", data=str(disc_folder), out=out), metrics=[MeanError()])
    assert not out.exists()


def test_seeds_follow_from_run_and_sample(tmp_path: Path) -> None:
    run(tmp_path / "a", seed=1)
    run(tmp_path / "b", seed=1, limit=2)
    run(tmp_path / "c", seed=2, limit=2)
    sample = DiscWorld().ids("all")[1]
    a, b, c = (RunFolder(tmp_path / n).prediction(sample).read_bytes() for n in "abc")
    assert a == b != c


def write_predictions(folder: Path, frames: int, size: tuple[int, int] = (48, 80)) -> None:
    for sample in DiscWorld().ids("all"):
        write_lossless(folder / f"{sample}.mp4", np.full((frames, *size, 3), 99, np.uint8), fps=15)


def test_anyones_videos_target_alone_or_whole(tmp_path: Path) -> None:
    write_predictions(tmp_path / "target", 21)
    for path in sorted((tmp_path / "target").iterdir()):
        context = DiscWorld().load(path.stem).prompt.context
        both = np.concatenate([context, np.full((21, 48, 80, 3), 99, np.uint8)])
        write_lossless(tmp_path / "whole" / path.name, both, fps=15)
    a = run(tmp_path / "a", model=None, predictions=tmp_path / "target")
    b = run(tmp_path / "b", model=None, predictions=tmp_path / "whole")
    assert a.summary["mae"].mean == b.summary["mae"].mean
    assert json.loads((tmp_path / "b" / "samples.jsonl").read_text().splitlines()[0])["context_frames_dropped"] == 21


def test_videos_of_another_size_are_resized_and_recorded(tmp_path: Path) -> None:
    write_predictions(tmp_path / "small", 21, (24, 40))
    result = run(tmp_path / "a", model=None, predictions=tmp_path / "small")
    assert result.failures == {}
    assert json.loads((tmp_path / "a" / "samples.jsonl").read_text().splitlines()[0])["resized_from"] == [40, 24]


def test_videos_that_do_not_fit_are_counted_not_dropped(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p", 21)
    first, second, third, _ = DiscWorld().ids("all")
    write_lossless(tmp_path / "p" / f"{third}.mp4", np.full((20, 48, 80, 3), 99, np.uint8), fps=15)
    (tmp_path / "p" / f"{first}.mp4").unlink()
    (tmp_path / "p" / f"{second}.mp4").write_bytes(b"nothing")
    result = run(tmp_path / "a", model=None, predictions=tmp_path / "p")
    assert "There is no video" in result.failures[first] or "no prediction" in result.failures[first]
    assert "damaged or no video" in result.failures[second]
    assert "has 20 frames, expected 21 (the target) or 42" in result.failures[third] and len(result.failures) == 3
    assert result.summary["mae"].total == 4 and result.summary["mae"].scored == 1
    shutil.rmtree(tmp_path / "p")
    write_predictions(tmp_path / "p", 20)
    with pytest.raises(UserError, match=r"has 20 frames.*None of the 4 predictions can be scored"):
        run(tmp_path / "b", model=None, predictions=tmp_path / "p")
    assert not (tmp_path / "b" / "run.json").exists()


class Heard(Silent):
    def __init__(self):
        self.notices = []

    def notice(self, text):
        self.notices.append(text)


def test_empty_prompts_are_said_before_anything_is_generated(disc_folder: Path, tmp_path: Path) -> None:
    ids = HMWorld(disc_folder).ids("all")
    request = EvalRequest(model="toys:toy", data=str(disc_folder), out=tmp_path / "a", split="all")
    (disc_folder / "caption.txt").write_text("one caption\ntwo captions\nthree captions\n")
    generate(request, heard := Heard())
    (said,) = heard.notices
    assert said.startswith(f"{len(ids)} of {len(ids)} prompts have no caption ({ids[0]}, ")
    assert "caption.txt was read as unknown: its 3 lines name no sample" in said
    (disc_folder / "caption.txt").write_text("".join(f"{i}\ta caption\n" for i in ids[1:]))
    generate(replace(request, out=tmp_path / "b"), heard := Heard())
    assert heard.notices == [
        f"1 of {len(ids)} prompts have no caption ({ids[0]}): a model that reads text is given an empty one."
    ]


def test_untrained_models_say_so_on_every_surface(tmp_path: Path) -> None:
    result = run(tmp_path, model="toys:untrained", limit=1)
    sentence = "Untrained weights: no result."
    assert result.manifest.model_info["notice"] == sentence
    for name in ("run.json", "summary.json", "table.md", "table.tex"):
        assert sentence in (tmp_path / name).read_text(), name
    assert all(row.trained is False for row in read_rows(tmp_path / "rows.jsonl"))
    assert ",False," in (tmp_path / "table.csv").read_text()


def test_unknown_names_are_answered_with_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no model 'hydrra'.*Did you mean 'hydra'"):
        run(tmp_path, model="hydrra")
    with pytest.raises(UserError, match=r"no option 'fail_att'.*Did you mean 'fail_at'"):
        run(tmp_path, options={"fail_att": "x"})
    with pytest.raises(UserError, match="is not a finite number"):
        run(tmp_path, options={"pause": "soon"})
    with pytest.raises(UserError, match="no data folder"):
        run(tmp_path, data="nowhere")
    with pytest.raises(UserError, match="no sample"):
        run(tmp_path, samples=("x",))
    with pytest.raises(UserError, match="no shard 3 of 3"):
        run(tmp_path, shard=(3, 3))
    assert not (tmp_path / "predictions").exists()


def test_other_metric_weights_make_scores_stale(tmp_path: Path) -> None:
    run(tmp_path / "run", limit=1)
    stored = next((tmp_path / "run" / "scores").iterdir())
    before = json.loads(stored.read_text())["stamp"]
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "alexnet.pth").write_bytes(b"one")
    request = EvalRequest(data="disc", out=tmp_path / "run", weights=weights)
    score(request, metrics=[MeanError(), Sometimes()])
    first = json.loads(stored.read_text())["stamp"]
    (weights / "alexnet.pth").write_bytes(b"two")
    result = score(request, metrics=[MeanError(), Sometimes()])
    assert len({before, first, json.loads(stored.read_text())["stamp"]}) == 3
    assert "alexnet.pth" in result.manifest.metric_weights


def by_metric(folder: Path) -> dict[str, list]:
    found: dict[str, list] = {}
    for row in read_rows(folder / "rows.jsonl"):
        found.setdefault(row.metric, []).append(row)
    return found


def test_one_broken_metric_costs_its_own_rows_alone(tmp_path: Path) -> None:
    request = EvalRequest(model="toys:toy", data="disc", out=tmp_path, limit=2)
    generate(request)
    result = score(request, metrics=[Breaks(), MeanError(), Unstorable()])
    rows = by_metric(tmp_path)
    assert all(row.value is not None for row in rows["mae"])
    text = "OSError: no file named model.safetensors"
    assert {row.reason for row in rows["breaks"]} == {f"score failed: {text}"}
    assert all(row.value is None and "not JSON" in row.reason for row in rows["unstorable"])
    first, second = DiscWorld().ids("all")[:2]
    assert set(result.failures) == {first, second}, "the exit code and the leaderboard rest on these"
    assert result.failures[first].startswith(f"score: breaks: {text}; unstorable: ")
    lines = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    assert [line["failed"]["breaks"] for line in lines] == [text, text]
    assert lines[0]["scene"] is not None, "the clip itself is described as any other"
    assert json.loads((tmp_path / "summary.json").read_text())["scored_samples"] == 0
    record = json.loads((tmp_path / "errors" / f"{first}.score.json").read_text())
    assert "Traceback" in record["traceback"] and "breaks" in record["message"]


def test_a_mended_metric_is_scored_again(tmp_path: Path) -> None:
    request = EvalRequest(model="toys:toy", data="disc", out=tmp_path, limit=1)
    generate(request)
    metric = Breaks()
    assert score(request, metrics=[metric]).failures
    metric.__class__ = type("Mended", (Breaks,), {"__call__": lambda self, case: Score(1.0)})
    result = score(request, metrics=[metric])
    assert result.failures == {} and result.summary["breaks"].mean == 1
    assert list((tmp_path / "errors").iterdir()) == []
    assert "failed" not in json.loads((tmp_path / "samples.jsonl").read_text())


def test_metrics_that_break_for_one_reason_are_told_once(tmp_path: Path) -> None:
    request = EvalRequest(model="toys:toy", data="disc", out=tmp_path, limit=1)
    generate(request)
    others = [Breaks(), Breaks()]
    others[1].info = replace(Breaks.info, name="breaks_too")
    (text,) = score(request, metrics=others).failures.values()
    assert text == "score: breaks, breaks_too: OSError: no file named model.safetensors"


def test_a_broken_tracker_costs_the_rows_that_need_tracks(tmp_path: Path) -> None:
    request = EvalRequest(model="toys:toy", data="disc", out=tmp_path, limit=1)
    generate(request)
    result = score(request, metrics=[MeanError(), Followed()], tracker=Follower(RuntimeError("no GPU")))
    rows = by_metric(tmp_path)
    assert rows["mae"][0].value is not None
    assert rows["followed"][0].reason == "no tracker ran on the prediction: it failed: RuntimeError: no GPU"
    assert list(result.failures.values()) == ["score: tracker: RuntimeError: no GPU"]


def test_events_that_cannot_be_read_are_a_failure_not_an_empty_list(tmp_path: Path, monkeypatch) -> None:
    def broken(case: object) -> list[object]:
        raise IndexError("event 7")

    monkeypatch.setattr("hmbench.run.stages.event_rows", broken)
    result = run(tmp_path, limit=1)
    assert list(result.failures.values()) == ["score: events: IndexError: event 7"]
    assert result.summary["mae"].scored == 1


def test_a_sample_that_failed_says_so_in_samples(tmp_path: Path) -> None:
    run(tmp_path, options={"fail_at": "Noon"})
    lines = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    failed = {line["id"]: line["failed"] for line in lines if "failed" in line}
    assert failed == {"00001_Noon_loc0_Straight_Sweep_0": {"generate": "RuntimeError: the toy broke"}}


def test_a_split_that_lost_clips_is_scored_and_says_so(disc_folder: Path, tmp_path: Path) -> None:
    """A partial copy of data: fifteen of sixteen clips made a mean without a word."""
    data = tmp_path / "data"
    shutil.copytree(disc_folder, data)
    ids = sorted(p.parent.name for p in data.glob("*/cond.mp4"))
    (data / "splits.json").write_text(json.dumps({"mine": [*ids, "00099_Noon_loc0_Straight_Sweep_0"]}))
    asked = {"model": "copy-last", "data": str(data), "metrics": ("psnr",), "tracking": False}
    result = evaluate(EvalRequest(**asked, split="mine", out=tmp_path / "run"))
    said = f"1 of the {len(ids) + 1} clips listed for 'mine' are not here, such as 00099_Noon_loc0_Straight_Sweep_0."
    assert result.manifest.notices == (said,)
    assert said in (tmp_path / "run" / "table.md").read_text()
    whole = evaluate(EvalRequest(**asked, split="all", out=tmp_path / "whole"))
    assert whole.manifest.notices == () and said not in (tmp_path / "whole" / "table.md").read_text()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda data, name: data.load(name).prompt.context, "gives ndarray for {id}, and no Sample"),
        (lambda data, name: None, "gives NoneType for {id}, and no Sample"),
        (lambda data, name: data.load(data.ids("all")[1]), "gives the sample '{other}' for {id}"),
    ],
)
def test_a_source_that_gives_something_else_is_told(tmp_path: Path, given, said: str) -> None:
    class Odd(DiscWorld):
        def load(self, sample_id):
            return given(DiscWorld(), sample_id)

        def caption(self, sample_id):
            return None

    request = EvalRequest(model="copy-last", data="disc", out=tmp_path / "run", limit=1, metrics=("psnr",))
    ids = DiscWorld().ids("all")
    failures = evaluate(request, data=Odd()).failures
    assert said.format(id=ids[0], other=ids[1]) in failures[ids[0]]
