"""``KEY=VALUE`` words of the command line."""

from argparse import Namespace
from typing import Any, Dict, Optional, Sequence

from mmengine.config import DictAction

from ..errors import ConfigError
from ..utils.text import printable


def read_key_values(words: Optional[Sequence[str]]) -> Optional[Dict[str, Any]]:
    """Return the values by key, as mmengine's tools read ``--cfg-options``.

    Args:
        words: Such as ``['train_cfg.max_epochs=2', 'train_pipeline=[]']``; None if there are none.

    Raises:
        ConfigError: If a word has no ``=``, or brackets that do not match.
    """
    if words is None:
        return None
    values = Namespace(words=None)
    for word in words:
        try:
            DictAction([], 'words', nargs='+')(None, values, [word])
        except (ValueError, AssertionError):
            raise ConfigError(
                f"option '{printable(word)}' is not KEY=VALUE; write lists without spaces, such as "
                "'key=[1,2]'"
            )
    return values.words
