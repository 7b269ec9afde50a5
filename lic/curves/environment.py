"""What numbers may depend on: versions, machine, commit."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lic.embedded import checkout


def read_environment() -> dict[str, str]:
    """Return what numbers may depend on: versions, machine, commit of the checkout, date. Never fails."""
    environment = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "python": platform.python_version()}
    for package in ("lic", "torch", "torchvision", "compressai", "open_clip_torch"):
        try:
            environment[package] = version(package)
        except PackageNotFoundError:
            environment[package] = "not installed"
    environment |= {"platform": platform.platform(), "cpu": _cpu_name(), "cpus": str(os.cpu_count())}
    root = checkout()
    if root is not None and (root / ".git").exists():
        git = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*", "--abbrev=40"]
        try:
            commit = subprocess.check_output(git, text=True, stderr=subprocess.DEVNULL, timeout=10)
            environment["commit"] = commit.strip()
        except (OSError, subprocess.SubprocessError):
            environment["commit"] = "unknown"
    return environment


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
