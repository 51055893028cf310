"""Coverage-guided fuzzing: `make fuzz` runs every reader under atheris, each for the same time.

Inputs that break a reader stay in the folder of findings, and the traceback is printed. Add each
finding to the corpus next to this file.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

MEGABYTES = 4096


def main() -> int:
    """fuzz.py SECONDS FOLDER [READER...]; or fuzz.py --one READER ARGUMENTS_OF_ATHERIS."""
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
        process = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        lines = process.stdout.decode(errors="replace").splitlines()
        runs = next((line for line in lines[::-1] if line.startswith("Done ")), "stopped")
        print(f"{name}: {runs if process.returncode == 0 else 'FAILED'}", flush=True)
        if process.returncode != 0:
            found.append(name)
            print("\n".join(lines[-40:]), flush=True)
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
