import pytest

from hmbench.errors import UserError
from hmbench.run.place import ALONE, place_of

ARRAY = {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "1",
         "SLURM_ARRAY_TASK_MAX": "10", "SLURM_ARRAY_TASK_STEP": "3"}  # fmt: skip


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({}, (0, 1, None, "")),
        ({"RANK": "1", "WORLD_SIZE": "4"}, (1, 4, None, "RANK and WORLD_SIZE")),
        ({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}, (5, 8, 1, "RANK and WORLD_SIZE")),
        ({"RANK": "0", "WORLD_SIZE": "1"}, (0, 1, None, "")),
        ({"SLURM_PROCID": "2", "SLURM_NTASKS": "3"}, (2, 3, None, "SLURM_PROCID and SLURM_NTASKS")),
        (
            {"SLURM_PROCID": "2", "SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "3", "SLURM_LOCALID": "0"},
            (2, 3, 0, "SLURM_PROCID and SLURM_STEP_NUM_TASKS"),
        ),
        # torchrun inside of srun: torchrun's ranks are those that count
        (
            {"RANK": "3", "WORLD_SIZE": "4", "SLURM_PROCID": "1", "SLURM_NTASKS": "2", "SLURM_STEP_ID": "0"},
            (3, 4, None, "RANK and WORLD_SIZE"),
        ),
        # a batch script with --ntasks=4 that does not use srun is one process
        ({"SLURM_JOB_ID": "9", "SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, (0, 1, None, "")),
        ({"SLURM_JOB_ID": "9", "SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_STEP_ID": "4294967291"}, tuple(ALONE)),
        (
            {"SLURM_JOB_ID": "9", "SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_STEP_ID": "0"},
            (0, 4, None, "SLURM_PROCID and SLURM_NTASKS"),
        ),
        (
            {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "8"},
            (3, 8, None, "SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT"),
        ),
        (ARRAY, (2, 4, None, "SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT")),
        (
            {**ARRAY, "SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2", "SLURM_LOCALID": "1"},
            (5, 8, 1, "SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT and SLURM_PROCID and SLURM_STEP_NUM_TASKS"),
        ),
        (
            {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"},
            (1, 2, None, "OMPI_COMM_WORLD_RANK and OMPI_COMM_WORLD_SIZE"),
        ),
        ({"PMI_RANK": "0", "PMI_SIZE": "2"}, (0, 2, None, "PMI_RANK and PMI_SIZE")),
    ],
)  # fmt: skip
def test_the_place_that_a_launcher_tells(environment: dict[str, str], place: tuple) -> None:
    assert tuple(place_of(environment)) == place


def test_shares_of_an_array_of_steps_cover_everything_once() -> None:
    places = [
        place_of({"SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_MIN": "0",
                  "SLURM_PROCID": str(rank), "SLURM_STEP_NUM_TASKS": "2"})
        for task in range(3) for rank in range(2)
    ]  # fmt: skip
    assert [p.number for p in places] == [0, 1, 2, 3, 4, 5] and {p.total for p in places} == {6}


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"RANK": "4", "WORLD_SIZE": "4"}, "RANK=4 does not go with WORLD_SIZE=4"),
        ({"RANK": "x", "WORLD_SIZE": "4"}, "RANK='x' is no number"),
        (
            {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_MIN": "0",
             "SLURM_ARRAY_TASK_MAX": "7", "SLURM_ARRAY_TASK_STEP": "1"},
            "cannot be told: its ids have gaps",
        ),
        ({"SLURM_ARRAY_TASK_ID": "4", "SLURM_ARRAY_TASK_COUNT": "4"}, "cannot be told"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_refused(environment: dict[str, str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        place_of(environment)
