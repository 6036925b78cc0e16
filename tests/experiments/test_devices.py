"""Jobs at the same time share the GPUs that their plan sees, and the cores."""

import pytest
import torch

from epsanet_mmdet.experiments.devices import job_environment, least_used, visible_gpus
from epsanet_mmdet.experiments.plan import Launcher


@pytest.mark.parametrize(
    ('variable', 'count', 'gpus'),
    [
        (None, 3, ['0', '1', '2']),
        ('5,2', 2, ['5', '2']),
        ('GPU-8f1c, GPU-07ab', 2, ['GPU-8f1c', 'GPU-07ab']),
        ('3,-1,0', 1, ['3']),  # CUDA reads up to the first that does not exist
        ('', 0, []),
        (None, 0, []),
    ],
)
def test_the_gpus_are_those_that_the_plan_sees(variable, count, gpus, monkeypatch):
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    if variable is not None:
        monkeypatch.setenv('CUDA_VISIBLE_DEVICES', variable)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: count)
    assert visible_gpus() == gpus


def test_free_gpus_come_first_and_then_those_with_the_fewest_jobs():
    gpus = ['4', '5', '6']
    assert least_used(gpus, [], 1) == ['4']
    assert least_used(gpus, ['4'], 1) == ['5']
    assert least_used(gpus, ['4', '6'], 2) == ['5', '4']
    assert least_used(gpus, ['4', '4', '5', '6'], 1) == ['5']
    assert least_used([], [], 1) == []


@pytest.mark.parametrize(
    ('launcher', 'threads'),
    [
        (Launcher(jobs=2), '4'),
        (Launcher(jobs=3), '2'),
        (Launcher(jobs=100), '1'),
        (Launcher(type='pytorch', gpus=2, jobs=2), '2'),
        (Launcher(), None),
    ],
)
def test_jobs_at_the_same_time_share_the_threads(launcher, threads, monkeypatch):
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 8)
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    assert job_environment(launcher, []).get('OMP_NUM_THREADS') == threads
    monkeypatch.setenv('OMP_NUM_THREADS', '5')
    assert job_environment(launcher, [])['OMP_NUM_THREADS'] == '5'


def test_a_job_sees_its_gpus_and_otherwise_what_the_plan_sees(monkeypatch):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '4,5,6')
    assert job_environment(Launcher(), ['6', '4'])['CUDA_VISIBLE_DEVICES'] == '6,4'
    assert job_environment(Launcher(), [])['CUDA_VISIBLE_DEVICES'] == '4,5,6'
