"""The settings of a pre-training run, as values; :mod:`bert.pretraining.flags` makes them."""
import dataclasses
from typing import Any, Mapping, Optional, Tuple

from ..training.schedules import polynomial_decay

__all__ = ['CheckpointSettings', 'DataSettings', 'LogSettings', 'MaskingSettings', 'ModelSettings',
           'PretrainingSettings', 'RunSettings', 'VocabularySettings']


@dataclasses.dataclass(frozen=True)
class VocabularySettings:
    """Which vocabulary to take: ``sentencepiece`` (a model file), ``path`` (a vocabulary file or
    model folder), or that of a model pre-trained on ``dataset``.

    ``nbest`` and ``alpha`` are for SentencePiece: sub-words are drawn from the ``nbest`` best
    splits of a word, from all if it is -1, where ``alpha`` smooths the draws; 0 and 1 always take
    the best split.
    """

    dataset: Optional[str] = None
    path: Optional[str] = None
    sentencepiece: Optional[str] = None
    cased: bool = False
    nbest: int = 0
    alpha: float = 1.0
    offline: bool = False

    @property
    def own(self) -> Optional[str]:
        """The vocabulary that is named by its path, if any."""
        return self.sentencepiece or self.path


@dataclasses.dataclass(frozen=True)
class MaskingSettings:
    """The parameters of :class:`bert.pretraining.masking.Masking`, under its names."""

    max_seq_length: int = 512
    max_predictions_per_seq: int = 80
    masked_lm_prob: float = 0.15
    short_seq_prob: float = 0.1
    whole_word_mask: bool = False


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """Instances to train on, and to evaluate on where ``dev_files`` names any.

    Files are patterns for :func:`bert.pretraining.corpus.expand`.  They are shards, or text where
    ``raw`` (or ``dev_raw``) is true.  With ``synthetic_length``, random tokens take the place of
    ``files``.  ``num_workers`` processes prepare the data, or with 0 a thread; a batch is padded
    to one of ``num_buckets`` lengths.
    """

    files: Tuple[str, ...] = ()
    dev_files: Tuple[str, ...] = ()
    raw: bool = False
    dev_raw: bool = False
    synthetic_length: Optional[int] = None
    masking: MaskingSettings = MaskingSettings()
    num_workers: int = 2
    num_buckets: int = 10


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """The network: a name, folder or size such as bert_2_128_2; fresh or ``pretrained`` weights."""

    name: str
    pretrained: bool = False
    dropout: Optional[float] = None
    vocabulary: VocabularySettings = VocabularySettings()


@dataclasses.dataclass(frozen=True)
class PretrainingSettings:
    """How the network is trained.

    ``batch_size`` instances (tokens if ``by_tokens``) go through the model at once on each device;
    an update takes that times ``accumulate`` times the devices of all workers.
    """

    num_steps: int
    batch_size: int
    by_tokens: bool = False
    accumulate: int = 1
    eval_batch_size: int = 8
    optimizer: str = 'bertadam'
    lr: float = 1e-4
    warmup_ratio: float = 0.01
    power: float = 1.0
    epsilon: float = 1e-6
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 0

    def learning_rate(self, update: int) -> float:
        """The learning rate of an update, counted from 1."""
        return polynomial_decay(update, self.lr, int(self.num_steps * self.warmup_ratio),
                                self.num_steps, self.power)


@dataclasses.dataclass(frozen=True)
class CheckpointSettings:
    """Where checkpoints go, how often, and which one to continue from.

    ``arguments`` is what arguments.json records; continuing compares it with the earlier run's.
    With ``overwrite``, this run's first result replaces an earlier one in ``folder``.
    """

    folder: str
    arguments: Mapping[str, Any]
    interval: int = 25000
    keep: int = 3
    resume: bool = False
    overwrite: bool = False
    start_step: int = 0


@dataclasses.dataclass(frozen=True)
class LogSettings:
    """What a run reports; intervals are numbers of updates."""

    interval: int = 250
    eval_interval: int = 25000
    tensorboard: bool = False
    plot: bool = False
    profile: Optional[str] = None
    verbose: bool = False


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """All of a pre-training run but the devices it runs on."""

    data: DataSettings
    model: ModelSettings
    training: PretrainingSettings
    checkpoints: CheckpointSettings
    log: LogSettings
