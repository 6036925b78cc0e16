"""What a check of a data set finds."""

from collections import Counter
from dataclasses import dataclass
from os import PathLike
from typing import Dict, List, Tuple, Union

Place = Union[str, PathLike, Tuple[str, str]]  # a file, or a file and an entry in it


@dataclass(frozen=True)
class Finding:
    """One fault.

    Args:
        level: ``'error'`` if it stops or spoils a training, otherwise ``'warning'``.
        code: Kind of fault, such as ``'missing-image'``.
        file: Annotation, label or image file that has it.
        entry: Place in the file, such as ``'annotation 17'``.
        message: What is wrong.
        repair: What ``--fix`` does about it; empty if nothing.
    """

    level: str
    code: str
    file: str
    entry: str
    message: str
    repair: str = ''

    @property
    def place(self) -> str:
        return f'{self.file}: {self.entry}' if self.entry else self.file


class Findings:
    """A list of findings that is easy to add to."""

    def __init__(self) -> None:
        self.all: List[Finding] = []

    def error(self, code: str, place: Place, message: str, repair: str = '') -> None:
        self._add('error', code, place, message, repair)

    def warning(self, code: str, place: Place, message: str, repair: str = '') -> None:
        self._add('warning', code, place, message, repair)

    def of(self, level: str) -> Dict[str, List[Finding]]:
        """Return the findings of a level by code."""
        groups: Dict[str, List[Finding]] = {}
        for finding in self.all:
            if finding.level == level:
                groups.setdefault(finding.code, []).append(finding)
        return groups

    def count(self, level: str) -> int:
        return Counter(finding.level for finding in self.all)[level]

    def _add(self, level: str, code: str, place: Place, message: str, repair: str) -> None:
        file, entry = place if isinstance(place, tuple) else (place, '')
        self.all.append(Finding(level, code, str(file), entry, message, repair))
