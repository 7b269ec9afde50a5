"""Work in several processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

WORK = """
import subprocess
from lic.processes import outcomes_of

if __name__ == "__main__":
    list(outcomes_of(subprocess.getoutput, ["echo $PPID > one; sleep 9", "echo $PPID > two; sleep 9"], 2))
"""


def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    """In the middle of their work, too."""
    (tmp_path / "work.py").write_text(WORK)
    path = os.pathsep.join(sys.path)
    process = subprocess.Popen([sys.executable, "work.py"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path})
    files = [tmp_path / "one", tmp_path / "two"]
    while not all(file.is_file() and file.read_text() for file in files):
        assert process.poll() is None
        time.sleep(0.1)
    workers = [int(file.read_text()) for file in files]
    assert all(map(_is_alive, workers))
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 5
    while any(map(_is_alive, workers)):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.1)


def _is_alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
