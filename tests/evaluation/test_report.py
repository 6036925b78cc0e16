"""A report is complete and self-contained, and its data cannot run scripts in it."""

import json
import re
import resource
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from broken_images import tiff_bomb
from browser import needs_browser, probe, screenshot
from coco_case import write_case, write_log, write_synthetic
from pycocotools.cocoeval import COCOeval
from synthetic_detections import CLASSES, as_coco, synthetic_images
from tiny_detector import tiny_detector  # noqa: F401
from tool_process import run_tool

from epsanet_mmdet.errors import ConfigError, DataError
from epsanet_mmdet.evaluation import report_results, report_test
from epsanet_mmdet.evaluation.data import load_ground_truth, load_results
from epsanet_mmdet.evaluation.metrics import IOU_TYPES, evaluate
from epsanet_mmdet.utils.svg import LONGEST_SIDE

EVIL = ('<script>alert(1)</script>', '"\'&_$ä猫')


@pytest.fixture
def case(tmp_path):
    return write_case(tmp_path / 'data')


def write_page(case, path, **choices):
    report_results(*case, str(path), **choices)
    return path.read_text(encoding='utf-8')


def log_of_a_training(folder):
    entries = [dict(loss=3 / i, loss_cls=1 / i, epoch=i, iter=i, step=i) for i in range(1, 5)]
    entries.append({'coco/bbox_mAP': 0.1, 'coco/bbox_mAP_75': 0.1, 'step': 1})
    write_log(folder, 'run', entries)
    return str(folder)


