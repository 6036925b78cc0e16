"""A benchmark fails if a ratio exceeds the expected bound."""

import pytest

from epsanet_mmdet.benchmark import Input, Measurement, check_expectations, parse_expectation
from epsanet_mmdet.benchmark.work import Work
from epsanet_mmdet.errors import ArgumentError, ExpectationError

WORK = Work(1e9, 1e8)
NAMES = ('resnet50', 'ours+deploy')


def measured(task, ratio, name='ours+deploy'):
    size = Input(1, 320, 320)
    return Measurement(name, task, size, 0.1, 0.0, ratio, 0.0, 10.0, WORK, 0.9, None, 10**6)


def check(*texts, inference=0.95, training=1.2):
    measurements = [measured('inference', inference), measured('training', training)]
    expectations = [parse_expectation(text, NAMES) for text in texts]
    return check_expectations(expectations, measurements)


def test_a_ratio_that_is_kept_is_said():
    assert check('ours+deploy@inference<=0.95') == [
        'ours+deploy takes x0.950 in inference at 1x3x320x320, at most 0.95 as expected'
    ]


def test_a_worse_ratio_is_an_error_that_names_it():
    with pytest.raises(ExpectationError, match=r'x0\.951 .* more than the expected 0\.95'):
        check('ours+deploy@inference<=0.95', inference=0.951)


def test_without_a_task_every_input_of_both_is_checked():
    assert len(check('ours+deploy<=1.2')) == 2
    with pytest.raises(ExpectationError, match='x1.200 in training'):
        check('ours+deploy<=1.1')


def test_an_expectation_of_what_was_not_measured_is_not_kept():
    expectation = parse_expectation('ours+deploy@training<=1', NAMES)
    with pytest.raises(ExpectationError, match='training was not measured'):
        check_expectations([expectation], [measured('inference', 0.5)])


@pytest.mark.parametrize(
    'text, named',
    [
        ('ours<=1', 'not measured'),
        ('ours+deploy<1', 'NAME<=RATIO'),
        ('ours+deploy<=fast', 'NAME<=RATIO'),
        ('ours+deploy@sleeping<=1', 'training'),
    ],
)
def test_refuses_bad_expectations_in_one_line(text, named):
    with pytest.raises(ArgumentError) as caught:
        parse_expectation(text, NAMES)
    assert named in str(caught.value) and '\n' not in str(caught.value)
