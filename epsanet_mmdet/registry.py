"""The scope ``epsanet_mmdet`` in mmengine's registries, and of its configs.

``type='epsanet_mmdet.EPSANet'`` names this package's EPSANet from whichever scope; mmengine imports
this module when it meets the scope. ``default_scope = 'epsanet_mmdet'`` and bases named
``epsanet_mmdet::epsanet/...`` find mmdet's modules too, as this package's configs need both.
"""

from typing import Optional, Type

import mmdet.registry
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import Registry

SCOPE = 'epsanet_mmdet'


class ScopedRegistry(Registry):
    """A registry of this package's scope, whose modules are in mmdet's registry and above.

    Args:
        mmdet_registry: That one; it becomes a sibling.
    """

    def __init__(self, mmdet_registry: Registry) -> None:
        self.mmdet_registry = mmdet_registry
        super().__init__(
            mmdet_registry.name,
            build_func=mmdet_registry.build_func,
            parent=mmdet_registry.parent,
            scope=SCOPE,
            locations=[SCOPE],
        )

    def get(self, key: str) -> Optional[Type]:
        """Return the class of a name, as mmdet's registry does."""
        return self.mmdet_registry.get(key.removeprefix(f'{SCOPE}.'))


REGISTRIES = [
    ScopedRegistry(registry)
    for registry in vars(mmdet.registry).values()
    if isinstance(registry, Registry) and registry.scope == 'mmdet'
]

# mmengine's list of packages whose configs can be bases. It looks for a distribution of the name
# given here, then for a module, beside which is ``.mim``. Where an editable install is, it does not
# see; where this module is, it does.
MODULE2PACKAGE[SCOPE] = __name__
