"""The checkpoint of a ResNet-50 to transplant from, and images for it."""

import numpy as np
import pytest
import torch
from classifier_files import resnet
from PIL import Image


def teacher_weights():
    """Return random weights of a ResNet-50 that keep the scale of the maps."""
    weights = resnet(50)
    for name in weights:
        if name.endswith(('conv1.weight', 'conv2.weight', 'conv3.weight', 'downsample.0.weight')):
            weights[name] /= weights[name][0].numel() ** 0.5
    return weights


@pytest.fixture(scope='session')
def teacher_file(tmp_path_factory):
    path = tmp_path_factory.mktemp('teacher') / 'resnet50.pth'
    torch.save(teacher_weights(), path)
    return str(path)


def quiet(line):
    pass


def write(folder, count, mode='RGB', size=(60, 40), suffix='.png'):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        image = np.random.default_rng(i).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(image).convert(mode).save(folder / f'{i:03d}{suffix}')
    return folder
