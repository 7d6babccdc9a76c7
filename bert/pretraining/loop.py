"""Pre-training: the loop that run_pretraining.py and run_pretraining_hvd.py share."""
import logging
import os
import re

import mxnet as mx
import numpy as np

from ..checkpoint import result_folder
from ..checkpoint.catalogue import MODELS
from ..checkpoint.resolve import resolve
from ..checkpoint.weights import read_weights
from ..model.forward import create_forward
from ..model.heads import PreTraining
from ..model.parameters import initialize, load_parameters
from ..text import tokenizer
from ..training import plot, progress, runtime
from ..training.schedules import polynomial_decay
from ..training.stepper import Stepper
from ..utils import files
from ..utils.errors import DataError
from . import corpus, flags, shards, sources
from .checkpoints import Checkpoints
from .stream import Stream, evaluation

__all__ = ['train', 'evaluate', 'forward']

_log = logging.getLogger(__name__)
_OWN_SIZE = re.compile(r'bert_(\d+)_(\d+)_(\d+)(?:_(\d+))?')


def train(args):
    """Pre-train as the flags of :mod:`bert.pretraining.flags` and ``args.comm`` say."""
    comm = start(args)
    config, tok, vocabulary, arrays, origin = load_model(args)
    source, dev = make_sources(args, tok)
    longest = max(s.max_length for s in (source, dev) if s)
    if longest > config.max_position_embeddings:
        raise DataError(f"instances of {longest} tokens, but the model has positions for "
                        f"{config.max_position_embeddings}; take shorter "
                        'ones (--max_seq_length)')
    mx.random.seed(args.seed)
    net = PreTraining(config, args.dropout)
    initialize(net, config, comm.devices)
    if arrays:
        fresh = load_parameters(net, arrays, origin, (
            'bert.decoder.', 'bert.classifier.', 'bert.pooler.'))
        if fresh:
            logging.warning('%s lacks %s and %d more: fresh ones are trained', origin, fresh[0],
                            len(fresh) - 1)
    network = create_forward(net, args.path, args.dtype, tok.pad_id)
    warmup = int(args.num_steps * args.warmup_ratio)
    power = args.power if args.schedule == 'poly' else 1.0
    stepper = Stepper(
        net, comm, lambda update: polynomial_decay(update, args.lr, warmup,
                                                             args.num_steps, power),
        args.optimizer, args.epsilon, args.weight_decay, args.clip,
        accumulate=args.accumulate > 1, loss_scale=2.0 ** 15 if args.dtype == 'float16' else None,
        seed=args.seed, fused=args.path == 'packed')
    micro_batches = args.accumulate * comm.size * len(comm.devices)
    store = Checkpoints(args, comm, net, stepper, micro_batches)
    position = store.load()
    if comm.rank == 0:
        result_folder.describe(args.ckpt_dir, config, tok, 'bert.', (), {'task': 'pretraining'},
                               args)
    logging.info('%s; vocabulary: %s, %d tokens; %d workers x %d devices, %s',
                 f'weights of {origin}' if arrays else 'fresh weights', vocabulary, len(tok),
                 comm.size, len(comm.devices), args.dtype)
    _log.debug('config: %s', config)
    follow = progress.Progress(args.ckpt_dir, args.num_steps, stepper.update, comm.rank,
                               args.log_interval, 'tokens', args.tensorboard)
    stream = Stream(source, args.batch_size, micro_batches, args.use_avg_len, args.num_buckets,
                    args.seed, args.num_data_workers, position)
    tell = None
    if comm.rank < 2:       # two of them, for one may be the worker that is gone
        def tell():
            return f'stopping after this update; should that not come about: {store.advice()}'
    try:
        with stream, runtime.Interrupt(tell) as interrupt:
            run(args, comm, network, stepper, store, stream, dev, follow, interrupt)
    except mx.MXNetError as error:
        if comm.size == 1:
            raise
        # Horovod tells the others so when a worker is gone
        raise DataError('worker %d: the work with the others broke off (%s); %s' % (
            comm.rank, re.split(r'\. |\n', str(error).strip())[0], store.advice())) from error
    finally:
        follow.close()
    comm.close()
    if comm.rank == 0 and args.plot:
        plot.training_curves(args.ckpt_dir)
    logging.info('results: %s', args.ckpt_dir)


