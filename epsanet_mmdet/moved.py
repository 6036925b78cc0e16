"""Old names of modules and of what they define, which warn when they are used."""

import importlib
import sys
import warnings
from functools import partial
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Callable, Optional

MOVED = {
    'backbones': 'models',
    'backbones.caffe_pool': 'models.resnet',
    'backbones.epsa_block': 'models.epsanet',
    'backbones.plugin_norms': 'models.resnet',
    'backbones.positions': 'models.resnet',
    'backbones.stage_plugin_resnet': 'models.resnet',
    'channels_last': 'models.channels_last',
    'checkpoint_record': 'checkpoint.record',
    'checkpoints': 'checkpoint',
    'checkpoints.architecture': 'weight_transfer.architecture',
    'checkpoints.comparison': 'checkpoint.compare',
    'checkpoints.conversion': 'weight_transfer.conversion',
    'checkpoints.matching': 'checkpoint.match',
    'checkpoints.safe_load': 'checkpoint.load',
    'checkpoints.weight_names': 'weight_transfer.weight_names',
    'class_heads': 'config.class_heads',
    'command_line': 'utils.command_line',
    'configs': 'config.load',
    'costs': 'utils.flops',
    'datasets.checking': 'own_data.lint',
    'datasets.checking.command': 'own_data.check',
    'datasets.checking.page': 'own_data.page',
    'datasets.checking.pictures': 'own_data.page',
    'datasets.checking.repair': 'own_data.repair',
    'datasets.checking.segmentation': 'datasets.segmentation',
    'datasets.checking.summary': 'own_data.check',
    'datasets.checking.values': 'datasets.values',
    'datasets.findings': 'own_data.findings',
    'datasets.formats': 'own_data.formats',
    'datasets.formats.coco_json': 'own_data.formats.coco',
    'datasets.image_files': 'utils.images',
    'datasets.printable': 'utils.text',
    'datasets.regular_files': 'utils.files',
    'deploy.psa': 'layers.deployed_psa',
    'deploy.transform': 'models.deployed',
    'devices': 'utils.device',
    'disk_space': 'engine.disk_space',
    'distributed': 'engine.dist',
    'drawing': 'utils.drawing',
    'hooks': 'engine.hooks',
    'hooks.resumable': 'engine.hooks.checkpoint_match',
    'host_memory': 'utils.host_memory',
    'latency': 'benchmark.costs',
    'layers.bi_eca': 'layers.eca',
    'layers.coordinate': 'layers.coord_attention',
    'layers.grouped_conv': 'layers.deployed_psa',
    'layers.mk_eca': 'layers.eca',
    'layers.squeeze': 'layers.se',
    'mmdet_tools': 'engine.mmdet_tools',
    'necks': 'models',
    'new_config': 'own_data.new_config',
    'new_config.command': 'own_data.new_config.create',
    'norm_cfg': 'models.norm_cfg',
    'options': 'config.options',
    'own_data.new_config.splitting': 'own_data.splitting',
    'plugins': 'models.plugins',
    'pretraining.command': 'pretraining.train',
    'python_text': 'config.python_text',
    'report': 'evaluation',
    'report.build': 'evaluation.report',
    'report.page': 'utils.page',
    'report.testing': 'evaluation.report',
    'reproduction': 'experiments',
    'reproduction.checks': 'experiments.prepare',
    'reproduction.comparison': 'experiments.fingerprint',
    'reproduction.files': 'experiments.job',
    'reproduction.progress': 'experiments.progress',
    'runner': 'engine.runner',
    'seeded_batches': 'engine.seeding',
    'spreadsheet': 'utils.text',
    'stack': 'utils.environment',
    'storage': 'utils.storage',
    'terminal': 'utils.terminal',
    'transplant': 'weight_transfer',
    'transplant.batch_norm': 'weight_transfer.norms',
    'transplant.carry_over': 'weight_transfer.block_weights',
    'transplant.channel_order': 'weight_transfer.permutation',
    'transplant.donor': 'weight_transfer.teacher',
    'transplant.moments': 'weight_transfer.norms',
    'transplant.response': 'weight_transfer.reconstruction',
    'transplant.starts': 'weight_transfer.methods',
}


class MovedModules(MetaPathFinder, Loader):
    """Import a module under its old name, as a stand-in with the attributes of the new one."""

    def find_spec(self, name: str, path=None, target=None) -> Optional[ModuleSpec]:
        return ModuleSpec(name, self, is_package=True) if new_name(name) else None

    def exec_module(self, module: ModuleType) -> None:
        new = new_name(module.__name__)
        warnings.warn(f'{module.__name__} is now {new}', DeprecationWarning, stacklevel=2)
        module.__getattr__ = partial(getattr, importlib.import_module(new))


def renamed(module: str, **names: str) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a module whose functions or classes have new names.

    ``__getattr__ = renamed(__name__, old_name='new_name', other='utils.text.printable')``

    Args:
        module: Name of the module.
        **names: New names by old ones; those with a dot are of another module of this package.
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f'module {module!r} has no attribute {name!r}')
        folder, _, attribute = names[name].rpartition('.')
        folder = f'{__package__}.{folder}' if folder else module
        message = f'{module}.{name} is now {folder}.{attribute}'
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return getattr(importlib.import_module(folder), attribute)

    return find


def new_name(name: str) -> Optional[str]:
    """Return the new name of a module by its old one, or None if it was not moved."""
    package, _, rest = name.partition('.')
    parts = rest.split('.') if package == __package__ else []
    for length in range(len(parts), 0, -1):
        new = MOVED.get('.'.join(parts[:length]))
        if new:
            return '.'.join([package, new, *parts[length:]])
    return None


sys.meta_path.append(MovedModules())
