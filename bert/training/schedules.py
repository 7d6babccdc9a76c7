"""Learning-rate schedules: pure functions of the number of the update."""

__all__ = ['polynomial_decay', 'linear_decay']


def polynomial_decay(update: int, peak: float, warmup: int, total: int,
                     power: float = 1.0) -> float:
    """Learning rate of the ``update``-th update (from 1): linear warm-up, polynomial decay.

    It is ``peak / warmup`` at the first update, ``peak`` at update ``warmup`` and just above 0 at
    the last, number ``total`` (Devlin et al. 2018, with no update spent at a rate of 0).  The
    decay is linear for ``power`` 1; above 1 it is steeper at first (You et al. 2020), below 1 less
    steep.
    """
    if update <= warmup:
        return peak * update / warmup
    return peak * max(0, total + 1 - update) ** power / (total + 1 - warmup) ** power


def linear_decay(update: int, peak: float, warmup: int, total: int) -> float:
    """Learning rate of the ``update``-th update: linear warm-up, linear decay."""
    return polynomial_decay(update, peak, warmup, total)