def run(args, comm, network, stepper, store, stream, dev, follow, interrupt):
    """Make the updates that are still to make, with all that happens between them."""
    meter, profile, scored = Meter(comm), Profile(args, stepper.update), None
    updates = iter(stream)
    while stepper.update < args.num_steps:
        update = next(updates)
        # the mean over the masked tokens, in a sum that is divided by the number of instances
        factor = update.instances / max(1, update.masked)
        batches = list(update.batches(comm.rank, comm.size))
        for i in range(0, len(batches), len(comm.devices)):
            losses, group = [], batches[i:i + len(comm.devices)]
            for batch, device in zip(group, comm.devices):
                with mx.autograd.record():
                    words, pairs, stats = losses_of(network, batch, device)
                    losses.append(words * factor + pairs)
                meter.add(stats)
            stepper.backward(losses, sum(len(batch.ids) for batch in group))
        meter.count(update.masked, update.instances)
        step = stepper.step(stop=interrupt.requested)
        _log.debug('update %d: %d instances, %d tokens, lengths %s', step.update,
                   update.instances, update.tokens, sorted({b.length for b in batches}))
        follow.step(step, update.tokens, update.epoch + 1, meter.read)
        profile.step(step.update)
        store.position = update.position
        if step.stop:
            store.save()
            comm.sum([0.0])     # once a worker leaves, its launcher ends the others
            comm.close()
            follow.close()
            logging.warning('stopped after update %d of %d; the same command with --resume goes on',
                            step.update, args.num_steps)
            raise SystemExit(interrupt.exit_code)
        if step.update % args.ckpt_interval == 0:
            store.save()
        if dev and step.update % (args.eval_interval or args.ckpt_interval) == 0:
            scored = step.update
            report(args, comm, network, dev, follow, scored)
    profile.close()
    store.save()
    if dev and scored != stepper.update:
        report(args, comm, network, dev, follow, stepper.update)


def forward(network, batch, device):
    """A :class:`bert.pretraining.stream.Batch` -> scores of the masked tokens, (M, vocab_size),
    and of the next sentence, (rows, 2), on ``device``."""
    return network(batch.ids, batch.segments, device, batch.masked, batch.length)


def losses_of(network, batch, device):
    """(sum of the masked tokens' losses, sum of the pairs' losses, these and what is right).

    The last is (4,): loss and number of right answers for words, then for pairs.
    """
    words, pairs = forward(network, batch, device)
    losses, stats = [], []
    for scores, labels in ((words, batch.labels), (pairs, batch.next_sentence)):
        labels = mx.nd.array(labels, ctx=device)
        each, right = network.cross_entropy(scores, labels)
        losses.append(each.sum())
        with mx.autograd.pause():
            stats += [losses[-1], right.sum()]
    with mx.autograd.pause():
        return losses[0], losses[1], mx.nd.concat(*stats, dim=0)


class Meter:
    """Losses and accuracies over the batches since they were last read, of all workers."""

    def __init__(self, comm):
        self._comm, self._stats, self._masked, self._instances = comm, [], 0, 0

    def add(self, stats):
        """Take note of what :func:`losses_of` found in one of this worker's batches."""
        self._stats.append(stats)
        if len(self._stats) > 64:
            self._stats = [mx.nd.array(self._sums(), dtype=np.float64)]

    def count(self, masked, instances):
        """Take note of the size of the batches of all workers together."""
        self._masked += masked
        self._instances += instances

    def _sums(self):
        return sum((stats.asnumpy().astype(np.float64) for stats in self._stats), np.zeros(4))

    def read(self):
        """{name: mean}; begins anew."""
        words, right_words, pairs, right_pairs = self._comm.sum(self._sums()).tolist()
        masked, instances = max(1, self._masked), max(1, self._instances)
        self.__init__(self._comm)
        return {'MLM_loss': words / masked, 'NSP_loss': pairs / instances,
                'MLM_accuracy': right_words / masked, 'NSP_accuracy': right_pairs / instances}


def evaluate(args, comm, network, source):
    """{name: mean} over all of a source."""
    meter, masked, instances = Meter(comm), 0, 0
    for i, batch in enumerate(evaluation(source, args.batch_size_eval, comm.rank, comm.size)):
        meter.add(losses_of(network, batch, comm.devices[i % len(comm.devices)])[2])
        masked += len(batch.masked)
        instances += len(batch.ids)
    masked, instances = comm.sum([masked, instances]).tolist()
    if not instances:
        raise DataError('--data_eval: no instances in it; a document of text needs two sentences')
    meter.count(masked, instances)
    return meter.read()


def report(args, comm, network, source, follow, update):
    """Evaluate, and tell."""
    scores = evaluate(args, comm, network, source)
    follow.say('update %d, dev: %s' % (update, ', '.join(
        f"{name.replace('_', ' ')} {value:.4f}" for name, value in scores.items())))
    follow.record('dev', update, set='dev', **scores)
    follow.restart_clock()


