"""The detection engine: records, datasets, training, detection, evaluation, compression."""
