"""PSA's attention as products of matrices."""

import torch.nn.functional as F
from torch import Tensor


def branch_attention(
    means: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor
) -> Tensor:
    """Return PSA's attention: softmax over the branches of the sigmoid of their squeeze MLP.

    On single pixels, convolutions cost several times what these products of matrices do.

    Args:
        means: (B, branches, C), of the branches' features.
        weight1: (hidden, C, 1, 1).
        bias1: (hidden,).
        weight2: (C, hidden, 1, 1).
        bias2: (C,).

    Returns:
        (B, branches, C).
    """
    hidden = F.linear(means, weight1.flatten(1), bias1).relu()
    return F.linear(hidden, weight2.flatten(1), bias2).sigmoid().softmax(dim=1)
