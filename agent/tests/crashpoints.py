"""A crash at each point in turn."""

import threading
from collections.abc import Callable, Iterable


def at_each_point(points: Iterable[str], crash_once: Callable[[str], None], *, few: int) -> None:
    """`few` at a time: two cores are enough. Fails when one has failed, and says which."""
    failures: dict[str, BaseException] = {}
    turn = threading.Semaphore(few)

    def walk(point: str) -> None:
        with turn:
            try:
                crash_once(point)
            except BaseException as error:
                failures[point] = error

    threads = [threading.Thread(target=walk, args=(point,)) for point in points]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
