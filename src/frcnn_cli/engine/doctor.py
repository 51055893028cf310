"""Check that this machine has what the toolkit requires, and name the fix for each problem.

Each check imports the package that it examines, so that a missing or broken package is reported
and does not end the report.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GIB = 1 << 30
_LEAST_PYTHON = (3, 11)
_LEAST_TORCH = (2, 10)  # the operators are built for its stable ABI
_LEAST_MEMORY, _LEAST_DISK = 4 * GIB, 2 * GIB
_INSTALL_TORCH = "pip install torch torchvision"
_INDEX_OF_CPU_BUILDS = "https://download.pytorch.org/whl/cpu"
_WITHOUT_OPENCV = "pip uninstall -y opencv-python opencv-python-headless opencv-contrib-python && "


@dataclass(frozen=True)
class Finding:
    """One line of the report. problem: whether it prevents the toolkit from working.

    fix: the command that fixes the problem, or adds an optional part; empty if there is none.
    """

    name: str
    text: str
    problem: bool = False
    fix: str = ""


def examine(data_root: Path | None = None) -> tuple[Finding, ...]:
    """Run all checks. Returns the findings in report order; a failing check is a finding."""
    checks: tuple[tuple[str, Callable[[], Finding], str], ...] = (
        ("Python", _python, "install Python 3.11 or later"),
        ("torch", _torch, _INSTALL_TORCH),
        ("torchvision", _torchvision, _INSTALL_TORCH),
        ("operators, CPU", _cpu_operators, _INSTALL_TORCH),
        ("operators, CUDA", _cuda_operators, _INSTALL_TORCH),
        # It needs no libraries of a desktop, which servers and containers lack (libGL.so.1).
        ("OpenCV", _opencv, _WITHOUT_OPENCV + "pip install opencv-contrib-python-headless"),
        ("CUDA", _cuda, "pip install --force-reinstall torch"),
        ("precision", _precision, ""),
        ("cores", _cores, ""),
        ("memory", _memory, ""),
        ("disk", _disk, ""),
    )
    findings = [_run_check(*check) for check in checks]
    if not any(finding.problem for finding in findings if "CUDA" in finding.name):
        try:
            findings += _gpus()
        except Exception as error:
            findings.append(Finding("GPUs", _reason(error), True))
    try:
        findings += _datasets(data_root)
    except Exception as error:
        findings.append(Finding("datasets", f"not searched: {_reason(error)}"))
    return tuple(findings)


def _run_check(name: str, check: Callable[[], Finding], fix: str) -> Finding:
    """Run a check; an exception that it raises becomes a problem with its own fix, or this one."""
    try:
        return check()
    except Exception as error:  # a broken package can raise anything when it is imported
        return Finding(name, _reason(error), True, getattr(error, "fix", fix))


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:400]


def _python() -> Finding:
    text = f"{platform.python_version()}, {sys.executable}"
    too_old = sys.version_info[:2] < _LEAST_PYTHON
    fix = "install Python 3.11 or later" if too_old else ""
    return Finding("Python", text, too_old, fix)


def _torch() -> Finding:
    torch = importlib.import_module("torch")
    version = str(torch.__version__)
    numbers = tuple(int(part) for part in version.split("+")[0].split(".")[:2])
    if numbers < _LEAST_TORCH:
        return Finding(
            "torch", f"{version}; 2.10 or later is required", True, "pip install -U torch"
        )
    cuda = torch.version.cuda
    return Finding("torch", f"{version}, built " + (f"for CUDA {cuda}" if cuda else "without CUDA"))


def _torchvision() -> Finding:
    """A torchvision that was built for another torch has no operators."""
    torch = importlib.import_module("torch")
    try:
        torchvision = importlib.import_module("torchvision")
        torch.ops.torchvision.nms  # noqa: B018
    except Exception as error:
        # The installed torch is named, so that pip does not replace it by the one that the newest
        # torchvision needs. The torchvision of the Python package index needs a torch with CUDA.
        release = str(torch.__version__).split("+")[0]
        index = "" if torch.version.cuda else " --extra-index-url " + _INDEX_OF_CPU_BUILDS
        fix = f"pip uninstall -y torchvision && pip install torch=={release} torchvision{index}"
        return Finding("torchvision", _reason(error), True, fix)
    return Finding("torchvision", str(torchvision.__version__))


def _cpu_operators() -> Finding:
    library = importlib.import_module("frcnn_kernels._library").CPU_LIBRARY  # loaded, or it raises
    torch = importlib.import_module("torch")
    pooled = torch.ops.frcnn.roi_pool_infer(torch.ones(1, 1, 2, 2), torch.zeros(1, 5), 1, 1, 1.0)
    text = f"{library}, {platform.machine()}, for torch 2.10 or later, runs with "
    return Finding("operators, CPU", f"{text}{torch.__version__} (pooled {pooled.item():g})")


def _cuda_operators() -> Finding:
    kernels = importlib.import_module("frcnn_kernels._library")
    library = kernels.CUDA_LIBRARY
    torch = importlib.import_module("torch")
    has_gpu = torch.cuda.is_available()
    if not library.is_file():
        fix = f"FORCE_CUDA=1 {kernels.build_command()}" if has_gpu else ""
        return Finding("operators, CUDA", "not built", has_gpu, fix)
    if torch.version.cuda is None:
        return Finding("operators, CUDA", f"{library}, not used: torch is built without CUDA")
    architectures = kernels.cuda_architectures()
    return Finding("operators, CUDA", f"{library}, for {', '.join(architectures)}")


def _opencv() -> Finding:
    cv2 = importlib.import_module("cv2")
    segmentation = getattr(getattr(cv2, "ximgproc", None), "segmentation", None)
    if hasattr(segmentation, "createSelectiveSearchSegmentation"):
        return Finding("OpenCV", f"{cv2.__version__}, with ximgproc")
    fix = _WITHOUT_OPENCV + "pip install opencv-contrib-python"
    return Finding("OpenCV", f"{cv2.__version__}, without ximgproc", True, fix)


def _cuda() -> Finding:
    torch = importlib.import_module("torch")
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return Finding("CUDA", f"{torch.version.cuda}: {', '.join(names)}")
    if shutil.which("nvidia-smi") and torch.version.cuda is None:
        text = "a GPU driver is installed, but torch is built without CUDA"
        return Finding("CUDA", text, True, "pip install --force-reinstall torch")
    driver = _driver_version() if torch.version.cuda else 0
    major = driver // 1000
    if 0 < major < int(str(torch.version.cuda).partition(".")[0]):
        text = f"the GPU driver is for CUDA {major}.{driver % 1000 // 10}, and torch for CUDA "
        fix = f"update the GPU driver, or install a torch that is built for CUDA {major}"
        return Finding("CUDA", text + str(torch.version.cuda), True, fix)
    return Finding("CUDA", "torch finds no GPU; everything runs on the CPU")


def _driver_version() -> int:
    """The newest CUDA that the GPU driver supports, such as 12080 for 12.8; 0 without a driver."""
    version = ctypes.c_int()
    try:
        ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):
        return 0
    return version.value


def _gpus() -> Iterator[Finding]:
    """A finding per GPU: whether each kind of operator runs on it, and agrees with the CPU."""
    torch = importlib.import_module("torch")
    kernels = importlib.import_module("frcnn_kernels._library")
    architectures = kernels.cuda_architectures()
    if not torch.cuda.is_available() or not architectures:
        return
    for index in range(torch.cuda.device_count()):
        major, minor = torch.cuda.get_device_capability(index)
        name, text = f"GPU {index}", f"compute capability {major}.{minor}: "
        fix = f"FRCNN_CUDA_ARCHS={major}{minor} FORCE_CUDA=1 {kernels.build_command()}"
        if not _is_served(10 * major + minor, architectures):
            built = f"the operators are built for {', '.join(architectures)}"
            yield Finding(name, text + built, True, fix)
            continue
        try:
            differing = _differing_operators(f"cuda:{index}")
        except Exception as error:  # the driver's message
            if "driver" in str(error) or "toolchain" in str(error):
                fix = "update the GPU driver"
            yield Finding(name, text + _reason(error), True, fix)
            continue
        if differing:
            text += f"the results of {', '.join(differing)} differ from those of the CPU"
        else:
            text += "the operators agree with those of the CPU"
        yield Finding(name, text, bool(differing), fix if differing else "")


def _is_served(capability: int, architectures: tuple[str, ...]) -> bool:
    """Whether a build for these architectures contains code for a GPU of this capability.

    Machine code serves GPUs of the same major version. PTX, of 90 and of the last architecture,
    serves all newer ones. Code of an architecture with the suffix a, such as 90a, serves only GPUs
    of this capability, and code with the suffix f, such as 100f, only those of its major version.
    """
    if f"{capability}a" in architectures:
        return True
    others = [name.removesuffix("f") for name in architectures if not name.endswith("a")]
    of_code = (int(name) for name in others if int(name) // 10 == capability // 10)
    of_ptx = (int(name) for name in others if name in ("90", architectures[-1]))
    return any(built <= capability for built in (*of_code, *of_ptx))


def _differing_operators(device: str) -> list[str]:
    """Names of the operators whose results on `device` differ from the CPU's."""
    torch = importlib.import_module("torch")
    results = {name: value.cpu() for name, value in _operator_results(device).items()}
    expected = _operator_results("cpu")
    return [name for name, value in results.items() if not torch.equal(value, expected[name])]


