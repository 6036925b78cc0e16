"""Tuning keeps the fastest right plan of each convolution, and nothing is lost on interruption."""

import pytest
import torch
from one_line import error_line

from epsanet_mmdet.errors import ArgumentError, StorageError
from epsanet_mmdet.models import EPSANet
from epsanet_mmdet.ops.gpu.compute import Compute
from epsanet_mmdet.ops.gpu.plan import HALF
from epsanet_mmdet.ops.gpu.plan_file import Key, read_plans
from epsanet_mmdet.ops.gpu.problems import problems_of

pytest.importorskip('triton')

from epsanet_mmdet.ops.gpu import tune as tuning  # noqa: E402

KEY = Key('NVIDIA H100', '550.54.15', '2.11.0', '12.8', '3.6.0', '0123456789abcdef')
COMPUTE = Compute(torch.bfloat16, HALF, 132, 227 * 1024)
PROBLEMS = list(dict.fromkeys(problems_of(EPSANet(50), 2, 800, 1280)))[:6]


def plans_of(problem):
    return tuning._candidates(problem, COMPUTE)


class Clock:
    """A clock on which the third plan of each problem is the fastest, and the rule takes 1 ms."""

    def __init__(self, fails=lambda plan, place: None):
        self.calls, self.fails = [], fails

    def __call__(self, problem, plan, compute):
        place = plans_of(problem).index(plan)
        self.calls.append((problem, plan))
        error = self.fails(plan, place)
        if error:
            raise error
        return {0: 1.0, 2: 0.5, 3: 0.6}.get(place, 2.0 + place)


def right(problem, plan, compute):
    pass


def measure(path, clock, check=right, problems=PROBLEMS, key=KEY, progress=None):
    return tuning.measure(problems, COMPUTE, str(path), key, clock, check, progress)


def chosen(plans):
    """The place of the plan of each problem among its candidates."""
    found = {(t.shape, t.pixels): t.plan for t in plans.convs}
    found |= {(t.inputs, t.outputs, t.pixels): t.plan for t in plans.pointwise}
    places = []
    for problem in PROBLEMS:
        shape = problem.shape
        own = (shape.inputs, shape.outputs) if problem.is_pointwise else (shape,)
        places.append(plans_of(problem).index(found[(*own, problem.pixels)]))
    return places


def test_the_fastest_plan_is_kept(tmp_path):
    lines = []
    plans = measure(tmp_path / 'plans.json', Clock(), progress=lines.append)
    assert chosen(plans) == [2] * 6
    assert read_plans(str(tmp_path / 'plans.json'), KEY) == plans
    assert len(lines) == 6
    assert lines[1] == (
        '2/6: 9x9, 64 to 16 channels in 16 groups, 2x200x320: 0.5000 ms, 0.50 of the rule'
    )


def test_a_rule_is_not_replaced_for_noise(tmp_path):
    assert chosen(measure(tmp_path / 'a', lambda p, plan, c: 0.98 + (plan == plans_of(p)[0]) / 50))
    clock = Clock()
    clock.fails = lambda plan, place: RuntimeError() if place in (2, 3) else None
    assert chosen(measure(tmp_path / 'b', clock)) == [0] * 6


ERRORS = [
    torch.OutOfMemoryError('CUDA out of memory.'),
    RuntimeError('Triton Error [CUDA]: out of memory'),
    ValueError('out of resource: shared memory'),
]


@pytest.mark.parametrize('error', ERRORS, ids=str)
def test_plans_that_do_not_run_are_skipped(tmp_path, error):
    clock = Clock(lambda plan, place: error if place == 2 else None)
    assert chosen(measure(tmp_path / 'plans.json', clock)) == [3] * 6


@pytest.mark.parametrize('error', ERRORS, ids=str)
def test_if_none_runs_the_rule_is_kept(tmp_path, error):
    assert chosen(measure(tmp_path / 'plans.json', Clock(lambda *a: error))) == [0] * 6


def test_wrong_plans_are_skipped(tmp_path):
    checked = []

    def check(problem, plan, compute):
        checked.append(plans_of(problem).index(plan))
        if checked[-1] == 2:
            raise RuntimeError('it differs from float64')

    assert chosen(measure(tmp_path / 'plans.json', Clock(), check)) == [3] * 6
    assert checked == [2, 3] * 6  # those that are not chosen need no check


