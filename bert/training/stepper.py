"""The training step that all programs share.

:class:`Stepper` covers everything between one loss and the next: accumulate -> sum over workers ->
unscale -> clip -> learning rate -> update.
"""
import math
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

import mxnet as mx
import numpy as np

from ..model.parameters import collect
from ..utils.errors import DataError
from .distributed import Local
from .settings import OptimizerSettings

__all__ = ['Stepper', 'Step']

_CHUNK = 40         # tensors in one call of MXNet's multi-tensor updates


class Step(NamedTuple):
    """What happened in one update."""
    update: int         # its number, from 1
    lr: float
    loss: float         # mean over the update's examples
    norm: float         # of the mean gradient, before clipping
    skipped: bool       # the weights are unchanged: the gradient overflowed under loss scaling
    stop: bool          # a worker was asked to stop


def _depths(names):
    """Layer of each parameter for layer-wise decay: 0 embeddings, 1.. layers, last the heads."""
    layer = {name: int(name.split('.')[3]) + 1 for name in names
             if name.startswith('bert.encoder.transformer_cells.')}
    top = max(layer.values(), default=0) + 1
    bottom = ('bert.encoder.', 'bert.word_embed.', 'bert.token_type_embed.')
    return {name: layer.get(name, 0 if name.startswith(bottom) else top) for name in names}, top


