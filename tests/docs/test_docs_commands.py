"""Every command of the documentation runs as written, or is listed with the reason."""

import re
import shutil
from pathlib import Path
from typing import Iterator, Optional

import pytest
from command_check import check_command
from documents import PAGES, code_blocks, commands_of, name_of, shell_commands
from not_run import CHECKED, OTHERS
from scratch import PLACEHOLDERS, copy_scratch, environment_with, run, write_scratch
from tool_process import run_python

from epsanet_mmdet.errors import ConfigError

COMMANDS = [command for page in PAGES for command in shell_commands(page)]
WITH_CODE = [page for page in PAGES if code_blocks(page)]


@pytest.fixture(scope='module')
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('project')
    write_scratch(folder)
    return folder


@pytest.fixture
def folder(project, tmp_path) -> Iterator[Path]:
    """Yield a copy of the project folder, and remove it: a training leaves gigabytes."""
    yield copy_scratch(project, tmp_path / 'project')
    shutil.rmtree(tmp_path / 'project')


def listed(table, code: str) -> Optional[str]:
    return next((pattern for pattern in table if re.search(pattern, code)), None)


def as_meant(code: str) -> str:
    """Return code with the words replaced that a reader replaces."""
    words = '|'.join(PLACEHOLDERS)
    return re.sub(rf'(?<![\w/.])({words})(?![\w.])', lambda m: PLACEHOLDERS[m[0]], code)


def run_shell(command: str, folder: Path) -> None:
    if listed(CHECKED, command):
        check_command(as_meant(command), folder)
    elif not listed(OTHERS, command):
        run(as_meant(command), folder)


def run_program(program: str, folder: Path) -> None:
    """Run a program, which imports something; compile a part of a config."""
    compile(program, 'a block', 'exec')
    if re.search('^(import|from) ', program, re.MULTILINE):
        environment = environment_with(folder / 'bin')
        done = run_python('-c', as_meant(program), cwd=folder, environment=environment)
        assert done.returncode == 0, f'{program}\n{done.stderr}'


def with_minutes(page: Path):
    """Return a parameter marked with about how long it takes: seven seconds for each command."""
    running = [c for c in shell_commands(page) if not listed({**CHECKED, **OTHERS}, c)]
    marks = pytest.mark.slow(minutes=1 + len(running) // 8)
    return pytest.param(page, id=name_of(page), marks=marks)


@pytest.mark.parametrize('page', map(with_minutes, WITH_CODE))
def test_the_code_of_a_page_runs_in_order(page, folder):
    for language, content in code_blocks(page):
        if language == 'shell':
            for command in commands_of(content):
                run_shell(command, folder)
        elif language == 'python':
            run_program(content, folder)


@pytest.mark.parametrize('pattern', [*CHECKED, *OTHERS])
def test_what_is_listed_as_not_run_is_in_the_documentation(pattern):
    assert any(re.search(pattern, command) for command in COMMANDS)


@pytest.mark.parametrize(
    'wrong, error',
    [
        ('python tools/train.py CONFIG --resme', SystemExit),
        ('python tools/train.py CONFIG --cfg-options train_cfg.max_epoch=1', ConfigError),
        ('python tools/train.py mask-rcnn_epsanet50-x_fpn_1x_coco', ConfigError),
        ('torchrun --nproc_per_nodes=8 tools/train.py CONFIG --launcher pytorch', SystemExit),
        ('tools/dist_train.sh CONFIG 8 --apm', SystemExit),
        ('python tools/trian.py CONFIG', AssertionError),
    ],
)
def test_a_wrong_command_does_not_pass_the_check(wrong, error, folder):
    with pytest.raises(error):
        check_command(as_meant(wrong), folder)
