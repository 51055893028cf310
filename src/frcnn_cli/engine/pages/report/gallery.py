"""The report's images: findings of each detector, and differences between two detectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from frcnn_cli.engine.pages.report.changes import ImageChange
from frcnn_cli.engine.pages.report.findings import MISSED, Finding, choose_findings
from frcnn_cli.engine.pages.report.overlay import (
    DRAWN_BELOW,
    KIND_NAMES,
    AnnotatedImage,
    described,
    detection_boxes,
    truth_boxes,
)
from frcnn_cli.engine.pages.report.records import Report
from frcnn_cli.engine.pages.self_contained import Thumbnails

MOST_CHANGES = 60  # maximum number of images shown side by side
MOST_ROWS = 1000  # maximum number of images listed


@dataclass(frozen=True)
class Card:
    """A finding and its annotated image."""

    finding: Finding
    image_id: str
    class_name: str
    kind_name: str
    image: AnnotatedImage


@dataclass(frozen=True)
class ChangeRow:
    """An image in which two detectors differ.

    gained, lost: class names of the gained and lost objects. images: the first's and the
    second's annotated image, empty beyond the limits of the page.
    """

    change: ImageChange
    image_id: str
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    images: tuple[AnnotatedImage, ...]


@dataclass(frozen=True)
class Gallery:
    """The images of the page, and how many there are in all.

    totals: number of findings per group, some of which are in `cards`. changed: number of images
    that differ, some of which are in `changes`. gained, lost (objects), appeared, gone
    (mistakes): sums over all images. no_room: number of chosen images that exceeded the page's
    size limit. unreadable: number of unreadable images.
    """

    cards: tuple[Card, ...]
    totals: dict[str, int]
    changes: tuple[ChangeRow, ...]
    changed: int
    gained: int
    lost: int
    appeared: int
    gone: int
    no_room: int
    unreadable: int


def make_gallery(report: Report, changes: Sequence[ImageChange], thumbnails: Thumbnails) -> Gallery:
    """Choose, read and shrink the images that the page shows.

    changes: differences between two subjects, the most changed image first.
    """
    rows = tuple(
        _change_row(report, change, thumbnails if number < MOST_CHANGES else None)
        for number, change in enumerate(changes[:MOST_ROWS])
    )
    findings = choose_findings(report)
    cards = [_card(report, finding, thumbnails) for finding in _mixed(findings.shown)]
    names = ("gained", "lost", "appeared", "gone")
    return Gallery(
        cards=tuple(card for card in cards if card is not None),
        totals=findings.totals,
        changes=rows,
        changed=len(changes),
        **{name: sum(len(getattr(change, name)) for change in changes) for name in names},
        no_room=thumbnails.omitted,
        unreadable=len(thumbnails.unreadable),
    )


def _mixed(findings: Sequence[Finding]) -> list[Finding]:
    """Interleave groups and subjects, so that the unfiltered gallery starts with some of each."""
    groups: dict[tuple[str, int], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.group, finding.subject), []).append(finding)
    layers = zip_longest(*groups.values())
    return [finding for layer in layers for finding in layer if finding is not None]


def _card(report: Report, finding: Finding, thumbnails: Thumbnails) -> Card | None:
    record = report.dataset.images[finding.image]
    thumbnail = thumbnails.of(record)
    if thumbnail is None:
        return None
    subject = report.subjects[finding.subject]
    missed = [finding.row] if finding.group == MISSED else []
    detected = [] if finding.group == MISSED else [finding.row]
    boxes = [
        *truth_boxes(report, finding.image, missed, *missed),
        *detection_boxes(report, subject, finding.image, detected, subject.threshold - DRAWN_BELOW),
    ]
    image = AnnotatedImage(thumbnail, tuple(boxes), f"Image {record.image_id}. {described(boxes)}")
    class_name = report.dataset.classes[finding.label - 1]
    return Card(finding, record.image_id, class_name, KIND_NAMES[finding.kind], image)


def _change_row(report: Report, change: ImageChange, thumbnails: Thumbnails | None) -> ChangeRow:
    record = report.dataset.images[change.image]
    thumbnail = None if thumbnails is None else thumbnails.of(record, copies=2)
    names = [
        tuple(report.dataset.classes[report.truth.label[row] - 1] for row in rows)
        for rows in (change.gained, change.lost)
    ]
    images: list[AnnotatedImage] = []
    if thumbnail is not None:
        # The first missed the objects that the second gained; the second missed those it lost.
        sides = ((change.gained, change.gone), (change.lost, change.appeared))
        for subject, (missed, marked) in zip(report.subjects, sides, strict=True):
            boxes = truth_boxes(report, change.image, missed)
            boxes += detection_boxes(report, subject, change.image, marked, subject.threshold)
            alt = f"Image {record.image_id} by {subject.name}. {described(boxes)}"
            images.append(AnnotatedImage(thumbnail, tuple(boxes), alt))
    return ChangeRow(change, record.image_id, names[0], names[1], tuple(images))
