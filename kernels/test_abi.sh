#!/bin/sh
# Installs one wheel with two releases of torch and runs the operators' tests with both. Each
# release has its own environment under build/abi. Usage: kernels/test_abi.sh dist/frcnn-*.whl
# The older release is 2.13.0; the newer one is the newest in the registry.
set -eu
wheel=$1
python=${PYTHON:-python3}
root=$(cd "$(dirname "$0")/.." && pwd)
unset PYTHONPATH  # otherwise a checkout on this path would be tested instead of the wheel

try() { # name, requirements...
    environment=$root/build/abi/$1
    shift
    rm -rf "$environment"
    "$python" -m venv "$environment"
    "$environment/bin/python" -m pip install --quiet "$@" numpy pytest
    "$environment/bin/python" -m pip install --quiet --no-deps "$wheel"
    "$environment/bin/python" -c 'import frcnn_kernels, torch
print("torch", torch.__version__, "with", frcnn_kernels.__file__)'
    (cd "$root" && "$environment/bin/python" -m pytest -q -p no:cacheprovider tests/kernels)
}

try oldest 'torch==2.13.0'
try newest torch torchvision
