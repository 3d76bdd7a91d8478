"""What people see while they wait."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from hmbench.cli import console
from hmbench.cli.pace import SHORTEST, Pace


def test_on_a_narrow_screen_a_long_name_stands_whole_below_its_bar(monkeypatch) -> None:
    """Sample names are long: they squeezed count and times down to their first figures, or were cut themselves."""
    name = "00032_FountainPlaza_loc2_SCurve_OrbitLeftEarly_990731"
    screen = Console(file=io.StringIO(), width=80, force_terminal=False)
    monkeypatch.setattr(console, "errors", screen)
    bar = console.progress_bar()
    bar.add_task("generate", total=32, completed=31, pace="12.5 clips a minute", note=name)
    screen.print(bar.get_renderable())
    shown = screen.file.getvalue()
    assert "31/32" in shown and "left" in shown and "12.5 clips a minute" in shown
    assert shown.splitlines()[1:] == [f"  {name}"]
    assert shown.count(":") == 4  # h:mm:ss or -:--:-- twice
    assert max(len(line) for line in shown.splitlines()) <= 80
    bar.update(bar.task_ids[0], note="00032")
    screen.file = io.StringIO()
    screen.print(bar.get_renderable())
    assert (
        screen.file.getvalue().rstrip().endswith("12.5 clips a minute  00032")
        and screen.file.getvalue().count("\n") == 1
    )


def test_a_command_that_is_refused_shows_no_bar(monkeypatch) -> None:
    """Before the first stage there is nothing to show: an empty line stood above every error."""
    screen = Console(file=io.StringIO(), width=80, force_terminal=False)
    monkeypatch.setattr(console, "errors", screen)
    with console.RichReporter() as reporter:
        pass
    assert screen.file.getvalue() == ""
    with console.RichReporter() as reporter:
        reporter.stage("score", 2, 0)
        time.sleep(2 * SHORTEST)
        reporter.advance("00001_City_loc2_TightLeft_StaticLeftLate_489397")
    line = screen.file.getvalue().strip()
    assert "1/2" in line and "a minute" in line and line.count("left") == 1


def test_a_bar_that_begins_with_its_first_clip_done_tells_no_speed() -> None:
    """Nine million clips a minute."""
    clock = iter([0.0, 1e-5, 3.0])
    pace = Pace(0, lambda: next(clock))
    assert pace.words(1, 4) == "" and pace.words(2, 4) == "40 clips a minute, 3 s left"


def test_a_name_on_a_progress_bar_is_text_on_one_line(monkeypatch) -> None:
    screen = Console(file=io.StringIO(), width=120, force_terminal=True)
    monkeypatch.setattr(console, "errors", screen)
    bar = console.progress_bar()
    bar.add_task("check", total=2, note="a\x1b[31mb\u202ec\nd[/]")
    screen.print(bar.get_renderable())
    shown = screen.file.getvalue()
    assert "a\\x1b[31mb\\u202ec\\nd[/]" in shown and "\x1b[31mb" not in shown and shown.count("\n") == 1


def test_control_characters_of_strangers_are_shown_and_not_sent(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.table import Table

    from hmbench.cli.console import SafeConsole, harmless

    table = Table("caption")
    table.add_row("\x1b[2Jgone \u202egnp.exe\x07")
    console = SafeConsole(force_terminal=True, width=100)
    console.print(table)
    console.print("[bold]kept[/] \x1b]0;title\x07", highlight=False)
    shown = capsys.readouterr().out
    assert "\\x1b[2Jgone \\u202egnp.exe" in shown and "\x1b[2J" not in shown and "\x1b]0" not in shown
    assert "\x1b[1mkept" in shown  # rich's own colours are still there
    assert harmless("ÄΩ→ 字\n\tplain") == "ÄΩ→ 字\n\tplain"


def test_the_same_failure_of_many_clips_is_told_twice_and_counted(monkeypatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(console, "errors", console.SafeConsole(file=shown, width=80))
    with console.RichReporter() as reporter:
        for clip in ("a1", "b2", "c3"):
            reporter.failed(clip, "generate", f"no frames of {clip}")
        reporter.failed("a1", "score", "other")
    assert shown.getvalue().splitlines() == [
        "generate failed for a1: no frames of a1",
        "score failed for a1: other",
        "generate failed alike for 2 more: no frames of a clip",
    ]
