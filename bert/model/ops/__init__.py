"""The fast CPU path's operators: C++ that is built when first needed, then kept.

:func:`load` registers them with MXNet, as ``mx.nd.bert_*`` and ``mx.sym.bert_*``::

    bert_layer_norm(x, residual, gamma, beta, seed, p=0.1, eps=1e-12)
    bert_attention(qkv, starts, lengths, seed, heads=12, p=0.1)
    bert_gelu(x)
    bert_update(*weights, *gradients, *means, *variances, rates, n=.., optimizer='adamw', ..)
    bert_sum_squares(*gradients, n=..)

``x`` and ``qkv`` are float32 or bfloat16, all else is float32 (``starts`` and ``lengths`` also
int32).  ``seed``, shape (1,), draws the dropout; a negative one turns it off.  The C++ files say
more.

MXNet does not tell a library's operators to add to a gradient, so they would overwrite it.  Two
kinds of input go in through ``F.identity``, which adds: one with ``grad_req='add'``, and one that
eight or more operators use (there MXNet sums gradients in place).
"""
import logging

from . import build

__all__ = ['load']

_log = logging.getLogger(__name__)
_loaded = None      # not tried yet


def load():
    """Register the operators in this process; whether they are there.

    Where they cannot be built or loaded, one line of notice says why and the answer is False:
    the portable path does the same, slower.
    """
    global _loaded
    if _loaded is None:
        try:
            build.register(build.library())
            _loaded = True
        except build.Unavailable as reason:
            _log.warning('the portable operators are used, which are slower: %s', reason)
            _loaded = False
    return _loaded
