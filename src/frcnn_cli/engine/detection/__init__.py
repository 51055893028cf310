"""Detection: from images and proposals to boxes with classes and scores (paper, section 3)."""
