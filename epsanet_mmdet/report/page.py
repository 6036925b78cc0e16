"""A page in one file: no script, nothing loaded from elsewhere."""

from dataclasses import dataclass
from typing import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES = Environment(
    loader=PackageLoader('epsanet_mmdet.report'),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters['percent'] = lambda v: '–' if v is None else f'{100 * v:.1f}'


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


def render_page(title: str, sections: Sequence[Section]) -> str:
    """Make a page of sections.

    Args:
        title: Its heading.
        sections: In their order.
    """
    return TEMPLATES.get_template('page.html').render(title=title, sections=sections)
