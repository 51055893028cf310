"""EdgeBoxes' own .mat: bbs, N x 5 with the score last, or a cell of them."""

from __future__ import annotations

from pathlib import Path

from frcnn_proposals.formats.base import Parsed
from frcnn_proposals.formats.containers.mat import numbers, tables
from frcnn_proposals.formats.content import Content
from frcnn_proposals.formats.layout import BoxLayout


class EdgeBoxesMat:
    """pdollar/edges edgeBoxes.m."""

    name = "edgeboxes-mat"
    title = "EdgeBoxes .mat (bbs)"
    layouts = (BoxLayout("xywh", 1),)

    def parse(self, content: Content) -> Parsed | None:
        bbs = content.variables.get("bbs")
        one = numbers(bbs, columns=(5,))
        many = [one] if one is not None else tables(bbs, columns=(5,))
        if many is None:
            return None
        return Parsed(
            [table[:, :4] for table in many],
            [table[:, 4] for table in many],
            None if one is None else [self.id_of(content.path)],
        )

    def id_of(self, path: Path) -> str:
        return path.stem
