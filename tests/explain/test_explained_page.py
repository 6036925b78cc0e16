"""The page shows the objects, heat maps and weights, in one file that loads nothing."""

import re

import cv2
import numpy as np
import pytest
import torch
from browser import needs_browser, probe, screenshot
from drawn_page import Drawn
from mmengine.structures import InstanceData

from epsanet_mmdet.explain.grad_cam import Cam
from epsanet_mmdet.explain.images import Explained
from epsanet_mmdet.explain.page import ExplainedPage
from epsanet_mmdet.explain.recording import Gate, Record, Scales
from epsanet_mmdet.explain.summary import Summary, object_size
from epsanet_mmdet.inference.sources import Frame, Source

NASTY = '<script>alert(1)</script>"&.jpg'
BOXES = torch.tensor([[10.0, 10.0, 30.0, 30.0], [20.0, 5.0, 85.0, 45.0], [1.0, 1.0, 99.0, 99.0]])


def explained(name, heat=1.0):
    image = np.full((100, 120, 3), 90, np.uint8)
    objects = InstanceData(
        bboxes=BOXES, labels=torch.tensor([0, 1, 0]), scores=torch.tensor([0.9, 0.8, 0.7])
    )
    warm = torch.zeros(100, 120)
    warm[20:30, 40:60] = heat
    weights = torch.rand(4, 4).softmax(1)
    layers = [f'backbone.layer{i}.0' for i in range(1, 5)]
    scales = [
        Scales(f'{layer}.conv2', (3, 5, 5, 7), w, w.flip(0).repeat(3, 1))
        for layer, w in zip(layers, weights)
    ]
    gates = [Gate(f'{n}.channel', 'SoftChannel', False, torch.rand(16), None) for n in layers]
    gates += [
        Gate(f'{n}.spatial', 'SpatialAttention2d', False, None, torch.rand(5, 6)) for n in layers
    ]
    gates.append(Gate('backbone.flat', 'ContextBlock', True, None, torch.ones(5, 6)))
    frame = Frame(Source('', name, image), image, image.shape[:2])
    return Explained(frame, objects, [Cam(warm, 3, 4), Cam(warm, 1, 1)], Record(scales, gates))


def render(names=('a.jpg', NASTY), **heat):
    page, summary = ExplainedPage(('cat', '<b>dog'), 'HiResCAM', 'backbone'), Summary()
    for name in names:
        one = explained(name, **heat)
        page.add(one)
        summary.add(one.record, [object_size(box) for box in one.boxes])
    return page.render('<i>.py: 2 images', summary)


def test_every_object_is_boxed_and_every_heat_map_has_its_own_box():
    drawn = Drawn(render(['a.jpg']).split('<section>')[1])
    whole, first, second = drawn.objects[:3]
    assert [shape['name'] for shape in whole] == ['cat 0.90', '<b>dog 0.80', 'cat 0.70']
    assert [shape['box'] for shape in whole][1] == [20, 5, 65, 40]
    assert [first, second] == [
        [dict(colour='#fff', name=name, box=box)]
        for name, box in (('cat 0.90', [10, 10, 20, 20]), ('<b>dog 0.80', [20, 5, 65, 40]))
    ]
    plain, warm = drawn.images[:2]
    assert plain.shape == warm.shape == (100, 120, 3)
    red = warm[..., 2].astype(int) - warm[..., 0]
    y, x = np.unravel_index(red.argmax(), red.shape)
    assert 20 <= y < 30 and 40 <= x < 60


def test_captions_name_the_stage_where_there_are_several():
    page = render(['a.jpg'])
    assert '<figcaption><span>cat 0.90: backbone, stage 3 of 4</span></figcaption>' in page
    assert '<figcaption><span>&lt;b&gt;dog 0.80: backbone</span></figcaption>' in page
    assert 'cat 0.90: nothing raised the score' in render(['a.jpg'], heat=0)


def test_names_are_escaped():
    page = render()
    assert page.count('<script>') == 1  # the page's own
    assert '<i>' not in page and '<b>dog' not in page
    assert '&lt;script&gt;alert(1)&lt;/script&gt;' in page


def test_sections_are_those_of_the_recorded_layers():
    headings = re.findall('<h2 id="[^"]*">(.*?)</h2>', render())
    assert headings == [
        'Objects',
        'Scales of PSA: kernels 3, 5, 5, 7',
        'Attention to channels',
        'Attention to positions',
    ]
    empty = ExplainedPage(('cat', 'dog'), 'HiResCAM', 'backbone')
    one = explained('a.jpg')
    one.record = Record([], [])
    empty.add(one)
    assert re.findall('<h2 id="[^"]*">(.*?)</h2>', empty.render('f', Summary())) == ['Objects']


def test_the_table_has_the_weights_and_numbers_repeated_kernels():
    one, summary = explained('a.jpg'), Summary()
    summary.add(one.record, [object_size(box) for box in one.boxes])
    page = ExplainedPage(('cat', 'dog'), 'HiResCAM', 'backbone').render('f', summary)
    for size in ('3×3', '5×5', '5×5 (2)', '7×7'):
        assert f'<th scope="col">{size}</th>' in page
    for scales in one.record.scales:
        for weight in scales.image.tolist():
            assert f'<td>{weight:.3f}</td>' in page
    assert 'whole image, 1 image<' in page
    for title in ('small objects, 1', 'medium objects, 1', 'large objects, 1'):
        assert f'>{title}<' in page


def test_maps_of_layers_have_their_range():
    page = render(['a.jpg'])
    for gate in explained('a.jpg').record.gates:
        if gate.positions is not None:
            assert re.search(rf'\({gate.kind}\): \d\.\d{{3}} to \d\.\d{{3}}', page)
    assert '1.000 to 1.000' in page  # equal weights


@needs_browser
@pytest.mark.parametrize('width', [390, 900, 1600])
def test_a_browser_draws_the_page_and_loads_nothing(width, tmp_path):
    path = tmp_path / 'page.html'
    path.write_text(render(), encoding='utf-8')
    seen = probe(path, width)
    assert seen['loaded'] == seen['uses'] == 0 and seen['overflow'] <= 0
    assert seen['pictures'] == 2 * (3 + 5)


@needs_browser
def test_text_is_readable_in_the_dark(tmp_path):
    path = tmp_path / 'page.html'
    path.write_text(render(['a.jpg']), encoding='utf-8')
    light, dark = (
        cv2.cvtColor(screenshot(path, 900, f'--blink-settings=preferredColorScheme={i}'), 6)
        for i in (1, 0)
    )
    assert np.median(light) > 200 and np.median(dark) < 60
