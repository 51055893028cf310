"""Reference of selective search in plain Python; the compiled code must return the same boxes."""

from __future__ import annotations

import numpy as np

UNIT = 1 << 15  # the greatest value of a similarity
BASE_MIN_SIZE = 20


def search(image, thresholds, similarities, connectivity=4, base_threshold=50, min_region=100):
    """All boxes of the grey plane of `image` (H, W, 3) uint8, in order: a list of tuples."""
    r, g, b = (image[:, :, c].astype(np.int64) for c in range(3))
    grey = (19595 * r + 38470 * g + 7471 * b + (1 << 15)) >> 16
    smoothed = smooth(grey)
    height, width = grey.shape
    pixel_edges = sorted_edges(smoothed, connectivity)
    base = Components([(1, 0)] * (height * width), base_threshold)
    rejected = base.grow(pixel_edges)
    base.merge_small(rejected, BASE_MIN_SIZE)
    labels = base.labels()
    regions = [base.state(number, labels) for number in range(max(labels) + 1)]
    region_edges = lightest_pairs(rejected, labels)
    ranked = []
    hierarchy = 0
    for threshold in thresholds:
        joined = Components(regions, threshold)
        joined.grow(region_edges)
        joined.merge_small(region_edges, min_region)
        names = joined.labels()
        final = np.array([names[label] for label in labels]).reshape(height, width)
        pairs = {edge[:2] for edge in lightest_pairs(region_edges, names)}
        for letters in similarities:
            levels = group(grey, smoothed, final, pairs, letters)
            for level, box in enumerate(levels, start=1):
                jitter = split_mix(hierarchy << 32 | level) >> 32
                ranked.append((level * jitter, len(ranked), box))
            hierarchy += 1
    return list(dict.fromkeys(box for _, _, box in sorted(ranked)))


def smooth(plane):
    """Gaussian of sigma 0.8; the result is in 1/16 of a grey level."""
    kernel = np.array([6, 58, 128, 58, 6])
    padded = np.pad(plane, 2, mode="edge")
    rows = sum(k * padded[:, i : i + plane.shape[1]] for i, k in enumerate(kernel))
    both = sum(k * rows[i : i + plane.shape[0]] for i, k in enumerate(kernel))
    return (both + (1 << 11)) >> 12


