"""Work on several batches at once: order, laziness, failures, and torch's threads given back."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from atacsearch.model.threads import in_order


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    assert torch.get_num_threads() == request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("n", [0, 1, 2, 50])
def test_results_come_in_order(threads: int, n: int) -> None:
    assert list(in_order(lambda x: x * x, range(n))) == [x * x for x in range(n)]


def test_items_are_taken_as_they_are_needed(threads: int) -> None:
    taken = []
    source = (taken.append(i) or i for i in range(100))  # type: ignore[func-returns-value]
    results = in_order(str, source)
    assert next(results) == "0"
    assert len(taken) <= 2 * threads + 1
    results.close()  # type: ignore[attr-defined]


def test_workers_share_torch_threads(threads: int) -> None:
    assert set(in_order(lambda _: torch.get_num_threads(), range(20))) == {1}


def test_a_failure_is_raised(threads: int) -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda x: 1 // (x - 5), range(20)))


def test_two_callers_leave_the_threads_as_they_were(threads: int) -> None:
    sums = []
    callers = [
        threading.Thread(target=lambda: sums.append(sum(in_order(lambda x: x, range(200))))) for _ in range(4)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert sums == [sum(range(200))] * 4
