"""Captions for clips without one, by any image-text model of the Hub that transformers can run.

``hmbench data caption FOLDER --model Qwen/Qwen2.5-VL-3B-Instruct`` looks at a few frames of each context and asks for
one to three sentences, as HM-World's own captions have. Only the context is shown: a caption of the target would tell
a world model what it has to predict. Greedy decoding: the same model and clip give the same text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hmbench.data.captions_file import is_json, names_sample, read_captions
from hmbench.data.hm_world import HMWorld
from hmbench.errors import UserError
from hmbench.files import read_json, write_json, write_text
from hmbench.types import Video
from hmbench.video.files import read_video

QUESTION = (
    "These are frames of one video, in order. Describe in one to three sentences the place, the moving subjects "
    "(who or what they are, what they look like, what they do) and how the camera moves. Answer with the text only."
)
RECORD = "captions.json"
"""Beside ``caption.txt``: which captions a model wrote, and which model."""


class Captioner(Protocol):
    """Writes captions."""

    name: str
    """Model and revision, for the record."""

    def caption(self, frames: Video) -> str:
        """One to three sentences on a few frames, ``[N, H, W, 3]``."""
        ...


@dataclass(frozen=True, kw_only=True)
class CaptionReport:
    """What captioning a folder did."""

    written: dict[str, str]
    """New captions by id."""
    kept: int
    """Samples that had one."""
    empty: tuple[str, ...]
    """Samples for which the model wrote nothing."""


class TransformersCaptioner:
    """Any model of the pipeline ``image-text-to-text``.

    Args:
        model: Repository or folder.
        device: Torch device.
        revision: Revision of the repository.
        max_new_tokens: Longest answer in tokens.
        question: What it is asked.
    """

    def __init__(
        self,
        model: str,
        *,
        device: str = "cpu",
        revision: str | None = None,
        max_new_tokens: int = 160,
        question: str = QUESTION,
    ) -> None:
        import torch
        from transformers import pipeline

        self.name = f"{model}@{revision}" if revision else model
        self._question = question
        self._max_new_tokens = max_new_tokens
        dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
        try:
            self._pipeline: Any = pipeline(
                "image-text-to-text", model=model, revision=revision, device=device, dtype=dtype
            )
        except (OSError, ValueError, KeyError) as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UserError(
                f"The captioning model {model!r} cannot be loaded: {first}",
                "Give an image-text-to-text model of the Hub or its folder; offline, it must be in the cache.",
            ) from error

    def caption(self, frames: Video) -> str:
        """See `Captioner`."""
        from PIL import Image

        images = [{"type": "image", "image": Image.fromarray(frame)} for frame in frames]
        messages = [{"role": "user", "content": [*images, {"type": "text", "text": self._question}]}]
        answer = self._pipeline(
            text=messages,
            return_full_text=False,
            generate_kwargs={"do_sample": False, "max_new_tokens": self._max_new_tokens},
        )
        return str(answer[0]["generated_text"])


def caption_folder(
    folder: Path,
    captioner: Captioner,
    *,
    num_frames: int = 4,
    overwrite: bool = False,
    on_sample: Callable[[str], None] | None = None,
) -> CaptionReport:
    """Writes captions into ``caption.txt``, after each sample, so that a killed run goes on where it was.

    Args:
        folder: A folder in HM-World's layout.
        captioner: What writes them.
        num_frames: Frames of the context that it is shown, spread evenly.
        overwrite: Also replace captions that are there.
        on_sample: Called with each id.
    """
    data = HMWorld(folder)
    ids = data.ids("all")
    before = {sample: text for sample in ids if (text := data.caption(sample))}
    written, empty = dict[str, str](), list[str]()
    for sample in ids:
        if sample in before and not overwrite:
            continue
        context = read_video(data.place(sample) / "cond.mp4")
        chosen = np.linspace(0, len(context) - 1, min(num_frames, len(context))).round().astype(int)
        text = one_line(captioner.caption(context[chosen]))
        if text:
            written[sample] = text
            _append(data.folder, {**before, **written}, sample, captioner.name)
        else:
            empty.append(sample)
        if on_sample:
            on_sample(sample)
    return CaptionReport(written=written, kept=0 if overwrite else len(before), empty=tuple(empty))


def one_line(answer: str) -> str:
    """An answer as a caption: one line, without quotation marks around it."""
    text = " ".join(answer.split())
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _append(folder: Path, expected: dict[str, str], sample: str, model: str) -> None:
    """Adds one caption in place of the sample's old one; the rest stays, also captions of samples not here."""
    path = folder / "caption.txt"
    old = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    old = "".join(line for line in old.splitlines(keepends=True) if not names_sample(line, sample))
    new = old + ("\n" if old and not old.endswith("\n") else "") + f"{sample}\t{expected[sample]}\n"
    trial = path.with_name(".caption.trial")
    try:
        write_text(trial, new)
        fits = not is_json(old) and read_captions(trial, sorted(expected)) == expected
    finally:
        trial.unlink(missing_ok=True)
    if not fits:
        raise UserError(
            f"{path} is in a form to which no line can be added.", "Move it away; its captions are read no longer then."
        )
    write_text(path, new)
    record = read_json(folder / RECORD) if (folder / RECORD).is_file() else {}
    write_json(folder / RECORD, {**record, sample: model})
