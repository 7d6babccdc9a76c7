"""A network as MXNet's symbol: float32, or int8 with oneDNN."""
import contextlib
import logging
import os
import warnings
from typing import Any, Callable, Iterator, List, Sequence

import mxnet as mx
import numpy as np

from bert.utils.errors import DataError

from .checks import check
from .network import Batch, predictor

__all__ = ['Symbol', 'last_line', 'quiet']


class Symbol:
    """``model-symbol.json`` and ``model-0000.params``, for ``mx.gluon.SymbolBlock.imports``."""

    files = ('model-symbol.json', 'model-0000.params')
    inputs = {'data0': 'int32', 'data1': 'int32', 'data2': 'float32'}   # as in a batch
    relative = False        # see :func:`export.checks.check`
    calibrated = True       # int8 needs a batch to find the ranges of activations

    @staticmethod
    def require_packages() -> None:
        """It needs no other packages."""

    @classmethod
    def write(cls, net: Any, folder: str, batch: Batch, outputs: Sequence[str] = ()) -> None:
        """Write ``net`` in float32, after running it once on ``batch``, whose shape is not kept.

        ``outputs`` is ignored: a symbol does not name them.  Raises DataError if the files cannot
        be written.
        """
        predictor(net)(batch)
        cls._save(net, folder)

    @classmethod
    def _save(cls, net, folder):
        try:
            net.export(os.path.join(folder, 'model'), epoch=0)
        except mx.MXNetError as error:
            reason = last_line(error)
            if 'Write incomplete' in reason:
                reason = 'the disk or its quota is full'
            raise DataError(f'{os.path.join(folder, cls.files[1])}: cannot be written '
                            f'({reason})') from None

    @classmethod
    def load(cls, folder: str) -> Callable[[Batch], List[np.ndarray]]:
        """batch -> list of outputs, from the files in ``folder``."""
        symbol, params = (os.path.join(folder, name) for name in cls.files)
        try:
            with quiet():       # it warns that the types of the inputs are not known
                net = mx.gluon.SymbolBlock.imports(symbol, list(cls.inputs), params)
        except (mx.MXNetError, AssertionError, ValueError) as error:
            raise DataError(f'{params}: cannot be read back ({last_line(error)}); is the disk '
                            'full?') from None
        net.hybridize(static_alloc=True)
        return predictor(net)

    @classmethod
    def quantize(cls, net: Any, folder: str, batch: Batch) -> None:
        """Replace the files by int8 ones, with the ranges of activations that ``batch`` shows.

        The weights stay float32 in the file: MXNet makes them int8, one scale per row, when
        they are first used.  (Its other way, one scale for a whole matrix, loses too much.)
        """
        from gluonnlp.calibration import BertLayerCollector
        from mxnet.contrib.quantization import quantize_net_v2
        if not mx.runtime.Features().is_enabled('MKLDNN'):
            raise DataError('--quantize int8: this build of MXNet has no int8 operators (oneDNN); '
                            'use --format onnx')
        data = mx.io.NDArrayIter({name: array.astype(np.float32)
                                  for name, array in zip(cls.inputs, batch)},
                                 batch_size=min(8, len(batch[0])))
        logging.info('MXNet now names the operators that stay float32:')
        try:
            with quiet():
                # the other quantize_mode, 'full', takes residual sums too: cosine 0.57, not 0.96
                small = quantize_net_v2(
                    net, quantize_mode='smart', quantize_granularity='channel-wise',
                    calib_data=data, calib_mode='customize',
                    LayerOutputCollector=BertLayerCollector(clip_min=-50, clip_max=10))
            small.hybridize(static_alloc=True)
            before = predictor(small)(batch)
        except mx.MXNetError as error:
            raise DataError('--quantize int8: MXNet cannot do it for this model '
                            f'({last_line(error)}); use --format onnx') from None
        cls._save(small, folder)
        check(cls.load(folder), [batch], [before])


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide the log messages and warnings of libraries."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)


def last_line(error: BaseException) -> str:
    """The last line of an error's message, which says what is wrong."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1]
