"""What lies beside a prediction, ``predictions/<sample>.json``: its run, its sample and the digest of its bytes.

A prediction counts as done if its record is whole, of this run and sample, with the bytes that were recorded. Any other
is made again: one that a power loss cut, one of another run or sample, one that somebody replaced.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hmbench.digests import content_digest, file_digest
from hmbench.errors import SampleError, UserError
from hmbench.files import read_sealed, write_sealed
from hmbench.results.records import RunManifest
from hmbench.results.run_folder import RunFolder
from hmbench.video.files import read_video


def run_identity(manifest: RunManifest) -> str:
    """Digest of all that decides a run's predictions: model, options, weights, data, samples, seed."""
    return hashlib.sha256(json.dumps(manifest.identity(), sort_keys=True).encode()).hexdigest()[:32]


def record_path(prediction: Path) -> Path:
    """Where the record of a prediction lies."""
    return prediction.with_suffix(".json")


def write_record(prediction: Path, identity: str, facts: dict[str, Any], *, written: Path | None = None) -> None:
    """Records a prediction that was just written.

    Args:
        prediction: The video.
        identity: `run_identity` of its run.
        facts: What else is to be known, such as seed and seconds.
        written: Where its bytes are meanwhile, if they have not taken its name yet.
    """
    there = written or prediction
    content = {
        **facts,
        "sample": prediction.stem,
        "run": identity,
        "sha256": file_digest(there),
        "bytes": there.stat().st_size,
    }
    write_sealed(record_path(prediction), content)


def why_not_done(prediction: Path, identity: str) -> str | None:
    """Why a prediction has to be made (again); None if it is there and whole.

    One of an earlier version, whose record has no digest, is decoded once and then recorded.
    """
    if not prediction.is_file():
        return "it is not there"
    if not record_path(prediction).is_file():
        return "it has no record"
    try:
        record = read_sealed(record_path(prediction), required=False)
    except UserError as error:
        return error.what
    if "sha256" not in record:
        return _adopt(prediction, identity, record)
    if record.get("run") != identity:
        return "another run made it"
    if record.get("sample", prediction.stem) != prediction.stem:
        return "it is another sample's"
    if prediction.stat().st_size != record.get("bytes") or content_digest(prediction) != record["sha256"]:
        return "its bytes are not those that were written"
    return None


def done_predictions(run: RunFolder, samples: Iterable[str]) -> Iterator[str]:
    """Samples whose predictions are there and whole; none where ``run.json`` does not tell what they must be."""
    try:
        identity = run_identity(run.read_manifest())
    except UserError:
        return
    yield from (i for i in samples if why_not_done(run.prediction(i), identity) is None)


def check_unchanged(prediction: Path) -> None:
    """Refuses a prediction of a run that is not the one that was generated; one without record passes.

    Raises:
        SampleError: If its bytes or its record were changed.
    """
    if not record_path(prediction).is_file():
        return
    again = "Generate it again (the run's own `hmbench eval` does), or score your videos with --predictions."
    try:
        record = read_sealed(record_path(prediction), required=False)
    except UserError as error:
        raise SampleError(error.what, again) from error
    if record.get("sample", prediction.stem) != prediction.stem:  # records of before do not say
        raise SampleError(f"{prediction} is the prediction of {record['sample']}.", again)
    if "sha256" in record and content_digest(prediction) != record["sha256"]:
        raise SampleError(f"{prediction} is not the video that was generated: its digest differs.", again)


def _adopt(prediction: Path, identity: str, record: dict[str, Any]) -> str | None:
    try:
        read_video(prediction)
    except SampleError as error:
        return error.what
    write_record(prediction, identity, record)
    return None
