"""What tests of embeddings have in common: sentences, and what is close."""
import numpy as np

SENTENCES = ['The film was booked, badly!', 'a', 'xyz never', '', 'good book good film']


def close(a, b, tolerance=1e-5):
    assert np.shape(a) == np.shape(b)
    return np.abs(np.asarray(a) - b).max(initial=0) < tolerance
