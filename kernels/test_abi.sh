#!/bin/sh
# Installs one wheel with the oldest torch that setup.cfg allows and with the newest one in the
# registry, and runs the operators' tests with both. Each release has its own environment under
# build/abi, which is removed after its tests, since it takes 7 GB.
# Usage: PYTHON=.venv/bin/python kernels/test_abi.sh dist/frcnn-*.whl
set -eu
wheel=$1
python=${PYTHON:-python3}
root=$(cd "$(dirname "$0")/.." && pwd)
oldest=$(sed -n 's/^ *torch>=\([0-9.]*\)$/\1/p' "$root/setup.cfg")
test -n "$oldest" || { echo "setup.cfg has no line torch>=VERSION" >&2; exit 1; }
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
    rm -rf "$environment"
}

try oldest "torch==$oldest" torchvision
try newest torch torchvision
