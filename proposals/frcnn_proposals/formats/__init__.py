"""Proposal files: reads the formats of other tools, and writes the common ones."""

from frcnn_proposals.formats.read import read_proposals
from frcnn_proposals.formats.write import write_proposals

__all__ = ["read_proposals", "write_proposals"]
