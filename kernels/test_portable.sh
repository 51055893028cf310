#!/bin/sh
# Compiles the CPU operators with GCC and Clang, and for ARM (aarch64) and macOS; warnings are errors.
# Runs the operators' tests with the builds of Clang and, under qemu-user, of ARM. A compiler, emulator
# or package that is missing skips its part, with a line that says so. What is needed for ARM (a torch,
# a Python and a C library) is downloaded once. All files are in build/portable.
# Usage: kernels/test_portable.sh [gcc] [clang] [aarch64] [macos]; all of them by default.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
work=$PWD/build/portable
torch=$(sed -n 's/^ *torch>=\([0-9.]*\)$/\1/p' setup.cfg)
test -n "$torch" || { echo "setup.cfg has no line torch>=VERSION" >&2; exit 1; }
unset PYTHONPATH
mkdir -p "$work"

has() { # command, what it is for
    command -v "$1" >/dev/null || { echo "skipped: $2 ($1 is not installed)"; return 1; }
}

# Every symbol must be in the linked libraries: -z defs.
build() { # name, C compiler, C++ compiler, further compiler flags, further linker flags
    rm -rf "${work:?}/$1" "$work/$1-objects"
    CC=$2 CXX=$3 CFLAGS="-Werror $4" LDFLAGS="-Wl,-z,defs $5" FORCE_CUDA=0 \
        "$python" setup.py --quiet build_ext --build-lib "$work/$1" --build-temp "$work/$1-objects"
    cp kernels/frcnn_kernels/*.py "$work/$1/frcnn_kernels/"
    echo "$1: compiled without warnings and linked: $3"
}

# torch.compile, torch.export and the emulated GPU need a compiler for the emulated processor.
run_tests() { # name, python, further arguments of pytest
    name=$1 interpreter=$2
    shift 2
    "$interpreter" -c 'import importlib.util, platform
print(platform.machine(), "with", importlib.util.find_spec("frcnn_kernels").origin)'
    "$interpreter" -m pytest -q -p no:cacheprovider tests/kernels "$@"
    echo "$name: tests passed"
}

gcc() {
    has g++ "GCC" || return 0
    build gcc gcc g++ "" ""
}

clang() {
    has clang++ "Clang" || return 0
    build clang clang clang++ "" ""
    PYTHONPATH=$work/clang run_tests clang "$python"
}

# The packages that the tests import, for CPython 3.11, as in Debian 12. pip would choose torch's
# dependencies for the processor of this machine, so they are listed.
fetch_packages() {
    test ! -e "$work/packages/.ready" || return 0
    rm -rf "$work/packages"
    "$python" -m pip install --quiet --no-deps --target "$work/packages" --only-binary=:all: \
        --python-version 3.11 --platform any --platform manylinux_2_28_aarch64 \
        --platform manylinux_2_27_aarch64 --platform manylinux_2_17_aarch64 \
        "torch==$torch" "torchvision==0.$((${torch#*.} + 15)).*" numpy pillow typing_extensions filelock sympy mpmath \
        networkx jinja2 markupsafe fsspec pytest pluggy iniconfig packaging pygments
    touch "$work/packages/.ready"
}

# Debian's Python for ARM, unpacked into a folder; the system's own packages stay as they are.
fetch_python() {
    test ! -e "$work/root/.ready" || return 0
    has apt-get "the tests for aarch64" || return 1
    apt=$work/apt
    rm -rf "$work/root" "$apt"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/packages" "$work/root"
    touch "$apt/status"
    set -- -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State="$apt" \
        -o Dir::State::status="$apt/status" -o Dir::Cache="$apt/cache" -o APT::Sandbox::User=root
    apt-get "$@" update || { echo "skipped: the tests for aarch64 (apt-get update failed)"; return 1; }
    (cd "$apt/packages" && apt-get "$@" download python3.11-minimal libpython3.11-minimal \
        libpython3.11-stdlib libc6 libgcc-s1 libstdc++6 zlib1g libexpat1 libssl3 libffi8 libbz2-1.0 \
        liblzma5 libuuid1 libsqlite3-0) ||
        { echo "skipped: the tests for aarch64 (they need Debian 12)"; return 1; }
    for package in "$apt"/packages/*.deb; do dpkg -x "$package" "$work/root"; done
    touch "$work/root/.ready"
}

aarch64() {
    has aarch64-linux-gnu-g++ "ARM" || return 0
    fetch_packages
    lib=$work/packages/torch
    build aarch64 aarch64-linux-gnu-gcc aarch64-linux-gnu-g++ "-isystem $lib/include" "-L$lib/lib"
    has qemu-aarch64 "the tests for aarch64" && fetch_python || return 0
    # Tests start sys.executable, so it must be a program of this machine.
    printf '#!/bin/sh\nexec qemu-aarch64 -0 "$0" -L %s %s/usr/bin/python3.11 "$@"\n' \
        "$work/root" "$work/root" >"$work/python-aarch64"
    chmod +x "$work/python-aarch64"
    PYTHONHOME=$work/root/usr PYTHONPATH=$work/aarch64:$work/packages PYTHONDONTWRITEBYTECODE=1 \
        run_tests aarch64 "$work/python-aarch64" -k "not compile and not export and not emulat"
}

# Zig contains a recent Clang, and the headers of macOS and of LLVM's C++ library.
macos() {
    zig=$work/zig/ziglang/zig
    test -x "$zig" || "$python" -m pip install --quiet --target "$work/zig" ziglang ||
        { echo "skipped: macOS (pip cannot install ziglang)"; return 0; }
    include=$("$python" -c 'from torch.utils import cpp_extension as c; print(c.include_paths()[0])')
    for source in kernels/csrc/schema.cpp $(find kernels/csrc/cpu -name '*.cpp' | sort); do
        ZIG_GLOBAL_CACHE_DIR=$work/zig-cache "$zig" c++ -target aarch64-macos -std=c++20 -O3 \
            -Wall -Wextra -Werror -isystem "$include" -Ikernels/csrc \
            -DTORCH_TARGET_VERSION=0x020a000000000000 -c "$source" -o "$work/macos.o"
    done
    echo "macos: compiled without warnings, not linked"
}

for part in ${*:-gcc clang aarch64 macos}; do $part; done
