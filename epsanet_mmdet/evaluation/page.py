"""A page in one file that loads nothing from elsewhere."""

import base64
import hashlib
from dataclasses import dataclass
from typing import Any, Optional, Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES = Environment(
    loader=PackageLoader('epsanet_mmdet.evaluation'),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def percent(value: Any, signed: bool = False) -> str:
    """Write a share, or a mean and deviation of shares, in percent; an en dash if there is none."""
    if value is None:
        return '–'
    sign = '+' if signed else ''
    if isinstance(value, dict):
        text = f'{100 * value["mean"]:{sign}.1f}'
        return text if value['deviation'] is None else f'{text} ± {100 * value["deviation"]:.1f}'
    return f'{100 * value:{sign}.1f}'


def hours(seconds: Optional[float]) -> str:
    """Write a time in hours, or minutes if it is short; an en dash if there is none."""
    if seconds is None:
        return '–'
    return f'{seconds / 3600:.1f} h' if seconds >= 3600 else f'{seconds / 60:.1f} min'


TEMPLATES.filters.update(percent=percent, hours=hours)


@dataclass
class Section:
    """A part of a page: its heading, and its HTML."""

    title: str
    body: Markup

    @property
    def anchor(self) -> str:
        return ''.join(c if c.isalnum() else '-' for c in self.title.lower())


def render_section(title: str, template: str, **values) -> Section:
    """Make a section from one of the templates; every value is escaped.

    Args:
        title: Its heading.
        template: File name in ``templates/`` without its extension.
        **values: What the template shows.
    """
    return Section(title, Markup(TEMPLATES.get_template(f'{template}.html').render(values)))


def render_page(title: str, sections: Sequence[Section], sortable: bool = False) -> str:
    """Make a page of sections.

    Args:
        title: Its heading.
        sections: In their order.
        sortable: Let readers sort tables of the class ``sortable``, by a script.
    """
    script = TEMPLATES.get_template('sort.js').render().strip() if sortable else ''
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return TEMPLATES.get_template('page.html').render(
        title=title, sections=sections, script=Markup(script), script_hash=digest
    )
