"""Training curves join all runs of a work folder: resumed, repeated and killed ones."""

import json

import pytest
from coco_case import write_log

from epsanet_mmdet.evaluation.training_log import (
    TAIL,
    read_iteration_seconds,
    read_last_loss,
    read_test_seconds,
    read_training_log,
)


def train(step, loss, epoch=1):
    return dict(loss=loss, loss_cls=loss / 2, lr=0.1, epoch=epoch, iter=step, step=step)


def val(step, value):
    return {'coco/bbox_mAP': value, 'time': 0.1, 'step': step}


def test_a_resumed_or_repeated_run_replaces_the_earlier_one_from_its_first_step(tmp_path):
    first = [train(10, 3.0), train(20, 2.0), val(1, 0.1), train(30, 1.5, 2), '{"loss": 1, "st']
    write_log(tmp_path, '20250101_000000', first)
    write_log(tmp_path, '20250102_000000', [train(30, 1.4, 2), train(40, 1.0, 2), val(2, 0.2)])
    log = read_training_log(tmp_path)
    assert log.losses['loss'] == {10: 3.0, 20: 2.0, 30: 1.4, 40: 1.0}
    assert log.metrics == {'coco/bbox_mAP': {1: 0.1, 2: 0.2}}
    assert log.metrics_unit == 'epoch'
    write_log(tmp_path, '20250103_000000', [train(10, 9.0)])
    assert read_training_log(tmp_path).losses['loss'] == {10: 9.0}


def test_metrics_of_a_schedule_in_iterations_are_by_iteration(tmp_path):
    entries = [dict(loss=1.0, iter=10, step=10), val(500, 0.3), 'null', '[]', '']
    write_log(tmp_path, 'run', entries)
    assert read_training_log(tmp_path).metrics_unit == 'iteration'


def test_times_are_those_of_training_iterations(tmp_path):
    write_log(tmp_path, '20250101_000000', [{**train(10, 3.0), 'time': 0.5}, val(1, 0.1)])
    write_log(tmp_path, '20250102_000000', [{**train(20, 2.0), 'time': 0.25}, train(30, 1.0)])
    assert read_iteration_seconds(tmp_path) == [0.5, 0.25]


def test_the_time_of_a_test_is_that_of_the_newest_without_loading(tmp_path):
    for name, seconds in (('20250101_000000', 0.7), ('20250102_000000', 0.5)):
        (tmp_path / name).mkdir()
        logged = {'coco/bbox_mAP': 0.1, 'data_time': 0.2, 'time': seconds}
        (tmp_path / name / f'{name}.json').write_text(json.dumps(logged))
    (tmp_path / 'results.bbox.json').write_text('[{"score": 1}]')
    assert read_test_seconds(tmp_path) == pytest.approx(0.3)


def test_a_folder_without_logged_values_has_no_log(tmp_path):
    assert read_test_seconds(tmp_path) is None
    assert read_iteration_seconds(tmp_path) == []
    assert read_training_log(tmp_path) is None
    write_log(tmp_path, 'run', [])
    assert read_training_log(tmp_path) is None and read_last_loss(tmp_path) is None


def test_the_last_loss_is_that_of_the_newest_run_that_logged_one(tmp_path):
    write_log(tmp_path, '20250101_000000', [train(i, 1.0) for i in range(TAIL // 20)] + [val(9, 0)])
    assert read_last_loss(tmp_path) == train(TAIL // 20 - 1, 1.0)
    write_log(tmp_path, '20250102_000000', [train(7, 0.5), json.dumps(train(8, 0.4))[:-9]])
    write_log(tmp_path, '20250103_000000', [val(1, 0.1)])
    assert read_last_loss(tmp_path) == train(7, 0.5)
