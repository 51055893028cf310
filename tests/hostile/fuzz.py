"""Fuzzing by coverage: `make fuzz` runs every reader under atheris, each for the same time.

What breaks one stays in the folder of findings, and its traceback is printed. A finding becomes
an input of the corpus beside this file.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

MEGABYTES = 4096


def main() -> int:
    """fuzz.py SECONDS FOLDER [READER...]; or fuzz.py --one READER, atheris's own arguments."""
    if sys.argv[1] == "--one":
        fuzz_one(sys.argv[2], [sys.argv[0], *sys.argv[3:]])
        return 0
    seconds, folder = float(sys.argv[1]), Path(sys.argv[2])
    from parsers import parsers

    names = sys.argv[3:] or list(parsers())
    found = []
    for name in names:
        corpus = folder / name
        corpus.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(parsers()[name].seeds()):
            (corpus / f"seed{number}").write_bytes(seed)
        command = [
            *(sys.executable, __file__, "--one", name, str(corpus)),
            *(f"-max_total_time={int(seconds / len(names))}", f"-rss_limit_mb={MEGABYTES}"),
            *(f"-artifact_prefix={folder}/{name}-", "-timeout=20", "-verbosity=1"),
        ]
        ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = ended.stdout.decode(errors="replace").splitlines()
        runs = next((line for line in said[::-1] if line.startswith("Done ")), "stopped")
        print(f"{name}: {runs if ended.returncode == 0 else 'FOUND SOMETHING'}", flush=True)
        if ended.returncode != 0:
            found.append(name)
            print("\n".join(said[-40:]), flush=True)
    return 1 if found else 0


def fuzz_one(name: str, arguments: list[str]) -> None:
    import atheris

    warnings.simplefilter("ignore")
    with atheris.instrument_imports(include=["frcnn_cli", "frcnn_proposals", "pickle"]):
        from parsers import check, parsers

        from frcnn_proposals.errors import InputError
    import tempfile

    parser = parsers()[name]
    path = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    path /= parser.file

    def read(content: bytes) -> None:
        path.write_bytes(content)
        try:
            parser.read(path)
        except InputError as error:
            check(parser, str(error))

    atheris.Setup(arguments, read)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
