"""Build of the compiled operators; everything else about the package is in setup.cfg.

Two libraries come out, both on LibTorch's stable ABI, so that one build serves many releases of
torch and Python: `frcnn_kernels/_cpu.so` always, `frcnn_kernels/_cuda.so` where nvcc is found and
torch has CUDA (FORCE_CUDA=1 turns a missing piece into an error, FORCE_CUDA=0 leaves it out).
Torch is needed to build, not to read the metadata. Environment: CUDA_HOME, FORCE_CUDA,
FRCNN_CUDA_ARCHS (such as "80;90"), FRCNN_SANITIZE=address (see docs/kernels.md).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

CSRC = Path("kernels/csrc")
# The oldest torch whose stable ABI has what the operators use (a parallel for), as major.minor.
TORCH_TARGET = 0x020A_0000_0000_0000
# Newer GPUs run the last one's PTX; a wheel for many names them all in FRCNN_CUDA_ARCHS.
CUDA_ARCHS = "80;90"


def cuda_home() -> Path | None:
    """The CUDA toolkit to build with, or None to build for the CPU alone."""
    forced = os.environ.get("FORCE_CUDA")
    if forced == "0":
        return None
    nvcc = shutil.which("nvcc")
    on_path = nvcc and Path(nvcc).resolve().parent.parent
    for home in (os.environ.get("CUDA_HOME"), "/usr/local/cuda", on_path):
        if home and (Path(home) / "bin" / "nvcc").exists():
            return Path(home)
    if forced == "1":
        raise SystemExit("FORCE_CUDA=1, but no nvcc was found: set CUDA_HOME to the CUDA toolkit")
    return None


class BuildKernels(build_ext):
    """Compiles the operators against the torch of this environment."""

    def run(self) -> None:
        try:
            from torch.utils import cpp_extension
        except ImportError as error:
            raise SystemExit(
                "frcnn's operators are compiled against torch, which is not installed here.\n"
                "Install it first (pip install torch), then: pip install --no-build-isolation ."
            ) from error
        self.torch_include = cpp_extension.include_paths()
        self.torch_lib = Path(cpp_extension.library_paths()[0])
        super().run()

    def get_ext_filename(self, fullname: str) -> str:
        """A plain `.so`: the libraries hold no Python code, so no Python version belongs there."""
        return str(Path(*fullname.split("."))) + ".so"

    def build_extension(self, ext: Extension) -> None:
        flags = ["-std=c++20", "-O3", "-g0", "-fvisibility=hidden", "-fno-math-errno"]
        # No fused multiply-add: it would round positions and overlaps otherwise than torchvision.
        flags += ["-ffp-contract=off", "-fno-strict-aliasing", "-Wno-psabi"]
        if os.environ.get("FRCNN_SANITIZE"):
            sanitize = f"-fsanitize={os.environ['FRCNN_SANITIZE']}"
            flags += [sanitize, "-g1", "-O1", "-fno-omit-frame-pointer"]
            ext.extra_link_args = [*ext.extra_link_args, sanitize]
        ext.include_dirs = [str(CSRC), *self.torch_include]
        ext.library_dirs = [str(self.torch_lib)]
        ext.extra_compile_args = flags
        if ext.name.endswith("_cuda") and not self.prepare_cuda(ext):
            return
        super().build_extension(ext)

    def prepare_cuda(self, ext: Extension) -> bool:
        """Compiles the .cu files with nvcc and leaves their objects to the link; False to skip."""
        home = cuda_home()
        assert home is not None
        if not (self.torch_lib / "libtorch_cuda.so").exists():
            if os.environ.get("FORCE_CUDA") == "1":
                raise SystemExit("FORCE_CUDA=1, but the installed torch is a CPU build")
            print("nvcc is here, but this torch is a CPU build: leaving the CUDA operators out")
            ext.optional = True
            return False
        archs = os.environ.get("FRCNN_CUDA_ARCHS", CUDA_ARCHS).split(";")
        gencode = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in archs]
        gencode.append(f"-gencode=arch=compute_{archs[-1]},code=compute_{archs[-1]}")
        includes = [f"-I{path}" for path in [*ext.include_dirs, str(home / "include")]]
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
                    "FORCE_CUDA=0 builds for the CPU alone; CUDA_HOME names another toolkit."
                ) from error
            ext.extra_objects.append(str(target))
        ext.sources = []
        # Else a new .cu file or architecture would be compiled, but not linked.
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
        # Linked by name alone: the loader finds torch's libraries already in the process.
        extra_link_args=["-Wl,--no-as-needed"],
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
    cmdclass={"build_ext": BuildKernels},
    # No Python API is called, so the wheel fits every CPython from 3.11 on.
    options={"bdist_wheel": {"py_limited_api": "cp311"}, "build_ext": {"parallel": 2}},
)
