"""A donor out of nothing but generated images."""

import torch
from shapes_donor import train_donor

from epsanet_mmdet.weight_transfer.donor import read_donor


def test_it_has_learnt_and_can_be_read_as_a_donor(tmp_path):
    lines = []
    path = train_donor(str(tmp_path), iterations=2, batch_size=1, size=64, progress=lines.append)
    assert lines == [f'{path}: ResNet-50 from a detector, loss {lines[0].split()[-4]} at the end']
    donor = read_donor(path)
    assert donor.depth == 50
    moved = donor.model.bn1.running_mean
    assert torch.isfinite(moved).all() and moved.abs().sum() > 0
