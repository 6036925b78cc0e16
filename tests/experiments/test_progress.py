"""The remaining time follows from finished jobs, the positions of running ones, and the slots."""

import pytest
from finished_jobs import finish_jobs
from tiny_plan import write_plan

from epsanet_mmdet.experiments import prepare_plan
from epsanet_mmdet.experiments.progress import remaining_seconds


@pytest.fixture
def jobs(tmp_path):
    """Two finished jobs, which took 209 s and 409 s, and two that have not begun."""
    prepared = prepare_plan(str(write_plan(tmp_path, seeds=[0, 1])), str(tmp_path / 'work'))
    finish_jobs(prepared)
    for job in prepared.jobs[2:]:
        (job.folder / 'result.json').unlink()
        (job.folder / 'seconds.json').unlink()
    return prepared.jobs


def test_jobs_take_the_mean_time_of_finished_ones(jobs):
    assert remaining_seconds(jobs) == pytest.approx(209 + 409)
    assert remaining_seconds(jobs, slots=2) == pytest.approx((209 + 409) / 2)
    assert remaining_seconds(jobs, slots=8) == pytest.approx((209 + 409) / 2)
    (jobs[2].folder / 'seconds.json').write_text('{"train": 100}')
    assert remaining_seconds(jobs) == pytest.approx(209 + 409 - 100)


def test_running_jobs_are_extrapolated_from_their_positions(jobs):
    (jobs[2].folder / 'seconds.json').write_text('{"train": 100}')
    jobs[2].config.train_cfg.max_epochs = 60  # of 2 iterations each: half of them are logged
    other = (209 + 409) / 2
    assert remaining_seconds(jobs, jobs[2:3]) == pytest.approx(100 + other)
    assert remaining_seconds(jobs, jobs[2:3], slots=2) == pytest.approx(other)
    jobs[2].config.train_cfg.max_epochs = 600
    assert remaining_seconds(jobs, jobs[2:3], slots=2) == pytest.approx(1900)


def test_nothing_is_estimated_before_a_time_is_known(jobs):
    for job in jobs[:2]:
        (job.folder / 'result.json').unlink()
    assert remaining_seconds(jobs) is None


def test_a_plan_that_is_done_needs_no_time(jobs):
    assert remaining_seconds(jobs[:2], slots=4) == 0
