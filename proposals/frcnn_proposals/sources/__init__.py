"""Sources of proposals: one file per source, imported when it is named."""

from frcnn_proposals.sources.registry import (
    DEFAULT_SOURCE,
    ENTRY_POINT_GROUP,
    SourceInfo,
    list_sources,
    make_source,
)

__all__ = ["DEFAULT_SOURCE", "ENTRY_POINT_GROUP", "SourceInfo", "list_sources", "make_source"]
