"""Testing a detector in its deployed form."""

from typing import Optional

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

from ...models.deployed import deploy


@HOOKS.register_module()
class DeployHook(Hook):
    """Test the deployed form of a detector, see :func:`epsanet_mmdet.models.deployed.deploy`.

    With ``custom_hooks = [dict(type='DeployHook')]`` in a config, ``epsanet test`` prints its AP.
    """

    priority = 'LOWEST'  # after an EMAHook has put its averages into the model

    def __init__(self) -> None:
        self.trained: Optional[nn.Module] = None

    def before_test_epoch(self, runner: Runner) -> None:
        self.trained = runner.model
        runner.model.eval()
        runner.model = deploy(runner.model)

    def after_test_epoch(self, runner: Runner, metrics=None) -> None:
        runner.model = self.trained
