"""Captions in JSON: objects by id, lists of objects, columns, pairs, one in another; nothing where it is unclear."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hmbench.data.caption_labels import CAPTION_NAMES, ID_NAMES, Labels

Pairs = list[tuple[str, str]]
"""Labels as the file has them, and captions."""
_DEEPEST = 4


def json_pairs(content: Any, labels: Labels, depth: int = 0) -> Pairs:
    """Labels that name samples, with their captions; empty if the shape is not known.

    Args:
        content: What the JSON holds.
        labels: The samples.
        depth: Objects around it.
    """
    if depth > _DEEPEST:
        return []
    if isinstance(content, dict):
        return (
            _by_id(content, labels)
            or _entry(content, labels)
            or _columns(content, labels)
            or _inner(list(content.values()), labels, depth)
        )
    if isinstance(content, list):
        if pair := _pair(content, labels):
            return [pair]
        return [
            found for one in content if isinstance(one, dict | list) for found in json_pairs(one, labels, depth + 1)
        ]
    return []


def bare_list(content: Any) -> list[str] | None:
    """The captions of a list of texts; None if it is none."""
    return content if isinstance(content, list) and content and all(isinstance(c, str) for c in content) else None


def _by_id(content: dict[str, Any], labels: Labels) -> Pairs:
    found = [(key, text) for key, value in content.items() if labels.id_of(key) and (text := _caption_in(value))]
    return found if len(found) >= 0.9 * min(len(content), len(labels.ids)) else []


def _entry(content: dict[str, Any], labels: Labels) -> Pairs:
    """An object with an id and a caption, under whichever names; among several other texts one must be called so."""
    texts = {key: value for key, value in content.items() if isinstance(value, str | int)}
    named = sorted((k for k, v in texts.items() if labels.id_of(v)), key=lambda key: key.casefold() not in ID_NAMES)
    caption_keys = [key for wanted in CAPTION_NAMES for key in content if key.casefold() == wanted]
    if not named or (not caption_keys and len({labels.id_of(texts[key]) for key in named}) > 1):
        return []
    label = next((key for key in named if key not in caption_keys), None)
    if label is None:
        return []
    if caption_keys:
        text = _caption_in(content[caption_keys[0]])
    else:
        rest = [v for k, v in texts.items() if k not in named and isinstance(v, str) and v.strip()]
        text = rest[0].strip() if len(rest) == 1 else None
    return [(str(texts[label]), text)] if text else []


def _columns(content: dict[str, Any], labels: Labels) -> Pairs:
    lists = {key.casefold(): value for key, value in content.items() if isinstance(value, list)}
    names = next((lists[key] for key in lists if key in ID_NAMES), None)
    texts = next((lists[key] for key in CAPTION_NAMES if key in lists), None)
    if names is None or texts is None or len(names) != len(texts):
        return []
    rows = zip(names, texts, strict=True)
    return [(str(name), text.strip()) for name, text in rows if labels.id_of(name) and isinstance(text, str)]


def _inner(values: Sequence[Any], labels: Labels, depth: int) -> Pairs:
    """What one of an object's values holds; if two hold captions, neither is believed."""
    found = [pairs for value in values if (pairs := json_pairs(value, labels, depth + 1))]
    return found[0] if len(found) == 1 else []


def _pair(content: list[Any], labels: Labels) -> tuple[str, str] | None:
    if len(content) != 2 or not all(isinstance(one, str) for one in content):
        return None
    return (content[0], content[1].strip()) if labels.id_of(content[0]) else None


def _caption_in(value: Any) -> str | None:
    """The caption in a text, a list of one text, or an object with a caption."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        value = next((value[k] for wanted in CAPTION_NAMES for k in value if k.casefold() == wanted), None)
    return value.strip() or None if isinstance(value, str) else None
