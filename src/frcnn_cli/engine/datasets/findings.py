"""Problems in datasets and files: their level, and what commands do about them.

A dataset or file is fine, or it has findings. All commands share the level of each finding.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from frcnn_cli.engine.datasets.layout import Fault
from frcnn_cli.engine.datasets.readers.voc import VOC_CLASSES
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.reporter import Reporter
from frcnn_proposals.errors import InputError
from frcnn_proposals.wording import counted, some_of

# warning: work continues. unusable: an error before work begins.
Level = Literal["warning", "unusable"]
WAY_OUT = (
    "`frcnn data check` lists all problems of a dataset; --allow-mismatch turns this error into a "
    "warning."
)
_NAMED = 3


@dataclass(frozen=True)
class Finding:
    """A problem, counted, with the first places where it occurs.

    code: its name for programs. message: what is wrong, with the count. names: the first places;
    none if the message has the only one.
    workable: whether --allow-mismatch turns an unusable finding into a warning. way_out: what to
    do about one.
    """

    level: Level
    code: str
    message: str
    names: tuple[str, ...]
    count: int
    workable: bool = True
    way_out: str = WAY_OUT

    def __str__(self) -> str:
        if not self.names:
            return self.message
        more = self.count - len(self.names)
        rest = f" and {more} more" if more > 0 else ""
        return f"{self.message}: {'; '.join(self.names)}{rest}"


def finding(
    level: Level, code: str, message: str, names: Sequence[str], *, workable: bool = True
) -> Finding:
    """The finding for all of `names`, of which the first are shown."""
    return Finding(level, code, message, tuple(names[:_NAMED]), len(names), workable)


def level_of_share(count: int, checked: int) -> Level:
    """The level where `count` of `checked` items are wrong: unusable if most of them are."""
    return "unusable" if 2 * count > checked else "warning"


def annotation_findings(faults: Sequence[Fault]) -> list[Finding]:
    """The faults of annotation files: tolerated ones are warnings, the others unusable."""
    unusable = [str(fault) for fault in faults if not (fault.tolerated or fault.clipped)]
    clipped = [str(fault) for fault in faults if fault.clipped]
    tolerated = [str(fault) for fault in faults if fault.tolerated]
    found = []
    if unusable:
        message = (
            f"{counted(len(unusable), 'problem')} in annotations or image lists, "
            "whose objects are skipped"
        )
        found.append(finding("unusable", "annotation", message, unusable))
    if clipped:
        message = f"{counted(len(clipped), 'box', 'boxes')} clipped to the image"
        found.append(finding("unusable", "clipped", message, clipped))
    if len(tolerated) == 1:
        found.append(Finding("warning", "tolerated", tolerated[0], (), 1))
    elif tolerated:
        message = f"{counted(len(tolerated), 'minor problem')} in the files of the dataset"
        found.append(finding("warning", "tolerated", message, tolerated))
    return found


def without_objects(dataset: Dataset) -> list[Finding]:
    """At most one finding: an annotated split has no object to train or evaluate on."""
    truths = {image.image_id: image.truth for image in dataset.images if image.truth is not None}
    if not truths or any((~(truth.difficult | truth.crowd)).any() for truth in truths.values()):
        return []
    names = [image_id for image_id, truth in truths.items() if len(truth)]
    if names:
        what = "all objects are difficult or crowd, so that none counts, in"
    else:
        names, what = list(truths), "no annotated image has an object"
    message = f"{dataset.name} {dataset.split}: {what}"
    return [finding("warning", "no-objects", message, names)]


def class_findings(datasets: Sequence[Dataset]) -> list[Finding]:
    """Findings about the classes of splits of one dataset: similar names, and unused classes.

    Classes are unused if no object of these splits that counts has them. A dataset without
    objects has no unused classes (see without_objects), and the list of VOC's classes is fixed.
    """
    classes = tuple(dict.fromkeys(name for data in datasets for name in data.classes))
    counts: dict[str, int] = defaultdict(int)
    for data in datasets:
        for name, count in objects_by_class(data).items():
            counts[name] += count
    unused = [name for name in classes if counts[name] == 0]
    similar: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        similar[_letters(name)].append(name)
    groups = [" and ".join(map(repr, names)) for names in similar.values() if len(names) > 1]
    found = []
    if groups:
        message = "names of classes that differ only in case, spaces or punctuation"
        found.append(finding("warning", "similar-classes", message, groups))
    if any(counts.values()) and unused and classes != VOC_CLASSES:
        share = some_of(len(unused), len(classes), "class", "has", "have", "classes")
        message = f"{share} no object that counts"
        found.append(finding("warning", "unused-classes", message, unused))
    return found


def objects_by_class(dataset: Dataset) -> dict[str, int]:
    """The number of objects of each class; difficult objects and crowds do not count."""
    counts = np.zeros(len(dataset.classes), np.int64)
    for image in dataset.images:
        if (truth := image.truth) is not None:
            labels = truth.labels[~(truth.difficult | truth.crowd)]
            counts += np.bincount(labels - 1, minlength=len(counts))
    return dict(zip(dataset.classes, counts.tolist(), strict=True))


def _letters(name: str) -> str:
    """The letters and digits of a name, in lower case; the name itself if it has none."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(filter(str.isalnum, folded)) or name


def act_on(findings: Iterable[Finding], allow_mismatch: bool, reporter: Reporter) -> None:
    """Report the warnings, and raise InputError for the first unusable finding.

    allow_mismatch: turns unusable findings that can be worked with into warnings.
    """
    for found in findings:
        if found.level == "warning" or (allow_mismatch and found.workable):
            reporter.warn(f"{found}.")
            continue
        raise InputError(f"{found}.\n{found.way_out}" if found.workable else f"{found}.")
