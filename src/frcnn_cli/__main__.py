"""`python -m frcnn_cli`, as torchrun starts it: the same as `frcnn`."""

from frcnn_cli.cli import main

if __name__ == "__main__":
    main()
