"""Cases in which evaluators differ, by name: (objects by image, detections by image)."""

BOX = (10, 10, 59, 59)
FAR = (200, 200, 249, 249)
CLASSES = ["cat", "dog"]
CASES = {
    "equal scores": (
        {"a": [("cat", BOX)], "b": [("cat", FAR)]},
        {"a": [("cat", 0.5, FAR), ("cat", 0.5, BOX)], "b": [("cat", 0.5, FAR)]},
    ),
    "no objects": ({"a": [], "b": []}, {"a": [("cat", 0.5, BOX)]}),
    "only difficult objects": (
        {"a": [("cat", BOX, "difficult")], "b": [("dog", BOX)]},
        {"a": [("cat", 0.5, BOX)], "b": [("dog", 0.5, BOX)]},
    ),
    "a class absent": ({"a": [("cat", BOX)]}, {"a": [("dog", 0.9, BOX), ("cat", 0.8, BOX)]}),
    "boxes of zero area": (
        {"a": [("cat", BOX), ("cat", (5, 5, 4, 9))]},
        {"a": [("cat", 0.9, (5, 5, 4, 9)), ("cat", 0.8, (7, 7, 6, 6)), ("cat", 0.7, BOX)]},
    ),
    "outside the dataset": ({"a": [("cat", BOX)]}, {"x": [("cat", 0.9, BOX)]}),
    "two detections on one object": (
        {"a": [("cat", BOX)]},
        {"a": [("cat", 0.9, (10, 10, 59, 49)), ("cat", 0.8, BOX)]},
    ),
    "an object overlapped by two": (
        {"a": [("cat", BOX), ("cat", (10, 10, 59, 79))]},
        {"a": [("cat", 0.9, (10, 10, 59, 65)), ("cat", 0.8, (10, 10, 59, 65))]},
    ),
    "a crowd": (
        {"a": [("cat", (0, 0, 200, 200), "crowd"), ("cat", FAR)]},
        {"a": [("cat", 0.9, BOX), ("cat", 0.8, (20, 20, 50, 50)), ("cat", 0.7, FAR)]},
    ),
    "no detections": ({"a": [("cat", BOX)]}, {}),
}
