"""Write small datasets for the tests of the readers."""

from __future__ import annotations

from xml.sax.saxutils import escape

from PIL import Image


def write_voc(root, splits, annotations, size=(100, 80)):
    """Write a VOC folder. splits: name -> ids. annotations: id -> text, or objects of voc_xml."""
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for split, ids in splits.items():
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(ids) + "\n")
        for image_id in ids:
            Image.new("RGB", size).save(root / "JPEGImages" / f"{image_id}.jpg")
    for image_id, content in annotations.items():
        text = content if isinstance(content, str) else voc_xml(content, size)
        (root / "Annotations" / f"{image_id}.xml").write_text(text)
    return root


def voc_xml(objects, size=(100, 80)):
    """Return an annotation. objects: (class, (xmin, ymin, xmax, ymax), difficult), 1-based."""
    parts = [f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"]
    for name, box, *rest in objects:
        corners = "".join(
            f"<{tag}>{value}</{tag}>"
            for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
        )
        difficult = f"<difficult>{int(bool(rest and rest[0]))}</difficult>"
        part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
        parts.append(
            f"<object><name>{escape(name)}</name>{difficult}{part}<bndbox>{corners}</bndbox></object>"
        )
    return f"<annotation>{''.join(parts)}</annotation>"
