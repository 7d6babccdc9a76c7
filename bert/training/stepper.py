"""Learning-rate schedules, and the one training step that every script shares.

:class:`Stepper` does what happens between a loss and the next one: accumulate -> sum over workers
-> unscale -> clip -> learning rate -> update.
"""
import collections
import math

import mxnet as mx
import numpy as np

from ..model.parameters import collect
from ..utils.errors import DataError

__all__ = ['Stepper', 'Step', 'OPTIMIZERS']

OPTIMIZERS = ('bertadam', 'adam', 'adamw', 'lamb')
_CHUNK = 40         # tensors in one call of MXNet's multi-tensor updates


# update: its number, from 1; loss: mean over the update's examples; norm: of the mean gradient,
# before clipping; skipped: a non-finite gradient under loss scaling left the weights as they were;
# stop: some worker was asked to stop
Step = collections.namedtuple('Step', 'update lr loss norm skipped stop')


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
    schedule : callable
        Number of the update (from 1) -> learning rate.
    optimizer : str
        'bertadam' (Adam without bias correction, decoupled weight decay; Devlin et al. 2018),
        'adam' (Kingma and Ba 2015, no weight decay), 'adamw' (Adam with bias correction and
        decoupled weight decay; Loshchilov and Hutter 2019) or 'lamb' (You et al. 2020).
    epsilon : float
        Added to the root of the second moment.
    weight_decay : float
        Applied to all parameters but biases and LayerNorm's gains.
    clip : float or None
        Bound on the global norm of the mean gradient.
    layer_decay : float
        The learning rate of each layer is this times that of the layer above it; 1 is none.
    accumulate : bool
        Whether an update may take more than one :meth:`backward`.
    loss_scale : float or None
        Dynamic loss scaling from this value (float16), or none.
    seed : int
        The random state of an update's dropout follows from this, the worker and the update's
        number alone, so a resumed run draws what the whole run would have drawn.
    fused : bool
        Update by the operators of :mod:`bert.model.ops`, which are loaded, rather than MXNet's.
    """

    def __init__(self, net, comm, schedule, optimizer='bertadam', epsilon=1e-6, weight_decay=0.01,
                 clip=1.0, layer_decay=1.0, accumulate=False, loss_scale=None, seed=0,
                 beta1=0.9, beta2=0.999, fused=False):
        self.comm, self.schedule, self.optimizer = comm, schedule, optimizer
        self.epsilon, self.clip, self.beta1, self.beta2 = epsilon, clip, beta1, beta2
        self.loss_scale, self._good, self.seed = loss_scale, 0, seed
        self.update = 0
        self._accumulate, self._fused = accumulate, fused
        named = collect(net)
        self.parameters = list(named.values())
        self._names = list(named)
        depth, top = _depths(self._names)
        self._rates = [layer_decay ** (top - depth[name]) for name in self._names]
        self._decays = [0.0 if optimizer == 'adam' or name.endswith(('bias', 'beta', 'gamma'))
                        else weight_decay for name in self._names]
        for parameter in self.parameters:
            parameter.grad_req = 'add' if accumulate else 'write'
        self._moments = [
            [(mx.nd.zeros(p.shape, ctx), mx.nd.zeros(p.shape, ctx)) for p in self.parameters]
            for ctx in comm.devices]
        self._begin()
        comm.broadcast(self.parameters)

    def _begin(self):
        """Make ready for the micro-batches of the next update."""
        self._count, self._losses = 0, []
        if self._accumulate:
            for parameter in self.parameters:
                parameter.zero_grad()
        mx.random.seed((self.seed * 1000003 + self.update * 1009 + self.comm.rank) % 2 ** 31)

    def backward(self, losses, count):
        """Add the gradients of one micro-batch.

        Parameters
        ----------
        losses : list of NDArray
            One a device: the *sum* of the losses of its examples, shape (1,) or ().
        count : int
            The number of examples (or words, or masked tokens) that the losses sum over.
        """
        heads = [mx.nd.full(loss.shape, self.loss_scale or 1.0, ctx=loss.context)
                 for loss in losses]
        mx.autograd.backward(losses, heads)
        self._losses += losses
        self._count += count

    def step(self, stop=False):
        """Make the update that the micro-batches since the last one give, on every worker.

        ``stop`` is passed on: the result's ``stop`` says whether any worker set it.

        Raises
        ------
        DataError
            When the gradient is not finite and there is no loss scaling.
        """
        if not self._count:     # the tail of an epoch left this worker nothing: it adds zero
            for parameter in self.parameters:
                parameter.zero_grad()
        loss = sum(float(loss.asnumpy().sum()) for loss in self._losses)
        count, loss, stop = self.comm.sum([self._count, loss, stop])
        self.comm.sum_gradients(self.parameters)
        scale = 1.0 / (count * (self.loss_scale or 1.0))
        gradients = [p.list_grad()[0] for p in self.parameters]
        squares = (mx.nd.bert_sum_squares(*gradients, n=len(gradients)) if self._fused else
                   mx.nd.multi_sum_sq(*gradients, num_arrays=len(gradients)))
        norm = math.sqrt(squares.asnumpy().astype(np.float64).sum()) * scale
        skipped = not math.isfinite(norm)
        if skipped and self.loss_scale is None:
            raise DataError(f'the gradient of update {self.update + 1} is not finite (loss '
                            f'{loss / count:g}); lower --lr or look '
                            'at the data; the last checkpoint is intact')
        lr = self.schedule(self.update + 1)
        if not skipped:
            if self.clip and norm > self.clip:
                scale *= self.clip / norm
            for device in range(len(self.comm.devices)):
                self._apply(device, lr, scale)
        if self.loss_scale is not None:
            self._adapt_loss_scale(skipped)
        self.update += 1
        self._begin()
        return Step(self.update, lr, loss / count, norm, skipped, bool(stop))

    def _apply(self, device, lr, scale):
        """Update the copy of the weights on one device: its gradients times ``scale``."""
        weights = [p.list_data()[device] for p in self.parameters]
        gradients = [p.list_grad()[device] for p in self.parameters]
        means, variances = zip(*self._moments[device])
        number = self.update + 1
        rates = [lr * rate for rate in self._rates]
        if self._fused:
            mx.nd.bert_update(
                *weights, *gradients, *means, *variances,
                mx.nd.array([rates, self._decays], ctx=weights[0].context), n=len(weights),
                optimizer=self.optimizer, number=number, rescale=scale, beta1=self.beta1,
                beta2=self.beta2, epsilon=self.epsilon)
            return
        for start in range(0, len(weights), _CHUNK):
            part = slice(start, start + _CHUNK)
            tensors = (weights[part], gradients[part], means[part], variances[part])
            if self.optimizer == 'lamb':
                mx.nd.contrib.multi_lamb_update(
                    *tensors, [number] * len(weights[part]), rates[part], self._decays[part],
                    out=weights[part], beta1=self.beta1, beta2=self.beta2, epsilon=self.epsilon,
                    bias_correction=True, rescale_grad=scale)
                continue
            # bias correction, mean / (1 - beta1^t) over sqrt(variance / (1 - beta2^t)) + epsilon,
            # is folded into the factor and the epsilon
            root = 1.0 if self.optimizer == 'bertadam' else math.sqrt(1 - self.beta2 ** number)
            factor = 1.0 if self.optimizer == 'bertadam' else root / (1 - self.beta1 ** number)
            mx.nd.contrib.multi_adamw_update(
                *tensors, mx.nd.array([scale], ctx=weights[0].context),
                [factor] * len(weights[part]), self._decays[part], rates[part],
                out=weights[part], beta1=self.beta1, beta2=self.beta2,
                epsilon=self.epsilon * root)

    def _adapt_loss_scale(self, skipped):
        """Halve after an overflow, double after 2,000 good updates (Micikevicius et al. 2018)."""
        self._good = 0 if skipped else self._good + 1
        if skipped:
            self.loss_scale = max(1.0, self.loss_scale / 2)
        elif self._good == 2000:
            self.loss_scale, self._good = self.loss_scale * 2, 0

    def state(self):
        """(arrays, scalars): what :meth:`load_state` needs to go on exactly."""
        arrays = {}
        for name, (mean, variance) in zip(self._names, self._moments[0]):
            arrays['training.mean.' + name] = mean
            arrays['training.variance.' + name] = variance
        return arrays, {'update': self.update, 'loss_scale': self.loss_scale, 'good': self._good}

    def load_state(self, arrays, scalars):
        """Go on where :meth:`state` was taken; ``arrays`` are numpy arrays."""
        for moments in self._moments:
            for name, (mean, variance) in zip(self._names, moments):
                mean[:] = arrays['training.mean.' + name]
                variance[:] = arrays['training.variance.' + name]
        self.update = scalars['update']
        self.loss_scale, self._good = scalars['loss_scale'], scalars['good']
        self._begin()