def sorted_edges(smoothed, connectivity):
    """(pixel, neighbour, weight), sorted by weight, then direction, then pixel."""
    height, width = smoothed.shape
    edges = []
    directions = [(0, 1), (1, 0), (1, 1), (1, -1)][: connectivity // 2]
    for direction, (down, right) in enumerate(directions):
        for y, x in np.ndindex(height, width):
            if y + down < height and 0 <= x + right < width:
                weight = abs(int(smoothed[y, x]) - int(smoothed[y + down, x + right])) >> 1
                pixel = y * width + x
                edges.append((weight, direction, pixel, pixel + down * width + right))
    return [(a, b, weight) for weight, _, a, b in sorted(edges)]


class Components:
    """Components that are joined by Felzenszwalb and Huttenlocher's criterion.

    states: (size, Int) of each element.
    """

    def __init__(self, states, k):
        self.k = k * 8 << 8  # weights are in 1/8 of a grey level and compared in 1/256 of that
        self.members = {i: [i] for i in range(len(states))}
        self.home = list(range(len(states)))
        self.sizes = dict(enumerate(size for size, _ in states))
        self.internal = dict(enumerate(weight for _, weight in states))

    def limit(self, home):
        return (self.internal[home] << 8) + self.k // self.sizes[home]

    def merge(self, a, b, weight):
        for member in self.members.pop(b):
            self.home[member] = a
            self.members[a].append(member)
        self.sizes[a] += self.sizes.pop(b)
        self.internal[a] = weight

    def grow(self, edges):
        rejected = []
        for a, b, weight in edges:
            p, q = self.home[a], self.home[b]
            if p == q:
                continue
            if weight << 8 <= min(self.limit(p), self.limit(q)):
                self.merge(p, q, weight)
            else:
                rejected.append((a, b, weight))
        return rejected

    def merge_small(self, edges, min_size):
        for a, b, weight in edges:
            p, q = self.home[a], self.home[b]
            if p != q and min(self.sizes[p], self.sizes[q]) < min_size:
                self.merge(p, q, weight)

    def labels(self):
        numbers = {}
        return [numbers.setdefault(home, len(numbers)) for home in self.home]

    def state(self, number, labels):
        home = self.home[labels.index(number)]
        return self.sizes[home], self.internal[home]


def lightest_pairs(edges, labels):
    found = {}
    for a, b, weight in edges:
        pair = tuple(sorted((labels[a], labels[b])))
        if pair[0] != pair[1]:
            found.setdefault(pair, weight)
    return [(a, b, weight) for (a, b), weight in found.items()]


def group(grey, smoothed, labels, pairs, letters):
    """Boxes from the top of the hierarchy down to the regions it starts from."""
    count = labels.max() + 1
    colour = grey * 25 >> 8
    texture = texture_codes(smoothed)
    sizes, boxes, histograms = [], [], []
    for number in range(count):
        y, x = np.nonzero(labels == number)
        sizes.append(len(y))
        boxes.append((x.min(), y.min(), x.max(), y.max()))
        scale = np.float32(UNIT - 1) / np.float32(len(y))
        histograms.append(
            [
                (np.bincount(codes[y, x], minlength=bins).astype(np.float32) * scale).astype(int)
                for codes, bins in ((colour, 25), (texture, 64))
            ]
        )
    area = grey.size

    def bounds(a, b):
        p, q = boxes[a], boxes[b]
        return (*map(min, p[:2], q[:2]), *map(max, p[2:], q[2:]))

    def similarity(a, b):
        x1, y1, x2, y2 = bounds(a, b)
        both = sizes[a] + sizes[b]
        empty = (x2 - x1 + 1) * (y2 - y1 + 1) - both
        values = {
            "C": np.minimum(histograms[a][0], histograms[b][0]).sum(),
            "T": np.minimum(histograms[a][1], histograms[b][1]).sum(),
            "S": UNIT - both * UNIT // area,
            "F": UNIT - empty * UNIT // area,
        }
        return int(sum(values[letter] for letter in letters))

    alive = {tuple(sorted(pair)): similarity(*sorted(pair)) for pair in pairs}
    while alive:
        a, b = min(alive, key=lambda pair: (-alive[pair], pair))
        joined = len(sizes)
        share = sizes[a] * UNIT // (sizes[a] + sizes[b])
        histograms.append(
            [
                (p * share + q * (UNIT - share) + UNIT // 2) >> 15
                for p, q in zip(histograms[a], histograms[b], strict=True)
            ]
        )
        boxes.append(bounds(a, b))
        sizes.append(sizes[a] + sizes[b])
        near = {i for pair in alive if a in pair or b in pair for i in pair} - {a, b}
        alive = {pair: value for pair, value in alive.items() if not {a, b} & set(pair)}
        alive |= {(other, joined): similarity(other, joined) for other in near}
    order = [*range(len(boxes) - 1, count - 1, -1), *range(count)]
    return [tuple(int(value) for value in boxes[i]) for i in order]


def texture_codes(smoothed):
    """8 times the octant of the gradient, plus a magnitude from 0 to 7 that doubles per step."""
    padded = np.pad(smoothed, 1, mode="edge")
    dx = padded[1:-1, 2:] - padded[1:-1, :-2]
    dy = padded[2:, 1:-1] - padded[:-2, 1:-1]
    octant = (dx < 0) + 2 * (dy < 0) + 4 * (abs(dy) > abs(dx))
    largest = np.maximum(abs(dx), abs(dy))
    return octant * 8 + sum((largest >= 16 << i).astype(int) for i in range(7))


def split_mix(value):
    mask = (1 << 64) - 1
    value = (value + 0x9E3779B97F4A7C15) & mask
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & mask
    value = (value ^ value >> 27) * 0x94D049BB133111EB & mask
    return value ^ value >> 31
