"""ultralytics without its side effects: no settings in the home folder, no network, no auto-install, no printing.

All of it happens when ultralytics is first imported, so hmbench imports it through `ultralytics_modules` only.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
from typing import Any, NamedTuple

_QUIET = {
    "YOLO_OFFLINE": "true",
    "YOLO_AUTOINSTALL": "false",
    "YOLO_VERBOSE": "false",
    "ULTRALYTICS_SAFE_LOAD": "true",
    "ULTRALYTICS_SKIP_REQUIREMENTS_CHECKS": "1",
}


class Modules(NamedTuple):
    """What hmbench uses of ultralytics."""

    tasks: Any
    """``ultralytics.nn.tasks``: networks from YAML, and the reading of released weights."""
    boxes: Any
    """``ultralytics.engine.results.Boxes``, what trackers are fed with."""
    byte_tracker: Any
    """``BYTETracker``."""
    bot_sort: Any
    """``BOTSORT``."""


def ultralytics_modules() -> Modules:
    """Imports ultralytics quietly and returns the parts that hmbench uses."""
    if "ultralytics" in sys.modules:
        return _modules()
    with tempfile.TemporaryDirectory(prefix="hmbench-yolo-") as folder, _environment(YOLO_CONFIG_DIR=folder, **_QUIET):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            modules = _modules()
        import logging

        logging.getLogger("ultralytics").setLevel(logging.ERROR)
        for handler in logging.getLogger("ultralytics").handlers:
            if isinstance(handler, logging.StreamHandler):
                handler.setStream(sys.stderr)
    return modules


def _modules() -> Modules:
    from ultralytics.engine.results import Boxes
    from ultralytics.nn import tasks
    from ultralytics.trackers.bot_sort import BOTSORT
    from ultralytics.trackers.byte_tracker import BYTETracker

    return Modules(tasks, Boxes, BYTETracker, BOTSORT)


@contextlib.contextmanager
def _environment(**values: str) -> Any:
    before = {key: os.environ.get(key) for key in values}
    os.environ.update({key: value for key, value in values.items() if before[key] is None})
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
