"""Ctrl-C while packages load ends a command with one line and status 130."""

import os
import time

import pytest
from tool_process import interrupt, start


@pytest.mark.skipif(not os.path.isdir('/proc/self'), reason='looks into /proc')
@pytest.mark.parametrize(
    'command',
    [
        'tools/infer.py a.py a.pth a.jpg',
        'tools/train.py a.py',
        '-m epsanet_cli report a.py a.pth',
    ],
)
def test_ctrl_c_while_packages_load_is_one_line(command):
    process = start(*command.split())
    maps = f'/proc/{process.pid}/maps'
    while process.poll() is None and 'libtorch' not in open(maps).read():
        time.sleep(0.02)
    assert interrupt(process) == 'interrupted'
