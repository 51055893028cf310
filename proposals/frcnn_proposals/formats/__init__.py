"""Proposal files: every format that others use is read, and the common ones are written."""

from frcnn_proposals.formats.read import read_proposals
from frcnn_proposals.formats.write import write_proposals

__all__ = ["read_proposals", "write_proposals"]
