"""Per-class SVMs: the fit on a dataset, and the linear SVM of one class."""
