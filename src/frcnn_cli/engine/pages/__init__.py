"""Self-contained HTML pages: the report on detectors, and what pages share."""
