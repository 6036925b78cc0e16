"""Lines of progress, and errors of one line that end the process."""

import subprocess
import sys


def say(message):
    print(f'[setup] {message}', flush=True)


def fail(message):
    sys.exit(f'[setup] error: {message}')


def run(command, **kwargs):
    command = [str(part) for part in command]
    if subprocess.run(command, **kwargs).returncode:
        fail(f'this command failed, see above: {" ".join(command)}')


def succeeds(command):
    return subprocess.run([str(part) for part in command], capture_output=True).returncode == 0


def output_of(command):
    """Return what a command prints, or nothing where it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else ''
