"""Models that come from Caffe, and models that go to other runtimes."""
