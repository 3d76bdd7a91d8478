"""Changes one line of the project at a time, in a copy, and runs the tests that should notice.

    python tests/mutations                        # all of them: the better part of an hour
    python tests/mutations ev-shown fid-region    # these
    python tests/mutations --part 0/2 & python tests/mutations --part 1/2

``mutations.json`` says where each change is, what it replaces and which tests should fail. ``survived`` is a hole in
the tests. ``gone`` means that the code moved: rewrite the change in the same spirit (a fast test keeps the list from
rotting). The exit code is the number of survivors.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "runs", "build", "__pycache__", ".*_cache", "*.egg-info", "images")
SECONDS = 1800


def main() -> int:
    """Runs the mutations and prints what became of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="mutations to try; all unless given")
    parser.add_argument("--list", type=Path, default=HERE / "mutations.json", help="another list")
    parser.add_argument("--part", default="0/1", help="k/n: every n-th mutation from the k-th on")
    given = parser.parse_args()
    first, step = (int(number) for number in given.part.split("/"))
    wanted = [m for m in json.loads(given.list.read_text()) if not given.names or m["name"] in given.names]
    counts: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="mutations-") as place:
        copy = Path(place) / "copy"
        shutil.copytree(PROJECT, copy, ignore=LEFT_OUT)
        for mutation in wanted[first::step]:
            found = attempt(copy, mutation)
            counts[found] = counts.get(found, 0) + 1
            sys.stdout.write(f"{found:9} {mutation['name']:26} {mutation['file']}\n")
            sys.stdout.flush()
    sys.stdout.write(", ".join(f"{count} {found}" for found, count in sorted(counts.items())) + "\n")
    return min(counts.get("survived", 0), 100)


def attempt(copy: Path, mutation: dict[str, str]) -> str:
    """What became of one mutation: killed, survived, gone, or broken (the tests could not run)."""
    path = copy / mutation["file"]
    text = path.read_text() if path.is_file() else ""
    if text.count(mutation["old"]) != 1:
        return "gone"
    path.write_text(text.replace(mutation["old"], mutation["new"]))
    # the copy comes first, whatever is installed
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.setdefault("HMBENCH_SHARED", str(PROJECT.parent / "shared"))
    command = [sys.executable, "-m", "pytest", *mutation["tests"].split(), "-x", "-q", "-p", "no:cacheprovider"]
    try:
        code = subprocess.run(command, cwd=copy, env=environment, capture_output=True, timeout=SECONDS).returncode
    except subprocess.TimeoutExpired:
        return "killed"
    finally:
        path.write_text(text)
    return {0: "survived", 1: "killed"}.get(code, "broken")


if __name__ == "__main__":
    sys.exit(main())
