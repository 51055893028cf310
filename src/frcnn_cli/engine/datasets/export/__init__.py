"""Export of datasets and detections in other formats."""
