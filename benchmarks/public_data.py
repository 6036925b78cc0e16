"""Fetch a public data set of a few hundred images from its source.

A set is a folder of a git repository at one commit. The commit is a checksum of all its files, so
others are refused.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from epsanet_cli.parser import CommandParser
from epsanet_mmdet.errors import DataError
from epsanet_mmdet.utils.command_line import run_command


class Source(NamedTuple):
    """A folder of a repository at a commit, and which images it has."""

    url: str
    commit: str
    folder: str
    content: str


SOURCES = {
    'blood-cells': Source(
        'https://github.com/Shenggan/BCCD_Dataset',
        'd272fb14cdff6e473fafeeeba32aba5f560e9e43',
        'BCCD',
        '364 images of blood cells of three classes, boxes, Pascal VOC (MIT licence)',
    ),
    'coco128': Source(
        'https://github.com/lightly-ai/coco128_yolo',
        '6d6f7a059ea63efffdbe48aca2d52c04d4c510e9',
        '',
        '128 training and 128 validation images of COCO, boxes in object_detection and masks in '
        'instance_segmentation, YOLO',
    ),
}


def parse_args():
    parser = CommandParser(description=__doc__)
    sets = '; '.join(f'{name}: {source.content}' for name, source in SOURCES.items())
    parser.add_argument('name', choices=SOURCES, help=sets)
    parser.add_argument('out', help='new folder for the data')
    return parser.parse_args()


def fetch(source: Source, out: str) -> None:
    """Write the files of a source to a new folder.

    Raises:
        DataError: If the folder exists, git is missing, or the commit cannot be fetched.
    """
    target = Path(out)
    if target.exists():
        raise DataError(f"'{out}' exists; name another folder, or remove it")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix='.fetch-') as scratch:
        files = Path(scratch) / 'files'
        try:
            _git('init', '--quiet', files)
            _git('-C', files, 'fetch', '--quiet', '--depth=1', source.url, source.commit)
            _git('-C', files, 'checkout', '--quiet', 'FETCH_HEAD', '--', source.folder or '.')
        except FileNotFoundError:
            raise DataError('git is not installed; install it') from None
        except subprocess.CalledProcessError as error:
            last = (error.stderr.strip().splitlines() or ['git failed'])[-1]
            raise DataError(
                f'commit {source.commit[:12]} of {source.url} cannot be fetched ({last}); check '
                'the network and try again'
            ) from None
        shutil.rmtree(files / '.git')
        (files / source.folder).rename(target)


def _git(*arguments) -> None:
    no_questions = {**os.environ, 'GIT_TERMINAL_PROMPT': '0'}
    subprocess.run(
        ['git', *map(str, arguments)], check=True, capture_output=True, text=True, env=no_questions
    )


def main() -> None:
    args = parse_args()
    fetch(SOURCES[args.name], args.out)
    print(f'wrote {args.out}: {SOURCES[args.name].content}')


if __name__ == '__main__':
    run_command(main)
