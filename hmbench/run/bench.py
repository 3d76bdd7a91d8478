"""What one process needs to work on the samples of a run, loaded once, and its two pieces of work on one sample.

A run in one process and a worker of many both work through a `Bench`, so that they cannot differ in what they compute.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hmbench.data.dataset import Dataset, load_sample
from hmbench.errors import UserError
from hmbench.files import read_json, write_json
from hmbench.protocols import Batches, Metric, ModelInfo, SubjectTracker
from hmbench.registry import AnyModel, create_model
from hmbench.results.prediction_files import find_predictions
from hmbench.results.prediction_record import run_identity, why_not_done
from hmbench.results.reading import folder_of_predictions
from hmbench.results.records import RunManifest
from hmbench.results.run_folder import RunFolder
from hmbench.results.sample_scores import Failure
from hmbench.run.request import EvalRequest, Reporter
from hmbench.run.scorers import make_scorer
from hmbench.run.stages import Scorer, attempt, failed_sample, generate_sample, generate_samples, score_sample


class Bench:
    """Model, metrics and tracker of a run, each made when it is first needed.

    Args:
        request: The run.
        data: Its data, open.
        reporter: Hears notices.
        metrics: Instead of the profile's metrics.
        tracker: Instead of the profile's tracker.
        model: Instead of the model that the request names.
    """

    def __init__(
        self,
        request: EvalRequest,
        data: Dataset,
        reporter: Reporter,
        *,
        metrics: Sequence[Metric] | None = None,
        tracker: SubjectTracker | None = None,
        model: AnyModel | None = None,
    ) -> None:
        self.request, self.data, self.reporter = request, data, reporter
        self.run = RunFolder(request.out)
        self._metrics, self._tracker = metrics, tracker
        self._model = model
        self._files: dict[str, Path] | None = None
        self._identity: str | None = None
        self._scorer: tuple[Scorer, RunManifest] | None = None

    @property
    def model(self) -> AnyModel:
        """The model.

        Raises:
            UserError: If there is none of that name, or it refuses its options.
        """
        if self._model is None:
            request = self.request
            if request.model is None:
                raise UserError("No model was named.", "Give --model, or score existing videos with `hmbench score`.")
            self._model = create_model(
                request.model, profile=request.profile, device=request.device, options=request.options
            )
        return self._model

    def model_info(self) -> dict[str, Any]:
        """What the model says of itself; of videos that exist, what is known of them."""
        request = self.request
        return videos_info(request.predictions, request.name) if request.predictions else asdict(self.model.info)

    def scoring(self, manifest: RunManifest | None = None) -> tuple[Scorer, RunManifest]:
        """Metrics and tracker, and the manifest that records them.

        Args:
            manifest: The run's; by default as it stands in the folder.
        """
        if self._scorer is None:
            manifest = manifest or self.run.read_manifest()
            scorer, made = make_scorer(self.request, manifest, self._metrics, self._tracker, self.reporter)
            self._scorer = scorer, replace(made, notices=tuple(dict.fromkeys([*made.notices, *self._absent(made)])))
        return self._scorer

    def _absent(self, manifest: RunManifest) -> list[str]:
        """A sentence on clips of the split that are not here: a mean over the others is another number."""
        absent: Callable[[str], tuple[str, ...]] = getattr(self.data, "absent", lambda split: ())
        lost = absent(manifest.split)
        if not lost or self.request.samples or self.request.limit:
            return []
        listed = len(lost) + len(self.data.ids(manifest.split))
        return [f"{len(lost)} of the {listed} clips listed for {manifest.split!r} are not here, such as {lost[0]}."]

    def identity(self) -> str:
        """`run_identity` of the run, as it stands in the folder."""
        if self._identity is None:
            self._identity = run_identity(self.run.read_manifest())
        return self._identity

    def why_not_done(self, sample: str) -> str | None:
        """Why a sample's video has to be made; None if the run's own is there and whole."""
        return why_not_done(self.run.prediction(sample), self.identity())

    def video(self, sample: str) -> Path:
        """The video of a sample that is scored; it may be missing."""
        folder = self.request.predictions
        if folder is None:
            return self.run.prediction(sample)
        if self._files is None:
            self._files = find_predictions(folder, self.data.ids("all"), self.request.match).files
        return self._files.get(sample, folder / f"{sample}.mp4")

    def generate(self, sample: str) -> Failure | None:
        """Generates a sample's video, unless it is there; None if all went well."""
        if self.why_not_done(sample) is None:
            return self._noted(sample, "generate", None)
        seed, identity = self.request.seed, self.identity()
        done = attempt(
            "generate", lambda: generate_sample(self.model, load_sample(self.data, sample), self.run, seed, identity)
        )
        return self._noted(sample, "generate", done if isinstance(done, Failure) else None)

    @property
    def at_once(self) -> int:
        """Samples that `generate_together` is best given."""
        return max(1, self.model.batch) if isinstance(self.model, Batches) else 1

    def generate_together(self, samples: Sequence[str]) -> dict[str, Failure | None]:
        """Generates several samples' videos at once, where the model can; a batch that breaks is made clip by clip."""
        model = self.model
        if len(samples) > 1 and isinstance(model, Batches):
            todo = [sample for sample in samples if self.why_not_done(sample) is not None]
            seed, identity = self.request.seed, self.identity()
            done = attempt(
                "generate",
                lambda: generate_samples(model, [load_sample(self.data, i) for i in todo], self.run, seed, identity),
            )
            if isinstance(done, Failure):
                self.reporter.notice(f"{len(todo)} clips at once failed and are made one by one: {done.message}")
        return {sample: self.generate(sample) for sample in samples}

    def score(self, sample: str) -> Failure | None:
        """Tracks and scores a sample's video; None if all went well, or if its video could not be generated."""
        scorer, _ = self.scoring()
        failed = self.run.failure(sample, "generate")
        video = self.video(sample)
        if not video.exists() and failed.is_file():
            failed_sample(sample, "generate", _message(failed), scorer, self.run)
            return None
        done = attempt("score", lambda: score_sample(load_sample(self.data, sample), video, self.run, scorer))
        if isinstance(done, Failure):
            failed_sample(sample, "score", done.message, scorer, self.run)
            return self._noted(sample, "score", done)
        if not done.failures:
            return self._noted(sample, "score", None)
        trace = "\n".join(failure.traceback for failure in done.failures).strip()
        return self._noted(sample, "score", Failure("score", done.failed, trace))

    def give_up(self, sample: str, stage: str, message: str, scorer: Scorer | None = None) -> Failure:
        """Records a sample that no worker survived; `scorer` tells the rows, by default the bench's own."""
        if stage == "score":
            failed_sample(sample, stage, message, scorer or self.scoring()[0], self.run)
        failure = Failure(stage, message, "")
        self._noted(sample, stage, failure)
        return failure

    def _noted(self, sample: str, stage: str, failure: Failure | None) -> Failure | None:
        """Writes a failure beside the results, or takes back an old one."""
        path = self.run.failure(sample, stage)
        if failure is None:
            path.unlink(missing_ok=True)
        else:
            write_json(path, {"stage": stage, "message": failure.message, "traceback": failure.traceback})
        return failure


def _message(path: Path) -> str:
    """What an earlier command recorded of a failure."""
    try:
        return str(read_json(path, kind=dict)["message"])
    except (UserError, KeyError):
        return "its record was damaged"


def videos_info(folder: Path, name: str | None = None) -> dict[str, Any]:
    """What is known of videos that no model of ours made.

    Args:
        folder: Where they are.
        name: What tables call whoever made them; None for the folder's name.

    Raises:
        UserError: If there is no such folder.
    """
    folder_of_predictions(folder)
    return asdict(ModelInfo(name=name or folder.resolve().name, description="videos from a folder"))
