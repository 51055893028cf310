"""Models that come from other frameworks, and models that go to them."""
