"""The image files that a run reads: compared with its annotations, proposals and first start."""

from __future__ import annotations

from typing import Any

from frcnn_cli.engine.datasets.findings import Finding
from frcnn_cli.engine.datasets.fingerprint import short_digest
from frcnn_cli.engine.models.provenance import dataset_fingerprint, with_dataset
from frcnn_cli.engine.proposals.image_match import file_findings, file_problem
from frcnn_cli.engine.records import ReadFile
from frcnn_cli.engine.training.minibatches import Minibatch
from frcnn_cli.engine.training.run import Run
from frcnn_proposals.errors import MisuseError


class FilesRead:
    """What reading the image files of a run showed, in this process.

    problem: of the first image that differs from its annotation or its proposals.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.problem: str | None = None
        self._files: dict[str, ReadFile] = {}
        self._records = {record.image_id: record for record in run.dataset.images}
        self._start = dataset_fingerprint(run.origin)

    def add(self, share: Minibatch) -> None:
        """Add the images of a mini-batch.

        Raises MisuseError if one was replaced since the run was started.
        """
        for image_id, file in zip(share.image_ids, share.files, strict=True):
            if image_id not in self._files:
                self._check_unchanged(image_id, file)
                self._files[image_id] = file
                problem = file_problem(self._records[image_id], self.run.proposals, file)
                if problem is not None and self.problem is None:
                    self.problem = f"{image_id} {problem}"

    def _check_unchanged(self, image_id: str, file: ReadFile) -> None:
        digest = None if self._start is None else self._start.file_of(image_id)
        if digest is not None and digest != short_digest(file.digest):
            raise MisuseError(
                f"{self._records[image_id].path}: this image was replaced since the run in "
                f"{self.run.folder} was started.\nRestore it, or start another run."
            )

    def in_origin(self, origin: dict[str, Any]) -> dict[str, Any]:
        """The origin, whose fingerprint has the files that all processes have read."""
        parts = self.run.team.gather({name: file.digest for name, file in self._files.items()})
        fingerprint = dataset_fingerprint(origin)
        if fingerprint is None:
            return origin
        for digests in parts:
            fingerprint = fingerprint.with_files(digests)
        return with_dataset(origin, fingerprint)

    def findings(self) -> tuple[Finding, ...]:
        """Warnings about the files that all processes have read."""
        parts = self.run.team.gather(self._files)
        files = {name: file for part in parts for name, file in part.items()}
        return tuple(file_findings(self.run.dataset, self.run.proposals, files))
