"""A small demo world of its own for the tests, no W&B account, no progress bars, one thread in each process."""

import os
import signal
import tempfile
from pathlib import Path

os.environ.setdefault("LIC_CACHE", str(Path(tempfile.gettempdir()) / f"lic-tests-{os.getuid()}"))
os.environ["LIC_SCENES"] = "64,16"
os.environ["HF_HUB_OFFLINE"] = "1"  # a download that cannot be had fails at once
os.environ["WANDB_MODE"] = "offline"
os.environ["WANDB_SILENT"] = "true"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # of torch, before it is imported: as many tests as cores run at once

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what is in its background with Ctrl-C ignored

pytest_plugins = ["tests.made_results"]
