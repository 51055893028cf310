"""One file per command: parse, call the engine once, print."""
