"""EPSANet in the steps of its authors' code, for comparison."""

import copy

import torch
from torch import Tensor, nn

from ..layers import PSAModule, SplitPSAModule


class PublishedPSA(PSAModule):
    """:class:`PSAModule` in the steps of the authors' released code.

    It uses plain grouped convolutions, squeezes branch by branch, and concatenates, views, weights,
    slices and concatenates the features again.
    """

    def forward(self, x: Tensor) -> Tensor:
        features = [getattr(self, f'conv_{i}')(x) for i in range(1, self.branches + 1)]
        scores = torch.cat([self._score(feature) for feature in features], dim=1)
        batch, width, height, columns = features[0].shape
        stacked = torch.cat(features, dim=1).view(batch, self.branches, width, height, columns)
        attention = scores.view(batch, self.branches, width, 1, 1).softmax(dim=1)
        weighted = stacked * attention
        output = weighted[:, 0]
        for i in range(1, self.branches):
            output = torch.cat((weighted[:, i], output), dim=1)
        return output

    def _score(self, feature: Tensor) -> Tensor:
        return self.se(self.gap(feature)).sigmoid()


def published_formulation(network: nn.Module) -> nn.Module:
    """Return a copy of a network that computes every :class:`PSAModule` as :class:`PublishedPSA`.

    The parameters and their names stay the same. Modules with other attention than the published
    softmax, or with a split input, stay as they are.
    """
    network = copy.deepcopy(network)
    for module in network.modules():
        if _is_published(module):
            module.__class__ = PublishedPSA
    return network


def _is_published(module: nn.Module) -> bool:
    whole = isinstance(module, PSAModule) and not isinstance(module, SplitPSAModule)
    return whole and module.attention_type == 'softmax'
