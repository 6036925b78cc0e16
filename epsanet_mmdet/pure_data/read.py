"""Reading a config and its bases as pure data."""

import os.path as osp
import re
import tempfile
from typing import Any, Dict, List, Set, Tuple

from mmengine.config import Config
from mmengine.utils import import_modules_from_strings

from ..datasets.printable import printable
from ..datasets.regular_files import read_text
from ..errors import ConfigError
from .evaluate import Evaluation, Refusal, base_names
from .references import PACKAGES, refused_imports, refused_references

LARGEST_FILE = 2**20  # characters
MOST_FILES = 64
VARIABLE = re.compile(r'\{\{(.*?)\}\}', re.DOTALL)
ENVIRONMENT = re.compile(r'[\'"]?\s*\$(\w+_ROOT)\s*:\s*[\w./-]*\s*[\'"]?')  # never a secret
BASE_VALUE = re.compile(r'\s*_base_\.[\w.]+\s*')
BASE_USE = re.compile(r'_base_\s*[.\[]')
OWN_PATH = re.compile(r'\s*file(Dirname|Basename|BasenameNoExtension|Extname)\s*')
PLAIN_PATH = re.compile(r'[^\'"\\{}\n\r]*')


def load_pure_config(path: str) -> Config:
    """Load a config that is pure data: what it says is read, none of it is run.

    Args:
        path: The config. Bases of mmdet and of this package (``mmdet::...``) are as trusted as
            the packages themselves; all other bases must be pure data too.

    Raises:
        ConfigError: If something in it would run code; it names file and line.
    """
    refusals, config = _read(path)
    if refusals:
        more = f' (and {len(refusals) - 1} more)' if len(refusals) > 1 else ''
        raise ConfigError(
            f'config is not pure data: {refusals[0]}{more}; see all with tools/check_config.py, '
            'and load it as Python only if you trust it'
        )
    return config


def find_code(path: str) -> List[Refusal]:
    """Find everything in a config and its bases that would run code.

    Raises:
        ConfigError: If it cannot be read, or is no valid config.
    """
    return _read(path)[0]


def _read(path: str) -> Tuple[List[Refusal], Config]:
    chain = _Chain()
    chain.read(osp.abspath(osp.expanduser(path)), ())
    if chain.refusals:
        return chain.refusals, None
    try:
        # all that is evaluated here has been above
        config = Config.fromfile(path, import_custom_modules=False, lazy_import=False)
    except Exception as error:
        reason = printable(f'{type(error).__name__}: {error}', 200)
        raise ConfigError(f"config '{path}' cannot be read: {reason}") from error
    imports = config.get('custom_imports')
    refused = [
        Refusal(path, 1, f"custom_imports: '{printable(name)}' would be imported")
        for name in refused_imports(imports)
    ]
    if refused:
        return refused, None
    if imports:
        try:
            import_modules_from_strings(**imports)
        except (ImportError, TypeError) as error:
            raise ConfigError(f"config '{path}' has bad custom_imports: {error}") from error
    for place, what in refused_references(config):
        refused.append(Refusal(path, 1, f'{place}: {printable(what, 200)}'))
    return refused, config


class _Chain:
    def __init__(self) -> None:
        self.refusals: List[Refusal] = []
        self.files: Set[str] = set()

    def read(self, path: str, above: Tuple[str, ...]) -> Dict[str, Any]:
        """Read a config of pure data, and give its values merged over its bases', roughly."""
        self.files.add(path)
        if path in above or len(self.files) > MOST_FILES:
            self.refuse(path, 1, 'its bases have no end')
            return {}
        text = self.text(path)
        names = base_names(text)
        if names is None:
            self.refuse(path, _line_of(text, '_base_'), '_base_ is no plain text or list of them')
            return {}
        base: Dict[str, Any] = {}
        for name in names:
            base.update(self.base(name, path, text, (*above, path)))
        evaluation = Evaluation(text, path, base)
        self.refusals += evaluation.refusals
        return {**base, **evaluation.values}

    def refuse(self, path: str, line: int, what: str) -> None:
        self.refusals.append(Refusal(path, line, what))

    def text(self, path: str) -> str:
        """Read a config, and put in for ``{{ }}`` what mmengine will."""
        if not path.endswith('.py'):
            self.refuse(path, 1, 'it is no .py file: of YAML and JSON nothing is known')
            return ''
        try:
            text = read_text(path)
        except (OSError, UnicodeError) as error:
            raise ConfigError(f"config '{path}' cannot be read: {printable(str(error), 200)}")
        if len(text) > LARGEST_FILE:
            self.refuse(path, 1, f'it has more than {LARGEST_FILE} characters')
            return ''
        refused = False
        for found in VARIABLE.finditer(text):
            if not self.is_harmless(found.group(1), path):
                line = text.count('\n', 0, found.start()) + 1
                self.refuse(path, line, f"'{printable(found.group())}' would be put in")
                refused = True
        return '' if refused else _substituted(path)

    def is_harmless(self, variable: str, path: str) -> bool:
        if OWN_PATH.fullmatch(variable):
            return PLAIN_PATH.fullmatch(path) is not None
        return any(form.fullmatch(variable) for form in (ENVIRONMENT, BASE_VALUE))

    def base(self, name: str, path: str, text: str, above: Tuple[str, ...]) -> Dict[str, Any]:
        line = _line_of(text, '_base_')
        package, is_package, inside = name.partition('::')
        if not is_package:
            return self.read(osp.abspath(osp.join(osp.dirname(path), name)), above)
        if package not in PACKAGES or osp.isabs(inside) or '..' in inside.split('/'):
            self.refuse(path, line, f"the base '{printable(name)}' is of no known package")
            return {}
        if BASE_USE.search(text) is None:  # its values are not needed, and take a second
            return {}
        try:
            found, _ = Config._get_cfg_path(name, path)
            return Config.fromfile(found, import_custom_modules=False).to_dict()
        except Exception as error:  # a config is Python, so anything
            reason = printable(str(error), 200)
            raise ConfigError(f"the base '{name}' of '{path}' cannot be read: {reason}") from error


def _substituted(path: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        copy = osp.join(folder, 'config.py')
        Config._substitute_predefined_vars(path, copy)
        Config._substitute_env_variables(copy, copy)
        Config._pre_substitute_base_vars(copy, copy)
        with open(copy, encoding='utf-8') as file:
            return file.read()


def _line_of(text: str, name: str) -> int:
    lines = text.splitlines()
    return next((i for i, line in enumerate(lines, 1) if line.startswith(name)), 1)
