"""The page of a plan compares all variants, and depends on the results alone."""

import re

import pytest
from browser import browse, needs_browser, probe, screenshot
from finished_jobs import finish_jobs
from msgspec.structs import replace
from small_data import CLASSES
from tiny_plan import plan_content, write_plan

from epsanet_mmdet.evaluation.comparing import plotted_costs
from epsanet_mmdet.evaluation.verdict import compared_verdict_section
from epsanet_mmdet.experiments import prepare_plan
from epsanet_mmdet.experiments.pages import write_page
from epsanet_mmdet.experiments.prepare import PreparedPlan
from epsanet_mmdet.experiments.table import summarise, write_tables

EVIL = '<script>alert(1)</script> $_'


@pytest.fixture(scope='module')
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp('plan')
    content = plan_content(folder)
    content['rows'][0]['label'] = EVIL
    content['rows'][1]['published'] = 'mask-rcnn/senet50'
    plan = write_plan(folder, rows=content['rows'], seeds=[0, 1], title=EVIL)
    prepared = prepare_plan(str(plan), str(folder / 'work'))
    finish_jobs(prepared)
    return prepared


@pytest.fixture(scope='module')
def page(prepared):
    write_page(prepared, write_tables(prepared))
    return prepared.work_dir / 'report.html'


def test_the_page_has_every_part(page, prepared):
    text = page.read_text(encoding='utf-8')
    for words in (
        *('Verdict', 'Results', 'Object size and class', 'Precision and recall', 'Training'),
        *('Jobs', 'Run', 'Images, worst first', 'published AP', 'SDA-xNet', '0123456789ab'),
        'a machine',
        *CLASSES,
    ):
        assert words in text
    assert text.count('<tr>') > len(prepared.jobs)
    assert len(re.findall('<h3>', text)) == 2  # the test images


def test_names_are_escaped_and_the_only_script_is_the_pages_own(page):
    text = page.read_text(encoding='utf-8')
    assert text.count('<script') == 1 and '&lt;script&gt;' in text
    urls = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert urls and all(url.startswith(('data:', '#')) for url in urls)


def test_images_with_most_errors_come_first(page, prepared):
    counts = re.findall(
        r'misses <span data-count="FN">(\d+)</span>, false alarms <span data-count="FP">(\d+)<',
        page.read_text(encoding='utf-8'),
    )
    assert counts
    rows = len(prepared.plan.variants)
    wrong = [sum(map(int, pair)) for pair in counts]
    totals = [sum(wrong[i : i + rows]) for i in range(0, len(wrong), rows)]
    assert totals == sorted(totals, reverse=True)


def test_the_verdict_shows_an_interval_only_without_0(prepared):
    def verdict(low, high):
        ap = dict(mean=0.02, low=low, high=high, values=[])
        summary['comparisons'][0]['rows'][1]['to_baseline']['bbox']['AP'] = ap
        body = compared_verdict_section('', summary['comparisons'][0]).body
        return re.findall('<td>(.*?)</td>', body)[0]

    summary = summarise(prepared)
    assert verdict(0.005, 0.035) == '<b>+2.0 [+0.5, +3.5]</b>'
    assert verdict(-0.035, -0.005) == '<b>+2.0 [-3.5, -0.5]</b>'
    assert verdict(-0.01, 0.05) == verdict(0.0, 0.04) == 'no difference shown'
    assert verdict(None, None) == '+2.0, no interval'


def test_ap_is_drawn_against_the_times_that_are_known_or_else_against_flops(prepared):
    comparison = summarise(prepared)['comparisons'][0]
    rows = comparison['rows']
    costs, aps = plotted_costs(comparison, 'segm')
    assert list(aps) == [row['label'] for row in rows]
    for row, ap in zip(rows, aps.values()):
        assert ap['low'] < row['figures']['segm']['AP']['mean'] == ap['mean'] < ap['high']
    training, image = costs
    assert 'training iteration' in training and 'test image' in image
    assert costs[training] == {row['label']: row['iteration_seconds'] for row in rows}
    assert costs[image] == {row['label']: row['image_seconds'] for row in rows}
    rows[1]['iteration_seconds'] = None
    assert list(plotted_costs(comparison, 'segm')[0]) == [image]
    rows[0]['image_seconds'] = None
    costs, _ = plotted_costs(comparison, 'segm')
    assert costs == {
        'FLOPs of backbone and neck (G)': {row['label']: row['flops'] / 1e9 for row in rows}
    }


def test_plots_are_also_written_as_files(page):
    for name in ('box-ap', 'mask-ap', 'box-ap-by-cost', 'mask-ap-by-cost'):
        assert (page.parent / 'plots' / f'{name}.svg').read_text().count('<svg') == 1
        assert (page.parent / 'plots' / f'{name}.png').read_bytes().startswith(b'\x89PNG')


def test_the_page_and_plots_depend_on_the_results_alone(page, prepared):
    def read():
        text = re.sub(r'written</dt><dd>[^<]*', '', page.read_text(encoding='utf-8'))
        return text, (page.parent / 'plots' / 'box-ap.svg').read_bytes()

    before = read()
    write_page(prepared, write_tables(prepared))
    assert read() == before


def test_a_plan_without_results_has_a_page(tmp_path, prepared):
    empty = PreparedPlan(replace(prepared.plan, title='none'), tmp_path)
    write_page(empty, write_tables(empty))
    assert 'No job is done yet' in (tmp_path / 'report.html').read_text(encoding='utf-8')


@needs_browser
@pytest.mark.parametrize('width', [1280, 480])
def test_a_browser_shows_the_whole_page(page, width):
    picture = screenshot(page, width)
    assert picture.std() > 10
    seen = probe(page, width)
    assert seen['overflow'] <= 0
    assert (seen['uses'], seen['loaded'], seen['empty']) == (0, 0, 0)
    assert seen['plots'] >= 6 and seen['cells'] > 40
    assert seen['pictures'] == 2 * 2  # two images of two rows


@needs_browser
def test_columns_can_be_sorted(page):
    sorted_ = probe(page, 1280)['sorted']
    numbers = [[float(text.split(' ')[0]) for text in texts] for texts in sorted_['1']]
    assert numbers[0] == sorted(numbers[0], reverse=True) and numbers[1] == sorted(numbers[1])
    assert numbers[0] != numbers[1]
    assert sorted_['0'][0] == sorted_['0'][1][::-1]


@needs_browser
def test_the_pages_policy_lets_its_script_run(page):
    assert '<button type="button">' in browse(page, '--dump-dom')


@needs_browser
def test_the_page_follows_the_browsers_colour_scheme(page):
    light = screenshot(page, 800)
    dark = screenshot(page, 800, '--blink-settings=preferredColorScheme=0')
    assert light[:40].mean() > 200 > 80 > dark[:40].mean()
    assert (dark > 240).mean() < 0.03  # no white plot
