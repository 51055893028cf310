"""The detection engine: records, data sets, training, detection, evaluation, compression."""
