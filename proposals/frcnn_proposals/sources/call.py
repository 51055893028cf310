"""The one place that calls a source for an image, and checks what it returns."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from numbers import Real
from typing import Any

from frcnn_proposals.base import (
    Image,
    Proposals,
    Reordering,
    Source,
    Window,
    best_first,
    is_per_stream,
    is_thread_safe,
    only_reads,
)
from frcnn_proposals.checks import check_proposals, clip_proposals
from frcnn_proposals.errors import (
    InputError,
    InvalidValueError,
    MisuseError,
    lacks_operators,
    reason,
)
from frcnn_proposals.sources.precomputed import Precomputed
from frcnn_proposals.sources.selective_search import SelectiveSearch
from frcnn_proposals.sources.union import UnionSource


class SourceError(InputError):
    """A source failed, or returned something else than valid boxes.

    The message names the source; whoever knows the image puts it in front.
    """


def reject_per_stream(source: Source) -> None:
    """Raises MisuseError for a source that needs the frames of a video, in their order."""
    if is_per_stream(source):
        raise MisuseError(
            f"Source {source.name!r} uses earlier frames: it is for videos and cameras, not for "
            "images. Choose another --source."
        )


def load_files(source: Source) -> None:
    """Read the files of Precomputed sources now: one error about a file, instead of one per image.

    Raises InputError if a file cannot be read.
    """
    if isinstance(source, Precomputed):
        source.load()
    elif isinstance(source, UnionSource):
        for member in source.sources:
            load_files(member)
    elif isinstance(source, Reordering):
        load_files(source.source)


def pixels_needed(source: Source) -> float | None:
    """The number of pixels above which an image may be reduced before `source` is called.

    None: the source needs the image as it is, as all do that do not declare `working_pixels`, and
    selective search with `min_side`, which counts pixels of the whole image. Raises SourceError if
    `working_pixels` is neither None nor a number of at least 1.
    """
    if isinstance(source, UnionSource):
        needed = [pixels_needed(member) for member in source.sources]
        return None if None in needed else max(each for each in needed if each is not None)
    if isinstance(source, SelectiveSearch) and source.min_side > 1:
        return None
    declared: Any = getattr(source, "working_pixels", None)
    if declared is None:
        return None
    is_number = isinstance(declared, Real) and not isinstance(declared, bool)
    if not is_number or not declared >= 1:
        raise SourceError(
            f"{source.name}: its attribute working_pixels is {declared!r:.80}; expected a number "
            "of at least 1, or None"
        )
    return float(declared)


def call_source(
    source: Source, image_id: str, image: Image, window: Window | None = None
) -> Proposals:
    """The proposals of `source` for an RGB image (H, W, 3) uint8, checked.

    window: where these pixels are, if they are a part of the image of this id. A proposal file has
    the boxes of the image: those that are completely inside the window are used.

    The source gets a copy of the image, unless it declares that it only reads the image. Boxes with
    scores are sorted by score, stably.
    Boxes that reach outside the image are clipped and counted (see clip_proposals). Raises
    SourceError if the source fails, returns another type, or returns an invalid box; InputError if
    a proposal file has no valid boxes for this image.
    """
    size = (image.shape[1], image.shape[0])
    if isinstance(source, Precomputed):
        if window is None:
            return source.propose_for(image_id, size)
        whole = source.propose_for(image_id, (window.image_width, window.image_height))
        return window.inside(whole)
    if isinstance(source, UnionSource):
        members = [call_source(member, image_id, image, window) for member in source.sources]
        return source.join(members)
    # torch warns of an array that cannot be written.
    needs_copy = not (only_reads(source) and image.flags.writeable)
    pixels, clipped = image.copy() if needs_copy else image, 0
    propose = partial(source.propose, pixels)
    if isinstance(source, Reordering):
        boxes = call_source(source.source, image_id, image, window)
        propose, clipped = partial(source.reorder, boxes, pixels), boxes.clipped
    with plugin_code(f"{source.name} failed", restore_folder=not is_thread_safe(source)):
        found = propose()
    checked = _checked(source.name, found, size)
    return replace(checked, clipped=checked.clipped + clipped)


@contextmanager
def plugin_code(
    failure: str, *unchanged: type[Exception], restore_folder: bool = True
) -> Iterator[None]:
    """Run code of another package: whatever it raises becomes a SourceError.

    Exceptions are Ctrl-C, and operators that cannot be loaded, which no image is the cause of.

    failure: the start of the message. unchanged: exceptions to raise as they are. restore_folder:
    return to the current folder at the end. All threads share this folder, so a source that is
    called from several threads must not change it.
    """
    folder = _current_folder() if restore_folder else None
    passed: tuple[type[BaseException], ...] = (KeyboardInterrupt, *unchanged)
    try:
        yield
    except passed:
        raise
    except BaseException as error:  # such as SystemExit
        if lacks_operators(error):
            raise
        cause = f"{type(error).__name__}: {reason(error)}"
        raise SourceError(f"{failure} ({cause})") from error
    finally:
        if folder is not None:
            with suppress(OSError):
                os.chdir(folder)


def _current_folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return None


def _checked(name: str, found: Any, size: tuple[int, int]) -> Proposals:
    if not isinstance(found, Proposals):
        kind = "None" if found is None else f"an object of type {type(found).__name__}"
        raise SourceError(
            f"{name} returned {kind}; expected frcnn_proposals.base.Proposals, "
            "without boxes Proposals([])"
        )
    try:
        check_proposals(found)
    except ValueError as error:
        raise SourceError(f"{name} returned an invalid box: {error}") from error
    # A new object, because a plugin's own class may exist only in its process.
    return clip_proposals(Proposals(*best_first(found.boxes, found.scores)), *size)


def failure_message(image: str, error: Exception, step: str = "computing proposals") -> str:
    """The message about an image that could not be read, or for which a source or `step` failed."""
    if isinstance(error, SourceError | InvalidValueError):
        return f"{image}: {error}"
    if isinstance(error, InputError):
        return str(error)
    # Such as a lack of memory.
    return f"{image}: {step} failed ({type(error).__name__}: {reason(error)})"
