"""Reads the file of an offline W&B run: a LevelDB log of protocol buffers."""

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from wandb.proto import wandb_internal_pb2 as protobuf

BLOCK, HEADER = 32768, struct.Struct("<IHB")  # checksum, length, whether the record is whole, begins, goes on, ends


class RunFile(NamedTuple):
    """What a run recorded.

    Attributes:
        run: name, group, tags, job type, configuration.
        history: rows with the keys that were logged in them.
        summary: the last values.
        artifacts: in the order in which they were logged, without those that hold tables.
        configs: later changes of the configuration, charts among them.
        folder: with media.
    """

    run: Any
    history: list[dict[str, Any]]
    summary: dict[str, Any]
    artifacts: list[Any]
    configs: list[Any]
    folder: Path

    def config(self) -> dict[str, Any]:
        """Return the run's settings."""
        return {item.key: json.loads(item.value_json) for item in self.run.config.update}

    def table(self, key: str) -> list[dict[str, Any]]:
        """Return the rows of a table, by column, from its JSON file."""
        content = json.loads((self.folder / "files" / self.summary[key]["path"]).read_text())
        return [dict(zip(content["columns"], row, strict=True)) for row in content["data"]]


def read_run(folder: Path) -> RunFile:
    """Return the run in a folder offline-run-*, once its end is on record."""
    (path,) = folder.glob("run-*.wandb")
    run, history, summary, artifacts, configs = None, [], {}, [], []
    records = list(_records(path.read_bytes()))
    for _ in range(100):  # W&B's own process may write on for a moment after `finish`
        if any(record.WhichOneof("record_type") == "exit" for record in records):
            break
        time.sleep(0.1)
        records = list(_records(path.read_bytes()))
    for record in records:
        match record.WhichOneof("record_type"):
            case "run":
                run = run or record.run
            case "history":
                row = _merge({}, record.history.item)
                history.append({key: value for key, value in row.items() if not key.startswith("_")})
            case "summary":
                _merge(summary, record.summary.update)
            case "config":
                configs.append(record.config)
            case "artifact" if record.artifact.type != "run_table":
                artifacts.append(record.artifact)
    return RunFile(run, history, summary, artifacts, configs, folder)


def read_runs(folder: Path) -> dict[str, RunFile]:
    """Return the runs below a folder, by name."""
    runs = [read_run(path) for path in folder.glob("**/offline-run-*") if path.is_dir()]
    return {each.run.display_name: each for each in runs}


def _records(content: bytes) -> Iterator[Any]:
    assert content[:4] in (b":W&B", b"")
    position, part = 7, b""
    while position + HEADER.size <= len(content):
        left = BLOCK - position % BLOCK
        if left < HEADER.size:
            position += left
            continue
        _, length, kind = HEADER.unpack_from(content, position)
        position += HEADER.size
        if kind == 0 or position + length > len(content):
            return
        part += content[position : position + length]
        position += length
        if kind in (1, 4):
            yield protobuf.Record.FromString(part)
            part = b""


def _merge(target: dict[str, Any], items: Any) -> dict[str, Any]:
    for item in items:
        *parents, key = list(item.nested_key) or [item.key]
        place = target
        for parent in parents:
            place = place.setdefault(parent, {})
        place[key] = json.loads(item.value_json)
    return target
