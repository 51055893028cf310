"""The proposals of a dataset's images: read from a file, or computed and cached."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from frcnn_cli.engine.datasets.find import all_ids
from frcnn_cli.engine.datasets.findings import act_on
from frcnn_cli.engine.proposals.box_checks import check_all
from frcnn_cli.engine.proposals.cache import cache_explained, cache_path
from frcnn_cli.engine.proposals.image_match import store_findings
from frcnn_cli.engine.proposals.propose import advance_with_rate, waits_for_store
from frcnn_cli.engine.proposals.run import ProposeProgress, is_stored, propose_images
from frcnn_cli.engine.proposals.source_calls import SourceCalls, clipped_message, source_of
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_cli.engine.settings import ProposalSettings
from frcnn_proposals.base import Image, Proposals, Source
from frcnn_proposals.digest import proposal_identity
from frcnn_proposals.errors import InputError
from frcnn_proposals.formats import read_proposals
from frcnn_proposals.formats.read import RecordedProposals
from frcnn_proposals.image_ids import match_ids
from frcnn_proposals.locking import OnWait
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.store.reader import ProposalStore, open_store
from frcnn_proposals.wording import counted


@dataclass(frozen=True)
class DatasetProposals:
    """Proposals by image id for every image of `dataset`, and the skipped images.

    dataset: the images that have proposals. path: the file with the proposals. fingerprint:
    differs if the proposals may differ; the fingerprint of the source, or the path and state
    of a given file or folder. skipped: a message for each image that is not in `dataset`. digests:
    SHA-256 of the image files by image id, where their bytes were read. clipped: number of boxes
    that reached outside their images, of those that were computed now. unchecked: the caller must
    check the boxes.
    """

    dataset: Dataset
    proposals: Mapping[str, Proposals]
    path: Path
    fingerprint: str
    skipped: tuple[str, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)
    clipped: int = 0
    unchecked: bool = False

    @property
    def provenance(self) -> Provenance | None:
        """The source and its parameters; None for a file that does not record them."""
        proposals = self.proposals
        return proposals.provenance if isinstance(proposals, RecordedProposals) else None


def proposals_for(
    reporter: Reporter,
    dataset: Dataset,
    settings: ProposalSettings,
    *,
    data_root: Path | None = None,
    workers: int | None = None,
    checked_later: bool = False,
) -> DatasetProposals:
    """Proposals for every image, from the file in `settings`, or computed by the source and cached.

    data_root: folder of the dataset. checked_later: as in given_proposals.
    """
    if settings.file:
        file, allow_mismatch = Path(settings.file), settings.allow_mismatch
        found = given_proposals(dataset, file, data_root, allow_mismatch, reporter, checked_later)
    else:
        made = source_of(settings)
        with reporter.progress(f"Proposals ({made.name})", len(dataset)) as advance:
            on_progress = advance_with_rate(advance)
            found = computed_proposals(
                dataset, made, workers, on_progress, waits_for_store(reporter)
            )
        if found.clipped:
            reporter.warn(clipped_message(made.name, found.clipped))
    reporter.detail(f"Proposals: {found.path}")
    warn_of_some(reporter, found.skipped)
    return found


def warn_of_some(reporter: Reporter, skipped: Sequence[str], shown: int = 5) -> None:
    """Print the messages of the first skipped images, and the number of the others."""
    for message in skipped[:shown]:
        reporter.warn(f"Skipped: {message}")
    if len(skipped) > shown:
        more = counted(len(skipped) - shown, "more image is", "more images are")
        reporter.warn(f"{more} skipped.")


def given_proposals(
    dataset: Dataset,
    path: Path,
    data_root: Path | None = None,
    allow_mismatch: bool = False,
    reporter: Reporter = SILENT,
    checked_later: bool = False,
) -> DatasetProposals:
    """Proposals from a file, checked against the dataset before any long work starts.

    data_root: folder of the dataset; the file may also contain ids of its other splits.
    checked_later: the caller reads and checks the boxes of RecordedProposals itself.
    Raises InputError if images are missing in the file or it has ids that are not in the
    dataset or was computed from other images (unless allow_mismatch), or if a box is inverted or
    outside its image.
    """
    ids = [record.image_id for record in dataset.images]
    sizes = {r.image_id: (r.width, r.height) for r in dataset.images if r.width and r.height}
    proposals = read_proposals(path, image_ids=ids, size_of=sizes.get)
    match = match_ids(proposals, ids, lambda: all_ids(dataset.name, data_root))
    if not allow_mismatch:
        match.reject_mismatch(
            str(path),
            "Use the file computed for this dataset, or skip such images with --allow-mismatch.",
        )
    missing = set(match.missing)
    used = tuple(record for record in dataset.images if record.image_id not in missing)
    if not used and ids:  # a shard may have no images
        raise InputError(f"{path}: has no proposals for any image of {dataset.name}.")
    found = store_findings(replace(dataset, images=used), proposals)
    act_on(found, allow_mismatch, reporter)
    fingerprint = proposal_identity(path)
    unchecked = checked_later and isinstance(proposals, RecordedProposals)
    if not unchecked:
        check_all(used, path, proposals, fingerprint)
    skipped = tuple(f"{image_id}: no proposals in {path}" for image_id in match.missing)
    return DatasetProposals(
        replace(dataset, images=used), proposals, path, fingerprint, skipped, unchecked=unchecked
    )


def computed_proposals(
    dataset: Dataset,
    source: Source,
    workers: int | None = None,
    on_progress: Callable[[ProposeProgress], None] = lambda progress: None,
    on_wait: OnWait = lambda: None,
) -> DatasetProposals:
    """Proposals of `source`, computed for the images that are not in the cache.

    on_wait: called before waiting for another process that computes proposals for this cache.
    Images that cannot be read are skipped, with the reason. Raises InputError if none can be
    read.
    """
    path = cache_path(dataset.name, source)
    files = [(record.image_id, record.path) for record in dataset.images]
    with cache_explained(path):
        result = propose_images(
            files,
            source,
            path,
            workers=workers,
            keep_others=True,
            on_progress=on_progress,
            on_wait=on_wait,
        )
    failed = dict(result.failures)
    used = tuple(record for record in dataset.images if record.image_id not in failed)
    if not used and files:
        raise InputError(
            f"{dataset.name}: none of its images can be read.\n{result.failures[0][1]}"
        )
    store = open_store(path)
    digests = store.digests()
    store.close()  # the proposals of another split may be added to it next
    return DatasetProposals(
        replace(dataset, images=used),
        store,
        path,
        Provenance.of(source).fingerprint,
        tuple(failed.values()),
        digests,
        result.clipped,
    )


@dataclass(frozen=True)
class ProposalsOnDemand:
    """A function from image id and pixels to the proposals of an image of `dataset`.

    Any number of threads and processes can use the same: nothing is written, and no process waits
    for another. given: proposals of a file; None for a source. cached: its proposals in the cache.
    calls: of this source, for other images. fingerprint: as in DatasetProposals. provenance: None
    for a file that does not record it.
    """

    dataset: Dataset
    fingerprint: str
    provenance: Provenance | None
    given: Mapping[str, Proposals] | None = None
    cached: ProposalStore | None = None
    calls: SourceCalls | None = None

    def __call__(self, image_id: str, image: Image) -> Proposals:
        """Raises SourceError, which does not name the image, if the source fails."""
        if self.calls is None:
            assert self.given is not None
            return self.given[image_id]
        if self.cached is not None and is_stored(
            self.cached.digest(image_id), self._paths[image_id]
        ):
            return self.cached[image_id]
        return self.calls(image_id, image)

    @cached_property
    def _paths(self) -> dict[str, Path]:
        return {record.image_id: record.path for record in self.dataset.images}

    def close(self) -> None:
        """End the worker processes of the source."""
        if self.calls is not None:
            self.calls.close()


def proposals_on_demand(
    reporter: Reporter,
    dataset: Dataset,
    settings: ProposalSettings,
    *,
    data_root: Path | None = None,
) -> ProposalsOnDemand:
    """Proposals as of proposals_for, but computed when an image needs them, and not stored.

    Images that cannot be read stay in the dataset. Raises the errors of given_proposals for a
    file, and those of SourceCalls for a source.
    """
    if settings.file:
        found = proposals_for(reporter, dataset, settings, data_root=data_root)
        return ProposalsOnDemand(
            found.dataset, found.fingerprint, found.provenance, given=found.proposals
        )
    source = source_of(settings)
    path = cache_path(dataset.name, source)
    cached = open_store(path) if path.exists() else None
    origin = Provenance.of(source)
    return ProposalsOnDemand(
        dataset, origin.fingerprint, origin, cached=cached, calls=SourceCalls(source)
    )
