"""The published figures: one place for them, which the configs' metafiles agree with."""

import pytest
import yaml

from epsanet_mmdet.config.load import configs_dir
from epsanet_mmdet.errors import ConfigError
from epsanet_mmdet.experiments.published import published_keys, published_row

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
    large, base = published_row('mask-rcnn/epsanet50-l'), published_row('mask-rcnn/senet50')
    assert round(100 * (large['bbox']['AP'] - base['bbox']['AP']), 1) == 2.7
    assert round(100 * (large['segm']['AP'] - base['segm']['AP']), 1) == 1.7


@pytest.mark.parametrize('key', [k for k in published_keys() if config_name(k) in CONFIGS])
def test_metafiles_have_the_same_figures(key):
    metrics = CONFIGS[config_name(key)]
    published = published_row(key)
    for kind, name in (('bbox', 'box AP'), ('segm', 'mask AP')):
        if kind in published:
            assert metrics[name] == pytest.approx(100 * published[kind]['AP'])


def test_most_rows_have_a_config():
    assert sum(config_name(key) in CONFIGS for key in published_keys()) >= 15


@pytest.mark.parametrize('key', published_keys())
def test_every_row_names_its_source(key):
    row = published_row(key)
    assert 'README' in row['source']
    assert 0.3 < row['bbox']['AP'] < 0.5


def test_an_unknown_row_is_told_the_closest():
    with pytest.raises(ConfigError, match='mask-rcnn/senet50'):
        published_row('mask-rcnn/senet-50')
