"""The four starts side by side."""

import pytest
import start_responses
from start_responses import compare_methods
from teacher_files import quiet, write

from epsanet_mmdet.weight_transfer import response_table


def test_what_was_measured_is_not_measured_again(teacher_file, tmp_path, monkeypatch):
    images = write(tmp_path / 'images', 10)

    def run(methods, **options):
        out = tmp_path / 'results'
        return compare_methods(
            teacher_file, images, out, methods=methods, image_size=32, progress=quiet, **options
        )

    found = run(['random', 'slice'])
    assert list(found) == ['random', 'slice']
    monkeypatch.setattr(start_responses, 'transplant_and_measure', None)
    assert run(['random', 'slice']) == found
    for others in (dict(methods=['permute']), dict(methods=['slice'], seed=1)):
        with pytest.raises(TypeError):  # not measured yet
            run(**others)
    with open(teacher_file, 'ab') as file:
        file.write(b'another')
    with pytest.raises(TypeError):
        run(['slice'])


def test_the_table_has_a_line_for_each_stage():
    stages = [start_responses.StageResponse(i, 0.5, 0.25, -0.125) for i in (1, 2)]
    table = response_table(dict(slice=stages, fit=stages)).splitlines()
    assert len(table) == 2 + 4
    assert table[2] == '| slice | 1 | 0.500 | 0.250 | -0.125 |'
