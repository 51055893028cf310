"""Pictures of detections, and the style of all figures."""
