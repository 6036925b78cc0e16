"""The documentation lists every environment variable that the package or a config reads."""

import re

from conftest import ROOT


def test_every_variable_is_in_the_table():
    package = [*(ROOT / 'epsanet_mmdet').rglob('*.py'), *(ROOT / 'epsanet_cli').rglob('*.py')]
    read = {
        name for path in package for name in re.findall("'(EPSANET_[A-Z_]+)'", path.read_text())
    }
    for path in (ROOT / 'configs').rglob('*.py'):
        read |= set(re.findall(r'{{\$([A-Z_]+):', path.read_text()))
    page = (ROOT / 'docs' / 'command_line.md').read_text()
    table = page.split('## Environment variables')[1].split('\n## ')[0]
    assert read <= set(re.findall('^\\| `([A-Z_]+)`', table, re.MULTILINE))
