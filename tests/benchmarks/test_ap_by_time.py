"""AP of one run is plotted against the times of another."""

import json
import sys

import ap_by_time
import pytest
from ap_by_time import with_times

from epsanet_mmdet.errors import DataError


def table(aps, seconds) -> dict:
    rows = [
        dict(
            name=name,
            label=name.upper(),
            figures={'bbox': {'AP': {'values': values}}},
            iteration_seconds=seconds.get(name),
            image_seconds=seconds.get(name),
            flops=1e9,
        )
        for name, values in aps.items()
    ]
    return dict(comparisons=[dict(name='', baseline='a', rows=rows)])


TESTED = table(dict(a=[0.5, 0.6], b=[0.4, 0.7]), dict(a=9, b=9))


def test_times_are_those_of_the_other_run():
    rows = with_times(TESTED, table(dict(b=[0.1], a=[0.2]), dict(a=1, b=2)))['rows']
    assert [(row['name'], row['iteration_seconds']) for row in rows] == [('a', 1), ('b', 2)]
    assert rows[0]['figures'] == TESTED['comparisons'][0]['rows'][0]['figures']


@pytest.mark.parametrize('timed', [dict(a=1), dict(a=1, b=None)])
def test_a_variant_without_times_is_named(timed):
    with pytest.raises(DataError, match='no times of b;'):
        with_times(TESTED, table({name: [0.5] for name in timed}, timed))


def test_the_tool_writes_the_plot(tmp_path, monkeypatch, capsys):
    files = [tmp_path / name for name in ('tested.json', 'timed.json', 'plot.svg')]
    for file, content in zip(files, (TESTED, table(dict(a=[0.5], b=[0.5]), dict(a=1, b=2)))):
        file.write_text(json.dumps(content))
    monkeypatch.setattr(sys, 'argv', ['ap_by_time.py', *map(str, files)])
    ap_by_time.main()
    assert capsys.readouterr().out == 'A, 1.000 s, 1.000 s\nB, 2.000 s, 2.000 s\n'
    assert 'time per test image' in files[2].read_text()
