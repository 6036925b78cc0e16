"""Every shell command of the documentation runs as written, or is listed with the reason."""

import re
from pathlib import Path
from typing import Optional

import pytest
from command_check import check_command
from documents import IDS, PAGES, shell_commands
from not_run import CHECKED, OTHERS
from scratch import PLACEHOLDERS, copy_scratch, run, write_scratch

COMMANDS = [command for page in PAGES for command in shell_commands(page)]
WITH_COMMANDS = [page for page in PAGES if shell_commands(page)]


@pytest.fixture(scope='module')
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('project')
    write_scratch(folder)
    return folder


def listed(table, command: str) -> Optional[str]:
    return next((pattern for pattern in table if re.search(pattern, command)), None)


def as_meant(command: str) -> str:
    """Return a command with the words replaced that a reader replaces."""
    words = '|'.join(PLACEHOLDERS)
    return re.sub(rf'(?<![\w/.=])({words})(?![\w.=])', lambda m: PLACEHOLDERS[m[0]], command)


@pytest.mark.slow(minutes=3)
@pytest.mark.parametrize(
    'page', WITH_COMMANDS, ids=[name for page, name in zip(PAGES, IDS) if page in WITH_COMMANDS]
)
def test_the_commands_of_a_page_run_in_order(page, project, tmp_path):
    folder = copy_scratch(project, tmp_path / 'project')
    for command in shell_commands(page):
        if listed(OTHERS, command):
            continue
        if listed(CHECKED, command):
            check_command(as_meant(command), folder)
        else:
            run(as_meant(command), folder)


@pytest.mark.parametrize('pattern', [*CHECKED, *OTHERS])
def test_what_is_listed_as_not_run_is_in_the_documentation(pattern):
    assert any(re.search(pattern, command) for command in COMMANDS)


@pytest.mark.parametrize(
    'wrong',
    [
        'python tools/train.py CONFIG --resme',
        'python tools/train.py CONFIG --cfg-options train_cfg.max_epoch=1',
        'python tools/train.py mask-rcnn_epsanet50-x_fpn_1x_coco',
        'torchrun --nproc_per_nod=8 tools/train.py CONFIG --launcher pytorch',
        'python tools/trian.py CONFIG',
    ],
)
def test_a_wrong_command_does_not_pass_the_check(wrong, project, tmp_path):
    folder = copy_scratch(project, tmp_path / 'project')
    with pytest.raises((AssertionError, SystemExit, Exception)):
        check_command(as_meant(wrong), folder)
