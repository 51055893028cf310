"""File types that several formats use."""
