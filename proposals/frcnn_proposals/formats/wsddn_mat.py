"""The .mat that WSDDN reads EdgeBoxes and selective search from: images, boxes, boxScores."""

from __future__ import annotations

from frcnn_proposals.formats.base import Parsed
from frcnn_proposals.formats.containers.mat import cells, columns_of, tables, texts
from frcnn_proposals.formats.content import Content
from frcnn_proposals.formats.layout import BoxLayout


class WsddnMat:
    """hbilen/WSDDN pascal/setup_voc07_eb.m."""

    name = "wsddn-mat"
    title = "WSDDN .mat (cells images, boxes, boxScores)"
    layouts = (BoxLayout("yxyx", 1),)

    def parse(self, content: Content) -> Parsed | None:
        variables = content.variables
        boxes, ids = tables(variables.get("boxes")), texts(variables.get("images"))
        each_scores = cells(variables.get("boxScores"))
        if boxes is None or each_scores is None or len(each_scores) != len(boxes):
            return None
        rows = [columns_of(row, len(table)) for row, table in zip(each_scores, boxes, strict=True)]
        scores = [row for row in rows if row is not None]
        return Parsed(
            boxes,
            scores if len(scores) == len(boxes) else None,
            ids if ids and len(ids) == len(boxes) else None,
        )
