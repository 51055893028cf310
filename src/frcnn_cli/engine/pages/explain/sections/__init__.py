"""The numbers of each section of the page, as values of JSON."""
