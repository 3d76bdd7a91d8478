"""What people chose on a study's page: files from strangers, checked, and turned back into runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hmbench.errors import UserError
from hmbench.files import read_json
from hmbench.study.page import FORMAT, WORDS, Plan

LARGEST_FILE = 10_000_000
"""Bytes; choices of a thousand clips take a tenth of it."""
SIDES = {"left": 1.0, "right": -1.0, "equal": 0.0}


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What one person chose on one clip."""

    rater: str
    """Who."""
    sample: str
    """Clip."""
    preference: float
    """1: the study's first run remembers better, -1: its second, 0: no difference."""
    wrong: tuple[frozenset[str], frozenset[str]]
    """What is wrong with the first and the second run."""
    repeated: bool
    """Whether the clip was asked again; such judgements measure the person and not the metrics."""


def read_choices(path: Path) -> dict[str, Any]:
    """A file that a person saved from the page, checked.

    Raises:
        UserError: If it is no such file; the message says what is wrong with it.
    """
    hint = "Give files that were saved by the page's last button."
    if not path.is_file():
        raise UserError(f"There is no file {path}.", hint)
    if path.stat().st_size > LARGEST_FILE:
        raise UserError(f"{path} is too large for choices.", hint)
    try:
        content = read_json(path, kind=dict)
        wrong = _problem(content)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        wrong = f"{type(error).__name__}: {str(error)[:100]}"
    if wrong:
        raise UserError(f"{path} holds no choices: {wrong}.", hint)
    return dict(content)


def _problem(content: Any) -> str | None:
    """What is wrong with the content of a file."""
    if content["format"] != FORMAT:
        return f"format {content['format']!r}, expected {FORMAT}"
    for key, kind in (
        ("study", str),
        ("rater", str),
        ("seed", int),
        ("repeats", int),
        ("clips", list),
        ("choices", list),
    ):
        if not isinstance(content[key], kind):
            return f"{key} is no {kind.__name__}"
    if not all(isinstance(clip, str) for clip in content["clips"]) or not content["rater"].strip():
        return "a clip or the rater has no name"
    if not 0 <= content["repeats"] <= len(content["clips"]) or content["seed"] < 0:
        return "its seed or its number of repeats cannot be"
    for choice in content["choices"]:
        if choice["better"] not in SIDES:
            return f"better is {choice['better']!r:.40}"
        if not isinstance(choice["item"], int) or not isinstance(choice["sample"], str):
            return "a choice has no item or sample"
        if not {*choice["left_wrong"], *choice["right_wrong"]} <= set(WORDS):
            return "it names faults that the page does not offer"
    items = [choice["item"] for choice in content["choices"]]
    return "an item is answered twice" if len(set(items)) < len(items) else None


def judgements(content: dict[str, Any], plan: Plan) -> list[Judgement]:
    """What a file says of the study's runs.

    Raises:
        UserError: If it answers what the study did not ask.
    """
    found = []
    for choice in content["choices"]:
        number = choice["item"]
        if not 0 <= number < len(plan.items) or plan.items[number].sample != choice["sample"]:
            raise UserError(
                f"The choices of {content['rater']!r:.40} do not fit the study: item {number} is not "
                f"{choice['sample']!r:.60}.",
                "Give the file as the page saved it.",
            )
        item = plan.items[number]
        wrong = frozenset(choice["left_wrong"]), frozenset(choice["right_wrong"])
        found.append(
            Judgement(
                rater=content["rater"].strip(),
                sample=item.sample,
                preference=SIDES[choice["better"]] * (1 if item.first_is_left else -1),
                wrong=wrong if item.first_is_left else (wrong[1], wrong[0]),
                repeated=item.repeated,
            )
        )
    return found


def refuse_doubles(judged: Iterable[Judgement]) -> None:
    """Raises UserError if somebody judged a clip twice."""
    seen = set()
    for j in judged:
        key = j.rater, j.sample, j.repeated
        if key in seen:
            raise UserError(
                f"There are two files of {j.rater!r:.40}, or two people of one name.",
                "Give one file a person, and people different names.",
            )
        seen.add(key)
