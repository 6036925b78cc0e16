"""mmengine's Runner with brief terminal output and errors that name the step that failed."""

import copy
import logging
import os.path as osp
from contextlib import ExitStack, contextmanager
from typing import Dict, Iterator, Optional, Sequence

from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from ..config.data import data_paths, find_datasets
from ..config.options import READERS
from ..utils.command_line import step


@RUNNERS.register_module()
class BriefRunner(Runner):
    """A Runner that prints a summary instead of the config, hooks and environment.

    The log file still contains them. ``epsanet train`` and ``epsanet test`` use this Runner
    unless the config has a ``runner_type``.
    """

    def __init__(self, *args, **kwargs) -> None:
        self._terminal = ExitStack()
        super().__init__(*args, **kwargs)
        self._terminal.close()

    @classmethod
    def from_cfg(cls, cfg: Config) -> 'BriefRunner':
        cfg = copy.copy(cfg)
        cfg.pop('runner_type', None)  # mmdet's own tools can then run the dumped config
        return super().from_cfg(cfg)

    def register_default_hooks(self, hooks: Optional[Dict] = None) -> None:
        """Register hooks; a name with None has no hook, also where mmengine does not know it."""
        known = READERS['default_hooks']
        hooks = {k: hook for k, hook in (hooks or {}).items() if hook is not None or k in known}
        super().register_default_hooks(hooks)

    def build_logger(self, *args, **kwargs) -> MMLogger:
        logger = super().build_logger(*args, **kwargs)
        self._terminal.enter_context(only_warnings(logger))
        return logger

    def build_optim_wrapper(self, optim_wrapper):
        with only_warnings(self.logger):  # mmengine logs a line per parameter
            return super().build_optim_wrapper(optim_wrapper)

    def train(self):
        self.logger.info(summary(self, ('train', 'val')))
        return super().train()

    def test(self):
        self.logger.info(summary(self, ('test',)))
        return super().test()

    def build_model(self, model):
        with step('building the model'):
            return super().build_model(model)

    @staticmethod
    def build_dataloader(dataloader, *args, **kwargs):
        found = find_datasets(dict(loader=dataloader), ['loader'])
        files = [data_paths(dataset).ann_file for dataset in found.values()]
        with step('building the data set of', files[0] or None if len(files) == 1 else None):
            return Runner.build_dataloader(dataloader, *args, **kwargs)

    def load_checkpoint(self, filename: str, *args, **kwargs):
        with step('loading', filename):
            return super().load_checkpoint(filename, *args, **kwargs)

    def resume(self, filename: str, *args, **kwargs) -> None:
        with step('resuming from', filename):
            super().resume(filename, *args, **kwargs)


def summary(runner: Runner, parts: Sequence[str]) -> str:
    """Return a few lines on a run: model, data, schedule and folders.

    Args:
        runner: The run.
        parts: The data to describe: ``'train'``, ``'val'`` or ``'test'``.
    """
    model, config = runner.model, runner.cfg
    model = getattr(model, 'module', model)
    count = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    backbone = f' with {type(model.backbone).__name__}' if hasattr(model, 'backbone') else ''
    lines = [f'model:    {type(model).__name__}{backbone}, {count:.2f} M parameters']
    for part in parts:
        loader = config.get(f'{part}_dataloader')
        if loader:
            lines.append(f'{part + ":":<9} {_data(loader)}')
    if 'train' in parts:
        lines.append(f'schedule: {_schedule(config)}')
    lines += [f'folder:   {runner.work_dir}', f'log:      {runner.log_dir}']
    return '\n    '.join(['', *lines])


def _data(loader: Dict) -> str:
    found = find_datasets(dict(loader=loader), ['loader']).values()
    return f'{", ".join(map(_place, found))}, in batches of {loader.get("batch_size")}'


def _place(dataset: Dict) -> str:
    name = dataset.get('ann_file') or dataset.get('split') or dataset.get('type')
    return osp.join(dataset.get('data_root') or '', str(name))


def _schedule(config: Config) -> str:
    loop, optimizer = config.train_cfg, config.optim_wrapper.get('optimizer') or {}
    length = next((f'{k}={loop[k]}' for k in ('max_epochs', 'max_iters') if k in loop), 'no end')
    return f'{length}, {optimizer.get("type")}, lr={optimizer.get("lr")}'


@contextmanager
def only_warnings(logger: MMLogger) -> Iterator[None]:
    """Print only warnings on the terminal; log files are not affected."""
    terminals = [h for h in logger.handlers if type(h) is logging.StreamHandler]
    levels = [terminal.level for terminal in terminals]
    for terminal in terminals:
        terminal.setLevel(max(terminal.level, logging.WARNING))
    try:
        yield
    finally:
        for terminal, level in zip(terminals, levels):
            terminal.setLevel(level)
