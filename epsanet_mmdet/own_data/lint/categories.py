"""Checks of the categories."""

from typing import Dict, List, Tuple

from ...datasets.findings import Findings
from ...datasets.split import Split, place_of
from ...datasets.values import whole


def check_categories(split: Split, findings: Findings) -> Tuple[List[Dict], Dict[int, int]]:
    """Check the categories of a split.

    Returns:
        The good or repaired ones, and each id in the annotations with the id among these.
    """
    kept: List[Dict] = []
    ids: Dict[int, int] = {}
    names: Dict[str, int] = {}
    for entry in split.categories:
        place = place_of(split, 'category', entry)
        name = entry.get('name') if isinstance(entry, dict) else None
        number = whole(entry.get('id')) if isinstance(entry, dict) else None
        if number is None or not isinstance(name, (str, int, float)) or name == '':
            findings.error('bad-entry', place, 'it has no whole id and name', 'left out')
            continue
        if type(entry['id']) is not int or not isinstance(name, str):
            findings.error(
                'bad-entry',
                place,
                f'its id {entry["id"]!r} or name {name!r} is of a wrong type',
                f"{number}, '{name}'",
            )
            entry = dict(entry, id=number, name=str(name))
        name = entry['name']
        if number in ids:
            findings.error(
                'duplicate-id', place, f"another category than '{name}' has this id", 'left out'
            )
            continue
        if name in names:
            findings.error(
                'duplicate-category',
                place,
                f"category {names[name]} is called '{name}' too",
                'the two are joined',
            )
            ids[number] = names[name]
            continue
        ids[number] = names[name] = number
        kept.append(entry)
    if not kept:
        findings.error('no-categories', split.source, 'it has no categories')
    return kept, ids


def unite_categories(splits: List[Split], findings: Findings) -> None:
    """Join the categories of all splits where they differ."""
    table: Dict[str, Dict] = {}
    for split in splits:
        for category in split.categories:
            if category['name'] not in table:
                taken = {entry['id'] for entry in table.values()}
                number = category['id']
                number = max(taken) + 1 if number in taken else number
                table[category['name']] = dict(category, id=number)
    first = splits[0]
    for split in splits[1:]:
        if _key(split) != _key(first):
            findings.error(
                'classes-differ',
                split.source,
                f'its categories are {_listing(split)}, those of {first.source} are '
                f'{_listing(first)}',
                'all get the same',
            )
    if len({str(_key(split)) for split in splits}) == 1:
        return
    for split in splits:
        ids = {category['id']: table[category['name']]['id'] for category in split.categories}
        split.categories = list(table.values())
        split.annotations = [
            annotation
            if ids[annotation['category_id']] == annotation['category_id']
            else dict(annotation, category_id=ids[annotation['category_id']])
            for annotation in split.annotations
        ]


def _key(split: Split) -> List[Tuple[int, str]]:
    return [(category['id'], category['name']) for category in split.categories]


def _listing(split: Split, limit: int = 10) -> str:
    shown = [f'{number} {name}' for number, name in _key(split)]
    return ', '.join(shown[:limit]) + (', ...' if len(shown) > limit else '')
