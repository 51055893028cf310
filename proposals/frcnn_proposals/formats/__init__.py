"""Proposal files of any format, one module a format."""

from frcnn_proposals.formats.read import read_proposals

__all__ = ["read_proposals"]
