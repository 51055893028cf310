"""A report on one detector, or on two side by side: one HTML page and its plots."""
