"""Whether proposals were computed from the images at hand: sizes, and digests of image files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from frcnn_cli.engine.datasets.findings import Finding, Level, finding, level_of_share
from frcnn_cli.engine.datasets.image_sizes import read_sizes, size_findings, size_problem
from frcnn_cli.engine.records import Dataset, ImageRecord, ReadFile
from frcnn_proposals.base import Proposals
from frcnn_proposals.sources.precomputed import Precomputed
from frcnn_proposals.store.reader import ProposalStore

_WAY_OUT = (
    "Compute the proposals of these images with `frcnn propose`; --allow-mismatch turns this error "
    "into a warning."
)


def store_findings(dataset: Dataset, proposals: Mapping[str, Proposals]) -> list[Finding]:
    """The images of another size than those of a store, before work begins.

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
    problems = {
        image_id: problem
        for image_id, size in sizes.items()
        if (problem := _size_problem(proposals, image_id, size)) is not None
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
    """As file_findings, for images without annotations and proposals given by a file."""
    return file_findings(Dataset("", "", (), ()), source.proposals, files)


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
    own = store.image_size(image_id)
    if own is None or own == size:
        return None
    return f"is {size[0]} x {size[1]} pixels, not {own[0]} x {own[1]}"


def _finding(
    store: ProposalStore, problems: Mapping[str, str], checked: int, level: Level | None
) -> list[Finding]:
    if not problems:
        return []
    message = (
        f"{store.path}: {len(problems)} of {checked} images are not those that the proposals were "
        "computed from"
    )
    names = [f"{image_id} {problem}" for image_id, problem in problems.items()]
    level = level or level_of_share(len(problems), checked)
    return [replace(finding(level, "proposal-image", message, names), way_out=_WAY_OUT)]
