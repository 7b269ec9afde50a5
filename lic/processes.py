"""The same work on many items, in this process or in several."""

import os
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import active_children, get_all_start_methods, get_context, parent_process
from threading import Thread
from typing import Protocol, TypeVar

import torch

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class Workers(Protocol):
    """What `workers` gives."""

    def __call__(self, work: Callable[[Item], Outcome], items: Sequence[Item]) -> Iterator[Outcome]:
        """Return what a function makes of each item, in order."""
        ...


def outcomes_of(
    work: Callable[[Item], Outcome], items: Sequence[Item], jobs: int
) -> Generator[Outcome, None, None]:
    """Yield what a function makes of each item, in order.

    Args:
        work: can be pickled, as its results can.
        items: what to work on.
        jobs: how many processes at a time; they share this one's threads. They are killed if the generator is closed.

    Raises:
        ValueError: a process ended early.
    """
    with workers(min(jobs, len(items))) as outcomes:
        yield from outcomes(work, items)


@contextmanager
def workers(jobs: int) -> Iterator[Workers]:
    """Give a function that does the same work on many items, as often as it is called, by the same processes.

    Args:
        jobs: as in `outcomes_of`; with one the work is done here.

    Raises:
        ValueError: a process ended early.
    """
    if jobs <= 1:
        yield _here
        return
    others = active_children()
    num_threads = max(1, torch.get_num_threads() // jobs)
    context = get_context("forkserver" if "forkserver" in get_all_start_methods() else "spawn")
    context.set_forkserver_preload([__name__])  # torch is imported once, not by every worker
    executor = ProcessPoolExecutor(jobs, context, _begin, (num_threads,))
    try:
        yield partial(_start, executor)
    except BrokenProcessPool as error:
        raise ValueError("a process ended early, probably for lack of memory; give fewer --jobs or --tile") from error
    except BaseException:  # Ctrl-C above all: do not wait for what nobody will read
        for process in set(active_children()) - set(others):
            process.kill()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def _begin(num_threads: int) -> None:
    """Make a worker ready; it ends with the process that started it, whose kill -9 it would outlive else."""
    torch.set_num_threads(num_threads)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None, "a worker has one"
    parent.join()
    os._exit(1)


def _here(work: Callable[[Item], Outcome], items: Sequence[Item]) -> Iterator[Outcome]:
    return map(work, items)


def _start(
    executor: ProcessPoolExecutor, work: Callable[[Item], Outcome], items: Sequence[Item]
) -> Iterator[Outcome]:
    """Hand out all work; the workers are born deaf to Ctrl-C, which a terminal sends to all processes."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return executor.map(work, items)
    finally:
        signal.signal(signal.SIGINT, handler)
