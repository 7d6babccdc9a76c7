"""The settings of a training run, as values."""
import dataclasses
from typing import Any, Mapping, Optional

__all__ = ['DeviceSettings', 'OutputSettings', 'Recipe']


@dataclasses.dataclass(frozen=True)
class DeviceSettings:
    """Where a program runs, and in which precision.

    ``gpu`` or ``gpus`` ('0,1') name GPUs; without them ``cpus`` CPU devices are taken.  ``layout``
    is 'auto', 'packed' or 'padded', ``comm`` 'local', 'horovod', 'dist_sync' or
    'dist_device_sync'.  ``fixed_length``: batches are padded to one length.
    """

    gpu: Optional[int] = None
    gpus: Optional[str] = None
    cpus: int = 1
    dtype: str = 'float32'
    force_dtype: bool = False
    layout: str = 'auto'
    comm: str = 'local'
    fixed_length: bool = False


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network is fine-tuned: the optimizer and its schedule.

    ``batch_size`` examples go through the model at once on each worker; an update takes that
    times ``accumulate`` times the workers.
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


@dataclasses.dataclass(frozen=True)
class OutputSettings:
    """What a run writes, and whether it continues an earlier one.

    ``arguments`` is what arguments.json records; ``resume`` compares it with the earlier run's.
    """

    folder: str
    arguments: Mapping[str, Any]
    resume: bool = False
    save_interval: Optional[int] = None
    log_interval: int = 10
    tensorboard: bool = False
