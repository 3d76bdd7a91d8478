"""docs/scaling.md and its scripts for clusters: they parse, and every hmbench command in it has options that exist."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer
import yaml

from hmbench.cli import app

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = (DOCS / "scaling.md").read_text() + (DOCS / "scaling" / "clusters.md").read_text()
SCRIPTS = re.findall(r"^```bash\n(.*?)^```", PAGE, re.S | re.M)
JOB = yaml.safe_load(re.findall(r"^```yaml\n(.*?)^```", PAGE, re.S | re.M)[0])
COMMANDS = re.findall(r"hmbench ((?:eval|generate|score) .*)", "\n".join(SCRIPTS).replace("\\\n", " "))


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_shell(script: str) -> None:
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize("line", [*COMMANDS, JOB["spec"]["entrypoint"].removeprefix("hmbench ")])
def test_commands_parse(line: str) -> None:
    words = [word for word in shlex.split(line) if word != "&"]
    command = typer.main.get_command(app).commands[words[0]]  # type: ignore[attr-defined]
    with command.make_context(words[0], [w.replace("$RAY_ADDRESS", "host:6379") for w in words[1:]]) as context:
        assert context.params["model"] == "hydra"


def test_the_kubernetes_job_has_what_it_says() -> None:
    spec = JOB["spec"]["rayClusterSpec"]
    (group,) = spec["workerGroupSpecs"]
    for pod in (spec["headGroupSpec"]["template"]["spec"], group["template"]["spec"]):
        mounted = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        assert mounted == {"/runs", "/data"} and {v["name"] for v in pod["volumes"]} == {"runs", "data"}
    assert group["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
