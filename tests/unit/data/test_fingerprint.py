"""Fingerprints of data."""
import numpy as np

from bert.data.fingerprint import fingerprint, fingerprint_of_rows


def test_a_fingerprint_of_rows_tells_texts_and_their_order():
    rows = [('a', None, 0.5), ('\udce9\U0001fae0', ['x', 'y'], '1')]
    assert fingerprint_of_rows(rows) == fingerprint_of_rows(iter(rows))
    for other in rows[::-1], rows[:1], [('a', None, 0.25), rows[1]], [rows[0], ('', *rows[1][1:])]:
        assert fingerprint_of_rows(rows) != fingerprint_of_rows(other)


def test_a_fingerprint_tells_values_and_their_order():
    columns = [[1, 2, 3], np.array([4, 5], 'int32')], [0, 1], [0.5, 2.0]
    same = [np.array([1, 2, 3]), [4.0, 5.0]], (0.0, 1.0), np.array([0.5, 2], 'float32')
    assert fingerprint(*columns) == fingerprint(*same)
    for other in ([[1, 2, 3], [5, 4]], [0, 1], [0.5, 2]), ([[1, 2, 3], [4, 5]], [1, 0], [0.5, 2]), (
            [[1, 2, 3], [4, 5]], [0, 1], [0.5, 2.25]), ([[1, 2, 3], [4, 5], [6]], [0, 1], [0.5, 2]):
        assert fingerprint(*columns) != fingerprint(*other)
