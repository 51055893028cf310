"""Whether a set of proposals and a set of images are of one another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError

_NAMED = 5


@dataclass(frozen=True)
class IdMatch:
    """missing: images without proposals, in the images' order. extra: ids with proposals that
    no image has; only the first few are named, extra_count counts them.
    """

    images: int
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    extra_count: int

    @property
    def is_exact(self) -> bool:
        return not self.missing and not self.extra_count

    def describe(self) -> str:
        """Both sides counted and named, in one line; empty if they match."""
        parts = []
        if self.missing:
            parts.append(
                f"{len(self.missing)} of {self.images} images have no proposals "
                f"({_some(self.missing, len(self.missing))})"
            )
        if self.extra_count:
            parts.append(
                f"{self.extra_count} ids with proposals are not among the images "
                f"({_some(self.extra, self.extra_count)})"
            )
        return "; ".join(parts)

    def refuse_mismatch(self, what: str, way_out: str) -> None:
        """Raises InputError if anything is missing on either side. way_out: the option."""
        if not self.is_exact:
            raise InputError(f"{what}: {self.describe()}.\n{way_out}")


def match_ids(
    proposals: Mapping[str, Proposals],
    image_ids: Sequence[str],
    also_known: Callable[[], Iterable[str]] = tuple,
) -> IdMatch:
    """Which of `image_ids` have no proposals, and which proposals have no image.

    also_known: asked only where there are more proposals than images: ids that are all right
    in the file all the same, such as those of the data set's other splits.
    """
    missing = tuple(image_id for image_id in image_ids if image_id not in proposals)
    extra: list[str] = []
    extra_count = 0
    if len(proposals) > len(set(image_ids)) - len(set(missing)):
        known = {*image_ids, *also_known()}
        for image_id in proposals:
            if image_id not in known:
                extra_count += 1
                extra += [image_id] if extra_count <= _NAMED else []
    return IdMatch(len(image_ids), missing, tuple(extra), extra_count)


def _some(names: Sequence[str], count: int) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if count > _NAMED else "")
