"""A headless Chromium for the tests of pages, and a page that forgives nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install -e .[browser]"
    )
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium) -> Iterator[object]:
    """A page that fails the test for any error on its console and any request that leaves the folder."""
    with chromium.new_context(viewport={"width": 1280, "height": 900}) as context:
        shown = context.new_page()
        wrong: list[str] = []
        shown.on("console", lambda m: wrong.append(f"console: {m.text}") if m.type in {"error", "warning"} else None)
        shown.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        shown.on(
            "request",
            lambda r: wrong.append(f"request: {r.url}") if not r.url.startswith(("file:", "data:", "blob:")) else None,
        )
        shown.on(
            "requestfailed",
            lambda r: wrong.append(f"failed: {r.url} {r.failure}") if "ERR_ABORTED" not in str(r.failure) else None,
        )
        yield shown
        assert wrong == []
