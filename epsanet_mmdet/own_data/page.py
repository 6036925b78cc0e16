"""The check's result as one HTML file that needs nothing else."""

from typing import Dict, List

from jinja2 import Environment

from ..datasets.split import Split
from ..utils.storage import write_whole
from .lint.run import CheckedData
from .lint.sets import class_counts, size_histogram
from .pictures import colours, draw

PICTURES = 24  # of each split
ROWS = 200  # findings of a kind

TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Check of a data set</title>
<style>
body { font: 15px/1.4 sans-serif; margin: 2em auto; max-width: 1300px; padding: 0 1em }
h1, h2, h3 { line-height: 1.2 } h2 { border-top: 1px solid #ccc; padding-top: .8em }
table { border-collapse: collapse }
td, th { padding: 2px 10px; text-align: left; vertical-align: top }
.bar { background: #3b78c2; height: .9em; min-width: 1px } .bars td:last-child { width: 420px }
.error { color: #b00020 } .warning { color: #8a5a00 } summary { cursor: pointer }
.gallery { display: flex; flex-wrap: wrap; gap: 12px } figure { margin: 0; max-width: 420px }
figcaption { font-size: 13px; overflow-wrap: anywhere } .key { display: inline-block; width: .8em;
height: .8em; border: 1px solid #555 } .columns { display: flex; flex-wrap: wrap; gap: 3em }
</style>
</head>
<body>
<h1>Check of a data set</h1>
<p><span class="error">{{ errors }} errors</span>,
<span class="warning">{{ warnings }} warnings</span></p>
{% for level, groups in levels %}
{% if groups %}<h2 class="{{ level }}">{{ level | capitalize }}s</h2>{% endif %}
{% for code, found in groups.items() %}
<details{% if level == 'error' %} open{% endif %}>
<summary><b>{{ code }}</b> ({{ found | length }})</summary>
<table><tr><th>file</th><th>entry</th><th>what is wrong</th><th>--fix</th></tr>
{% for item in found[:rows] %}
<tr><td>{{ item.file }}</td><td>{{ item.entry }}</td><td>{{ item.message }}</td>
<td>{{ item.repair }}</td></tr>
{% endfor %}
{% if found | length > rows %}<tr><td>... and {{ found | length - rows }} more</td></tr>{% endif %}
</table>
</details>
{% endfor %}
{% endfor %}
{% for split in splits %}
<h2>{{ split.name }}</h2>
<p>{{ split.source }} ({{ split.format }}): {{ split.images }} usable images,
{{ split.objects }} objects</p>
<div class="columns">
{% for title, bars in split.histograms %}
<div><h3>{{ title }}</h3>
<table class="bars">
{% for bar in bars %}
<tr><td>{{ bar.name }}</td><td>{{ bar.count }}</td>
<td><div class="bar" style="width: {{ bar.percent }}%"></div></td></tr>
{% endfor %}
</table></div>
{% endfor %}
</div>
<h3>{{ split.gallery | length }} of its pictures</h3>
<div class="gallery">
{% for picture in split.gallery %}
<figure><img src="{{ picture.uri }}" alt="">
<figcaption>{{ picture.name }}
{% for name, colour in picture.key %}
<br><span class="key" style="background: {{ colour }}"></span> {{ name }}
{% endfor %}
</figcaption></figure>
{% endfor %}
</div>
{% endfor %}
</body>
</html>
"""


def write_page(data: CheckedData, path: str) -> None:
    """Write findings, histograms and sampled pictures with their annotations as HTML."""
    write_whole(render_page(data), path)


def render_page(data: CheckedData) -> str:
    """Return the page as HTML."""
    template = Environment(autoescape=True, trim_blocks=True).from_string(TEMPLATE)
    return template.render(
        errors=data.findings.count('error'),
        warnings=data.findings.count('warning'),
        levels=[(level, data.findings.of(level)) for level in ('error', 'warning')],
        rows=ROWS,
        splits=[_describe(split) for split in data.splits],
    )


def _describe(split: Split) -> Dict:
    classes = sorted(class_counts(split).items(), key=lambda item: -item[1])
    return dict(
        name=split.name,
        source=split.source,
        format=split.format,
        images=len(split.images),
        objects=len(split.annotations),
        histograms=[
            ('Objects of each class', _bars(classes)),
            ('Objects by the square root of their area in pixels', _bars(size_histogram(split))),
        ],
        gallery=_gallery(split),
    )


def _bars(counts) -> List[Dict]:
    most = max([count for _, count in counts], default=0) or 1
    return [
        dict(name=name, count=count, percent=round(100 * count / most, 1)) for name, count in counts
    ]


def _gallery(split: Split) -> List[Dict]:
    step = max(1, len(split.images) // PICTURES)
    chosen = split.images[::step][:PICTURES]
    by_image: Dict[int, List[Dict]] = {image['id']: [] for image in chosen}
    for annotation in split.annotations:
        if annotation['image_id'] in by_image:
            by_image[annotation['image_id']].append(annotation)
    names = {category['id']: category['name'] for category in split.categories}
    table = colours(split)
    return [
        dict(
            name=image['file_name'],
            uri=draw(split, image, by_image[image['id']]),
            key=[
                (names[number], table[number])
                for number in sorted({a['category_id'] for a in by_image[image['id']]})
            ],
        )
        for image in chosen
    ]
