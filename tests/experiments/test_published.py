"""The published results are in one place, and the configs' metafiles agree with it."""

import pytest
import yaml

from epsanet_mmdet.config.load import configs_dir
from epsanet_mmdet.errors import ConfigError
from epsanet_mmdet.experiments.published import published_results, read_published

CONFIGS = {
    model['Name']: {
        name: value
        for result in model.get('Results', [])
        for name, value in result['Metrics'].items()
    }
    for path in sorted(configs_dir().glob('*/metafile.yml'))
    for model in yaml.safe_load(path.read_text(encoding='utf-8'))['Models']
}


def config_name(key: str) -> str:
    detector, backbone = key.split('/')
    return f'{detector}_{backbone}_fpn_1x_coco'


def test_the_headline_claim():
    large, base = published_results('mask-rcnn/epsanet50-l'), published_results('mask-rcnn/senet50')
    assert round(100 * (large['bbox']['AP'] - base['bbox']['AP']), 1) == 2.7
    assert round(100 * (large['segm']['AP'] - base['segm']['AP']), 1) == 1.7


@pytest.mark.parametrize('key', [k for k in read_published() if config_name(k) in CONFIGS])
def test_metafiles_agree_with_the_published_results(key):
    metrics = CONFIGS[config_name(key)]
    published = published_results(key)
    for kind, name in (('bbox', 'box AP'), ('segm', 'mask AP')):
        if kind in published:
            assert metrics[name] == pytest.approx(100 * published[kind]['AP'])


def test_most_published_results_have_a_config():
    assert sum(config_name(key) in CONFIGS for key in read_published()) >= 15


@pytest.mark.parametrize('key', read_published())
def test_every_result_names_its_source(key):
    result = published_results(key)
    assert 'README' in result['source']
    assert 0.3 < result['bbox']['AP'] < 0.5


def test_an_unknown_key_is_answered_with_the_closest():
    with pytest.raises(ConfigError, match='mask-rcnn/senet50'):
        published_results('mask-rcnn/senet-50')
