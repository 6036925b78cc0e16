"""``KEY=VALUE`` words are read as mmengine's tools read them."""

from argparse import ArgumentParser

import pytest
from mmengine.config import DictAction
from one_line import error_line

from epsanet_mmdet.config.key_values import read_key_values
from epsanet_mmdet.errors import ConfigError


@pytest.mark.parametrize(
    'words',
    [
        ['a=1'],
        ['a.b=0.5', 'a.c=true', 'name=x=y', 'empty='],
        ['a=[1,2]', 'b=(1,[2,3])', 'c=1,2', 'd="[(a,b),(c,d)]"'],
        ['a=1', 'a=2'],
    ],
    ids=str,
)
def test_values_are_those_of_mmengine(words):
    parser = ArgumentParser()
    parser.add_argument('--options', nargs='+', action=DictAction)
    expected = parser.parse_args(['--options', *words]).options
    assert read_key_values(words) == expected


def test_no_words_are_no_options():
    assert read_key_values(None) is None


@pytest.mark.parametrize('word', ['train_cfg.max_epochs', 'a=[1,2', '\x1b[2J'])
def test_a_word_that_cannot_be_read_is_named(word):
    message = error_line(ConfigError, read_key_values, ['a=1', word])
    assert message.isprintable() and 'KEY=VALUE' in message
    assert word.replace('\x1b', '\\x1b') in message
