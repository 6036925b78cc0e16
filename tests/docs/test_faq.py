"""Every message that the FAQ quotes is one of the code, and nothing else is quoted."""

import ast
import re
from typing import Iterator

import pytest
from conftest import ROOT

PAGE = ROOT / 'docs' / 'faq.md'
QUOTED = re.findall(r'^> (.+)$', PAGE.read_text(), re.MULTILINE)


def shape(text: str) -> str:
    """Return a message with every value, or run of values, as three dots."""
    return re.sub(r'(\.\.\.|\0)+', '\0', text)


def messages() -> Iterator[str]:
    """Yield the texts in the code, with a null character for each value in them."""
    for folder in ('epsanet_mmdet', 'epsanet_cli'):
        for path in (ROOT / folder).rglob('*.py'):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.JoinedStr):
                    parts = [getattr(part, 'value', None) for part in node.values]
                    yield ''.join(p if isinstance(p, str) else '\0' for p in parts)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


@pytest.fixture(scope='module')
def known() -> str:
    return '\n'.join(map(shape, messages()))


@pytest.mark.parametrize('message', QUOTED)
def test_a_quoted_message_is_in_the_code(message, known):
    assert shape(message).strip('\0 ') in known


def test_a_message_of_other_words_is_not_in_the_code(known):
    assert shape("there is no config '...', neither as a file nor by its name") not in known


def test_there_are_messages_on_the_page():
    assert len(QUOTED) > 20
