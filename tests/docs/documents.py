"""The pages of the documentation, and the code in them."""

import re
from pathlib import Path
from typing import Iterator, List, Tuple

from conftest import ROOT

PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').rglob('*.md'))]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def code_blocks(page: Path) -> List[Tuple[str, str]]:
    """Return language and content of the fenced blocks of a page, in order."""
    return re.findall(r'^```(\w*)\n(.*?)^```$', page.read_text(), re.MULTILINE | re.DOTALL)


def shell_commands(page: Path) -> List[str]:
    """Return the commands of a page's shell blocks, in order."""
    return [
        command
        for language, content in code_blocks(page)
        if language == 'shell'
        for command in commands_of(content)
    ]


def commands_of(content: str) -> Iterator[str]:
    """Yield the commands of a shell block; one that spans lines is one command."""
    for line in content.replace('\\\n', '').splitlines():
        line = re.sub(' +', ' ', line).strip()
        if line and not line.startswith('#'):
            yield line
