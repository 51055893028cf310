"""Detection in all images of a dataset; an interrupted run can be resumed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from frcnn_cli.engine.datasets.findings import act_on
from frcnn_cli.engine.detection.images import (
    ImageDetections,
    collect_results,
    detect_files,
    gather_results,
)
from frcnn_cli.engine.detection.journal import Journal, resumed, waits_for_journal
from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.distributed.team import ALONE, Team
from frcnn_cli.engine.models.loaded import LoadedModel
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.parts.rows import Item
from frcnn_cli.engine.proposals.cache import cache_explained, cache_folder
from frcnn_cli.engine.proposals.for_dataset import (
    DatasetProposals,
    ProposalsOnDemand,
    warn_of_some,
)
from frcnn_cli.engine.proposals.image_match import file_findings
from frcnn_cli.engine.proposals.source_calls import clipped_message
from frcnn_cli.engine.records import Dataset, Detections, ReadFile
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.formats.parts.row import Row


@dataclass(frozen=True)
class JournalledDetections:
    """Detections and read files by image id, and the journal with them.

    The first process removes the journal once the results are written: until then the run can be
    resumed.
    """

    detections: dict[str, Detections]
    journal: Journal
    files: Mapping[str, ReadFile]

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of the image files, by image id."""
        return {image_id: file.digest for image_id, file in self.files.items()}


def detect_with_journal(
    loaded: LoadedModel,
    images: DatasetProposals,
    settings: DetectSettings,
    team: Team = ALONE,
    reporter: Reporter = SILENT,
) -> JournalledDetections:
    """Detections in every image of a dataset, stored in the cache as each image finishes.

    A run with the same model, settings and proposals resumes an interrupted one.
    Each process of the team detects in its part of the images; all return all detections.
    Images that cannot be read are skipped with a warning.
    """
    whole = images.dataset
    journal = dataset_journal(loaded, images, settings, team, reporter)
    finished = journal.finished()
    own = team.part(whole.images, lambda record: record.image_id in finished)
    part = replace(whole, images=own)
    with resumed(journal, reporter), reporter.progress("Detecting", len(part)) as advance:
        model = prepare_model(loaded.model, loaded.precision)
        detected = detect_dataset(
            model, part, images.proposals, settings, lambda: advance(1, ""), journal
        )
        detected = gather_results(team, detected, [record.image_id for record in whole.images])
    warn_of_some(reporter, detected.failures)
    if team.is_first:
        findings = file_findings(whole, images.proposals, detected.files)
        act_on(findings, True, reporter)
    return JournalledDetections(detected.found, journal, detected.files)


def detect_dataset(
    model: FastRCNN,
    dataset: Dataset,
    proposals: Mapping[str, Proposals],
    settings: DetectSettings,
    on_image: Callable[[], None] = lambda: None,
    journal: Journal | None = None,
) -> ImageDetections:
    """Detections in every image of a dataset. An unreadable image does not stop the others."""
    files = [(record.image_id, record.path) for record in dataset.images]

    def propose(image_id: str, image: Image) -> Proposals:
        return proposals[image_id]

    results = detect_files(model, files, propose, settings, journal)
    return collect_results(results, lambda _: on_image())


class DatasetRows:
    """A function from images of a dataset to rows with their detections, for parts of them.

    files: what reading the images showed, by image id. clipped: number of boxes of the source that
    reached outside their images.
    """

    def __init__(
        self, loaded: LoadedModel, settings: DetectSettings, propose: ProposalsOnDemand
    ) -> None:
        self._loaded, self._settings, self._propose = loaded, settings, propose
        self.files: dict[str, ReadFile] = {}
        self.clipped = 0

    def rows(self, items: Iterable[Item]) -> Iterator[Row]:
        """The detections in each of `items`, in order, or the error of the image."""
        model = prepare_model(self._loaded.model, self._loaded.precision)
        files = ((item.name, item.image) for item in items)
        for result in detect_files(model, files, self._propose, self._settings):
            self.clipped += result.clipped
            if result.found is None:
                yield Row(result.image_id, error=result.error)
                continue
            if result.file is not None:
                self.files[result.image_id] = result.file
            found = result.found
            yield Row(result.image_id, found.boxes, found.scores, found.labels)

    def warn(self, team: Team, reporter: Reporter) -> None:
        """Report images that differ from their annotations or proposals, and clipped boxes.

        The first process reports those of all processes of the team.
        """
        files = {
            image_id: file for own in team.gather(self.files) for image_id, file in own.items()
        }
        clipped = sum(team.gather(self.clipped))
        if not team.is_first:
            return
        findings = file_findings(self._propose.dataset, self._propose.given or {}, files)
        act_on(findings, True, reporter)
        if clipped and self._propose.provenance is not None:
            reporter.warn(clipped_message(self._propose.provenance.source, clipped))


def readable_images(dataset: Dataset, detections: Sequence[Mapping[str, Detections]]) -> Dataset:
    """The dataset without the images that at least one detector could not read.

    Otherwise the objects of an unreadable image would count as missed. detections: by image id,
    one mapping per detector. Raises InputError if no image remains.
    """
    readable = tuple(
        record for record in dataset.images if all(record.image_id in found for found in detections)
    )
    if not readable:
        raise InputError(f"{dataset.name}: none of its images can be read.")
    return replace(dataset, images=readable)


def detection_identity(
    loaded: LoadedModel, settings: DetectSettings, proposals: str
) -> dict[str, Any]:
    """Everything except the images that detections depend on. proposals: their fingerprint."""
    values = {**asdict(settings), "precision": loaded.precision}
    if not loaded.model.architecture.selects_rois:
        del values["max_proposals"]  # no effect; journals of older versions do not have it
    return {
        "model": loaded.digest(),
        "settings": values,
        "proposals": proposals,
    }


def dataset_journal(
    loaded: LoadedModel,
    images: DatasetProposals,
    settings: DetectSettings,
    team: Team,
    reporter: Reporter,
) -> Journal:
    """The journal in the cache, named after everything the detections depend on."""
    identity = detection_identity(loaded, settings, images.fingerprint)
    name = re.sub(r"[^A-Za-z0-9.+-]+", "_", f"{images.dataset.name}-{images.dataset.split}")
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    file = Path("detections") / f"{name}-{digest[:12]}.partial"
    path = cache_folder() / file
    with cache_explained(path):
        return Journal(path, identity, waits_for_journal(reporter), team)
