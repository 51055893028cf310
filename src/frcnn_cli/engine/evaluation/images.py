"""The images for the evaluation of a model, and their proposals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from frcnn_cli.engine.datasets.find import available_splits, default_splits, find_dataset
from frcnn_cli.engine.datasets.open import open_dataset
from frcnn_cli.engine.distributed.shard import Shard
from frcnn_cli.engine.distributed.team import ALONE, Team
from frcnn_cli.engine.models.loaded import LoadedModel
from frcnn_cli.engine.models.seen_images import trained_on
from frcnn_cli.engine.proposals.for_dataset import (
    DatasetProposals,
    ProposalsOnDemand,
    proposals_for,
    proposals_on_demand,
)
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_cli.engine.settings.options import DataOptions
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.wording import counted


def open_images(
    loaded: LoadedModel,
    data: DataOptions,
    others: Sequence[LoadedModel] = (),
    team: Team = ALONE,
    reporter: Reporter = SILENT,
) -> DatasetProposals:
    """Open the dataset to evaluate a model on, with its proposals; reports its name.

    The default is the model's own dataset. others: other models to evaluate on it.
    In a team, the first process computes missing proposals for all.
    Raises MisuseError if the classes of the dataset differ from those of a model.
    """
    dataset, root = _open_own(loaded, data, reporter)
    for model in (loaded, *others):
        check_classes(model, dataset)
    with team.first_alone():
        return _with_proposals(loaded, dataset, root, data, reporter)


def open_shard(
    loaded: LoadedModel,
    data: DataOptions,
    shard: Shard | None,
    team: Team = ALONE,
    reporter: Reporter = SILENT,
) -> ProposalsOnDemand:
    """Open the images of a shard as open_images does; their proposals are computed when needed.

    shard: None is all images. In a team, the first process checks a file of proposals for all.
    Images that cannot be read are included.
    """
    dataset, root = _open_own(loaded, data, reporter)
    check_classes(loaded, dataset)
    if shard is not None:
        kept = tuple(record for record in dataset.images if shard.holds(record.image_id))
        dataset = replace(dataset, images=kept)
    settings = data.proposal_settings(loaded.experiment.proposals)
    with team.first_alone():
        found = proposals_on_demand(reporter, dataset, settings, data_root=root)
    _warn_of_other_proposals(loaded, found.provenance, reporter)
    return found


def open_unseen_images(
    loaded: LoadedModel, data: DataOptions, reporter: Reporter = SILENT
) -> DatasetProposals:
    """Images to choose settings on: those of val, or else test, unless used for training.

    Raises MisuseError if the model was trained on images of both, or of the given split.
    """
    name, root = _dataset_of(loaded, data)
    annotated = available_splits(name, root)
    defaults = [split for split in ("val", "test") if annotated.get(split)]
    own_split = loaded.experiment.data.held_out_split
    if own_split is not None and _is_own(loaded, data):
        defaults.insert(0, own_split)
    splits = [data.split] if data.split else defaults
    for split in splits:
        dataset = find_dataset(name, split, root)
        check_classes(loaded, dataset)
        seen = trained_on(loaded.experiment.data, dataset, loaded.origin, root)
        if seen:
            reporter.note(f"Skipping split {split} of {name}: the model was trained on its images.")
            continue
        if seen is None:
            reporter.warn(
                f"{loaded.name} does not record all of its training data; it may include {name} "
                f"{split}."
            )
        if split == "test":
            reporter.warn("The test split is used to choose settings, so it cannot evaluate them.")
        reporter.note(_line(name, dataset))
        return _with_proposals(loaded, dataset, root, data, reporter)
    raise MisuseError(
        f"{name}: the model was trained on images of its {' and '.join(splits) or 'splits'}, "
        "so they cannot show the drop of mAP.\n"
        "Choose a dataset or --split that it was not trained on."
    )


def open_split(
    name: str,
    split: str | None = None,
    data_root: Path | None = None,
    *,
    allow_mismatch: bool = False,
    needs_images: bool = True,
    reporter: Reporter = SILENT,
) -> Dataset:
    """Open a split of a dataset: by default test if it is annotated, else val; reports its name.

    For allow_mismatch and needs_images see open_dataset.
    """
    if split is None:
        splits = default_splits(name, data_root)
        split = splits.evaluation
        if not splits.disjoint:
            reporter.warn(
                f"{name} has only the split {split}: the model may have been trained on it."
            )
    dataset = open_dataset(
        name,
        split,
        data_root,
        allow_mismatch=allow_mismatch,
        needs_images=needs_images,
        reporter=reporter,
    )
    reporter.note(_line(name, dataset))
    return dataset


def _some_classes(classes: Sequence[str]) -> str:
    shown = ", ".join(classes[:3]) + (" ..." if len(classes) > 3 else "")
    return f"{counted(len(classes), 'class', 'classes')} ({shown})"


def check_classes(loaded: LoadedModel, dataset: Dataset) -> None:
    """Raises MisuseError if the classes of the model and the dataset differ."""
    classes = loaded.classes
    if classes != dataset.classes:
        raise MisuseError(
            f"{loaded.name} has {_some_classes(classes)}, but {dataset.name} has "
            f"{_some_classes(dataset.classes)}.\n"
            "Evaluate on the dataset that the model was trained for."
        )


def _open_own(
    loaded: LoadedModel, data: DataOptions, reporter: Reporter
) -> tuple[Dataset, Path | None]:
    """The dataset to evaluate the model on, and the folder to search for it."""
    name, root = _dataset_of(loaded, data)
    own_split = loaded.experiment.data.held_out_split if _is_own(loaded, data) else None
    split = data.split or own_split
    dataset = open_split(name, split, root, allow_mismatch=data.allow_mismatch, reporter=reporter)
    return dataset, root


def _dataset_of(loaded: LoadedModel, data: DataOptions) -> tuple[str, Path | None]:
    """The given dataset, or the model's own, and the folder to search for it."""
    if data.dataset is not None:
        return data.dataset, data.data_root
    own = loaded.experiment.data
    if not own.dataset:
        raise MisuseError(f"{loaded.name} does not record its dataset. Give one.")
    return own.dataset, data.data_root or own.folder


def _is_own(loaded: LoadedModel, data: DataOptions) -> bool:
    """Whether the dataset is the one that the model was trained on."""
    own = loaded.experiment.data.dataset
    return data.dataset in (None, own) or Path(str(data.dataset)).resolve() == Path(own).resolve()


def _with_proposals(
    loaded: LoadedModel, dataset: Dataset, root: Path | None, data: DataOptions, reporter: Reporter
) -> DatasetProposals:
    found = proposals_for(
        reporter,
        dataset,
        data.proposal_settings(loaded.experiment.proposals),
        data_root=root,
    )
    _warn_of_other_proposals(loaded, found.provenance, reporter)
    return found


def _warn_of_other_proposals(
    loaded: LoadedModel, provenance: Provenance | None, reporter: Reporter
) -> None:
    """Warn if the model was trained with proposals of another kind.

    Files in other formats than stores differ from split to split, so they are not compared.
    """
    own = loaded.experiment.proposals
    trained = str(loaded.origin.get("proposals_fingerprint", ""))
    if provenance is None or not (trained or own.file):
        return
    if trained.split(" ")[0] != provenance.fingerprint:
        reporter.warn(
            f"The model was trained with the proposals of {own.file or own.source}, but is "
            f"evaluated with those of {provenance.describe()}. Use --proposals or --source."
        )


def _line(name: str, dataset: Dataset) -> str:
    return f"Dataset: {name}, split {dataset.split}, {counted(len(dataset), 'image')}"
