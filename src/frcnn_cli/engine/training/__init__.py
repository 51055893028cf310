"""The parts of training: mini-batches, stages, checkpoints, validation, SVMs."""
