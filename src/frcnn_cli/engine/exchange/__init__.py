"""Import of models from Caffe, and export to other runtimes."""
