"""JSON and CSV files are complete after each addition, whatever happens next."""

import csv
import json
import os
import resource
import signal

import pytest
from forked import fork

from epsanet_mmdet.inference.tables import CSV_HEADER, CsvTable, JsonList


def rows_of(path):
    with open(path, newline='', encoding='utf-8') as file:
        return list(csv.reader(file))


def test_a_list_is_complete_after_each_addition(tmp_path):
    path = tmp_path / 'a.json'
    entries, file = [], JsonList(path)
    assert json.loads(path.read_text()) == []
    for part in ([], [dict(a=1)], [], [dict(b='ä"\n'), dict(c='\udcff')], [dict(d='x' * 100_000)]):
        file.extend(part)
        entries += part
        assert json.loads(path.read_text()) == entries


def test_a_list_can_end_an_object(tmp_path):
    file = JsonList(tmp_path / 'a.json', '{"images": ', '}')
    file.extend([dict(id=1)])
    file.extend([dict(id=2)])
    assert json.loads((tmp_path / 'a.json').read_text()) == dict(images=[dict(id=1), dict(id=2)])


@pytest.mark.parametrize('make', [JsonList, CsvTable])
@pytest.mark.parametrize('link', ['symlink_to', 'hardlink_to'])
def test_a_table_is_not_written_through_a_link(make, link, tmp_path):
    (tmp_path / 'precious').write_text('precious')
    getattr(tmp_path / 'table', link)(tmp_path / 'precious')
    make(tmp_path / 'table').close()
    assert (tmp_path / 'precious').read_text() == 'precious'
    assert (tmp_path / 'table').read_text() != 'precious'


def row(name='a.png', cls='cat'):
    return (name, '', cls, 0.5, -1.5, 2.0, 3.0, 4.0, 9)


@pytest.mark.parametrize('cell', ['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', '\n=1'])
def test_no_cell_of_a_table_is_a_formula(cell, tmp_path):
    table = CsvTable(tmp_path / 'a.csv')
    table.extend([row(cell, 'cat'), row('a.png', cell)])
    header, first, second = rows_of(tmp_path / 'a.csv')
    assert tuple(header) == CSV_HEADER
    assert first[0] == second[2] == f"'{cell}"
    assert first[4] == '-1.5'  # numbers stay numbers


def test_other_cells_are_unchanged(tmp_path):
    names = ['a=b.png', "it's.png", 'ä ж 人.png', 'a,b".png', ' x', '1-2.png']
    table = CsvTable(tmp_path / 'a.csv')
    table.extend(row(name) for name in names)
    assert [found[0] for found in rows_of(tmp_path / 'a.csv')[1:]] == names
    table.extend([row('\udcff.png', '\ud800')])  # a file name that is not UTF-8
    assert rows_of(tmp_path / 'a.csv')[-1][0] == '\\udcff.png'


def test_earlier_additions_survive_a_full_disk(tmp_path):
    def fill():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        entries, table = JsonList(tmp_path / 'a.json'), CsvTable(tmp_path / 'a.csv')
        for add in (lambda i: entries.extend([dict(id=i)]), lambda i: table.extend([('a', i)])):
            with pytest.raises(OSError):
                for i in range(1000):
                    add(i)

    assert fork(fill) == 0
    entries = json.loads((tmp_path / 'a.json').read_text())
    assert entries == [dict(id=i) for i in range(len(entries))] and len(entries) > 50
    rows = rows_of(tmp_path / 'a.csv')[1:]
    assert rows == [['a', str(i)] for i in range(len(rows))] and len(rows) > 50


@pytest.mark.parametrize('count', [0, 1, 2, 100])
def test_all_additions_of_a_killed_process_survive(count, tmp_path):
    def add():
        entries, table = JsonList(tmp_path / 'a.json'), CsvTable(tmp_path / 'a.csv')
        for i in range(count):
            entries.extend([dict(id=i, text='x' * (100 * i))])
            table.extend([('a', i)])
        os.kill(os.getpid(), signal.SIGKILL)

    assert fork(add) == -signal.SIGKILL
    assert [entry['id'] for entry in json.loads((tmp_path / 'a.json').read_text())] == [
        *range(count)
    ]
    assert [row[1] for row in rows_of(tmp_path / 'a.csv')[1:]] == [*map(str, range(count))]
