"""Learning rates over a run."""
import pytest

from bert.training.schedules import linear_decay, polynomial_decay


def test_linear_decay_by_hand():
    rates = [linear_decay(u, 1.0, warmup=4, total=10) for u in range(1, 11)]
    assert rates == pytest.approx([.25, .5, .75, 1, 6 / 7, 5 / 7, 4 / 7, 3 / 7, 2 / 7, 1 / 7])
    assert linear_decay(1, 1.0, warmup=0, total=2) == pytest.approx(2 / 3)
    assert min(rates) > 0


def test_polynomial_decay_by_hand():
    rates = [polynomial_decay(u, 2.0, 2, 5, power=2) for u in range(1, 6)]
    assert rates == pytest.approx([1, 2, 2 * 9 / 16, 2 * 4 / 16, 2 / 16])
    assert polynomial_decay(4, 2.0, 2, 5, power=0.5) == pytest.approx(2 ** 0.5)
    for update in range(1, 11):     # a power of 1 is the line, to the bit
        assert polynomial_decay(update, 3e-5, 4, 10) == linear_decay(
            update, 3e-5, 4, 10)
