"""What a job's processes are given."""
import pytest

from bert.training.jobs import threads


@pytest.mark.parametrize('text, count', [
    ('3', 3), ('2,1', 2), (' 4 , 2', 4), ('', 8), ('0', 8), ('many', 8), ('-1', 8)])
def test_the_threads_that_openmp_takes(text, count):
    assert threads({'OMP_NUM_THREADS': text}, 8) == count
    assert threads({}, 8) == 8
