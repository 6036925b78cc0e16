"""HTML pages in one file each, which load nothing from elsewhere."""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Sequence

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

ROOMS = Path(__file__).parents[1]  # each with its templates, under names of its own
SCRIPTS = ('sort.js', 'pictures.js')
TEMPLATES = Environment(
    loader=FileSystemLoader(sorted(ROOMS.glob('*/templates'))),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def percent(value: Any, signed: bool = False) -> str:
    """Return a fraction in percent; an en dash for None.

    Args:
        value: The fraction, or a mapping with the ``mean`` of several and their ``deviation``, or
            the ends ``low`` and ``high`` of its interval, which may be None.
        signed: Write the sign of positive values.
    """
    if value is None:
        return '–'
    if not isinstance(value, dict):
        return f'{100 * value:{"+" if signed else ""}.1f}'
    mean = percent(value['mean'], signed)
    if value.get('deviation') is not None:
        return f'{mean} ± {percent(value["deviation"])}'
    if value.get('low') is not None:
        return f'{mean} [{percent(value["low"], signed)}, {percent(value["high"], signed)}]'
    return mean


def hours(seconds: Optional[float]) -> str:
    """Return a time in hours, or in minutes if it is shorter; an en dash for None."""
    if seconds is None:
        return '–'
    return f'{seconds / 3600:.1f} h' if seconds >= 3600 else f'{seconds / 60:.1f} min'


TEMPLATES.filters.update(percent=percent, hours=hours)


@dataclass
class Section:
    """A part of a page: its heading and its HTML."""

    title: str
    body: Markup

    @property
    def anchor(self) -> str:
        return ''.join(c if c.isalnum() else '-' for c in self.title.lower())


def render_section(title: str, template: str, **values) -> Section:
    """Return a section rendered from a template; every value is escaped.

    Args:
        title: Heading.
        template: Name of a file in one of the ``templates/`` folders, without its extension.
        **values: Variables of the template.
    """
    return Section(title, Markup(TEMPLATES.get_template(f'{template}.html').render(values)))


def render_page(title: str, sections: Sequence[Section]) -> str:
    """Return a page as HTML.

    Its script sorts tables of the class ``sortable`` by a click on a heading, enlarges pictures and
    filters them by score. The page's content security policy allows no other.

    Args:
        title: Heading.
        sections: Sections in their order.
    """
    script = ''.join(TEMPLATES.get_template(name).render() for name in SCRIPTS).strip()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return TEMPLATES.get_template('page.html').render(
        title=title, sections=sections, script=Markup(script), script_hash=digest
    )
