"""Run `frcnn` as `python -m frcnn_cli`, which is how torchrun starts it."""

from frcnn_cli.cli import main

if __name__ == "__main__":
    main()
