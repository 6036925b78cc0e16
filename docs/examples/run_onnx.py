"""Detect objects with an exported detector: python run_onnx.py MODEL.onnx IMAGE OUT.png."""

import json
import sys

import cv2
import numpy as np
import onnxruntime

model, image_file, out_file = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=['CPUExecutionProvider'])
facts = session.get_modelmeta().custom_metadata_map
classes, resize = json.loads(facts['classes']), json.loads(facts['resize'])

image = resized = cv2.imread(image_file)  # BGR, as facts['channels'] states
height, width = image.shape[:2]
if resize:
    size = resize['scale']
    if resize['keep_ratio']:  # the scale bounds the longer and the shorter side
        ratios = [max(size) / max(height, width), min(size) / min(height, width)]
        size = [int(side * min(ratios) + 0.5) for side in (width, height)]
    resized = cv2.resize(image, size)

outputs = session.run(None, {'image': resized, 'original_size': np.array([height, width])})
found = dict(zip([output.name for output in session.get_outputs()], outputs))
for i, (box, score, label) in enumerate(zip(found['boxes'], found['scores'], found['labels'])):
    if score < 0.3:
        break  # the best come first
    print(f'{classes[label]} {score:.3f}', *np.round(box, 1))
    if 'masks' in found:
        image[found['masks'][i]] = image[found['masks'][i]] // 2 + np.array([0, 127, 0], np.uint8)
    x1, y1, x2, y2 = np.round(box).astype(int).tolist()
    cv2.rectangle(image, (x1, y1), (x2, y2), (0, 255, 0), 2)
    cv2.putText(image, classes[label], (x1, y1 + 12), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 255))
cv2.imwrite(out_file, image)
