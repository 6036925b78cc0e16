"""BriefRunner prints a summary, logs the rest, and names the step that failed."""

import pytest
import torch
from toy_training import toy_config

from epsanet_mmdet.engine.runner import BriefRunner
from epsanet_mmdet.utils.command_line import describe


@pytest.fixture
def runner(tmp_path) -> BriefRunner:
    return BriefRunner.from_cfg(toy_config(tmp_path / 'run', runner_type='BriefRunner'))


@pytest.mark.parametrize('key', ['meta', 'message_hub', 'optimizer', 'param_schedulers'])
def test_resuming_from_a_checkpoint_with_an_odd_part_names_the_file(key, runner, tmp_path):
    path = str(tmp_path / 'odd.pth')
    state = dict(
        meta=dict(epoch=1, iter=2, experiment_name='x'),
        state_dict=runner.model.state_dict(),
        message_hub=runner.message_hub.state_dict(),
    )
    torch.save({**state, key: 7}, path)
    with pytest.raises(Exception) as caught:
        runner.resume(path)
    assert describe(caught.value).startswith(f"resuming from '{path}'")


def test_the_dumped_config_names_no_runner(runner, tmp_path):
    (dumped,) = (tmp_path / 'run').glob('*.py')
    assert 'runner_type' not in dumped.read_text()


def test_the_terminal_gets_only_warnings_until_training_starts(tmp_path, capsys):
    config = toy_config(tmp_path / 'run', log_level='INFO', train_cfg__max_epochs=1)
    runner = BriefRunner.from_cfg(config)
    assert capsys.readouterr().out == ''
    runner.train()
    shown = capsys.readouterr().out
    for part in ('ToyModel', 'NoisyData, in batches of 4', 'max_epochs=1, SGD, lr=0.01', 'run'):
        assert part in shown
    assert 'Epoch(train)' in shown or 'Saving checkpoint' in shown
    assert 'Config:' in next((tmp_path / 'run').glob('*/*.log')).read_text()
