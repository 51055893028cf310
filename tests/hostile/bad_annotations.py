"""Datasets with annotations that are truncated, false, endless, or refer to other folders."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bad_images import encoded, noise
from corpus import BadInput, Ends, cuts, flips

EXPORT = ("data", "export", "set", "out", "--format", "csv")
CHECK = ("data", "check", "set")
_IMAGE = encoded(noise(), "PNG")
_BOX = "<xmin>3</xmin><ymin>3</ymin><xmax>20</xmax><ymax>20</ymax>"


_OF_IMAGES = ("a file_name with a null", "a missing image")


def bad_annotations() -> Iterator[BadInput]:
    for name, text in bad_xml().items():
        yield xml(name, text)
        yield xml(f"{name}, checked", text, arguments=CHECK)
    good = annotation(thing())
    for what, content in [*cuts(good.encode()), *flips(good.encode(), 10)]:
        yield xml(what, content, "either")
    for name, text in odd_xml().items():
        yield xml(name, text, "result")
    for name, value in bad_coco().items():
        # An export reads no images; a check does.
        yield coco(name, value, "either" if name in _OF_IMAGES else "message")
        yield coco(f"{name}, checked", value, arguments=CHECK)
    for what, content in [*cuts(json.dumps(good_coco()).encode())]:
        yield coco(what, content, "message" if len(content) < 300 else "either")
    for name, (labels, yaml) in bad_yolo().items():
        yield yolo(name, labels, yaml)
    for name, files in bad_lists().items():
        yield BadInput(f"VOC/{name}", _voc_of(files), EXPORT, "set")


def xml(
    name: str,
    content: str | bytes,
    ends: Ends = "message",
    arguments: tuple[str, ...] = EXPORT,
) -> BadInput:
    data = content.encode() if isinstance(content, str) else content
    files = {"Annotations/a.xml": data}
    return BadInput(f"XML/{name}", _voc_of(files), arguments, "a.xml", ends)


def _voc_of(files: dict[str, bytes]) -> Callable[[Path], None]:
    """Write `set`, one image in the VOC layout, with these files instead of good ones."""

    def make(folder: Path) -> None:
        whole = {
            "ImageSets/Main/test.txt": b"a\n",
            "classes.txt": b"cat\ndog\n",
            "JPEGImages/a.png": _IMAGE,
            "Annotations/a.xml": annotation(thing()).encode(),
        }
        _write(folder / "set", whole | files)

    return make


def _write(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def annotation(inside: str, before: str = "", size: str | None = None) -> str:
    size = "<size><width>48</width><height>48</height></size>" if size is None else size
    return f"{before}<annotation><filename>a.png</filename>{size}{inside}</annotation>"


def thing(box: str = _BOX, name: str = "cat") -> str:
    return f"<object><name>{name}</name><bndbox>{box}</bndbox></object>"


def _box(x1: object, y1: object, x2: object, y2: object) -> str:
    corners = zip(("xmin", "ymin", "xmax", "ymax"), (x1, y1, x2, y2), strict=True)
    return "".join(f"<{corner}>{value}</{corner}>" for corner, value in corners)


def bad_xml() -> dict[str, str]:
    laughs = "".join(
        f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' if n else '<!ENTITY l0 "ha">' for n in range(10)
    )
    return {
        "entities that expand to gigabytes": annotation(
            thing(name="&l9;"), f"<!DOCTYPE annotation [{laughs}]>"
        ),
        "a long entity many times": annotation(
            thing(name="&a;" * 20_000), f'<!DOCTYPE annotation [<!ENTITY a "{"a" * 20_000}">]>'
        ),
        "an entity of itself": annotation(
            thing(name="&a;"), '<!DOCTYPE annotation [<!ENTITY a "&b;"><!ENTITY b "&a;">]>'
        ),
        "an external entity": annotation(
            thing(name="&a;"), '<!DOCTYPE annotation [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
        ),
        "an external entity from the network": annotation(
            thing(name="&a;"),
            '<!DOCTYPE annotation [<!ENTITY a SYSTEM "http://192.0.2.1/a">]>',
        ),
        "an external parameter entity": annotation(
            thing(), '<!DOCTYPE annotation [<!ENTITY % a SYSTEM "file:///etc/passwd"> %a;]>'
        ),
        "an external document type": annotation(
            thing(), '<!DOCTYPE annotation SYSTEM "http://192.0.2.1/a.dtd">'
        ),
        "an undefined entity": annotation(thing(name="&gone;")),
        "a different root": "<svg/>",
        "two roots": annotation(thing()) * 2,
        "10,000 nulls": "\0" * 10_000,
        "nested elements": "<annotation>" + "<object>" * 200_000,
        "an object without a name": annotation(f"<object><bndbox>{_BOX}</bndbox></object>"),
        "an object without a box": annotation("<object><name>cat</name></object>"),
        "a box without a corner": annotation(thing("<xmin>3</xmin><ymin>3</ymin>")),
        "an empty corner": annotation(thing(_box("", 1, 5, 5))),
        "a corner of NaN": annotation(thing(_box("NaN", 1, 5, 5))),
        "a corner of infinity": annotation(thing(_box(1, 1, "inf", 5))),
        "a corner of 1e999": annotation(thing(_box(1, 1, "1e999", 5))),
        "a corner of text": annotation(thing(_box("one", 1, 5, 5))),
        "a corner of 100,000 digits": annotation(thing(_box("9" * 100_000, 1, 5, 5))),
        "negative corners": annotation(thing(_box(-30, -30, 5, 5))),
        "a reversed box": annotation(thing(_box(30, 30, 5, 5))),
        "an enormous box": annotation(thing(_box(1, 1, 1e30, 1e30))),
        "a box outside": annotation(thing(_box(100, 100, 120, 120))),
        "an unknown class": annotation(thing(name="unicorn")),
        "a class of a million letters": annotation(thing(name="x" * 1_000_000)),
        "a class of many lines": annotation(thing(name="cat" + "\n" * 50 + "dog")),
        "a class with an escape sequence": annotation(thing(name="\x9b2Jcat")),
        "100,000 objects outside": annotation(thing(_box(100, 100, 120, 120)) * 100_000),
    }


def odd_xml() -> dict[str, str]:
    """Unusual annotations that must be read."""
    return {
        "an unknown encoding": "<?xml version='1.0' encoding='rot13'?>" + annotation(""),
        "a wrong encoding": "<?xml version='1.0' encoding='utf-16'?>" + annotation(""),
        "no objects": annotation(""),
        "no size": annotation(thing(), size=""),
        "a size of 0": annotation(thing(), size="<size><width>0</width></size>"),
        "a size of NaN": annotation(thing(), size="<size><width>nan</width></size>"),
        "a size of text": annotation(thing(), size="<size><width>wide</width></size>"),
        "a file name outside the folder": annotation(thing()).replace("a.png", "../../etc/passwd"),
        "a byte order mark": "\ufeff" + annotation(thing()),
        "100,000 objects": annotation(thing() * 100_000),
        "a comment of a megabyte": annotation(f"<!--{'x' * 1_000_000}-->{thing()}"),
        "unknown elements": annotation(thing() + "<pose><pose/></pose>" * 1000),
        "a corner of a pixel outside": annotation(thing(_box(0, 0, 48, 48))),
    }


def good_coco() -> dict[str, Any]:
    return {
        "images": [{"id": 7, "file_name": "a.png", "width": 48, "height": 48}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 3, "bbox": [3, 3, 20, 20]}],
        "categories": [{"id": 3, "name": "cat"}],
    }


def bad_coco() -> dict[str, Any]:
    def changed(part: str, **values: Any) -> dict[str, Any]:
        content = good_coco()
        content[part][0].update(values)
        return content

    def without(part: str, key: str) -> dict[str, Any]:
        content = good_coco()
        del content[part][0][key]
        return content

    found: dict[str, Any] = {
        f"no {part}": {k: v for k, v in good_coco().items() if k != part}
        for part in ("images", "categories")
    }
    for part, keys in {
        "images": ("id", "file_name"),
        "annotations": ("image_id", "category_id", "bbox"),
        "categories": ("id", "name"),
    }.items():
        for key in keys:
            found[f"{part} without {key}"] = without(part, key)
        found[f"{part} of texts"] = good_coco() | {part: ["a", "b"]}
        found[f"{part} of lists"] = good_coco() | {part: [[1, 2], [3]]}
        found[f"{part} of null"] = good_coco() | {part: [None]}
    for part in ("images", "categories"):
        found[f"{part} as an object"] = good_coco() | {part: {"id": 1}}
    boxes = {
        "NaN": [float("nan"), 3, 20, 20],
        "infinity": [3, 3, float("inf"), 20],
        "10^400": [3, 3, 10**400, 20],
        "texts": ["3", "x", 20, 20],
        "three numbers": [3, 3, 20],
        "a number": 5,
        "an object": {"x": 3},
        "a reversed box": [20, 20, -10, -10],
        "an enormous box": [0, 0, 1e30, 1e30],
        "a box outside": [100, 100, 10, 10],
    }
    found |= {f"bbox of {name}": changed("annotations", bbox=box) for name, box in boxes.items()}
    found |= {
        "an image_id that is not listed": changed("annotations", image_id=8),
        "an image_id of text": changed("annotations", image_id="seven"),
        "a category_id that is not listed": changed("annotations", category_id=4),
        "a category_id of a list": changed("annotations", category_id=[3]),
        "a file_name outside the folder": changed("images", file_name="../../etc/passwd"),
        "an absolute file_name": changed("images", file_name="/etc/passwd"),
        "a file_name of a number": changed("images", file_name=5),
        "a file_name of a dot": changed("images", file_name="."),
        "an empty file_name": changed("images", file_name=""),
        "a file_name with a null": changed("images", file_name="a\0.png"),
        "a file_name of a hundred lines": changed("images", file_name="a\n" * 100),
        "an image id of a hundred lines": changed("images", id="7\n" * 100),
        "a file_name of 100,000 letters": changed("images", file_name="a" * 100_000),
        "a missing image": changed("images", file_name="gone.png"),
        "an image id of text": changed("images", id="seven"),
        "an image id of a list": changed("images", id=[7]),
        "a width of 400 digits": changed("images", width=10**400),
        "a category with a lone surrogate": changed("categories", name="\ud800"),
        "a category of two lines": changed("categories", name="cat\ndog"),
        "a negative width": changed("images", width=-48),
        "a width of text": changed("images", width="wide"),
        "a category id of a list": changed("categories", id=[3]),
        "a category name of a number": changed("categories", name=3),
        "two categories of one name": good_coco()
        | {"categories": [{"id": 3, "name": "cat"}, {"id": 4, "name": "cat"}]},
        "ids of two kinds": good_coco()
        | {"categories": [{"id": 3, "name": "cat"}, {"id": "3", "name": "dog"}]},
        "two images of one id": good_coco()
        | {"images": [*good_coco()["images"], {"id": 7, "file_name": "b.png"}]},
        "no image": good_coco() | {"images": []},
        "a list": [good_coco()],
        "only a number": 5,
        "nested lists": "[" * 200_000,
        "nested objects": '{"images":' * 100_000,
        "nulls": "\0" * 1000,
        "a number of 100,000 digits": '{"images":[' + "9" * 100_000 + "]}",
        "a lone surrogate": '{"images": ["\\ud800"], "categories": []}',
        "100,000 annotations of nothing": good_coco()
        | {"annotations": [{"image_id": 9, "category_id": 3, "bbox": [1, 1, 2, 2]}] * 100_000},
    }
    return found


def coco(
    name: str, value: Any, ends: Ends = "message", arguments: tuple[str, ...] = EXPORT
) -> BadInput:
    text = value if isinstance(value, str | bytes) else json.dumps(value)
    data = text if isinstance(text, bytes) else text.encode()
    arguments = tuple("set/instances_test.json" if a == "set" else a for a in arguments)

    def make(folder: Path) -> None:
        _write(folder / "set", {"instances_test.json": data, "test/a.png": _IMAGE})

    return BadInput(f"COCO/{name}", make, arguments, "instances_test.json", ends)


def bad_yolo() -> dict[str, tuple[bytes, bytes]]:
    yaml = b"names: [cat, dog]\ntest: images\n"
    label = b"0 0.5 0.5 0.2 0.2\n"
    laughs = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"%c: &%c [%s]\n" % (n, n, b",".join([b"*%c" % (n - 1)] * 9)) for n in range(98, 107)
    )
    labels = {
        "a line of text": b"cat in the middle\n",
        "four numbers": b"0 0.5 0.5 0.2\n",
        "an unknown class": b"9 0.5 0.5 0.2 0.2\n",
        "a fractional class": b"0.5 0.5 0.5 0.2 0.2\n",
        "a negative class": b"-1 0.5 0.5 0.2 0.2\n",
        "NaN": b"0 nan 0.5 0.2 0.2\n",
        "infinity": b"0 0.5 0.5 inf 0.2\n",
        "a box outside": b"0 7 7 0.2 0.2\n",
        "a reversed box": b"0 0.5 0.5 -0.2 -0.2\n",
        "an enormous box": b"0 0.5 0.5 1e30 1e30\n",
        "nulls": bytes(1000),
        "an unknown encoding": b"\xff\xfd\xfe 0.5\n",
        "a number of 100,000 digits": b"0 " + b"9" * 100_000 + b" 0.5 0.2 0.2\n",
        "a polygon of 200,001 numbers": b"0" + b" 9 7" * 100_000 + b" 3 4\n",
    }
    yamls = {
        "a yaml that creates an object": b"names: !!python/object/apply:os.system ['touch run']\n",
        "a yaml with a tag": b"names: !!python/name:os.system\ntest: images\n",
        "a yaml that expands": laughs + b"names: *j\ntest: images\n",
        "a yaml of nested lists": b"[" * 100_000,
        "a yaml of nulls": bytes(1000),
        "a yaml of a list": b"- a\n",
        "a yaml without names": b"test: images\n",
        "a yaml without splits": b"names: [cat]\n",
        "a yaml of a name twice": b"names: [cat, cat]\ntest: images\n",
        "a yaml that skips a number": b"names: {0: cat, 2: dog}\ntest: images\n",
        "a yaml of another folder": b"names: [cat]\ntest: ../../gone\n",
        "a yaml of a number of 6,000 digits": b"names: [0x" + b"f" * 6000 + b"]\ntest: images\n",
        "a yaml with a lone surrogate": b'names: ["\\ud800"]\ntest: images\n',
        "a yaml of 400,000 names": b"names: [" + b"a," * 400_000 + b"]\n",
        "a yaml that merges": b"a: &a {x: 1}\n"
        + b"".join(
            b"%c: &%c {<<: [%s]}\n" % (n, n, b",".join([b"*%c" % (n - 1)] * 10))
            for n in range(98, 107)
        )
        + b"names: [cat]\ntest: images\n",
        "a yaml of a long path": b"names: [cat]\ntest: " + b"a" * 5000,
        "a yaml of a class of lines": b'names: ["cat' + b"\\n" * 50 + b'dog"]\ntest: images\n',
        "a yaml of a number as a path": b"names: [cat]\ntest: 17\n",
        "a truncated yaml": b"names: [cat, do",
        "a yaml of tabs": b"names:\n\t- cat\n",
        "a yaml whose names are of dates": b"names: 2001-01-01\ntest: images\n",
    }
    found = {f"labels: {name}": (content, yaml) for name, content in labels.items()}
    return found | {name: (label, content) for name, content in yamls.items()}


def yolo(name: str, labels: bytes, yaml: bytes) -> BadInput:
    files = {"images/a.png": _IMAGE, "labels/a.txt": labels, "data.yaml": yaml}
    expected = "set"
    return BadInput(f"YOLO/{name}", lambda folder: _write(folder / "set", files), EXPORT, expected)


def bad_lists() -> dict[str, dict[str, bytes]]:
    split = "ImageSets/Main/test.txt"
    return {
        "an empty split": {split: b""},
        "a split of missing images": {split: b"b\nc\n"},
        "a split that leads outside the folder": {split: b"../../../etc/passwd\n"},
        "a split of an absolute path": {split: b"/etc/passwd\n"},
        "a split of nulls": {split: bytes(100)},
        "a split in an unknown encoding": {split: b"\xff\xfd\xfe\n"},
        "a split of a long name": {split: b"a" * 100_000},
        "classes twice": {"classes.txt": b"cat\ncat\n"},
        "no classes": {"classes.txt": b"\n"},
        "classes in an unknown encoding": {"classes.txt": b"\xff\xfd\xfe\n"},
        "an empty image file": {"JPEGImages/a.png": b"", split: b"b\n"},
    }
