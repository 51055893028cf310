"""The CUDA kernels, compiled for the CPU and run by an emulator of blocks, warps and barriers.

The sources are compiled as they are, with two changes of syntax: launches `<<< >>>` become calls,
and dynamic shared memory becomes a pointer. The headers in tests/kernels/emulator replace those of
the CUDA toolkit, so nothing of it is needed. The operators are registered for CPU tensors.

FRCNN_EMULATOR_SEED selects the order of threads, and how many blocks a launch has.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

import frcnn_kernels  # noqa: F401  # loads the operators whose signatures are used

CSRC = Path(__file__).resolve().parents[2] / "kernels/csrc"
EMULATOR = Path(__file__).resolve().parents[1] / "kernels/emulator"
NAMESPACE = "frcnn_emulated"
EMULATED = "emulated GPU"  # the parameter of the fixture `device`
# For tests in which the emulator would find nothing, or be too slow.
not_emulated = pytest.mark.parametrize("device", ["cpu", "cuda"], indirect=True)
OPERATORS = ("roi_pool", "roi_pool_infer", "roi_pool_out", "roi_pool_backward", "nms")
_DEFINED: dict[str, torch.library.Library] = {}  # by namespace; defined while they are referenced
_LAUNCH = re.compile(r"([\w:]+(?:<[\w, :]*>)?)<<<(.+?)>>>\(", re.DOTALL)
_DYNAMIC = re.compile(r"extern __shared__ (?:__align__\(\d+\) )?([\w ]+?) (\w+)\[\];")
_FLAGS = (
    *("-std=c++20", "-O1", "-g0", "-fPIC", "-fvisibility=hidden", "-w"),
    # As in setup.py: positions and overlaps are rounded like those of the CPU operators.
    *("-ffp-contract=off", "-fno-strict-aliasing", "-DTORCH_TARGET_VERSION=0x020a000000000000"),
    # A fortified longjmp, the default of some distributions, ends the process: fibers jump to
    # other stacks.
    "-U_FORTIFY_SOURCE",
)
# The compiler reports each access to memory, and each index outside of an array.
_REPORTS = ("-fsanitize=thread,bounds", '-DFRCNN_CUDA_ARCHS="emulated"')


def compiler() -> str:
    """The C++ compiler. Skips the test if there is none, and on other systems than Linux."""
    if sys.platform != "linux":
        pytest.skip("the CUDA kernels were not emulated: the emulator needs Linux")
    found = shutil.which(os.environ.get("CXX", "c++")) or shutil.which("g++")
    if found is None:
        pytest.skip("the CUDA kernels were not emulated: no C++ compiler was found")
    return found


def sources() -> dict[str, str]:
    """The .cu files: name and text."""
    paths = sorted((CSRC / "cuda").glob("*.cu"))
    return {path.name: path.read_text(encoding="utf-8") for path in paths}


def as_cpp(source: str) -> str:
    """A CUDA source in the syntax of C++."""
    call = r"emulator::kernel([=](auto... values) { \1(values...); }, \2)("
    source = _LAUNCH.sub(call, source)
    return _DYNAMIC.sub(r"\1* \2 = static_cast<\1*>(emulator::dynamic_shared());", source)


def build(folder: Path, namespace: str, files: Mapping[str, str]) -> Path:
    """Compile .cu files as operators of a namespace."""
    torch_folder = Path(torch.__file__).parent
    include = [f"-I{EMULATOR}", f"-I{CSRC}", "-isystem", str(torch_folder / "include")]
    command = [compiler(), *_FLAGS, *include]
    folder.mkdir(parents=True, exist_ok=True)
    objects = []
    for name, text in files.items():
        source = folder / f"{name}.cpp"
        source.write_text(f'#include "torch_on_cpu.h"\n#line 1 "{name}"\n{as_cpp(text)}')
        objects.append(source.with_suffix(".o"))
        options = [*_REPORTS, f"-DEMULATED_NAMESPACE={namespace}", "-c", str(source)]
        _run([*command, *options, "-o", str(objects[-1])])
    library = folder / f"{namespace}.so"
    inputs = [*map(str, sorted(EMULATOR.glob("*.cpp"))), *map(str, objects)]
    libraries = [f"-L{torch_folder / 'lib'}", "-ltorch_cpu", "-lc10", "-Wl,-z,defs"]
    _run([*command, "-shared", *inputs, "-o", str(library), *libraries])
    return library


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:4000]


def build_once(root: Path) -> Path:
    """The library of all kernels, which is compiled again only if something in it changed."""
    digest = hashlib.sha256(repr((compiler(), torch.__version__, _FLAGS, _REPORTS)).encode())
    for path in sorted([*CSRC.glob("*.h"), *(CSRC / "cuda").iterdir(), *EMULATOR.iterdir()]):
        digest.update(path.name.encode() + path.read_bytes())
    digest.update(Path(__file__).read_bytes())
    folder = root / digest.hexdigest()[:16]
    library = folder / f"{NAMESPACE}.so"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:  # tests run in several processes
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not library.exists():
            with tempfile.TemporaryDirectory(dir=folder) as work:
                build(Path(work), NAMESPACE, sources()).rename(library)
    return library


def load(library: Path) -> str:
    """Load operators that `build` compiled. Returns their namespace."""
    namespace = library.stem
    if namespace not in _DEFINED:
        _DEFINED[namespace] = torch.library.Library(namespace, "DEF")
        for name in OPERATORS:
            schema = str(getattr(torch.ops.frcnn, name).default._schema)
            _DEFINED[namespace].define(schema.partition("::")[2])
        torch.ops.load_library(str(library))
    return namespace


@contextmanager
def in_place_of_cpu_operators(namespace: str) -> Iterator[None]:
    """Let `torch.ops.frcnn` run the operators of this namespace on CPU tensors."""
    with torch.library._scoped_library("frcnn", "IMPL") as library:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "(?s).*[Oo]verriding a previously registered")
            for name in OPERATORS:
                operator = getattr(getattr(torch.ops, namespace), name).default
                library.impl(name, operator, "CPU")
        yield