def _operator_results(device: str) -> dict[str, Any]:
    """What each kind of operator returns for a small input."""
    torch = importlib.import_module("torch")
    kernels = importlib.import_module("frcnn_kernels")
    features = torch.arange(16.0, device=device).reshape(1, 1, 4, 4).requires_grad_()
    rois = torch.tensor([[0, 0, 0, 3, 3.0], [0, 1, 1, 2, 3]], device=device)
    pooled = kernels.roi_pool(features, rois, 2, 1.0)
    pooled.sum().backward()
    scores = torch.tensor([0.5, 0.9, 0.7], device=device)
    boxes = torch.tensor([[0, 0, 4, 4.0], [0, 0, 4, 3], [9, 9, 12, 12]], device=device)
    suppressed = kernels.nms(boxes, scores, 0.5)
    return {"roi_pool": pooled.detach(), "its gradient": features.grad, "nms": suppressed}


def _precision() -> Finding:
    devices = importlib.import_module("frcnn_cli.engine.distributed.devices")
    device = devices.find_device("auto")
    if devices.has_fast_bfloat16(device):
        return Finding("precision", f"bfloat16 and float32 on {device}")
    return Finding("precision", f"float32: {devices.missing_instructions(device)}")


def _cores() -> Finding:
    usable = importlib.import_module("frcnn_cli.engine.distributed.devices").usable_cores()
    return Finding("cores", f"{usable} usable of {os.cpu_count()}")