def test_it_resumes_after_an_interruption(tmp_path):
    path, first = tmp_path / 'plans.json', Clock()
    count = sum(len(plans_of(problem)) for problem in PROBLEMS[:3])
    first.fails = lambda *a: KeyboardInterrupt() if len(first.calls) > count else None
    with pytest.raises(KeyboardInterrupt):
        measure(path, first)
    second = Clock()
    assert chosen(measure(path, second)) == [2] * 6
    assert {problem for problem, _ in second.calls} == set(PROBLEMS[3:])
    third = Clock()
    assert chosen(measure(path, third)) == [2] * 6
    assert not third.calls


def test_other_sizes_are_added(tmp_path):
    path = tmp_path / 'plans.json'
    measure(path, Clock())
    other = list(problems_of(EPSANet(50), 1, 320, 320))[:6]
    plans = measure(path, Clock(), problems=other)
    assert len(plans.convs) == 8 and chosen(plans) == [2] * 6


@pytest.mark.filterwarnings('ignore:GPU plans')
@pytest.mark.parametrize('content', ['', '{}'])
def test_files_of_others_are_replaced(tmp_path, content):
    path = tmp_path / 'plans.json'
    measure(path, Clock(), key=Key('another', *'abcde'))
    if content:
        path.write_text(content)
    measure(path, Clock())
    assert chosen(read_plans(str(path), KEY)) == [2] * 6


def test_each_problem_is_measured_once(tmp_path):
    clock = Clock()
    measure(tmp_path / 'plans.json', clock, problems=[*PROBLEMS, *PROBLEMS])
    assert len(clock.calls) == len(set(clock.calls))


def test_it_refuses_what_is_not_a_gpu(tmp_path):
    path = str(tmp_path / 'plans.json')
    line = error_line(ArgumentError, tuning.tune, EPSANet(50), [(1, 64, 64)], path, 'cpu')
    assert line == "GPU plans cannot be measured on 'cpu'; choose a CUDA device"


@pytest.fixture
def gpu(monkeypatch):
    """A GPU whose kernels are not run."""
    monkeypatch.setattr(torch.cuda, 'device', lambda device: torch.no_grad())
    monkeypatch.setattr(
        tuning, 'compute_on', lambda device, dtype: {torch.bfloat16: COMPUTE}.get(dtype)
    )
    monkeypatch.setattr(tuning, 'key_of', lambda device: KEY)
    return 'cuda:0'


def test_bad_arguments(tmp_path, gpu):
    path, sizes = str(tmp_path / 'plans.json'), [(1, 64, 64)]
    line = error_line(ArgumentError, tuning.tune, EPSANet(50), sizes, path, gpu, torch.double)
    assert line.startswith('no GPU kernel computes torch.float64; choose')
    line = error_line(ArgumentError, tuning.tune, torch.nn.Linear(1, 1), sizes, path, gpu)
    assert line == 'GPU plans are for EPSANets, but there is none in the networks'
    (tmp_path / 'file').write_text('')
    place = str(tmp_path / 'file' / 'plans.json')
    assert 'cannot write to' in error_line(
        StorageError, tuning.tune, EPSANet(50), sizes, place, gpu
    )


@pytest.mark.parametrize(
    'recorder',
    [
        'torch.cuda.is_current_stream_capturing',
        'torch.compiler.is_compiling',
        'torch.jit.is_tracing',
    ],
)
def test_it_refuses_while_a_program_is_recorded(tmp_path, monkeypatch, recorder):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'is_current_stream_capturing', lambda: False)
    monkeypatch.setattr(recorder, lambda: True)
    line = error_line(ArgumentError, measure, tmp_path / 'plans.json', Clock())
    assert 'while a program is recorded' in line


def test_only_rank_0_measures(tmp_path, monkeypatch, gpu):
    monkeypatch.setattr(torch.distributed, 'is_initialized', lambda: True)
    monkeypatch.setattr(torch.distributed, 'get_rank', lambda: 1)
    path = tmp_path / 'plans.json'
    assert tuning.tune(EPSANet(50), [(1, 64, 64)], str(path), gpu) is None
    assert not path.exists()


@pytest.mark.interpreted
def test_what_is_timed_is_the_convolution():
    """The timed call writes all of its outputs, for each kind of problem."""
    from epsanet_mmdet.ops.gpu import timing

    compute = Compute(torch.float32, 'ieee', 4, 99 * 1024, device=torch.device('cpu'))
    for problem in list(dict.fromkeys(problems_of(EPSANet(50), 1, 24, 40)))[:5]:
        for plan in tuning._candidates(problem, compute)[:2]:
            kernel, arguments = timing._call(problem, plan, compute)
            outputs = [arguments[2], arguments[-1]] if len(arguments) == 7 else [arguments[2]]
            for out in outputs:
                out.fill_(float('nan'))
            timing.launcher(problem, plan, compute)()
            kernel(*arguments)
            assert not any(out.isnan().any() for out in outputs)
