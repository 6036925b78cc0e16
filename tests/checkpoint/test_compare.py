"""A comparison counts every tensor of checkpoint and model once, and its table fits a terminal."""

import torch

from epsanet_mmdet.checkpoint.compare import compare, comparison_table

MODEL = {
    'conv1.weight': torch.ones(8, 3, 7, 7),
    'bn1.weight': torch.ones(8),
    'bn1.num_batches_tracked': torch.tensor(0),
    'layer1.0.conv1.weight': torch.ones(4, 8, 1, 1),
    'layer2.0.conv1.weight': torch.ones(4, 8, 1, 1),
}


def test_a_state_dict_matches_itself_completely():
    found = compare(MODEL, MODEL)
    assert found.complete and (found.given, found.wanted) == (4, 4)


def test_tensors_are_missing_unexpected_or_of_another_shape():
    given = {
        'conv1.weight': torch.ones(8, 3, 7, 7),
        'layer1.0.conv1.weight': torch.ones(4, 9, 1, 1),
        'layer2.0.conv1.weight': torch.ones(4, 8, 1, 1),
        'fc.weight': torch.ones(2, 4),
        'bn1.weight': 'no tensor',
    }
    found = compare(given, MODEL)
    assert found.matched == ['conv1.weight', 'layer2.0.conv1.weight']
    assert found.missing == ['bn1.weight']
    assert found.unexpected == ['fc.weight']
    assert found.reshaped == ['layer1.0.conv1.weight']
    assert not found.complete and (found.given, found.wanted) == (4, 4)


def test_the_table_counts_by_stage_and_names_what_does_not_match():
    given = {k: v for k, v in MODEL.items() if not k.startswith('layer2')}
    table = comparison_table(compare({**given, 'fc.weight': torch.ones(1)}, MODEL))
    assert [line.split() for line in table.splitlines()] == [
        ['matched', 'missing', 'unexpected', 'wrong', 'shape'],
        ['stem', '2', '0', '0', '0'],
        ['stage', '1', '1', '0', '0', '0'],
        ['stage', '2', '0', '1', '0', '0'],
        ['the', 'rest', '0', '0', '1', '0'],
        ['all', '3', '1', '1', '0'],
        ['missing', 'such', 'as:', 'layer2.0.conv1.weight'],
        ['unexpected', 'such', 'as:', 'fc.weight'],
    ]
