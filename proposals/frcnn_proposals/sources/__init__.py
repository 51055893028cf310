"""Sources of proposals: one file per source."""
