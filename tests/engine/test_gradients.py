"""A run that stops between two steps of the optimizer resumes with the gradients it had."""

import pytest
import torch
from one_line import error_line
from toy_interruption import assert_same, train
from toy_training import EPOCH_LENGTH, weights

from epsanet_mmdet.errors import CheckpointError

COUNTS = 3  # batches in a step; an epoch of 4 ends between two
OPTIONS = dict(randomness=dict(seed=5), optim_wrapper__accumulative_counts=COUNTS)


@pytest.mark.parametrize('after', [1, COUNTS, 3 * EPOCH_LENGTH - 1])
def test_accumulated_gradients_are_resumed(after, tmp_path):
    whole = train(tmp_path / 'whole', **OPTIONS)
    train(tmp_path / 'cut', after, **OPTIONS)
    saved = torch.load(tmp_path / 'cut' / 'interrupted.pth', weights_only=False)
    assert ('gradients' in saved) == (after % COUNTS > 0)
    assert_same(whole, train(tmp_path / 'cut', resume=True, **OPTIONS))


def same_weights(first, second):
    second = weights(second)
    return all(torch.equal(value, second[name]) for name, value in weights(first).items())


def test_the_checkpoint_of_an_epoch_resumes_exactly_because_of_them(tmp_path):
    whole = train(tmp_path / 'whole', **OPTIONS)
    saved = torch.load(tmp_path / 'whole' / 'epoch_1.pth', weights_only=False)
    path = str(tmp_path / 'changed.pth')
    for same in (True, False):
        if not same:
            del saved['gradients']
        torch.save(saved, path)
        resumed = train(tmp_path / str(same), resume=True, load_from=path, **OPTIONS)
        assert same_weights(whole, resumed) == same


def test_without_accumulation_checkpoints_hold_no_gradients(tmp_path):
    train(tmp_path, 1)
    assert 'gradients' not in torch.load(tmp_path / 'interrupted.pth', weights_only=False)


@pytest.mark.parametrize(
    'gradients',
    [7, {'layers.0.weight': 7}, {'layers.0.weight': torch.ones(1)}, {'x': torch.ones(1)}],
)
def test_odd_gradients_are_refused_in_one_line(gradients, tmp_path):
    train(tmp_path / 'cut', 1, **OPTIONS)
    path = tmp_path / 'cut' / 'interrupted.pth'
    saved = torch.load(path, weights_only=False)
    saved['gradients'] = gradients
    odd = tmp_path / 'odd.pth'
    torch.save(saved, odd)
    options = dict(OPTIONS, resume=True, load_from=str(odd))
    assert 'gradient' in error_line(CheckpointError, train, tmp_path / 'odd', **options)
