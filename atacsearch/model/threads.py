"""Work on several batches at once, each on torch threads of its own.

torch splits single operations among threads, which leaves the cores waiting for each other in every small
operation: two cores encode 1.5 times what one does. A batch for each core, computed by one torch thread, keeps
them apart: 1.95 times (`scripts/bench/speed/encoder.py`).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain, islice
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")

_lock = threading.Lock()
_users = 0
_threads = 0


@contextmanager
def _borrowed_threads() -> Iterator[int]:
    """The number of threads that torch may use, given back when the last user is done.

    `torch.set_num_threads` in a worker changes what torch answers everywhere. So whoever comes first notes the
    number, those who come meanwhile take the note, and whoever leaves last restores it.
    """
    global _users, _threads
    with _lock:
        if not _users:
            _threads = torch.get_num_threads()
        _users += 1
        threads = _threads
    try:
        yield threads
    finally:
        with _lock:
            _users -= 1
            if not _users:
                torch.set_num_threads(_threads)


def in_order(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """`map(work, items)` on all of torch's threads, one item a worker; results in the order of the items.

    Items are taken as they are needed, never more than two for each worker ahead. Where there are fewer items
    than threads, the workers share the threads evenly. `work` must not depend on thread-local state.
    """
    with _borrowed_threads() as threads:
        source = iter(items)
        ready = list(islice(source, threads))  # decides how many workers there are
        if len(ready) <= 1:  # in the calling thread, whose torch threads are there already
            yield from map(work, chain(ready, source))
            return
        share = threads // len(ready)
        with ThreadPoolExecutor(len(ready), initializer=torch.set_num_threads, initargs=(share,)) as pool:
            window: deque[Future[R]] = deque(pool.submit(work, item) for item in ready)
            window.extend(pool.submit(work, item) for item in islice(source, len(window)))
            try:
                while window:
                    yield window.popleft().result()
                    window.extend(pool.submit(work, item) for item in islice(source, 1))
            finally:
                for waiting in window:
                    waiting.cancel()
