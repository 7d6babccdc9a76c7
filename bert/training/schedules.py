"""Learning-rate schedules: pure functions of the update's number."""

__all__ = ['polynomial_decay', 'linear_decay']


def polynomial_decay(update, peak, warmup, total, power=1.0):
    """Learning rate of the ``update``-th update (from 1): up in a line, then down to a power.

    It is ``peak / warmup`` at the first update, ``peak`` at update ``warmup`` and just above 0 at
    the last, number ``total`` (Devlin et al. 2018, with no update spent at a rate of 0).  The way
    down is a line for ``power`` 1, steeper at first above that (You et al. 2020), and less below.
    """
    if update <= warmup:
        return peak * update / warmup
    return peak * max(0, total + 1 - update) ** power / (total + 1 - warmup) ** power


def linear_decay(update, peak, warmup, total):
    """Learning rate of the ``update``-th update: up in a line, then down in a line."""
    return polynomial_decay(update, peak, warmup, total)
