"""What must stay the same in a module for what was prepared from it to be valid."""

from itertools import chain
from typing import List
from weakref import ref

from torch import Tensor, nn

from ..layers import PSAModule

OPTIONS = {
    nn.AdaptiveAvgPool2d: ('output_size',),
    nn.BatchNorm2d: ('eps', 'momentum'),
    nn.Conv2d: ('kernel_size', 'stride', 'padding', 'dilation', 'groups', 'padding_mode'),
    nn.MaxPool2d: ('kernel_size', 'stride', 'padding', 'dilation', 'ceil_mode', 'return_indices'),
    PSAModule: ('attention_type',),
}
HOOKS = ('_forward_hooks', '_forward_pre_hooks', '_backward_hooks', '_backward_pre_hooks')


class Snapshot:
    """The modules, hooks, options and tensors of a module, which it does not keep alive.

    Operations on ``.data`` change tensors unseen, until the mode of a block or network is set.

    Args:
        module: Module to watch.
        values: Watch the values of tensors too, and not only which tensors there are.
    """

    def __init__(self, module: nn.Module, values: bool = True) -> None:
        self.values = values
        self.modules = [(ref(m), self._state(m)) for m in module.modules()]
        self.tensors: List[Tensor] = list(chain(module.parameters(), module.buffers()))
        self.versions = list(map(self._version, self.tensors))
        self.forwards = [(cls, cls.forward) for cls in {type(m) for m in module.modules()}]

    def holds(self) -> bool:
        """Return True if nothing has changed."""
        return (
            all(cls.forward is forward for cls, forward in self.forwards)
            and all((m := own()) is not None and self._state(m) == s for own, s in self.modules)
            and list(map(self._version, self.tensors)) == self.versions
        )

    def _version(self, t: Tensor) -> tuple:
        if not self.values:
            return t.data_ptr(), t.requires_grad
        return t.data_ptr(), 0 if t.is_inference() else t._version

    def _state(self, module: nn.Module) -> tuple:
        own = module.__dict__
        cls = type(module)
        return (
            cls,
            own['training'],
            own.get('mode_count') if self.values else None,
            own.get('forward'),
            *(len(own[name]) for name in HOOKS),
            *(own.get(name) for name in OPTIONS.get(cls, ())),
            *map(
                id,
                chain(
                    own['_modules'].values(), own['_parameters'].values(), own['_buffers'].values()
                ),
            ),
        )
