"""The images and objects that an HTML page shows, parsed from its SVG."""

import base64
from html.parser import HTMLParser

import cv2
import numpy as np


class Drawn(HTMLParser):
    """The images of a page: their sizes, pixels, and objects by class."""

    def __init__(self, page):
        super().__init__()
        self.sizes, self.images, self.objects, self.title = [], [], [], False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == 'svg':
            self.sizes.append(tuple(map(int, given['viewbox'].split()[2:])))
            self.objects.append([])
        elif tag == 'image':
            content = np.frombuffer(base64.b64decode(given['href'].split(',')[1]), np.uint8)
            self.images.append(cv2.imdecode(content, cv2.IMREAD_COLOR))
        elif tag == 'g':
            self.objects[-1].append(dict(colour=given.get('style', '').removeprefix('color: ')))
        elif tag == 'path':
            self.objects[-1][-1]['mask'] = given['d']
        elif tag == 'rect':
            box = [float(given[key]) for key in ('x', 'y', 'width', 'height')]
            self.objects[-1][-1]['box'] = box
        self.title = tag == 'title' and bool(self.objects)

    def handle_data(self, data):
        if self.title:
            self.objects[-1][-1]['name'] = data
            self.title = False


def filled(path, size):
    """Return the area of an SVG path, rasterised."""
    area = np.zeros(size[::-1], np.uint8)
    for part in path.strip('MZ').split('ZM'):
        points = np.array([point.split() for point in part.split('L')], float)
        cv2.fillPoly(area, [points.round().astype(np.int32)], 1)
    return area.astype(bool)
