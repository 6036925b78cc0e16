"""The four methods to initialise an EPSANet from a ResNet."""

from typing import Callable, Dict, Optional

import torch
from mmdet.models.backbones.resnet import ResNet

from ..models.epsanet import EPSANet
from .block_weights import copy_block, copy_stem, correct_mean, write_random, write_sliced
from .fit import FitSettings, fit_network
from .images import Pictures
from .norms import channel_energy, relu_moments, weighted_energy
from .permutation import Permutation, best_permutation, branches_of, identity_permutation
from .teacher import named_blocks

METHODS = ('random', 'slice', 'permute', 'fit')


@torch.no_grad()
def transplant(
    teacher: ResNet,
    student: EPSANet,
    method: str,
    pictures: Optional[Pictures] = None,
    settings: FitSettings = FitSettings(),
    progress: Callable[[str], None] = lambda line: None,
) -> Dict[str, Permutation]:
    """Initialise an EPSANet from a ResNet of the same depth, in place.

    Everything but PSA is copied: stem, 1x1 convolutions, norms and shortcuts. PSA's filters are

    - ``random``: noise, with the norms of the teacher's filters,
    - ``slice``: the part of the teacher's 3x3 filters that the groups see, in the teacher's order,
    - ``permute``: the same for the permutation that keeps the most energy, with corrected means,
    - ``fit``: fitted to the teacher's activations on images, as is the 1x1 convolution after them.

    Args:
        teacher: In eval mode.
        student: EPSANet of the same width or twice as wide.
        method: One of :data:`METHODS`.
        pictures: Images for ``fit``.
        settings: Of ``fit``.
        progress: Called with a line after every block.

    Returns:
        The permutation of every block by name.
    """
    student.eval()
    if method == 'fit':
        return fit_network(teacher, student, pictures, settings, progress)
    generator = torch.Generator().manual_seed(settings.seed)
    copy_stem(teacher, student)
    permutations = {}
    for (_, name, theirs), (_, _, ours) in zip(named_blocks(teacher), named_blocks(student)):
        weight, moments = theirs.conv2.weight, relu_moments(theirs.norm1)
        permutation = identity_permutation(len(weight), ours.conv1.out_channels)
        if method == 'permute':
            energy = channel_energy(weight, moments.variance)
            energy = weighted_energy(energy, theirs.norm2, theirs.conv3, theirs.norm3)
            permutation = best_permutation(energy.numpy(), branches_of(ours.conv2))
        copy_block(theirs, ours, permutation)
        if method == 'random':
            write_random(ours.conv2, weight, permutation, generator)
        else:
            write_sliced(ours.conv2, weight, permutation)
        if method == 'permute':
            correct_mean(ours.conv2, ours.norm2, weight, permutation, moments)
        permutations[name] = permutation
        progress(name)
    return permutations
