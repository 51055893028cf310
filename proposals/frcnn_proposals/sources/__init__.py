"""Sources of proposals: one module per source, imported when the source is used."""

from frcnn_proposals.sources.registry import (
    DEFAULT_SOURCE,
    ENTRY_POINT_GROUP,
    SourceInfo,
    list_sources,
    make_source,
)

__all__ = ["DEFAULT_SOURCE", "ENTRY_POINT_GROUP", "SourceInfo", "list_sources", "make_source"]
