"""Hub and network errors as sentences, without knowing which HTTP library huggingface-hub is built on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hmbench.errors import UserError


class HubError(UserError):
    """The Hub or the network between here and there failed."""


def transport_errors() -> tuple[type[BaseException], ...]:
    """What huggingface-hub's HTTP client raises when a connection fails (httpx2 now, httpx before)."""
    from huggingface_hub import get_session

    library = sys.modules[type(get_session()).__module__.partition(".")[0]]
    return library.HTTPError, ConnectionError, TimeoutError


def status_of(error: BaseException) -> int | None:
    """HTTP status behind an error, None if the connection failed before there was one."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return int(status) if status is not None else None


@contextmanager
def explain(action: str) -> Iterator[None]:
    """Turns failures of `action` into `HubError`.

    Args:
        action: What was tried, after "Could not".
    """
    from huggingface_hub.errors import EntryNotFoundError, FileMetadataError, OfflineModeIsEnabled

    expected: tuple[type[BaseException], ...] = (*transport_errors(), EntryNotFoundError, FileMetadataError)
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise HubError(
            f"Could not {action}: offline mode is on (HF_HUB_OFFLINE).",
            "Unset it, or fetch the files once with a network.",
        ) from error
    except expected as error:
        raise HubError(f"Could not {action}: {_reason(error)}", _hint(error)) from error


def _reason(error: BaseException) -> str:
    status = status_of(error)
    lines = str(error).strip().splitlines()
    said = lines[0].rstrip(".") if lines else type(error).__name__
    return f"{said}." if status is None or str(status) in said else f"HTTP {status}, {said}."


def _hint(error: BaseException) -> str:
    hints = {
        401: "Log in with `hf auth login` or set HF_TOKEN; check the repository's name.",
        403: "Accept the terms on the dataset's page, and use a token that may read it.",
        404: "Check the repository's name and the revision.",
        429: "The Hub limits requests: wait, or log in for a higher limit (`hf auth login`).",
    }
    return hints.get(status_of(error) or 0, "Check the network, HF_ENDPOINT and the proxy; a later call resumes.")
