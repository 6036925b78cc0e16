"""A short training on generated images alone makes a ResNet that can be transplanted."""

import torch
from shapes_training import train_teacher

from epsanet_mmdet.weight_transfer.teacher import read_teacher


def test_a_teacher_is_trained_and_can_be_read(tmp_path):
    lines = []
    path = train_teacher(str(tmp_path), iterations=2, batch_size=1, size=64, progress=lines.append)
    assert lines == [f'{path}: ResNet-50 from a detector, loss {lines[0].split()[-4]} at the end']
    teacher = read_teacher(path)
    assert teacher.depth == 50
    moved = teacher.bn1.running_mean
    assert torch.isfinite(moved).all() and moved.abs().sum() > 0
