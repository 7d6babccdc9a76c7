"""The settings of a training run, as values."""
import dataclasses
from typing import Any, Collection, Mapping, Optional

__all__ = ['OPTIMIZERS', 'DeviceSettings', 'OptimizerSettings', 'OutputSettings', 'Recipe']

# the choices of --optimizer; Stepper has their updates
OPTIMIZERS = ('bertadam', 'adam', 'adamw', 'lamb')


@dataclasses.dataclass(frozen=True)
class DeviceSettings:
    """Where a program runs, and in which precision.

    ``gpu`` or ``gpus`` ('0,1') name GPUs; without them, ``cpus`` CPU devices are used.  ``layout``
    of batches is 'auto', 'packed' or 'padded'; ``comm`` is 'local', 'horovod', 'dist_sync',
    'dist_device_sync', or None for a process that is on its own even if a launcher started others.
    With ``fixed_length`` all batches are padded to the same length.
    """

    gpu: Optional[int] = None
    gpus: Optional[str] = None
    cpus: int = 1
    dtype: str = 'float32'
    layout: str = 'auto'
    comm: Optional[str] = 'local'
    fixed_length: bool = False


@dataclasses.dataclass(frozen=True)
class OptimizerSettings:
    """How :class:`bert.training.stepper.Stepper` turns gradients into updates.

    Parameters
    ----------
    optimizer : str
        'bertadam' (Adam without bias correction, decoupled weight decay; Devlin et al. 2018),
        'adam' (Kingma and Ba 2015, no weight decay), 'adamw' (Adam with bias correction and
        decoupled weight decay; Loshchilov and Hutter 2019) or 'lamb' (You et al. 2020).
    epsilon : float
        Added to the root of the second moment.
    weight_decay : float
        Applied to all parameters except biases and the scales of LayerNorm.
    clip : float or None
        Bound on the global norm of the mean gradient.
    layer_decay : float
        The learning rate of each layer is this times that of the layer above it; 1 is no decay.
    beta1, beta2 : float
        Decay of the first and second moment.
    accumulate : bool
        Whether an update may consist of more than one micro-batch.
    loss_scale : float or None
        Initial value of dynamic loss scaling (float16), or none.
    seed : int
        The random state of an update's dropout follows from this, the rank of the worker and the
        number of the update alone, so a resumed run draws what the whole run would have drawn.
    fused : bool
        Update with the operators of :mod:`bert.model.ops`, which must be loaded, rather than
        MXNet's.
    """

    optimizer: str = 'bertadam'
    epsilon: float = 1e-6
    weight_decay: float = 0.01
    clip: Optional[float] = 1.0
    layer_decay: float = 1.0
    beta1: float = 0.9
    beta2: float = 0.999
    accumulate: bool = False
    loss_scale: Optional[float] = None
    seed: int = 0
    fused: bool = False


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network is fine-tuned: the optimizer and its schedule.

    ``batch_size`` examples (a micro-batch) go through the model at once on each worker; an update
    consists of ``batch_size`` x ``accumulate`` x workers examples.  ``steps``, the number of
    updates, takes the place of ``epochs``.
    """

    epochs: int
    batch_size: int
    lr: float
    accumulate: int = 1
    optimizer: str = 'bertadam'
    epsilon: float = 1e-6
    warmup_ratio: float = 0.1
    weight_decay: float = 0.01
    clip: Optional[float] = 1.0
    layer_decay: float = 1.0
    seed: int = 0
    early_stop: Optional[int] = None
    steps: Optional[int] = None


@dataclasses.dataclass(frozen=True)
class OutputSettings:
    """What a run writes, and whether it continues or replaces an earlier one.

    ``arguments`` are recorded in arguments.json; ``resume`` compares them with the earlier run's
    by :func:`bert.checkpoint.result_folder.check_arguments`, which explains ``free`` and ``paths``.
    With ``overwrite``, this run's first result replaces an earlier one.
    """

    folder: str
    arguments: Mapping[str, Any]
    resume: bool = False
    overwrite: bool = False
    save_interval: Optional[int] = None
    log_interval: int = 10
    tensorboard: bool = False
    free: Collection[str] = ()
    paths: Collection[str] = ()
