"""Training: sampling, the step, the loop, and the folder of a run (paper, section 2.3)."""