class Stepper:
    """Turns losses into updates of a network.

    Parameters
    ----------
    net : HybridBlock
        Initialized on the devices of ``comm``.
    comm : bert.training.distributed.Local
        The workers.
    schedule : callable
        Number of the update (from 1) -> learning rate.
    settings : OptimizerSettings, optional
    """

    def __init__(self, net: mx.gluon.Block, comm: Local, schedule: Callable[[int], float],
                 settings: Optional[OptimizerSettings] = None):
        settings = settings or OptimizerSettings()
        self.comm, self.schedule, self.settings = comm, schedule, settings
        self.loss_scale, self._good = settings.loss_scale, 0
        self.update = 0
        named = collect(net)
        self.parameters = list(named.values())
        self._names = list(named)
        depth, top = _depths(self._names)
        self._rates = [settings.layer_decay ** (top - depth[name]) for name in self._names]
        self._decays = [
            0.0 if settings.optimizer == 'adam' or name.endswith(('bias', 'beta', 'gamma'))
            else settings.weight_decay for name in self._names]
        for parameter in self.parameters:
            parameter.grad_req = 'add' if settings.accumulate else 'write'
        self._moments = [
            [(mx.nd.zeros(p.shape, ctx), mx.nd.zeros(p.shape, ctx)) for p in self.parameters]
            for ctx in comm.devices]
        self._begin()
        comm.broadcast(self.parameters)

    def _begin(self):
        """Reset gradients and counters for the next update."""
        self._count, self._losses = 0, []
        # of several devices, some may get no part of a small batch
        if self.settings.accumulate or len(self.comm.devices) > 1:
            for parameter in self.parameters:
                parameter.zero_grad()
        seed = self.settings.seed * 1000003 + self.update * 1009 + self.comm.rank
        mx.random.seed(seed % 2 ** 31)

    def backward(self, losses: List[mx.nd.NDArray], count: int) -> None:
        """Add the gradients of one micro-batch.

        Parameters
        ----------
        losses : list of NDArray
            For each device, the *sum* of the losses of its examples, shape (1,) or ().
        count : int
            The number of examples (or words, or masked tokens) that the losses sum over.
        """
        heads = [mx.nd.full(loss.shape, self.loss_scale or 1.0, ctx=loss.context)
                 for loss in losses]
        mx.autograd.backward(losses, heads)
        self._losses += losses
        self._count += count

    def step(self, stop: bool = False) -> Step:
        """Make one update from the micro-batches since the last one, on every worker.

        ``stop`` is shared: the result's ``stop`` says whether any worker set it.

        Raises
        ------
        DataError
            If the gradient is not finite, and there is no loss scaling or no smaller scale.
        """
        if not self._count:     # no examples were left for this worker: it adds zero to the sums
            for parameter in self.parameters:
                parameter.zero_grad()
        loss = sum(float(loss.asnumpy().sum()) for loss in self._losses)
        count, loss, stop = self.comm.sum([self._count, loss, stop])
        self.comm.sum_gradients(self.parameters)
        scale = 1.0 / (count * (self.loss_scale or 1.0))
        gradients = [p.list_grad()[0] for p in self.parameters]
        squares = (mx.nd.bert_sum_squares(*gradients, n=len(gradients)) if self.settings.fused else
                   mx.nd.multi_sum_sq(*gradients, num_arrays=len(gradients)))
        norm = math.sqrt(squares.asnumpy().astype(np.float64).sum()) * scale
        skipped = not math.isfinite(norm)
        if skipped and self.loss_scale in (None, 1.0):
            raise DataError(f'the gradient of update {self.update + 1} is not finite (loss '
                            f'{loss / count:g}); lower --lr or check the data; '
                            'what was saved before is intact')
        lr = self.schedule(self.update + 1)
        if not skipped:
            if self.settings.clip and norm > self.settings.clip:
                scale *= self.settings.clip / norm
            for device in range(len(self.comm.devices)):
                self._apply(device, lr, scale)
        if self.loss_scale is not None:
            self._adapt_loss_scale(skipped)
        self.update += 1
        self._begin()
        return Step(self.update, lr, loss / count, norm, skipped, bool(stop))

    def _apply(self, device, lr, scale):
        """Update the copy of the weights on one device with its gradients times ``scale``."""
        settings = self.settings
        weights = [p.list_data()[device] for p in self.parameters]
        gradients = [p.list_grad()[device] for p in self.parameters]
        means, variances = zip(*self._moments[device])
        number = self.update + 1
        rates = [lr * rate for rate in self._rates]
        if settings.fused:
            mx.nd.bert_update(
                *weights, *gradients, *means, *variances,
                mx.nd.array([rates, self._decays], ctx=weights[0].context), n=len(weights),
                optimizer=settings.optimizer, number=number, rescale=scale, beta1=settings.beta1,
                beta2=settings.beta2, epsilon=settings.epsilon)
            return
        for start in range(0, len(weights), _CHUNK):
            part = slice(start, start + _CHUNK)
            tensors = (weights[part], gradients[part], means[part], variances[part])
            if settings.optimizer == 'lamb':
                mx.nd.contrib.multi_lamb_update(
                    *tensors, [number] * len(weights[part]), rates[part], self._decays[part],
                    out=weights[part], beta1=settings.beta1, beta2=settings.beta2,
                    epsilon=settings.epsilon, bias_correction=True, rescale_grad=scale)
                continue
            # bias correction, mean / (1 - beta1^t) over sqrt(variance / (1 - beta2^t)) + epsilon,
            # is folded into the factor and the epsilon
            corrected = settings.optimizer != 'bertadam'
            root = math.sqrt(1 - settings.beta2 ** number) if corrected else 1.0
            factor = root / (1 - settings.beta1 ** number) if corrected else 1.0
            mx.nd.contrib.multi_adamw_update(
                *tensors, mx.nd.array([scale], ctx=weights[0].context),
                [factor] * len(weights[part]), self._decays[part], rates[part],
                out=weights[part], beta1=settings.beta1, beta2=settings.beta2,
                epsilon=settings.epsilon * root)

    def _adapt_loss_scale(self, skipped):
        """Halve after an overflow, double after 2,000 good updates (Micikevicius et al. 2018)."""
        self._good = 0 if skipped else self._good + 1
        if skipped:
            self.loss_scale = max(1.0, self.loss_scale / 2)
        elif self._good == 2000:
            self.loss_scale, self._good = self.loss_scale * 2, 0

    def release(self) -> None:
        """Free the gradients and the moments; there can be no updates afterwards."""
        self._moments = []
        for parameter in self.parameters:
            parameter.grad_req = 'null'

    def state(self) -> Tuple[Dict[str, mx.nd.NDArray], Dict[str, Any]]:
        """(arrays, scalars): what :meth:`load_state` needs to continue exactly."""
        arrays = {}
        for name, (mean, variance) in zip(self._names, self._moments[0]):
            arrays['training.mean.' + name] = mean
            arrays['training.variance.' + name] = variance
        return arrays, {'update': self.update, 'loss_scale': self.loss_scale, 'good': self._good}

    def load_state(self, arrays: Mapping[str, np.ndarray], scalars: Mapping[str, Any]) -> None:
        """Continue from where :meth:`state` was taken; ``arrays`` are numpy arrays.

        Raises KeyError for what is missing, ValueError for what cannot be a state.
        """
        update, scale, good = (scalars[name] for name in ('update', 'loss_scale', 'good'))
        if not (isinstance(update, int) and isinstance(good, int) and min(update, good) >= 0
                and (scale is None) == (self.loss_scale is None)
                and (scale is None or isinstance(scale, float) and 1 <= scale < 2.0 ** 127)):
            raise ValueError(f'update {update!r}, loss scale {scale!r}, {good!r} good updates')
        for moments in self._moments:
            for name, (mean, variance) in zip(self._names, moments):
                mean[:] = arrays['training.mean.' + name]
                variance[:] = arrays['training.variance.' + name]
        self.update, self.loss_scale, self._good = update, scale, good
        self._begin()
