"""The fast CPU path's operators: C++ that is built when first needed, then kept.

:func:`load` registers them with MXNet, as ``mx.nd.bert_*`` and ``mx.sym.bert_*``::

    bert_layer_norm(x, residual, gamma, beta, seed, p=0, eps=1e-12)     # nores=1: no residual
    bert_attention(qkv, starts, lengths, seed, heads=.., p=0)
    bert_attention(q, kv, starts, lengths, places, seed, queries=1, heads=.., p=0)
    bert_gelu(x, approx=0)
    bert_bfloat16(x)                                    # of float32
    bert_cross_entropy(logits, labels)                  # -> losses, hits
    bert_panels(weight)                                 # -> panels
    bert_dense(x, panels, bias)                         # or n of the two, n=..
    bert_feed_forward(x, *first, *second, activation='gelu')        # panels, bias each
    bert_int8(weight)                                   # -> panels, scales, totals
    bert_dense_int8(x, panels, scales, totals, bias)    # or n of the four, n=..
    bert_feed_forward_int8(x, *first, *second, activation='gelu')   # panels, ..., bias each
    bert_update(*weights, *gradients, *means, *variances, rates, n=.., optimizer='adamw', ..)
    bert_sum_squares(*gradients, n=..)

``x``, ``q``, ``kv``, ``qkv`` and ``logits`` are float32 or bfloat16, all else is float32
(``starts`` and ``lengths`` also int32), except the int8 panels and int32 totals of 8-bit layers.
``seed``, shape (1,), draws the dropout; a negative one turns it off.  See the C++ files for more.

MXNet does not pass ``grad_req`` on to a library's operators, so they overwrite a gradient that they
should add to.  Two kinds of input therefore pass through ``F.identity``, which adds: one with
``grad_req='add'``, and one that eight or more operators use (MXNet sums its gradients in place).
"""
import logging
import os

from . import build

__all__ = ['load', 'name', 'reason']

_log = logging.getLogger(__name__)
_loaded, _name, _reason = None, '', ''      # not tried yet


def load() -> bool:
    """Register the operators in this process; returns whether they are available.

    If they cannot be built or loaded, one warning says why and the result is False: the portable
    operators compute the same, more slowly.
    """
    global _loaded, _name, _reason
    if _loaded is None:
        try:
            library = build.library()
            build.register(library)
            _loaded, _name = True, os.path.basename(library)
        except build.Unavailable as error:
            _loaded, _reason = False, str(error)
            _log.warning('using the portable operators, which are slower: %s', _reason)
    return _loaded


def name() -> str:
    """The name of the library that :func:`load` has loaded, which has a hash of what it was built
    from; '' if there is none."""
    return _name


def reason() -> str:
    """Why :func:`load` returned False, and what to do, in one line."""
    return _reason
