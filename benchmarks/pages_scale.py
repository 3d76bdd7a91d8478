"""A site of 1,000 clips and 20 models of made-up rows: how long it takes to build, how large and quick its pages are.

python benchmarks/pages_scale.py [--clips 1000] [--models 20] [--metrics 46]

Prints build time, the bytes that the first page loads, the largest clip page, and, where there is Chromium and
playwright, the time until the first page can be used. Compare times only within one run: machines differ.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "report" / "pages"))

from stage import make_run

from hmbench.report.pages.content import Site
from hmbench.report.pages.from_runs import boards_from_runs
from hmbench.report.pages.site import write_site
from hmbench.results.metric_record import metric_records

CLIP_ASSETS = ("app.js", "style.css", "player.js")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--metrics", type=int, default=46)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), asked.clips, asked.models, asked.metrics)


def measure(folder: Path, clips: int, models: int, metrics: int) -> dict[str, float]:
    """Builds and measures; returns the numbers that it prints."""
    described = {
        f"metric_{k:02d}": {
            "version": 1,
            "higher_is_better": (True, False)[k % 2],
            "unit": "",
            "headline": k < 8,
            "bounds": [0, None],
            "source": "made up",
        }
        for k in range(metrics)
    }
    runs = [
        make_run(folder / f"model-{k:02d}", clips=clips, shift=0.1 * k, metrics=metric_records(described), scenes=40)
        for k in range(models)
    ]
    begun, cpu = time.perf_counter(), time.process_time()
    boards = boards_from_runs(runs)
    read = time.process_time() - cpu
    site = folder / "site"
    write_site(Site(title="Scale", lead="Made up.", boards=tuple(boards)), site)
    found = {
        "read_cpu_s": read,
        "build_cpu_s": time.process_time() - cpu,
        "build_wall_s": time.perf_counter() - begun,
        "first_page_mb": first_page_bytes(site) / 1e6,
        "largest_clip_page_kb": max(p.stat().st_size for p in site.glob("b/*/clips/*.html")) / 1e3,
        "clip_page_assets_kb": sum((site / "assets" / n).stat().st_size for n in ("app.js", "style.css", "player.js"))
        / 1e3,
        "site_mb": sum(p.stat().st_size for p in site.rglob("*") if p.is_file()) / 1e6,
    }
    found |= usable_after(site)
    for name, value in found.items():
        print(f"{name}: {value:.2f}", flush=True)
    return found


def first_page_bytes(site: Path) -> int:
    """Everything that the first page loads, plots and their data included."""
    board = next((site / "data").iterdir())
    names = ["index.html", *(f"assets/{n}" for n in ("app.js", "table.js", "plots.js", "style.css"))]
    names += ["assets/vendor/d3.min.js", "assets/vendor/plot.umd.min.js", f"data/{board.name}/board.js"]
    return sum((site / name).stat().st_size for name in names)


def usable_after(site: Path) -> dict[str, float]:
    """Seconds until the table of the first page answers a click, median of five loads; nothing without a browser."""
    path = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        path = None
    if path is None:
        print("no browser: interactive time not measured")
        return {}
    times = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for _ in range(5):
            page = browser.new_page()
            begun = time.perf_counter()
            page.goto((site / "index.html").as_uri(), wait_until="commit")
            page.wait_for_selector("#board:not([aria-busy]) [data-sort=metric_01]")
            page.click("[data-sort=metric_01]")
            page.wait_for_selector("th[aria-sort] [data-sort=metric_01]")
            times.append(time.perf_counter() - begun)
            page.close()
        browser.close()
    return {"usable_after_s": sorted(times)[2], "usable_after_worst_s": max(times)}


if __name__ == "__main__":
    main()
