"""Parts of detection: scales, shared windows, fast layers, work ahead, the journal."""
