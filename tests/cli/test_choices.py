"""Choices in the help of commands are those of the package, and options those of mmdet."""

import runpy
from argparse import ArgumentParser
from typing import Dict, Tuple
from unittest import mock

import pytest

from epsanet_cli.commands import benchmark, explain, infer, new_config, test, train, transplant
from epsanet_cli.parser import CommandParser
from epsanet_mmdet.benchmark import BACKBONES, OPTIONS, PRECISIONS
from epsanet_mmdet.engine.mmdet_tools import tool_path
from epsanet_mmdet.explain.run import METHODS as CAM_METHODS
from epsanet_mmdet.inference.labels import IMAGE_URL, LABEL_FORMATS
from epsanet_mmdet.models import EPSANet
from epsanet_mmdet.own_data.new_config import AUGMENTATIONS, TRACKERS
from epsanet_mmdet.weight_transfer import METHODS


@pytest.mark.parametrize(
    'shown, existing',
    [
        (benchmark.BACKBONES, BACKBONES),
        (benchmark.OPTIONS.items(), [(name, text) for name, (_, text) in OPTIONS.items()]),
        (benchmark.PRECISIONS, PRECISIONS),
        (infer.LABEL_FORMATS, LABEL_FORMATS),
        ([infer.IMAGE_URL], [IMAGE_URL]),
        (new_config.AUGMENTATIONS, AUGMENTATIONS),
        (new_config.TRACKERS, TRACKERS),
        (transplant.METHODS, METHODS),
        (explain.METHODS, CAM_METHODS),
        (transplant.ARCHS, EPSANet.archs),
    ],
    ids=[
        *('backbones', 'options', 'precisions', 'label formats', 'image url'),
        *('augmentations', 'trackers', 'methods', 'heat maps', 'archs'),
    ],
)
def test_the_choices_are_those_of_the_package(shown, existing):
    assert list(shown) == list(existing)


def test_networks_of_the_benchmark_exist_and_leave_out_the_baseline():
    bases = [name.partition('+')[0] for name in benchmark.DEFAULT]
    assert set(bases) == set(BACKBONES) - {'resnet50'}


def arguments(parser: ArgumentParser) -> Dict[str, Tuple]:
    """Return what matters of each argument but its texts."""
    return {
        action.dest: (
            sorted(action.option_strings),
            action.nargs,
            action.const,
            action.default,
            None if action.type is str else action.type,
            action.choices and set(action.choices),
            action.required,
        )
        for action in parser._actions
        if action.dest not in ('help', 'debug')
    }


@pytest.mark.parametrize('command, tool', [(train, 'train.py'), (test, 'test.py')])
def test_training_and_testing_have_the_arguments_of_mmdets_tools(command, tool, monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '0')  # which mmdet's tools set otherwise
    parser = CommandParser()
    command.add_arguments(parser)
    with mock.patch.object(ArgumentParser, 'parse_args', autospec=True) as parse:
        runpy.run_path(tool_path(tool))['parse_args']()
    assert arguments(parser) == arguments(parse.call_args[0][0])
