"""EPSANet in the steps of its authors' code, for comparison."""

import copy

import torch
from torch import Tensor, nn

from ..layers import PSAModule


class PublishedPSA(nn.Module):
    """Pyramid squeeze attention in the steps of the authors' released code.

    It uses plain grouped convolutions, squeezes branch by branch, and concatenates, views, weights,
    slices and concatenates the features again. It computes the same as the given
    :class:`PSAModule` and has the same parameters and names.

    Args:
        psa: Module whose parameters it shares.

    Shape:
        See :class:`PSAModule`.
    """

    def __init__(self, psa: PSAModule) -> None:
        super().__init__()
        self.branches = psa.branches
        for i in range(1, psa.branches + 1):
            self.add_module(f'conv_{i}', getattr(psa, f'conv_{i}'))
        self.se = psa.se
        self.softmax = nn.Softmax(dim=1)

    def forward(self, x: Tensor) -> Tensor:
        features = [getattr(self, f'conv_{i}')(x) for i in range(1, self.branches + 1)]
        scores = torch.cat([self._score(feature) for feature in features], dim=1)
        batch, width, height, columns = features[0].shape
        stacked = torch.cat(features, dim=1).view(batch, self.branches, width, height, columns)
        attention = self.softmax(scores.view(batch, self.branches, width, 1, 1))
        weighted = stacked * attention
        output = weighted[:, 0]
        for i in range(1, self.branches):
            output = torch.cat((weighted[:, i], output), dim=1)
        return output

    def _score(self, feature: Tensor) -> Tensor:
        pooled = nn.functional.adaptive_avg_pool2d(feature, 1)
        return self.se(pooled).sigmoid()


def published_formulation(network: nn.Module) -> nn.Module:
    """Return a copy of a network with a :class:`PublishedPSA` for every :class:`PSAModule`.

    The state dict keeps its names.
    """
    network = copy.deepcopy(network)
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, PSAModule):
                setattr(parent, name, PublishedPSA(child))
    return network
