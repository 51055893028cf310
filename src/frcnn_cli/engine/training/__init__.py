"""Training: sampling, the step, the loop around it, and the run's folder (paper, section 2.3)."""
