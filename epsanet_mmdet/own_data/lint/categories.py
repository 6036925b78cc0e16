"""Checks of the categories."""

from typing import Dict, List, Tuple

from ...datasets.values import whole
from ..findings import Findings
from ..formats.split import Split


def check_categories(split: Split, findings: Findings) -> Tuple[List[Dict], Dict[int, int]]:
    """Check the categories of a split.

    Returns:
        The good or repaired ones, and the id among these for each id in the annotations.
    """
    kept: List[Dict] = []
    ids: Dict[int, int] = {}
    names: Dict[str, int] = {}
    for entry in split.categories:
        place = split.place_of('category', entry)
        stated = entry if isinstance(entry, dict) else {}
        name, number = stated.get('name'), whole(stated.get('id'))
        if number is None or not isinstance(name, (str, int, float)) or name == '':
            findings.error('bad-entry', place, 'it has no whole id and name', 'left out')
            continue
        if type(entry['id']) is not int or not isinstance(name, str):
            message = f'its id {entry["id"]!r} or name {name!r} is of a wrong type'
            findings.error('bad-entry', place, message, f"{number}, '{name}'")
            name = str(name)
            entry = dict(entry, id=number, name=name)
        if number in ids:
            message = f"another category than '{name}' has this id"
            findings.error('duplicate-id', place, message, 'left out')
        elif name in names:
            message = f"category {names[name]} is called '{name}' too"
            findings.error('duplicate-category', place, message, 'the two are joined')
            ids[number] = names[name]
        else:
            ids[number] = names[name] = number
            kept.append(entry)
    if not kept:
        findings.error('no-categories', split.source, 'it has no categories')
    return kept, ids


def unite_categories(splits: List[Split], findings: Findings) -> None:
    """Join the categories of all splits where they differ."""
    first, differ = splits[0], False
    for split in splits[1:]:
        if _key(split) != _key(first):
            differ = True
            message = (
                f'its categories are {_listing(split)}, those of {first.source} are '
                f'{_listing(first)}'
            )
            findings.error('classes-differ', split.source, message, 'all get the same')
    if not differ:
        return
    table: Dict[str, Dict] = {}
    for category in (category for split in splits for category in split.categories):
        if category['name'] not in table:
            taken = {entry['id'] for entry in table.values()}
            number = max(taken) + 1 if category['id'] in taken else category['id']
            table[category['name']] = dict(category, id=number)
    for split in splits:
        ids = {category['id']: table[category['name']]['id'] for category in split.categories}
        split.categories = list(table.values())
        split.annotations = [dict(a, category_id=ids[a['category_id']]) for a in split.annotations]


def _key(split: Split) -> List[Tuple[int, str]]:
    return [(category['id'], category['name']) for category in split.categories]


def _listing(split: Split, limit: int = 10) -> str:
    shown = [f'{number} {name}' for number, name in _key(split)]
    return ', '.join(shown[:limit]) + (', ...' if len(shown) > limit else '')
