"""The proposal store: one SQLite file of boxes by image id, with how they were made."""

from frcnn_proposals.store.reader import ProposalStore, open_store

__all__ = ["ProposalStore", "open_store"]
