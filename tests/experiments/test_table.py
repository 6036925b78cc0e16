"""The table has the same means, deviations and intervals in all three formats."""

import csv
import io
import json

import numpy as np
import pytest
from finished_jobs import finish_jobs
from tiny_plan import plan_content, write_plan

from epsanet_mmdet.experiments import prepare_plan
from epsanet_mmdet.experiments.published import published_results
from epsanet_mmdet.experiments.table import summarise, to_csv, to_markdown, write_tables
from epsanet_mmdet.utils.flops import count_parameters


@pytest.fixture
def prepared(tmp_path):
    content = plan_content(tmp_path / 'plan')
    content['rows'][0]['published'] = 'mask-rcnn/resnet50'
    content['rows'][1]['label'] = 'a | b'
    plan = write_plan(tmp_path / 'plan', rows=content['rows'], seeds=[0, 1, 2])
    prepared = prepare_plan(str(plan), str(tmp_path / 'work'))
    finish_jobs(prepared)
    return prepared


def values(prepared, variant, kind, figure):
    jobs = [job for job in prepared.jobs if job.variant.name == variant]
    return np.array([job.result['metrics'][kind][figure] for job in jobs])


def test_means_and_deviations_are_those_of_the_seeds(prepared):
    base, other = summarise(prepared)['comparisons'][0]['rows']
    for kind in ('bbox', 'segm'):
        for figure in ('AP', 'AP50', 'AP75'):
            own = values(prepared, 'senet', kind, figure)
            spread = other['figures'][kind][figure]
            assert spread['mean'] == pytest.approx(own.mean())
            assert spread['deviation'] == pytest.approx(own.std(ddof=1))
            difference = own - values(prepared, 'resnet', kind, figure)
            against = other['to_baseline'][kind][figure]
            assert against['mean'] == pytest.approx(difference.mean())
            margin = 4.302653 * difference.std(ddof=1) / np.sqrt(3)  # Student, 2 degrees of freedom
            assert against['low'] == pytest.approx(difference.mean() - margin)
            assert against['high'] == pytest.approx(difference.mean() + margin)
    assert base['to_baseline'] is None


def test_differences_to_the_published_results(prepared):
    row = summarise(prepared)['comparisons'][0]['rows'][0]
    published = published_results('mask-rcnn/resnet50')
    for kind, ap in (('bbox', 0.372), ('segm', 0.341)):
        assert published[kind]['AP'] == pytest.approx(ap)
        expected = values(prepared, 'resnet', kind, 'AP').mean() - ap
        assert row['to_published'][kind]['AP'] == pytest.approx(expected)
    assert summarise(prepared)['comparisons'][0]['rows'][1]['to_published'] == {}


def test_a_single_seed_has_no_deviation_nor_interval_and_none_no_figures(prepared):
    for job in prepared.jobs:
        if job.seed or job.variant.name == 'resnet':
            (job.folder / 'result.json').unlink()
    base, other = summarise(prepared)['comparisons'][0]['rows']
    assert other['figures']['bbox']['AP']['deviation'] is None
    assert other['seeds'] == [0]
    assert base['figures'] == {} and base['seconds'] is None
    assert other['to_baseline'] == {}
    text = to_markdown(summarise(prepared))
    assert '1 of 6 jobs done' in text and '±' not in text.split('AP in percent')[0]


def test_the_difference_of_a_single_seed_has_no_interval(prepared):
    for job in prepared.jobs:
        if job.seed:
            (job.folder / 'result.json').unlink()
    summary = summarise(prepared)
    difference = summary['comparisons'][0]['rows'][1]['to_baseline']['bbox']['AP']
    assert difference['low'] is difference['high'] is None
    line = list(csv.DictReader(io.StringIO(to_csv(summary))))[1]
    assert line['box AP to baseline low'] == line['box AP to baseline high'] == ''
    assert f'| {100 * difference["mean"]:+.1f} |' in to_markdown(summary)


def test_differences_are_over_the_seeds_that_both_have(prepared):
    (prepared.jobs[0].folder / 'result.json').unlink()  # resnet, seed 0
    other = summarise(prepared)['comparisons'][0]['rows'][1]
    own = values(prepared_without_seed(prepared, 0), 'senet', 'bbox', 'AP')
    base = values(prepared_without_seed(prepared, 0), 'resnet', 'bbox', 'AP')
    assert other['to_baseline']['bbox']['AP']['mean'] == pytest.approx((own - base).mean())


