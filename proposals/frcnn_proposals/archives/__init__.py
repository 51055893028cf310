"""Archives of images, which are read without being unpacked."""
