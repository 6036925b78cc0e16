"""Training ends after some validations without a better score, also if it was interrupted."""

import pytest
import torch
from mmengine.registry import MODELS
from one_line import error_line
from toy_training import VALIDATED, GivenScores, ValidatedToy, toy_runner

from epsanet_mmdet.errors import CheckpointError

STOPPING = dict(type='ResumableEarlyStoppingHook', monitor='acc', patience=2, min_delta=0.05)
OPTIONS = dict(VALIDATED, custom_hooks=[STOPPING], train_cfg__max_epochs=9)


@MODELS.register_module()
class TestedToy(ValidatedToy):
    __test__ = False  # no test of pytest's

    def test_step(self, data):
        return self.val_step(data)


def train(work_dir, scores, **options):
    GivenScores.scores = list(scores)
    runner = toy_runner(work_dir, **{**OPTIONS, **options})
    runner.train()
    GivenScores.scores = []
    return runner


@pytest.mark.parametrize(
    'scores, epochs',
    [
        ([0.1, 0.2, 0.2, 0.24], 4),  # 0.24 is no better than 0.2 by 0.05
        ([0.1, 0.1, 0.2, 0.1, 0.3, 0.3, 0.3], 7),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], 9),
        ([0.0, 0.0, 0.0], 3),
        ([0.5, float('nan')], 2),
    ],
)
def test_training_ends_when_the_score_stays(scores, epochs, tmp_path):
    assert train(tmp_path, scores).epoch == epochs


def test_a_resumed_run_remembers_the_best_score_and_the_count(tmp_path):
    train(tmp_path, [0.9, 0.1, 0.1])
    whole = [0.9, 0.1]
    train(tmp_path / 'cut', whole, train_cfg__max_epochs=2)
    resumed = train(tmp_path / 'cut', [0.2, 0.3, 0.4], resume=True)
    # The checkpoint of epoch 2 is older than its validation, so one more is needed.
    assert resumed.epoch == 4


def test_a_run_that_has_ended_ends_again(tmp_path):
    stopped = train(tmp_path, [0.9, 0.1, 0.1])
    meta = dict(epoch=3, iter=stopped.iter)
    stopped.save_checkpoint(str(tmp_path), 'after.pth', meta=meta)
    options = dict(resume=True, load_from=str(tmp_path / 'after.pth'))
    assert train(tmp_path / 'again', [0.9] * 9, **options).epoch == 3
    patient = [dict(STOPPING, patience=4)]
    assert train(tmp_path / 'more', [0.1] * 9, custom_hooks=patient, **options).epoch == 5


def test_a_test_builds_no_training_data(tmp_path):
    runner = toy_runner(
        tmp_path,
        **dict(OPTIONS, model__type='TestedToy'),
        test_dataloader=VALIDATED['val_dataloader'],
        test_cfg=dict(type='TestLoop'),
        test_evaluator=VALIDATED['val_evaluator'],
    )
    runner.test()
    assert isinstance(runner._train_loop, dict)


@pytest.mark.parametrize('state', [7, dict(best_score='x', wait_count=1), dict(best_score=0.1)])
def test_an_odd_state_is_refused_in_one_line(state, tmp_path):
    train(tmp_path, [0.9], train_cfg__max_epochs=1)
    saved = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)
    saved['message_hub']['runtime_info']['early_stopping'] = state
    saved['message_hub']['resumed_keys']['early_stopping'] = True
    odd = tmp_path / 'odd.pth'
    torch.save(saved, odd)
    options = dict(resume=True, load_from=str(odd))
    line = error_line(CheckpointError, train, tmp_path / 'again', [], **options)
    assert 'early_stopping' in line
