"""Videos and cameras: their frames, the choice among them, and detection frame by frame."""
