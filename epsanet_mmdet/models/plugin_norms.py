"""The backbone's ``norm_cfg`` for its plugin layers, which mmdet does not pass on."""

from .plugins import with_norm_cfg


class PluginNorms:
    """Mixin of mmdet's ResNets: plugin layers normalise by ``norm_cfg``, as the blocks do.

    A ``norm_cfg`` in the plugin's own ``cfg`` comes first.
    """

    def make_stage_plugins(self, plugins: list[dict], stage_idx: int) -> list[dict]:
        return [
            {**plugin, 'cfg': with_norm_cfg(plugin['cfg'], self.norm_cfg)}
            for plugin in super().make_stage_plugins(plugins, stage_idx)
        ]
