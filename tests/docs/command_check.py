"""Checks of a command that is not run: its programs, arguments, configs and options exist."""

from pathlib import Path
from typing import List

import scratch
from torch.distributed.run import get_args_parser

from epsanet_cli.commands import COMMANDS
from epsanet_cli.parser import CommandParser
from epsanet_mmdet.config.key_values import read_key_values
from epsanet_mmdet.config.load import find_config, merge_options, read_config

SCRIPTS = {'check_dataset': 'check', 'compare_costs': 'costs'}


def check_command(command: str, folder: Path) -> None:
    """Check a shell command, whose last program must be one of this project.

    Raises:
        SystemExit: If a parser refuses the arguments.
        UserError: If a config does not exist, or if nothing reads an option.
    """
    recorded = folder / 'recorded'
    scratch.run(command, folder, programs='recorders')
    program, *arguments = recorded.read_text().splitlines()
    recorded.unlink()
    if program == 'srun':
        arguments = arguments[arguments.index('python') + 1 :]
    if arguments[:2] == ['-m', 'torch.distributed.run']:
        program, arguments = 'torchrun', arguments[2:]
    if program == 'torchrun':
        launched = get_args_parser().parse_args(arguments)
        module = ['-m'] if launched.module else []
        arguments = [*module, launched.training_script, *launched.training_script_args]
    if program == 'epsanet':
        arguments = ['-m', 'epsanet_cli', *arguments]
    check_arguments([argument for argument in arguments if argument != '-u'], folder)


def check_arguments(arguments: List[str], folder: Path) -> None:
    """Check the arguments of Python, which start a command of this project."""
    if arguments[:2] == ['-m', 'epsanet_cli']:
        name, arguments = arguments[2], arguments[3:]
    else:
        script, *arguments = arguments
        assert (folder / script).is_file(), f'there is no {script}'
        name = Path(script).stem
        name = SCRIPTS.get(name, name.replace('_', '-'))
    parser = CommandParser(prog=name)
    COMMANDS[name].add_arguments(parser)
    args = parser.parse_args(arguments)
    config = getattr(args, 'config', None)
    if config:
        words = getattr(args, 'cfg_options', None) or getattr(args, 'options', None)
        file = folder / config
        path = str(file) if file.is_file() else find_config(config)
        merge_options(read_config(path), read_key_values(words) or {})
