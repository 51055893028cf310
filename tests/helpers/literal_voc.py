"""VOC average precision as the devkit describes it: one loop, one class at a time.

Slow, simple, and independent of the package: a reference for the vectorised evaluation.
"""

from __future__ import annotations

import math


def literal_iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    if width <= 0 or height <= 0:
        return 0.0
    area_a = (a[2] - a[0] + 1) * (a[3] - a[1] + 1)
    area_b = (b[2] - b[0] + 1) * (b[3] - b[1] + 1)
    return width * height / (area_a + area_b - width * height)


def literal_voc_ap(objects, detections, threshold=0.5):
    """objects: (image, box, ignored); detections: (image, score, box), of one class.

    Returns the 11-point AP and the area AP; NaN without any counted object.
    """
    matched = set()
    positives = sum(not ignored for _, _, ignored in objects)
    if positives == 0:
        return math.nan, math.nan
    right = []
    for image, _, box in sorted(detections, key=lambda item: -item[1]):
        best, best_iou = None, -1.0
        for index, (other_image, other_box, _) in enumerate(objects):
            if other_image == image and literal_iou(box, other_box) > best_iou:
                best, best_iou = index, literal_iou(box, other_box)
        if best is None or best_iou < threshold:
            right.append(0)
        elif objects[best][2]:
            continue
        else:
            right.append(int(best not in matched))
            matched.add(best)
    recall = [sum(right[: n + 1]) / positives for n in range(len(right))]
    precision = [sum(right[: n + 1]) / (n + 1) for n in range(len(right))]
    eleven = 0.0
    for step in range(11):
        reached = [p for p, r in zip(precision, recall, strict=True) if r >= step * 0.1]
        eleven += max(reached, default=0.0) / 11
    area, previous = 0.0, 0.0
    for index, level in enumerate(recall):
        area += (level - previous) * max(precision[index:])
        previous = level
    return eleven, area
