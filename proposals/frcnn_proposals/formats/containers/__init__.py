"""Files that several formats are kept in."""
