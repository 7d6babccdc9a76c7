"""Two workers that are threads of this process."""
import threading

import mxnet as mx
import numpy as np

from bert.training.distributed import Local


class Worker(Local):
    """One of two workers that are threads."""

    barrier, given = threading.Barrier(2, timeout=30), {}

    def __init__(self, rank):
        super().__init__([mx.cpu()])
        self.rank, self.size = rank, 2

    def sum(self, values):
        self.given[self.rank] = np.asarray(values, np.float64)
        self.barrier.wait()
        total = self.given[0] + self.given[1]
        self.barrier.wait()
        return total


def on_both(function, first, second):
    """{rank: what ``function(worker, value)`` returns} on two workers, for the values of both."""
    found = {}

    def run(rank, value):
        found[rank] = function(Worker(rank), value)
    threads = [threading.Thread(target=run, args=pair) for pair in enumerate((first, second))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
