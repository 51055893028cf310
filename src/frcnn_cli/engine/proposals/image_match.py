"""Checks that proposals were computed from these images: sizes, and digests of image files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from frcnn_cli.engine.datasets.findings import Finding, Level, finding, level_of_share
from frcnn_cli.engine.datasets.fingerprint import Fingerprint, short_digest
from frcnn_cli.engine.datasets.image_sizes import read_sizes, size_findings, size_problem
from frcnn_cli.engine.records import Dataset, ImageRecord, ReadFile
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.sources.precomputed import Precomputed
from frcnn_proposals.store.reader import ProposalStore
from frcnn_proposals.wording import some_of

_WAY_OUT = (
    "Compute the proposals of these images with `frcnn propose`; --allow-mismatch turns this error "
    "into a warning."
)


def store_findings(dataset: Dataset, proposals: Mapping[str, Proposals]) -> list[Finding]:
    """The images whose size differs from the store's, found before work begins.

    Sizes are those of the annotations, and of up to 200 image headers. Files in other formats
    contain no sizes.
    """
    if not isinstance(proposals, ProposalStore):
        return []
    sizes = {
        record.image_id: (record.width, record.height)
        for record in dataset.images
        if record.width and record.height
    } | read_sizes(dataset)
    own = proposals.image_sizes(list(sizes))
    problems = {
        image_id: problem
        for image_id, size in sizes.items()
        if (problem := _difference(own.get(image_id), size)) is not None
    }
    return _finding(proposals, problems, len(sizes), None)


def file_findings(
    dataset: Dataset, proposals: Mapping[str, Proposals], files: Mapping[str, ReadFile]
) -> list[Finding]:
    """Warnings about image files that were read: those that differ from annotation or store.

    files: by image id.
    """
    sizes = {name: file.size for name, file in files.items() if file.size is not None}
    found = size_findings(dataset, sizes, "warning")
    if isinstance(proposals, ProposalStore):
        problems = {
            image_id: problem
            for image_id, file in files.items()
            if (problem := store_problem(proposals, image_id, file)) is not None
        }
        found += _finding(proposals, problems, len(files), "warning")
    return found


def source_findings(source: Precomputed, files: Mapping[str, ReadFile]) -> list[Finding]:
    """Like file_findings, for images without annotations and proposals given by a file."""
    return file_findings(Dataset("", "", (), ()), source.proposals, files)


SIZE_NOTICE = (
    "image has another size than the one that the proposals were computed from.",
    "images have another size than those that the proposals were computed from.",
)


def has_other_size(source: Precomputed, image_id: str, size: tuple[int, int]) -> bool:
    """Whether the store of a source has an image of this id with another size."""
    store = source.proposals
    return isinstance(store, ProposalStore) and _size_problem(store, image_id, size) is not None


def file_problem(
    record: ImageRecord, proposals: Mapping[str, Proposals], file: ReadFile
) -> str | None:
    """How an image file that was read differs from its annotation, or from the proposals' image."""
    problem = None if file.size is None else size_problem(record, file.size)
    if problem is None and isinstance(proposals, ProposalStore):
        problem = store_problem(proposals, record.image_id, file)
    return problem


def store_problem(store: ProposalStore, image_id: str, file: ReadFile) -> str | None:
    """How an image file differs from the one that the proposals were computed from."""
    problem = None if file.size is None else _size_problem(store, image_id, file.size)
    if problem is not None:
        return problem
    digest = store.digest(image_id)
    if digest is None or not file.digest or digest == file.digest:
        return None
    return f"has other bytes (SHA-256 {file.digest[:12]}, not {digest[:12]})"


def _size_problem(store: ProposalStore, image_id: str, size: tuple[int, int]) -> str | None:
    return _difference(store.image_size(image_id), size)


def _difference(own: tuple[int, int] | None, size: tuple[int, int]) -> str | None:
    if own is None or own == size:
        return None
    return f"is {size[0]} x {size[1]} pixels, not {own[0]} x {own[1]}"


def _finding(
    store: ProposalStore, problems: Mapping[str, str], checked: int, level: Level | None
) -> list[Finding]:
    if not problems:
        return []
    message = (
        f"{store.path}: {some_of(len(problems), checked, 'image', 'differs', 'differ')} from "
        "those that the proposals were computed from"
    )
    names = [f"{image_id} {problem}" for image_id, problem in problems.items()]
    level = level or level_of_share(len(problems), checked)
    return [replace(finding(level, "proposal-image", message, names), way_out=_WAY_OUT)]


class FilesRead:
    """The image files that a process of a training run has read.

    start: fingerprint from the start of the run. files: what reading them showed, by image id.
    problem: of the first image that differs from its annotation or its proposals.
    """

    def __init__(
        self, dataset: Dataset, proposals: Mapping[str, Proposals], start: Fingerprint | None
    ) -> None:
        self.dataset, self.proposals, self.start = dataset, proposals, start
        self.problem: str | None = None
        self.files: dict[str, ReadFile] = {}
        self._records = {record.image_id: record for record in dataset.images}

    def add(self, image_ids: Sequence[str], files: Sequence[ReadFile]) -> None:
        """Add images that were read. Raises MisuseError if one was replaced since the start."""
        for image_id, file in zip(image_ids, files, strict=True):
            if image_id not in self.files:
                self._check_unchanged(image_id, file)
                self.files[image_id] = file
                problem = file_problem(self._records[image_id], self.proposals, file)
                if problem is not None and self.problem is None:
                    self.problem = f"{image_id} {problem}"

    def _check_unchanged(self, image_id: str, file: ReadFile) -> None:
        digest = None if self.start is None else self.start.file_of(image_id)
        if digest is not None and digest != short_digest(file.digest):
            raise MisuseError(
                f"{self._records[image_id].path}: this image was replaced since the run was "
                "started.\nRestore it, or start another run."
            )
