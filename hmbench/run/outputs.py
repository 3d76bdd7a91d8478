"""What a model returned, as the frames that were asked for, or what is wrong with it and how to mend that."""

from __future__ import annotations

from typing import Any

import numpy as np

from hmbench.errors import SampleError
from hmbench.types import Video


def frames_of(given: Any, want: tuple[int, int, int, int], context: int, name: str) -> Video:
    """The frames that a model returned: an array, a tensor, or a list of frames or pictures.

    Args:
        given: What it returned.
        want: Target frames, height, width, 3.
        context: Frames of the context, for a hint.
        name: The model's.

    Raises:
        SampleError: If these are not uint8 frames of that shape; the hint says what to do about this very thing.
    """
    found = _array(given)
    if found is None or found.dtype != np.uint8 or found.shape != want:
        got = type(given).__name__ if found is None else f"{found.dtype} {found.shape}"
        if found is None and isinstance(given, list | tuple):
            got = f"{len(given)} things of other shapes" if given else "nothing"
        raise SampleError(f"Model {name} returned {got}, expected uint8 {want}.", _remedy(found, want, context))
    return found


def _array(given: Any) -> np.ndarray[Any, Any] | None:
    """What was given as one array; None if it is none."""
    try:
        if isinstance(given, np.ndarray) or hasattr(given, "detach"):
            return _plain(given)
        if isinstance(given, list | tuple) and given:
            return np.stack([_plain(one) for one in given])
    except (ValueError, TypeError):  # frames of several shapes; a number format that NumPy lacks
        pass
    return None


def _plain(given: Any) -> np.ndarray[Any, Any]:
    """An array, also of a tensor, perhaps on a GPU; torch itself need not be imported."""
    return np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)


def _remedy(found: np.ndarray[Any, Any] | None, want: tuple[int, int, int, int], context: int) -> str:
    """What to do about a wrong answer."""
    frames, height, width, _ = want
    if found is None or not np.issubdtype(found.dtype, np.number):
        return "generate() must return uint8 frames [Tt, H, W, 3] at the prompt's size."
    if found.ndim == 5 and found.shape[0] == 1:
        return "It is a batch of one: return frames[0]."
    if found.ndim == 4 and found.shape == (frames, 3, height, width):
        return "Channels come last: frames.transpose(0, 2, 3, 1)."
    if found.ndim == 4 and found.shape == (3, frames, height, width):
        return "Frames come first and channels last: frames.transpose(1, 2, 3, 0)."
    if found.ndim != 4 or found.shape[-1] != 3:
        return "generate() must return frames [Tt, H, W, 3], RGB."
    if found.shape[0] == frames + context:
        return f"Return what comes after the context alone: frames[{context}:]."
    if found.shape[0] != frames:
        return f"A frame for each camera of prompt.target_poses: {frames}."
    if found.shape[1:3] != (height, width):
        return f"Resize to the prompt's size, {width}x{height}."
    low, high = float(found.min()), float(found.max())
    if low >= 0 and high <= 1:
        return "From [0, 1]: (frames * 255).round().astype('uint8')."
    if low >= -1 and high <= 1:
        return "From [-1, 1]: ((frames + 1) * 127.5).round().astype('uint8')."
    return "As whole numbers from 0 to 255: frames.round().clip(0, 255).astype('uint8')."
