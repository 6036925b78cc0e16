"""Top-k accuracy, in one process and in several."""

import numpy as np
import pytest
import torch
import torch.multiprocessing

from epsanet_mmdet.pretraining import TopKAccuracy


def samples(scores, labels):
    return [
        dict(pred_scores=row, gt_label=torch.tensor(int(label)))
        for row, label in zip(scores, labels)
    ]


def test_counts_as_sorting_does():
    random = np.random.default_rng(0)
    scores, labels = random.permuted(np.tile(np.arange(12.0), (60, 1)), axis=1), None
    labels = random.integers(12, size=60)
    metric = TopKAccuracy(topk=(1, 3, 5))
    for part in np.array_split(np.arange(60), 7):
        metric.process({}, samples(torch.tensor(scores[part]), labels[part]))
    ranks = [sorted(row, reverse=True).index(row[label]) for row, label in zip(scores, labels)]
    expected = {f'top{k}': 100 * np.mean(np.array(ranks) < k) for k in (1, 3, 5)}
    assert metric.evaluate(60) == pytest.approx(expected)


def test_with_fewer_classes_than_k_every_image_counts():
    metric = TopKAccuracy()
    metric.process({}, samples(torch.tensor([[0.9, 0.1, 0.0], [0.9, 0.1, 0.0]]), [0, 2]))
    assert metric.evaluate(2) == {'top1': 50.0, 'top5': 100.0}


def evaluate_part(rank, folder, results):
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/meeting', rank=rank, world_size=2
    )
    scores = torch.eye(5)
    labels = [0, 1, 2, 0, 0]  # the last two are wrong
    mine = range(rank, 6, 2)  # the sampler repeats the first image to give both three
    metric = TopKAccuracy(topk=(1,))
    metric.process({}, samples(scores[[i % 5 for i in mine]], [labels[i % 5] for i in mine]))
    results[rank] = metric.evaluate(5)
    torch.distributed.destroy_process_group()


def test_two_processes_count_every_image_once(tmp_path):
    context = torch.multiprocessing.get_context('fork')
    with context.Manager() as manager:
        results = manager.dict()
        processes = [
            context.Process(target=evaluate_part, args=(rank, tmp_path, results))
            for rank in range(2)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        assert dict(results) == {0: {'top1': 60.0}, 1: {'top1': 60.0}}