def prepared_without_seed(prepared, seed):
    class Rest:
        jobs = [job for job in prepared.jobs if job.seed != seed]

    return Rest


def test_costs_are_those_of_the_built_detector(prepared):
    from mmdet.registry import MODELS
    from mmengine.registry import init_default_scope

    init_default_scope('mmdet')
    detector = MODELS.build(prepared.configs['senet'].model)
    row = summarise(prepared)['comparisons'][0]['rows'][1]
    assert row['parameters'] == count_parameters(detector)
    assert row['flops'] > 1e9


def test_the_time_per_iteration_is_the_median_over_the_logs_of_all_seeds(prepared):
    rows = summarise(prepared)['comparisons'][0]['rows']
    for row, share in zip(rows, (1 / 3, 2 / 3)):  # the logged times of finished_jobs
        assert row['iteration_seconds'] == pytest.approx(share * (1 + 30.5 / 60))
    for path in prepared.jobs[0].folder.parent.glob('*/train/*/vis_data/scalars.json'):
        path.unlink()
    summary = summarise(prepared)
    assert summary['comparisons'][0]['rows'][0]['iteration_seconds'] is None
    assert next(csv.DictReader(io.StringIO(to_csv(summary))))['iteration_seconds'] == ''
    assert '–' in to_markdown(summary)


def test_the_time_per_image_is_that_of_the_tests_without_loading(prepared):
    rows = summarise(prepared)['comparisons'][0]['rows']
    batch_size = prepared.jobs[0].config.test_dataloader.batch_size
    for row, share in zip(rows, (1 / 3, 2 / 3)):  # the logged times of finished_jobs
        assert row['image_seconds'] == pytest.approx(share / batch_size)
    assert f'| {1 / 3 / batch_size:.3f} |' in to_markdown(summarise(prepared))


def test_the_three_formats_agree(prepared):
    summary = write_tables(prepared)
    folder = prepared.work_dir
    assert json.loads((folder / 'table.json').read_text()) == json.loads(json.dumps(summary))
    rows = list(csv.DictReader(io.StringIO((folder / 'table.csv').read_text())))
    assert [row['row'] for row in rows] == ['resnet', 'senet']
    text = (folder / 'table.md').read_text()
    for row, line in zip(summary['comparisons'][0]['rows'], rows):
        mean = 100 * row['figures']['segm']['AP']['mean']
        assert float(line['mask AP']) == pytest.approx(mean, abs=1e-5)
        deviation = 100 * row['figures']['segm']['AP']['deviation']
        assert f'{mean:.1f} ± {deviation:.1f}' in text
    difference = summary['comparisons'][0]['rows'][1]['to_baseline']['segm']['AP']
    ends = [100 * difference[key] for key in ('mean', 'low', 'high')]
    for key, value in zip(('', ' low', ' high'), ends):
        assert float(rows[1][f'mask AP to baseline{key}']) == pytest.approx(value, abs=1e-5)
    assert '{:+.1f} [{:+.1f}, {:+.1f}]'.format(*ends) in text
    assert 'a \\| b' in text and '0123456789ab' in text and 'a machine' in text


def test_labels_in_the_csv_are_not_formulas(prepared):
    summary = summarise(prepared)
    summary['comparisons'][0]['rows'][0].update(label='=1+1', config='@SUM(A1)')
    first = next(csv.DictReader(io.StringIO(to_csv(summary))))
    assert (first['label'], first['config']) == ("'=1+1", "'@SUM(A1)")
    assert all(not value.startswith(('=', '+', '@')) for value in first.values())


def test_every_line_of_a_markdown_table_has_as_many_cells(prepared):
    counts = {}
    for line in to_markdown(summarise(prepared)).splitlines():
        if line.startswith('|'):
            counts.setdefault(line.replace('\\|', '').count('|'), []).append(line)
        else:
            assert len(counts) <= 1
            counts = {}


def test_the_table_depends_on_the_results_alone(prepared):
    first = summarise(prepared)
    prepared.jobs.reverse()
    assert to_csv(summarise(prepared)) == to_csv(first)


def test_several_machines_and_commits_are_all_named(prepared):
    path = prepared.jobs[0].folder / 'result.json'
    result = json.loads(path.read_text())
    path.write_text(json.dumps({**result, 'hardware': 'another', 'commit': None}))
    text = to_markdown(summarise(prepared))
    assert 'a machine' in text and 'another' in text and 'commit: unknown' in text
