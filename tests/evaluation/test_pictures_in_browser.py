"""Pictures of a report in a browser: the slider and switches show what counts, a click enlarges."""

import json

import pytest
from browser import ask, needs_browser
from coco_case import load_case, write_case

from epsanet_mmdet.evaluation import report_results
from epsanet_mmdet.evaluation.matching import at_score, match

pytestmark = needs_browser
HELPERS = """
  const gallery = document.querySelector('.gallery');
  const slider = gallery.querySelector('[type=range]');
  const visible = (part, of) => [...(of ?? gallery).querySelectorAll('.row ' + part)]
    .filter(e => getComputedStyle(e).display !== 'none');
  const slide = score => { slider.value = score; slider.dispatchEvent(new Event('input')); };
  const names = list => list.map(e => e.querySelector('title').textContent);
  const check = value => gallery.querySelector(`[value=${value}]`).click();
"""
COUNTS = """
  const counts = {};
  for (const score of %s) {
    slide(score);
    counts[score] = [...gallery.querySelectorAll('figure')].map(f => [
      f.querySelector('svg').getAttribute('aria-label'),
      ...['TP', 'FN', 'FP'].map(k => +f.querySelector(`[data-count=${k}]`).textContent),
      ...['TP', 'FN', 'FP'].map(k => f.querySelectorAll(`svg > g.${k}:not([hidden])`).length)]);
  }
  return counts;
"""


@pytest.fixture(scope='module')
def case(tmp_path_factory):
    return write_case(tmp_path_factory.mktemp('pictures'))


@pytest.fixture(scope='module')
def page(case, tmp_path_factory):
    path = tmp_path_factory.mktemp('page') / 'r.html'
    report_results(*case, str(path), score_thr=0.3)
    return path


def test_at_each_score_the_counts_and_shapes_are_those_of_matching(case, page):
    gt, results = load_case(case)
    matches = match(gt, results['segm'], 'segm')
    scores = [0, 0.1, 0.11, 0.5, 0.65, 0.8, 0.95, 0.3]
    found = ask(page, HELPERS + COUNTS % json.dumps(scores))
    for score in scores:
        assert len(found[str(score)]) == len(gt.imgs)
        for name, *counts in found[str(score)]:
            image_id = next(i for i, image in gt.imgs.items() if image['file_name'] == name)
            outcomes = [m.outcome for m in at_score(matches[image_id], score)]
            assert counts == 2 * [outcomes.count(kind) for kind in ('TP', 'FN', 'FP')]


def test_switches_hide_what_they_name(page):
    found = ask(
        page,
        HELPERS
        + """
  const seen = [];
  const look = () => seen.push(names(visible('g')).sort());
  look();
  check('FP'); look();
  check('FN'); look();
  check('TP'); look();
  check('ignored'); look();
  check('GT'); look();
  check('label');
  return [seen, visible('text').length];
  """,
    )
    seen, labels = found
    missed, false = (
        ['object: cat', 'object: dog'],
        ['false alarm: cat 0.60', 'false alarm: dog 0.80'],
    )
    hits = ['hit: cat 0.90', 'hit: dog 0.70']
    ignored = ['ignored: dog', 'ignored: dog 0.50']
    assert seen[0] == sorted(missed + false + hits + ignored)
    assert seen[1] == sorted(missed + hits + ignored)
    assert seen[2] == sorted(hits + ignored)
    assert seen[3] == ignored
    assert seen[4] == []
    assert seen[5] == sorted(missed * 2)  # all objects but the crowd
    assert labels == 0


def test_a_miss_is_drawn_in_the_colour_of_its_key_until_its_detection_counts(page):
    dog, key, moved = ask(
        page,
        HELPERS
        + """
  const dog = visible('g.FN[data-score]')[0], key = gallery.querySelector('[value=FN] + .key');
  const colours = [getComputedStyle(dog).color, getComputedStyle(key).color];
  slide(0.05);
  return [...colours, getComputedStyle(dog).display];
  """,
    )
    assert dog == key and moved == 'none'


def test_a_picture_opens_in_full_size_with_the_switches_and_closes(page):
    found = ask(
        page,
        HELPERS
        + """
  const dialog = () => document.querySelector('dialog'), tools = gallery.querySelector('.tools');
  const label = () => dialog().querySelector('svg').getAttribute('aria-label');
  const key = name => dialog().dispatchEvent(new KeyboardEvent('keydown', {key: name}));
  const small = gallery.querySelector('svg').getBoundingClientRect().width;
  gallery.querySelector('figcaption button').click();
  const seen = {opened: dialog().open, label: label(), moved: dialog().contains(tools)};
  seen.grown = dialog().querySelector('svg').getBoundingClientRect().width / small;
  slide(0.95);
  seen.shapes = dialog().querySelectorAll('g:not([hidden]):is(.TP, .FP)').length;
  key('ArrowRight'); seen.next = label();
  key('ArrowLeft'); key('ArrowLeft'); seen.last = label();
  dialog().querySelector('svg').dispatchEvent(new MouseEvent('click', {bubbles: true}));
  seen.closed = !dialog().open;
  gallery.querySelectorAll('svg')[1].dispatchEvent(new MouseEvent('click', {bubbles: true}));
  seen.clicked = label();
  [...dialog().querySelectorAll('button')].at(-1).click();
  seen.restored = [dialog().open, document.querySelectorAll('.picture').length];
  return seen;
  """,
        width=1600,
    )
    assert found.pop('grown') > 1
    assert found == dict(
        opened=True,
        label='ä 2.jpg',
        moved=True,
        shapes=0,
        next='ä 1.jpg',
        last='ä 3.jpg',
        closed=True,
        clicked='ä 1.jpg',
        restored=[False, 4],
    )


def test_everything_that_acts_can_be_reached_by_keyboard_and_has_a_name(page):
    found = ask(
        page,
        """
  return [...document.querySelectorAll('.gallery :is(input, button)')].map(
    e => [e.tabIndex, (e.labels?.[0] ?? e).textContent.trim()]);
  """,
    )
    assert len(found) == 6 + 1 + 3
    assert all(index == 0 and name for index, name in found)
