"""How many iterations a start saves."""

import json

import head_start as module
import numpy as np
import pytest
from head_start import WINDOW, compare_starts, head_start, head_start_table, smoothed
from teacher_files import quiet

from epsanet_mmdet.weight_transfer import run_transplant


def test_the_smoothed_loss_is_the_mean_of_the_last_ones():
    losses = list(range(50))
    found = smoothed(losses)
    assert len(found) == 50 - WINDOW + 1
    assert found[0] == pytest.approx(np.mean(losses[:WINDOW]))
    assert found[-1] == pytest.approx(np.mean(losses[-WINDOW:]))


def test_as_good_is_when_the_mean_is_no_more_than_the_final_one_of_the_random_start():
    random = np.linspace(4, 2, 100)
    faster = np.linspace(4, 0, 100)  # half the iterations, but for the means' lag
    found = head_start(0, random, faster)
    assert found.final_random == pytest.approx(random[-WINDOW:].mean())
    first = next(n for n in range(WINDOW, 101) if faster[n - WINDOW : n].mean() <= found[2])
    assert found.reached_random == 100
    assert found.reached == first < 65
    assert f'| 0 | 100 | 2.192 | 0.384 | 100 | {first} |' in head_start_table([found])


def test_a_loss_that_rises_again_was_not_there_yet():
    dips = [3.0] * 40 + [1.0] * 40 + [3.0] * 40
    found = head_start(0, [3.0] * 100 + [2.0] * 20, dips + [1.0] * 40)
    assert found.final_random == pytest.approx(2) and found.reached_random == 120
    assert found.reached == 120 + WINDOW // 2


def test_a_start_that_never_gets_there_is_said_so():
    worse = head_start(3, np.linspace(4, 2, 100), np.linspace(4, 3, 100))
    assert worse.reached is None and 'never' in head_start_table([worse])


def test_both_starts_train_and_what_is_done_is_not_done_again(
    teacher_file,
    tmp_path,
    monkeypatch,
):
    checkpoint = tmp_path / 'ours.pth'
    run_transplant(teacher_file, str(checkpoint), method='slice', image_size=32, progress=quiet)

    def run():
        return compare_starts(
            str(checkpoint),
            str(tmp_path),
            (0,),
            iterations=2,
            batch_size=1,
            size=64,
            progress=quiet,
        )

    found = run()
    losses = {
        start: json.loads((tmp_path / f'{start}-seed0.json').read_text())['losses']
        for start in ('random', 'transplant')
    }
    assert [len(values) for values in losses.values()] == [2, 2]
    assert losses['random'] != losses['transplant']
    assert '<svg' in (tmp_path / 'losses.svg').read_text()
    monkeypatch.setattr(module, 'train', None)
    assert run() == found
    report = checkpoint.with_suffix('.json')
    report.write_text(report.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(TypeError):  # another checkpoint, so it would train again
        run()
