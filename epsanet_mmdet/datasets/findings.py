"""What a check of a data set finds."""

from collections import Counter
from dataclasses import dataclass
from typing import Dict, List


@dataclass(frozen=True)
class Finding:
    """One fault.

    Args:
        level: ``'error'`` for what stops or spoils a training, otherwise ``'warning'``.
        code: Kind of fault, such as ``'missing-image'``.
        file: Annotation, label or image file that has it.
        entry: Where in the file, such as ``'annotation 17'``.
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

    def error(self, code: str, place, message: str, repair: str = '') -> None:
        """Add an error; ``place`` is a file, or a file and the entry in it."""
        self._add('error', code, place, message, repair)

    def warning(self, code: str, place, message: str, repair: str = '') -> None:
        """Add a warning; ``place`` is a file, or a file and the entry in it."""
        self._add('warning', code, place, message, repair)

    def of(self, level: str) -> Dict[str, List[Finding]]:
        """Return the findings of a level by kind."""
        groups: Dict[str, List[Finding]] = {}
        for finding in self.all:
            if finding.level == level:
                groups.setdefault(finding.code, []).append(finding)
        return groups

    def count(self, level: str) -> int:
        return Counter(finding.level for finding in self.all)[level]

    def _add(self, level: str, code: str, place, message: str, repair: str) -> None:
        file, entry = place if isinstance(place, tuple) else (place, '')
        self.all.append(Finding(level, code, str(file), entry, message, repair))
