"""Model files: reading, writing, provenance, presets, and initial models for training."""
