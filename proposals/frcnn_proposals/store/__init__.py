"""The proposal store: one SQLite file with boxes by image id, and their provenance."""

from frcnn_proposals.store.reader import ProposalStore, open_store

__all__ = ["ProposalStore", "open_store"]
