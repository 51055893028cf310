"""The models that users know by name: their table, and the files that are in the package."""