def start(args):
    """The communicator; also fills in the device and the precision where they are not given."""
    if args.gpu is None and args.gpus is None:
        # each worker of Horovod takes a GPU of its own
        if args.comm == 'horovod' and args.cpus is None and mx.context.num_gpus():
            args.gpu = 0
        args.cpus = args.cpus or 1
    on_gpu = args.gpu is not None or args.gpus is not None
    args.dtype = args.dtype or ('float16' if on_gpu else 'float32')
    comm = runtime.start(args)
    if args.verbose and comm.rank == 0:
        logging.getLogger('bert').setLevel(logging.DEBUG)
    return comm


def make_sources(args, tok):
    """Where the training instances come from, and those to evaluate on (or None)."""
    if args.synthetic_data:
        length = args.dummy_data_len or args.max_seq_length
        masked = max(1, min(args.max_predictions_per_seq, round(length * args.masked_lm_prob)))
        train_source = sources.Synthetic(length, masked, len(tok), args.seed)
    else:
        train_source = source_of(args, args.data, args.raw, tok, args.seed)
    dev = args.data_eval and source_of(args, args.data_eval, args.raw and not args.eval_use_npz,
                                       tok, args.seed + 1)
    return train_source, dev or None


def source_of(args, patterns, raw, tok, seed):
    """The source of the files that ``patterns`` name."""
    found = corpus.expand(patterns)
    if not raw:
        other = [path for path in found if not path.endswith('.npz')]
        if other:
            raise DataError(f'{other[0]}: not a shard (.npz); for text add --raw')
        for folder in sorted({os.path.dirname(path) for path in found}):
            made = os.path.join(folder, shards.DESCRIPTION)
            if os.path.exists(made) and files.read_json(made).get(
                    'vocabulary_sha1') != shards.fingerprint(tok):
                raise DataError(f'{folder}: made with another vocabulary; name that with '
                                '--dataset_name, --vocab or --sentencepiece')
        return sources.Shards(found, len(tok))
    if any(path.endswith('.npz') for path in found):
        raise DataError('%s: a shard, no text; leave out --raw%s' % (
            patterns[0], ' or add --eval_use_npz' if patterns is args.data_eval else ''))
    masking, sampled = flags.make_masking(args, tok)
    return sources.Text(found, tok, masking, seed, sampled)


def load_model(args):
    """(config, tokenizer, where it comes from, arrays, where these come from); without
    --pretrained, None for the last two."""
    if not args.pretrained:
        tok, vocabulary = flags.load_tokenizer(args, args.bert_model)
        return sizes(args).replace(vocab_size=len(tok)), tok, vocabulary, None, None
    if args.bert_model not in MODELS and _OWN_SIZE.fullmatch(args.bert_model):
        raise DataError(f'--model {args.bert_model}: a size of your own, so there are no weights '
                        'for --pretrained; name a folder')
    own = args.sentencepiece or args.vocab
    found = resolve(
        args.bert_model, args.dataset_name if args.bert_model in MODELS else None,
        offline=args.offline or None, vocab=own)
    tok = tokenizer.load(found.vocab, True if args.cased else found.cased, args.sp_nbest,
                         args.sp_alpha)
    arrays = read_weights(found.weights, found.config.architectures)
    rows = len(arrays['bert.word_embed.0.weight'])
    result_folder.check_vocabulary(rows, len(tok), found)
    return found.config.replace(vocab_size=rows), tok, own or found.source, arrays, found.source


def sizes(args):
    """The config that --model stands for."""
    if args.bert_model in MODELS:
        return MODELS[args.bert_model]
    own = _OWN_SIZE.fullmatch(args.bert_model)
    if not own:
        return resolve(args.bert_model, weights=False,
                                  offline=args.offline or None).config
    layers, units, heads, hidden = (int(part or 0) for part in own.groups())
    if not (layers and units and heads) or units % heads:
        raise DataError(f'--model {args.bert_model}: layers, units and heads must be 1 or more, '
                        'and units a multiple of heads')
    # the rest as in the models that are known
    return MODELS['bert_12_768_12'].replace(
        num_hidden_layers=layers, hidden_size=units, num_attention_heads=heads,
        intermediate_size=hidden or 4 * units)


class Profile:
    """MXNet's profile of ten updates, if --profile asks for it."""

    def __init__(self, args, done):
        self._path, self._begin = args.profile, done + min(10, (args.num_steps - done) // 2)
        self._runs = False
        if self._path:
            mx.profiler.set_config(profile_all=True, aggregate_stats=True, filename=self._path)

    def step(self, update):
        """Begin or end after this update, if it is the one."""
        if self._path and update == self._begin:
            mx.profiler.set_state('run')
            self._runs = True
        elif update == self._begin + 10:
            self.close()

    def close(self):
        """End it, and write."""
        if self._runs:
            mx.nd.waitall()
            mx.profiler.set_state('stop')
            mx.profiler.dump()
            _log.debug('%s', mx.profiler.dumps())
            logging.info('profile: %s', self._path)
            self._runs = False