def _memory() -> Finding:
    page = os.sysconf("SC_PAGE_SIZE")
    total = os.sysconf("SC_PHYS_PAGES") * page
    text = f"{total / GIB:.1f} GiB"
    if "SC_AVPHYS_PAGES" in os.sysconf_names:  # macOS does not have it
        text += f", {os.sysconf('SC_AVPHYS_PAGES') * page / GIB:.1f} unused"
    fix = "train and detect with a smaller --scale, such as 240" if total < _LEAST_MEMORY else ""
    return Finding("memory", text, bool(fix), fix)


def _disk() -> Finding:
    usage = shutil.disk_usage(".")
    text = f"{usage.free / GIB:.1f} GiB free of {usage.total / GIB:.1f} on the disk of this folder"
    fix = "rm -r ~/.cache/pip  # or delete other files" if usage.free < _LEAST_DISK else ""
    return Finding("disk", text, bool(fix), fix)


def _datasets(data_root: Path | None) -> Iterator[Finding]:
    locate = importlib.import_module("frcnn_cli.engine.datasets.locate")
    datasets = locate.list_datasets(data_root)
    for dataset in datasets:
        splits = ", ".join(dataset.splits) or str(dataset.problem).splitlines()[0]
        text = f"{dataset.name}: {dataset.kind} in {dataset.root}, {splits}"
        fix = f"frcnn data check {dataset.root}" if dataset.problem else ""
        yield Finding("dataset", text, dataset.problem is not None, fix)
    if not datasets:
        text = "none found; set their folder with $FRCNN_DATA or --data-root"
        fix = "frcnn data download voc2007  # or: frcnn data generate data/shapes"
        yield Finding("datasets", text, fix=fix)
