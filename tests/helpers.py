"""Where things lie, for all tests."""
import os

import pytest

import bert  # noqa: F401  (the numpy aliases, before anything imports MXNet)

DATA_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'data')
ROOT = os.path.dirname(os.path.dirname(DATA_FOLDER))
TINY = os.path.join(DATA_FOLDER, 'tiny_bert')   # a BERT of 2 layers, 32 units, 40 positions


def multiplies_bfloat16():
    """Whether MXNet has bfloat16 products for this CPU: oneDNN's need AVX-512."""
    import mxnet as mx
    import numpy as np
    x = mx.nd.amp_cast(mx.nd.ones((2, 2)), dtype=np.dtype([('bfloat16', np.uint16)]))
    try:
        mx.nd.FullyConnected(x, x, no_bias=True, num_hidden=2).wait_to_read()
    except mx.MXNetError:
        return False
    return True


needs_bfloat16 = pytest.mark.skipif(not multiplies_bfloat16(),
                                    reason='this CPU has no bfloat16 products (AVX-512)')
