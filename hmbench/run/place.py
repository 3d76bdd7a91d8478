"""Which share of a run this process has when a launcher started it: torchrun, srun, a Slurm array, mpirun.

>>> place_of({"RANK": "1", "WORLD_SIZE": "4"})
Place(number=1, total=4, local=None, source='RANK and WORLD_SIZE')
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from hmbench.errors import UserError

BATCH_STEP = "4294967291"
"""Step id of a Slurm batch script, where newer versions give it one."""
LAUNCHERS = (
    ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"),
    ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
    ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"),
)
"""Variables of a rank, the number of ranks, and the rank on its machine; the first that is set counts."""


class Place(NamedTuple):
    """A process among those that a launcher started."""

    number: int
    """From 0."""
    total: int
    """How many there are."""
    local: int | None
    """Its number on its machine, from 0: which GPU is its own."""
    source: str
    """The variables that say so; empty for a process of its own."""


ALONE = Place(0, 1, None, "")


def place_of(environment: Mapping[str, str]) -> Place:
    """The place that the environment tells.

    Within each task of a Slurm array, srun may start several processes: then every one has a share of its task's share.

    Raises:
        UserError: If the variables contradict each other, or an array's tasks cannot be counted off.
    """
    array, rank = _array(environment), _rank(environment)
    if array.total == 1:
        return rank
    source = " and ".join(part for part in (array.source, rank.source) if part)
    return Place(array.number * rank.total + rank.number, array.total * rank.total, rank.local, source)


def _rank(environment: Mapping[str, str]) -> Place:
    for rank, size, local in LAUNCHERS:
        if rank not in environment or size not in environment:
            continue
        if size == "SLURM_NTASKS" and _in_batch_script(environment):
            continue  # sbatch --ntasks=4 alone starts one process; srun in it would start four
        number, count = _number(environment, rank), _number(environment, size)
        if count == 1:
            continue
        if not 0 <= number < count:
            raise _contradiction(f"{rank}={number}", f"{size}={count}")
        place = _number(environment, local) if local in environment else None
        return Place(number, count, place, f"{rank} and {size}")
    return ALONE


def _array(environment: Mapping[str, str]) -> Place:
    """The place in a Slurm job array: its ids may begin anywhere and have a step, but not be a list with gaps."""
    if "SLURM_ARRAY_TASK_ID" not in environment or "SLURM_ARRAY_TASK_COUNT" not in environment:
        return ALONE
    task, count = _number(environment, "SLURM_ARRAY_TASK_ID"), _number(environment, "SLURM_ARRAY_TASK_COUNT")
    first = _number(environment, "SLURM_ARRAY_TASK_MIN") if "SLURM_ARRAY_TASK_MIN" in environment else 0
    step = _number(environment, "SLURM_ARRAY_TASK_STEP") if "SLURM_ARRAY_TASK_STEP" in environment else 1
    last = _number(environment, "SLURM_ARRAY_TASK_MAX") if "SLURM_ARRAY_TASK_MAX" in environment else None
    number, rest = divmod(task - first, max(step, 1))
    if rest or not 0 <= number < count or (last is not None and first + (count - 1) * max(step, 1) != last):
        raise UserError(
            f"The place of task {task} among the {count} of this Slurm array cannot be told: its ids have gaps, or do "
            f"not begin at {first}.",
            "Submit it with --array=0-N, or say --shard k/n.",
        )
    return Place(number, count, None, "SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT")


def _in_batch_script(environment: Mapping[str, str]) -> bool:
    """Whether this is sbatch's own process, not one of srun's."""
    if "SLURM_JOB_ID" not in environment or "SLURM_STEP_NUM_TASKS" in environment:
        return False
    step = environment.get("SLURM_STEP_ID", environment.get("SLURM_STEPID"))
    return step is None or step == BATCH_STEP


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment[name].strip()
    if not text.isdecimal():
        raise UserError(f"{name}={text!r} is no number.", "Unset it, or say --shard k/n.")
    return int(text)


def _contradiction(a: str, b: str) -> UserError:
    return UserError(f"{a} does not go with {b}.", "Unset both, or say --shard k/n.")
