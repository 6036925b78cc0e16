"""Runs commands in forks of a process that has imported the package, which takes seconds.

Reads a request, one line of JSON, from stdin and answers with the status of its process on stdout.
The fork leaves the loop and ends as the main program of its command: with Python's own handling
of exceptions and exit codes. Like the imports, formatting a config, which a training does six
times, takes long and has no part in what the commands are tested for.
"""

import gc
import json
import os
import runpy
import signal
import sys
from typing import Callable

from mmengine.config import config as mmengine_config

import epsanet_mmdet  # noqa: F401


def next_command() -> list:
    """Serve requests until stdin ends; return the command of the request in its fork alone."""
    gc.freeze()  # else each fork examines, and so copies, all objects of the package when it ends
    for line in iter(sys.stdin.readline, ''):
        request = json.loads(line)
        process = os.fork()
        if process == 0:
            become(request)
            return request['command']
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        os.write(1, f'{status}\n'.encode())
    sys.exit()


def become(request: dict) -> None:
    """Take over the files, the folder and the environment of a request."""
    signal.alarm(request['timeout'])
    write = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for number, path in enumerate((os.devnull, request['stdout'], request['stderr'])):
        os.dup2(os.open(path, write if number else os.O_RDONLY), number)
    os.chdir(request['cwd'])
    os.environ.clear()
    os.environ.update(request['environment'])


def remember(format_code: Callable) -> Callable:
    """Return a function that formats each text once."""
    formatted = {}

    def format_once(text: str, **options):
        if text not in formatted:
            formatted[text] = format_code(text, **options)
        return formatted[text]

    return format_once


if __name__ == '__main__':
    mmengine_config.FormatCode = remember(mmengine_config.FormatCode)
    program, *arguments = next_command()
    if program == '-c':
        code, *arguments = arguments
        sys.argv, sys.path[0] = ['-c', *arguments], ''
        exec(compile(code, '<string>', 'exec'), {'__name__': '__main__'})
    elif program == '-m':
        sys.argv, sys.path[0] = arguments, os.getcwd()
        runpy.run_module(arguments[0], run_name='__main__', alter_sys=True)
    else:
        sys.argv, sys.path[0] = [program, *arguments], os.path.dirname(os.path.abspath(program))
        runpy.run_path(program, run_name='__main__')
