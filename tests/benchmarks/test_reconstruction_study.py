"""The study measures each method once, and again after a change of settings or teacher."""

import pytest
import reconstruction_study
from reconstruction_study import compare_methods
from teacher_files import quiet, write

from epsanet_mmdet.weight_transfer import StageReconstruction, reconstruction_table


def test_stored_results_are_reused(teacher_file, tmp_path, monkeypatch):
    images = write(tmp_path / 'images', 10)

    def run(methods, **options):
        out = tmp_path / 'results'
        return compare_methods(
            teacher_file, images, out, methods=methods, image_size=32, progress=quiet, **options
        )

    found = run(['random', 'slice'])
    assert list(found) == ['random', 'slice']
    monkeypatch.setattr(reconstruction_study, 'transplant_and_measure', None)
    assert run(['random', 'slice']) == found
    for others in (dict(methods=['permute']), dict(methods=['slice'], seed=1)):
        with pytest.raises(TypeError):  # not measured yet
            run(**others)
    with open(teacher_file, 'ab') as file:
        file.write(b'another')
    with pytest.raises(TypeError):
        run(['slice'])


def test_the_table_has_a_line_for_each_stage():
    stages = [StageReconstruction(i, 0.5, 0.25, -0.125) for i in (1, 2)]
    table = reconstruction_table(dict(slice=stages, fit=stages)).splitlines()
    assert len(table) == 2 + 4
    assert table[2] == '| slice | 1 | 0.500 | 0.250 | -0.125 |'
