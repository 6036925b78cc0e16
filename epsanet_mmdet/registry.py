"""The scope ``epsanet_mmdet`` of mmengine's registries and configs.

``type='epsanet_mmdet.EPSANet'`` works in every scope; mmengine imports this module to resolve it.
With ``default_scope = 'epsanet_mmdet'``, and in bases such as ``epsanet_mmdet::epsanet/...``,
mmdet's modules are found too.
"""

from typing import Optional, Type

import mmdet.registry
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import Registry

SCOPE = 'epsanet_mmdet'


class ScopedRegistry(Registry):
    """Registry of this package's scope that looks modules up in a registry of mmdet.

    Args:
        mmdet_registry: The registry of mmdet; it becomes a sibling.
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
        """Return the class that a name, with or without the scope, has in mmdet's registry."""
        return self.mmdet_registry.get(key.removeprefix(f'{SCOPE}.'))


REGISTRIES = [
    ScopedRegistry(registry)
    for registry in vars(mmdet.registry).values()
    if isinstance(registry, Registry) and registry.scope == 'mmdet'
]

# Packages whose configs can be bases. mmengine looks for ``.mim`` beside the distribution or the
# module named here. It does not find editable installs by their distribution, so this is a module.
MODULE2PACKAGE[SCOPE] = __name__