class Attributes(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.urls = set(), []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.urls += [v for k, v in attributes if k in ('src', 'href', 'srcset', 'data', 'action')]


def test_the_page_has_every_part_and_loads_nothing(case, tmp_path):
    work_dir = log_of_a_training(tmp_path / 'work')
    page = write_page(case, tmp_path / 'r.html', work_dir=work_dir, facts=[('config', 'tiny.py')])
    for words in ('box AP50', 'mask AP', 'Precision and recall', 'Confusion matrix', 'Training'):
        assert words in page
    for words in ('tiny.py', 'mmdet 3', 'Verdict', 'Recommended score'):
        assert words in page
    parser = Attributes()
    parser.feed(page)
    assert page.count('<script') == 1 and 'iframe' not in parser.tags
    assert parser.urls and all(url.startswith(('data:', '#')) for url in parser.urls)
    assert not re.search(r'url\((?!#)|@import', page)
    assert [path.name for path in tmp_path.glob('*.html*')] == ['r.html']


def test_images_with_most_errors_come_first(case, tmp_path):
    shown = r'aria-label="ä (\d)\.jpg"'
    page = write_page(case, tmp_path / 'r.html', score_thr=0.3)
    assert re.findall(shown, page) == ['2', '1', '3']
    assert re.findall(shown, write_page(case, tmp_path / 's.html', score_thr=0.3, pictures=1)) == [
        '2'
    ]


def test_the_verdict_and_the_classes_have_the_metrics_of_pycocotools(tmp_path):
    images = synthetic_images(30, seed=1)
    page = write_page(write_synthetic(tmp_path, images), tmp_path / 'r.html')
    gt, dt = as_coco(images)
    wanted = {}
    for category_id, name in enumerate(CLASSES):
        evaluation = COCOeval(gt, dt, 'bbox')
        evaluation.params.catIds = [category_id]
        for step in (evaluation.evaluate, evaluation.accumulate, evaluation.summarize):
            step()
        wanted[name] = [100 * value for value in evaluation.stats[:3]]
    rows = re.findall(
        r'<th scope="row">(\w+)</th><td>\d+</td>' + 3 * r'<td[^>]*>([\d.]+)</td>', page
    )
    found = {name: [float(value) for value in values] for name, *values in rows}
    assert found == {name: pytest.approx(values, abs=0.051) for name, values in wanted.items()}
    assert list(found) == sorted(found, key=lambda name: -found[name][0])
    shown = re.search(r'box AP is ([\d.]+)</b> \(95&nbsp;% interval ([\d.]+) to ([\d.]+)\)', page)
    ap, low, high = (float(value) for value in shown.groups())
    assert ap == pytest.approx(np.mean([values[0] for values in wanted.values()]), abs=0.1)
    assert low < ap < high


def test_seeds_are_averaged_with_their_deviation_and_training_curves_have_a_band(tmp_path):
    images = synthetic_images(30, seed=1)
    case = write_synthetic(tmp_path, images)
    worse = write_synthetic(tmp_path / 'b', [(o, found[:1]) for o, found in images]).results
    folders = [log_of_a_training(tmp_path / name) for name in 'de']
    page = write_page(case, tmp_path / 'r.html', more_seeds=[worse], work_dir=folders)
    gt = load_ground_truth(case.ann_file)
    found = [load_results(gt, files)['bbox'] for files in (case.results, worse)]
    aps = [evaluate(gt, dt, 'bbox').summary['AP'] for dt in found]
    shown = re.search(r'<b>([\d.]+)</b>box AP.*± ([\d.]+) over 2 seeds', page)
    assert float(shown[1]) == pytest.approx(100 * np.mean(aps), abs=0.051)
    assert float(shown[2]) == pytest.approx(100 * np.std(aps, ddof=1), abs=0.051)
    assert 'Training losses: mean and range of 2 seeds' in page


def test_seeds_of_different_kinds_are_an_error(case, tmp_path):
    with pytest.raises(DataError, match='differ in whether they have boxes or masks'):
        write_page(case, tmp_path / 'r.html', more_seeds=[case.results[:1]])


@pytest.mark.parametrize('score', [float('nan'), float('inf'), 10**400, 'high', None])
def test_scores_that_are_no_numbers_are_an_error(score, case, tmp_path):
    results = json.loads(Path(case.results[0]).read_text())
    results[0]['score'] = score
    Path(case.results[0]).write_text(json.dumps(results))
    with pytest.raises(DataError, match='not COCO results'):
        write_page(case, tmp_path / 'r.html')


def test_class_names_are_escaped(tmp_path):
    page = write_page(write_case(tmp_path, names=EVIL), tmp_path / 'r.html')
    assert page.count('<script') == 1 and '&lt;script&gt;' in page


def test_masks_detections_and_images_are_optional(case, tmp_path):
    boxes = case._replace(results=case.results[:1])
    assert 'mask AP' not in write_page(boxes, tmp_path / 'r.html')
    Path(case.image_dir, 'ä 1.jpg').unlink()
    Path(case.image_dir, 'ä 2.jpg').write_bytes(b'')
    empty = write_case(tmp_path / 'empty', detections=[])._replace(image_dir=case.image_dir)
    assert write_page(empty, tmp_path / 's.html').count('the image cannot be read') == 2


def test_large_images_are_shrunk(case, tmp_path):
    big = cv2.resize(cv2.imread(f'{case.image_dir}/ä 1.jpg'), (4000, 4000))
    for i in (1, 2, 3):
        cv2.imwrite(f'{case.image_dir}/ä {i}.jpg', big)
    assert LONGEST_SIDE < 4000
    assert len(write_page(case, tmp_path / 'r.html')) < 500_000


def test_an_image_too_large_to_decode_is_not_shown(case, tmp_path):
    bomb = tiff_bomb(32768, 32768, bits=16, samples=3, tags=[(339, 'H', [2, 2, 2])])
    Path(case.image_dir, 'ä 1.jpg').write_bytes(bomb)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert write_page(case, tmp_path / 'r.html').count('the image cannot be read') == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KiB, of 5.9 GB


def test_no_input_is_overwritten(case):
    for path in (case.ann_file, *case.results):
        before = Path(path).read_bytes()
        with pytest.raises(DataError, match='would be overwritten, .*; choose another --out'):
            report_results(**case._asdict(), out=path)
        assert Path(path).read_bytes() == before


@pytest.mark.parametrize(
    ('changed', 'words'),
    [
        (dict(image_dir='absent'), 'does not exist'),
        (dict(work_dir='absent'), 'no training log'),
        (dict(out='.'), 'is a folder'),
    ],
)
def test_wrong_arguments_end_in_one_line(case, tmp_path, changed, words):
    given = dict(case._asdict(), out=str(tmp_path / 'r.html'))
    with pytest.raises(DataError, match=words):
        report_results(**{**given, **changed})
    assert not (tmp_path / 'r.html').exists()


def test_a_tested_model_has_the_metrics_that_mmdet_prints(tiny_detector, tmp_path, capsys):  # noqa: F811
    out = tmp_path / 'new' / 'r.html'
    seeds = [tiny_detector.checkpoint] * 2
    launched = dict(launcher='pytorch')  # as in the config that distributed training leaves
    report_test(tiny_detector.config, seeds[0], str(out), options=launched, more_seeds=seeds[1:])
    assert '± 0.0 over 2 seeds' in out.read_text(encoding='utf-8')
    for kind in IOU_TYPES:
        first, second = (out.with_name(f'r{suffix}.{kind}.json') for suffix in ('', '-2'))
        assert first.read_bytes() == second.read_bytes()
    results = {k: json.loads((tmp_path / 'new' / f'r.{k}.json').read_text()) for k in IOU_TYPES}
    assert results['bbox'] and results['segm']
    truth = json.loads(tiny_detector.ann_file.read_text())
    detections = list(zip(results['segm'], results['bbox']))[::3]
    truth['annotations'] = [
        {**mask, **box, 'id': i, 'iscrowd': 0, 'area': box['bbox'][2] * box['bbox'][3]}
        for i, (mask, box) in enumerate(detections, 1)
    ]
    ann_file = tmp_path / 'truth.json'
    ann_file.write_text(json.dumps(truth))
    options = {
        'test_dataloader.dataset.ann_file': str(ann_file),
        'test_evaluator.ann_file': str(ann_file),
    }
    capsys.readouterr()
    report_test(tiny_detector.config, tiny_detector.checkpoint, str(out), options=options)
    page, log = out.read_text(encoding='utf-8'), capsys.readouterr().out
    assert 'EPSANet' in page and '<summary>Config<' in page
    for kind, name in IOU_TYPES.items():
        shown = re.search(rf'<b>([\d.]+)</b>{name} AP.*AP50 ([\d.]+), AP75 ([\d.]+)<', page)
        for key, figure in zip(('', '_50', '_75'), shown.groups()):
            value = float(re.search(rf'coco/{kind}_mAP{key}: ([\d.]+)', log)[1])
            assert 0 < value < 1 and float(figure) == pytest.approx(100 * value, abs=0.1)


def test_a_config_that_tests_proposals_is_refused(tiny_detector, tmp_path):  # noqa: F811
    options = {'test_evaluator.metric': 'proposal'}
    with pytest.raises(ConfigError, match='tests neither boxes .* nor masks'):
        report_test(
            tiny_detector.config,
            tiny_detector.checkpoint,
            str(tmp_path / 'r.html'),
            options=options,
        )


def test_the_tool_reports_existing_results(case, tmp_path):
    given = ['--ann-file', case.ann_file, '--images', case.image_dir]
    out = tmp_path / 'r.html'
    done = run_tool('report.py', *given, *['--results', *case.results] * 2, '--out', out)
    assert done.returncode == 0, done.stderr
    assert '± 0.0 over 2 seeds' in out.read_text(encoding='utf-8')
    done = run_tool('report.py', *given, '--results', 'absent.json', '--out', out)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: results file 'absent.json'")
    assert 'Traceback' not in done.stderr
    assert run_tool('report.py', *given).returncode == 2


@needs_browser
@pytest.mark.parametrize('width', [1600, 900, 390])
def test_a_browser_shows_everything(tmp_path, width):
    work_dir = log_of_a_training(tmp_path / 'work')
    path = tmp_path / 'r 1.html'
    write_page(write_case(tmp_path / 'data', names=EVIL), path, work_dir=work_dir)
    assert screenshot(path, width).std() > 10
    seen = probe(path, width)
    assert seen['overflow'] <= 0
    assert (seen['uses'], seen['loaded'], seen['pictures']) == (0, 0, 3)
    assert seen['plots'] >= 4


@needs_browser
def test_dark_pages_have_no_white_plots(case, tmp_path):
    work_dir = log_of_a_training(tmp_path / 'work')
    path = tmp_path / 'r.html'
    write_page(case, path, work_dir=work_dir, pictures=0)
    dark = screenshot(path, 900, '--blink-settings=preferredColorScheme=0')
    assert (dark > 240).mean() < 0.02
