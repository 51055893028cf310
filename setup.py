"""Build the compiled operators; setup.cfg contains everything else about the package.

The build creates two libraries. Both use LibTorch's stable ABI, so one build works with many
releases of torch and Python. `frcnn_kernels/_cpu.so` is always built; `frcnn_kernels/_cuda.so` is
built if nvcc is found, works, and fits torch's CUDA. FORCE_CUDA=1 makes it an error if it cannot be
built; FORCE_CUDA=0 disables it. The build and the metadata of a wheel need torch; a source
distribution does not. Environment variables: CUDA_HOME, FORCE_CUDA, FRCNN_CUDA_ARCHS (such as
"80;90"), FRCNN_SANITIZE=address; see docs/kernels.md.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.dist_info import dist_info

CSRC = Path("kernels/csrc")
# The oldest torch whose stable ABI has all that the operators use (parallel_for): 2.10.
TORCH_TARGET = 0x020A_0000_0000_0000
OLDEST_TORCH = (TORCH_TARGET >> 56, TORCH_TARGET >> 48 & 255)
# Those that the toolkit knows, with the PTX of 90 and of the last one: GPUs of 100 and 103 run the
# former, newer GPUs the latter.
CUDA_ARCHS = ("75", "80", "90", "120")


def cuda_home() -> Path | None:
    """The CUDA toolkit to build with, or None to build for the CPU only."""
    forced = os.environ.get("FORCE_CUDA")
    if forced == "0":
        return None
    nvcc = shutil.which("nvcc")
    on_path = nvcc and Path(nvcc).resolve().parent.parent
    for home in (os.environ.get("CUDA_HOME"), "/usr/local/cuda", on_path):
        if home and (Path(home) / "bin" / "nvcc").exists():
            return Path(home)
    if forced == "1":
        raise SystemExit("FORCE_CUDA=1, but nvcc was not found: set CUDA_HOME to the CUDA toolkit")
    return None


def output_of(command: list[str | Path]) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout


def cuda_architectures(nvcc: Path) -> list[str]:
    """The compute capabilities to compile for."""
    chosen = os.environ.get("FRCNN_CUDA_ARCHS")
    if chosen:
        return chosen.split(";")
    known = output_of([nvcc, "--list-gpu-arch"]).split()
    return [arch for arch in CUDA_ARCHS if f"compute_{arch}" in known] or list(CUDA_ARCHS)


def cuda_problem(home: Path, torch: Path, work: Path) -> str | None:
    """Why this toolkit cannot build operators for this torch, and what to do; None if it can."""
    if not (torch / "lib" / "libtorch_cuda.so").exists():
        return "the installed torch is a CPU build"
    nvcc = home / "bin" / "nvcc"
    try:
        printed = output_of([nvcc, "--version"])
    except OSError as error:
        return f"{nvcc} cannot be executed ({error.strerror}): set CUDA_HOME to another toolkit"
    toolkit = re.search(r"release (\d+)\.\d+", printed)
    versions = (torch / "version.py").read_text()
    of_torch = re.search(r"^cuda\b.* = '(\d+)\.[\d.]+'", versions, re.MULTILINE)
    if toolkit and of_torch and toolkit[1] != of_torch[1]:
        return (
            f"the toolkit in {home} has CUDA {toolkit[1]}, and torch is built for CUDA "
            f"{of_torch[1]}: set CUDA_HOME to a toolkit of CUDA {of_torch[1]}"
        )
    work.mkdir(parents=True, exist_ok=True)
    probe = work / "probe.cu"
    probe.write_text("#include <concepts>\n__global__ void probe() {}\n")
    command = [nvcc, "-std=c++20", "-c", probe, "-o", probe.with_suffix(".o")]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return None
    lines = (done.stderr + done.stdout).strip().splitlines() or ["no message"]
    error = next((line for line in lines if "error" in line or "fatal" in line), lines[0])
    return (
        f"{nvcc} cannot compile C++20 with this host compiler ({error.strip()}): set CUDA_HOME to "
        "a newer toolkit, or NVCC_CCBIN to an older compiler"
    )


def package_folder(name: str) -> Path | None:
    """The folder of an installed package, found without importing it; None if it is missing.

    pip hides the installed packages from an isolated build. A second interpreter that ignores
    pip's variables sees them.
    """
    code = f"import importlib.util as u; s = u.find_spec('{name}'); print(s and s.origin or '')"
    for options in ("-P", "-EP"):
        command = [sys.executable, options, "-c", code]
        found = subprocess.run(command, capture_output=True, text=True).stdout.strip()
        if found:
            return Path(found).parent
    return None


def torch_folder() -> Path:
    """The folder of the torch to compile against.

    Raises SystemExit if torch is missing or too old, and on Windows, where nothing compiles.
    """
    if sys.platform == "win32":
        raise SystemExit(
            "frcnn's operators cannot be compiled on Windows. Install frcnn in WSL: "
            "`wsl --install`, then a wheel or the source as on Linux; README.md says how."
        )
    folder = package_folder("torch")
    if folder is None:
        raise without_torch(f"is not installed for {sys.executable}")
    version = torch_version(folder)
    if version and tuple(map(int, version.split(".")[:2])) < OLDEST_TORCH:
        raise without_torch(f"is too old ({version} in {folder})")
    return folder


def torch_version(folder: Path) -> str:
    """Such as 2.13.0+cpu; empty if the file that should contain it has another form."""
    text = (folder / "version.py").read_text()
    version = re.search(r"^__version__ = '(\d+\.\d+\..*)'", text, re.MULTILINE)
    return version[1] if version else ""


def without_torch(state: str) -> SystemExit:
    oldest = ".".join(map(str, OLDEST_TORCH))
    return SystemExit(
        f"frcnn's operators are compiled against torch {oldest} or later, which {state}.\n"
        f"This command installs both:\n    {install_command(f'torch>={oldest}')}"
    )


def without_torchvision(version: str) -> SystemExit:
    """pip would choose the newest torchvision, and replace torch by the one that it needs."""
    release, _, label = version.partition("+")
    # PyTorch has an index for each kind of device. The Python package index has one kind only.
    known = re.fullmatch(r"cpu|xpu|cu\d+|rocm[\d.]+", label)
    index = f" --extra-index-url https://download.pytorch.org/whl/{label}" if known else ""
    return SystemExit(
        f"torchvision is not installed for {sys.executable}.\n"
        f"This command installs the one for torch {version}, and frcnn:\n"
        f"    {install_command(f'torch=={release}', index)}"
    )


def install_command(torch: str, index: str = "") -> str:
    return (
        f"pip install '{torch}' torchvision 'setuptools>=77'{index} && "
        "pip install --no-build-isolation ."
    )


class WheelInfo(dist_info):
    """The metadata of a wheel. What is missing is an error before pip downloads dependencies."""

    def run(self) -> None:
        version = torch_version(torch_folder())
        if version and package_folder("torchvision") is None:
            raise without_torchvision(version)
        super().run()


class BuildKernels(build_ext):
    """Compile the operators against the torch of this environment."""

    def run(self) -> None:
        torch = torch_folder()
        api = torch / "include/torch/csrc/api/include"
        self.torch_include = [str(torch / "include"), str(api)]
        self.torch_lib = torch / "lib"
        super().run()

    def get_ext_filename(self, fullname: str) -> str:
        """A name without a Python version, because the libraries contain no Python code."""
        return str(Path(*fullname.split("."))) + ".so"

    def build_extension(self, ext: Extension) -> None:
        flags = ["-std=c++20", "-O3", "-g0", "-fvisibility=hidden", "-fno-math-errno"]
        # No fused multiply-add: it would round positions and overlaps differently from torchvision.
        flags += ["-ffp-contract=off", "-fno-strict-aliasing", "-Wall", "-Wextra", "-Wno-psabi"]
        for path in self.torch_include:
            flags += ["-isystem", path]  # hides the warnings in torch's headers
        if os.environ.get("FRCNN_SANITIZE"):
            sanitize = f"-fsanitize={os.environ['FRCNN_SANITIZE']}"
            flags += [sanitize, "-g1", "-O1", "-fno-omit-frame-pointer"]
            ext.extra_link_args = [*ext.extra_link_args, sanitize]
        ext.include_dirs = [str(CSRC)]
        ext.library_dirs = [str(self.torch_lib)]
        ext.extra_compile_args = flags
        if ext.name.endswith("_cuda") and not self.prepare_cuda(ext):
            return
        try:
            super().build_extension(ext)
        except Exception as error:
            compiler = self.compiler.compiler_so_cxx[0]
            found = shutil.which(compiler)
            state = "could not compile the operators (see above)" if found else "is not installed"
            raise SystemExit(
                f"{compiler} {state}.\n"
                "Compiling needs GCC 11 or later (Debian: apt install g++) or Clang 14 or later "
                "(CC=clang CXX=clang++).\n"
                "A wheel needs no compiler: pip install frcnn-*+cpu-*.whl"
            ) from error

    def prepare_cuda(self, ext: Extension) -> bool:
        """Compile the .cu files with nvcc for the linker. Return False to skip the library."""
        home = cuda_home()
        assert home is not None
        problem = cuda_problem(home, self.torch_lib.parent, Path(self.build_temp))
        if problem is not None:
            if os.environ.get("FORCE_CUDA") == "1":
                raise SystemExit(f"FORCE_CUDA=1, but {problem}")
            print(f"Skipping the CUDA operators: {problem}")
            ext.optional = True
            return False
        archs = cuda_architectures(home / "bin" / "nvcc")
        gencode = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in archs]
        ptx = [arch for arch in archs if arch in ("90", archs[-1])]
        gencode += [f"-gencode=arch=compute_{a},code=compute_{a}" for a in ptx]
        includes = [f"-I{path}" for path in (CSRC, *self.torch_include, home / "include")]
        macros = [f"-D{name}={value}" for name, value in ext.define_macros]
        macros.append(f'-DFRCNN_CUDA_ARCHS="{";".join(archs)}"')
        for source in ext.sources:
            target = Path(self.build_temp) / Path(source).with_suffix(".cu.o")
            target.parent.mkdir(parents=True, exist_ok=True)
            options = ["-std=c++20", "-O3", "-fmad=false", "-DUSE_CUDA"]
            options += ["-Xcompiler", "-fPIC,-fvisibility=hidden"]
            nvcc = str(home / "bin" / "nvcc")
            compile_to = ["-c", source, "-o", str(target)]
            try:
                self.spawn([nvcc, *options, *gencode, *includes, *macros, *compile_to])
            except Exception as error:
                raise SystemExit(
                    f"{nvcc} could not compile {source} (see above).\n"
                    "Set FORCE_CUDA=0 to build for the CPU only, or CUDA_HOME to another toolkit."
                ) from error
            ext.extra_objects.append(str(target))
        ext.sources = []
        # Otherwise a new .cu file or architecture would be compiled, but not linked.
        ext.depends = [*ext.depends, *ext.extra_objects]
        ext.library_dirs.append(str(home / "lib64"))
        return True


def extension(name: str, sources: list[Path], libraries: list[str], **options: object) -> Extension:
    return Extension(
        f"frcnn_kernels.{name}",
        [str(source) for source in sources],
        depends=[str(header) for header in sorted(CSRC.rglob("*.h"))],
        define_macros=[("TORCH_TARGET_VERSION", f"0x{TORCH_TARGET:016x}")],
        libraries=libraries,
        # No path to torch's libraries: Python loads torch first, so they are already loaded.
        language="c++",
        **options,
    )


def extensions() -> list[Extension]:
    cpu = [CSRC / "schema.cpp", *sorted((CSRC / "cpu").rglob("*.cpp"))]
    found = [extension("_cpu", cpu, ["torch_cpu"])]
    cuda = sorted((CSRC / "cuda").rglob("*.cu"))
    if cuda and cuda_home() is not None:
        found.append(extension("_cuda", cuda, ["torch_cuda", "torch_cpu", "cudart_static"]))
    return found


setup(
    ext_modules=extensions(),
    cmdclass={"build_ext": BuildKernels, "dist_info": WheelInfo},
    # No Python API is used, so the wheel works with CPython 3.11 and later.
    options={"bdist_wheel": {"py_limited_api": "cp311"}, "build_ext": {"parallel": 2}},
)
