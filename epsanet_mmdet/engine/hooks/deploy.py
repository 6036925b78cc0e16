"""Testing a detector as it will be deployed."""

from typing import Optional

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn


@HOOKS.register_module()
class DeployHook(Hook):
    """Put a deployed detector in the trained one's place while testing.

    ``tools/test.py`` with a config of ``custom_hooks = [dict(type='DeployHook')]`` shows the AP of
    what :func:`epsanet_mmdet.models.deployed.deploy` makes.
    """

    priority = 'LOWEST'  # after an EMAHook has put its averages into the model

    def __init__(self) -> None:
        self.trained: Optional[nn.Module] = None

    def before_test_epoch(self, runner: Runner) -> None:
        from ...models.deployed import deploy

        self.trained = runner.model
        runner.model.eval()
        runner.model = deploy(runner.model)

    def after_test_epoch(self, runner: Runner, metrics=None) -> None:
        runner.model = self.trained
