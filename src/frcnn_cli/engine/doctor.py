"""What this machine has of what the toolkit needs, and what mends what is missing.

Nothing of the toolkit is imported before it is looked at, and everything inside its check, so
that a missing or broken part is reported instead of ending the report.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

GIB = 1 << 30
_LEAST_PYTHON = (3, 11)
_LEAST_TORCH = (2, 10)  # whose stable ABI the operators are built on
_LEAST_MEMORY, _LEAST_DISK = 4 * GIB, 2 * GIB
_REBUILD = "pip install --no-build-isolation --no-deps -e ."


@dataclass(frozen=True)
class Finding:
    """One line of the report. problem: whether it keeps the toolkit from working.

    mend: the command that mends it, or adds what is missing; empty where nothing is wrong.
    """

    name: str
    text: str
    problem: bool = False
    mend: str = ""


def examine(data_root: Path | None = None) -> tuple[Finding, ...]:
    """Every finding, in the order of a report. Raises nothing that a check can meet."""
    checks: tuple[tuple[str, Callable[[], Finding], str], ...] = (
        ("Python", _python, "install Python 3.11 or later"),
        ("torch", _torch, "pip install torch"),
        ("torchvision", _torchvision, "pip install --force-reinstall torchvision"),
        ("operators, CPU", _cpu_operators, _REBUILD),
        ("operators, CUDA", _cuda_operators, f"FORCE_CUDA=1 {_REBUILD}"),
        ("OpenCV", _opencv, "pip install --force-reinstall opencv-contrib-python"),
        ("CUDA", _cuda, "pip install --force-reinstall torch"),
        ("precision", _precision, ""),
        ("cores", _cores, ""),
        ("memory", _memory, ""),
        ("disk", _disk, ""),
    )
    found = [_looked_at(*check) for check in checks]
    try:
        found += _datasets(data_root)
    except Exception as error:
        found.append(Finding("data sets", f"not looked for: {_reason(error)}"))
    return tuple(found)


def _looked_at(name: str, check: Callable[[], Finding], mend: str) -> Finding:
    """What a check finds; that it fails is a finding, too."""
    try:
        return check()
    except Exception as error:  # a broken package can raise anything when it is imported
        return Finding(name, _reason(error), True, mend)


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


def _python() -> Finding:
    text = f"{platform.python_version()}, {sys.executable}"
    old = sys.version_info[:2] < _LEAST_PYTHON
    return Finding("Python", text, old, "install Python 3.11 or later" if old else "")


def _torch() -> Finding:
    torch = importlib.import_module("torch")
    version = str(torch.__version__)
    numbers = tuple(int(part) for part in version.split("+")[0].split(".")[:2])
    if numbers < _LEAST_TORCH:
        return Finding("torch", f"{version}; 2.10 is needed", True, "pip install -U torch")
    return Finding("torch", f"{version}, built for CUDA {torch.version.cuda or 'not at all'}")


def _torchvision() -> Finding:
    """One that was built beside another torch says so by having no operators."""
    torchvision = importlib.import_module("torchvision")
    importlib.import_module("torch").ops.torchvision.nms  # noqa: B018
    return Finding("torchvision", str(torchvision.__version__))


def _cpu_operators() -> Finding:
    folder = _kernels()
    library = folder / "_cpu.so"
    if not library.is_file():
        return Finding("operators, CPU", f"{library} is missing", True, _REBUILD)
    importlib.import_module("frcnn_kernels")  # which loads them, or raises
    torch = importlib.import_module("torch")
    pooled = torch.ops.frcnn.roi_pool_infer(torch.ones(1, 1, 2, 2), torch.zeros(1, 5), 1, 1, 1.0)
    text = f"{library}, {platform.machine()}, for torch 2.10 and later, runs beside "
    return Finding("operators, CPU", f"{text}{torch.__version__} (pooled {pooled.item():g})")


def _cuda_operators() -> Finding:
    library = _kernels() / "_cuda.so"
    torch = importlib.import_module("torch")
    wanted = torch.cuda.is_available()
    if not library.is_file():
        mend = f"FORCE_CUDA=1 {_REBUILD}" if wanted else ""
        return Finding("operators, CUDA", "not built", wanted, mend)
    if torch.version.cuda is None:
        return Finding("operators, CUDA", f"{library}, not used: this torch has no CUDA")
    architectures = importlib.import_module("frcnn_kernels").cuda_architectures()
    return Finding("operators, CUDA", f"{library}, for {', '.join(architectures)}")


def _kernels() -> Path:
    """The folder of frcnn_kernels, found without importing it."""
    found = importlib.util.find_spec("frcnn_kernels")
    if found is None or not found.submodule_search_locations:
        raise ImportError("the package frcnn_kernels is not installed")
    return Path(found.submodule_search_locations[0])


def _opencv() -> Finding:
    cv2 = importlib.import_module("cv2")
    segmentation = getattr(getattr(cv2, "ximgproc", None), "segmentation", None)
    if hasattr(segmentation, "createSelectiveSearchSegmentation"):
        return Finding("OpenCV", f"{cv2.__version__}, with ximgproc")
    mend = (
        "pip uninstall -y opencv-python opencv-python-headless opencv-contrib-python && "
        "pip install opencv-contrib-python"
    )
    return Finding("OpenCV", f"{cv2.__version__}, without ximgproc", True, mend)


def _cuda() -> Finding:
    torch = importlib.import_module("torch")
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return Finding("CUDA", f"{torch.version.cuda}: {', '.join(names)}")
    if shutil.which("nvidia-smi") and torch.version.cuda is None:
        text = "there is a GPU's driver, but this torch is built for the CPU alone"
        return Finding("CUDA", text, True, "pip install --force-reinstall torch")
    return Finding("CUDA", "no GPU that torch can use; everything runs on the CPU")


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
    total, free = (os.sysconf(f"SC_{which}PHYS_PAGES") * page for which in ("", "AV"))
    text = f"{total / GIB:.1f} GiB, {free / GIB:.1f} unused"
    mend = "train and detect with a smaller --scale, such as 240" if total < _LEAST_MEMORY else ""
    return Finding("memory", text, bool(mend), mend)


def _disk() -> Finding:
    usage = shutil.disk_usage(".")
    text = f"{usage.free / GIB:.1f} GiB free of {usage.total / GIB:.1f} here"
    mend = "rm -r ~/.cache/pip  # or free room otherwise" if usage.free < _LEAST_DISK else ""
    return Finding("disk", text, bool(mend), mend)


def _datasets(data_root: Path | None) -> Iterator[Finding]:
    locate = importlib.import_module("frcnn_cli.engine.datasets.locate")
    found = locate.list_datasets(data_root)
    for each in found:
        splits = ", ".join(each.splits) or str(each.problem).splitlines()[0]
        text = f"{each.name}: {each.kind} in {each.root}, {splits}"
        mend = f"frcnn data check {each.root}" if each.problem else ""
        yield Finding("data set", text, each.problem is not None, mend)
    if not found:
        text = "none found; $FRCNN_DATA or --data-root names their folder"
        mend = "frcnn data download voc2007  # or: frcnn data generate data/shapes"
        yield Finding("data sets", text, mend=mend)
