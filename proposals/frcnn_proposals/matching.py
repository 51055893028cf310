"""Compare the image ids of proposals with those of a set of images."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from frcnn_proposals.errors import InputError
from frcnn_proposals.wording import counted, some_of

_NAMED = 5


@dataclass(frozen=True)
class IdMatch:
    """The result of comparing ids.

    missing: images without proposals, in the order of the images. extra: the first few ids that
    have proposals but no image; extra_count: the number of all such ids.
    """

    images: int
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    extra_count: int

    @property
    def is_exact(self) -> bool:
        return not self.missing and not self.extra_count

    def describe(self) -> str:
        """Counts and names of the ids that do not match, in one line; empty if all match."""
        parts = []
        if self.missing:
            parts.append(
                f"{some_of(len(self.missing), self.images, 'image', 'has', 'have')} no proposals "
                f"({_some(self.missing, len(self.missing))})"
            )
        if self.extra_count:
            ids = counted(self.extra_count, "id with proposals is", "ids with proposals are")
            parts.append(f"{ids} not among the images ({_some(self.extra, self.extra_count)})")
        return "; ".join(parts)

    def reject_mismatch(self, file: str, advice: str) -> None:
        """Raises InputError unless all ids match. advice: the option or command to use."""
        if not self.is_exact:
            raise InputError(f"{file}: {self.describe()}.\n{advice}")


def match_ids(
    proposals: Collection[str],
    image_ids: Sequence[str],
    also_known: Callable[[], Iterable[str]] = tuple,
) -> IdMatch:
    """Find the `image_ids` without proposals, and the proposals without an image.

    also_known: returns more ids that the file may contain, such as those of the dataset's other
    splits. It is called only if there are more proposals than images.
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
