"""The rows of scripts/benchmark.py: what is measured, by which command of ours and of each peer.

A command is words as in a shell.  NAME=value before it is for its environment, and mpirun starts
two ranks of it.  ``peer`` is scripts/benchmarking/peer.py, other names are programs.
{name} stands for a path of :class:`.measure.Inputs`, {out} for a folder to write to,
{warmup} for the steps that are left out.
"""
import collections

from .report import STEP

__all__ = ['Row', 'DTYPES', 'is_named', 'steps_of', 'table']

DTYPES = {'fp32': 'float32', 'bf16': 'bfloat16'}

# units: a line of the table each; ours: a command; peers: (label, command) pairs
Row = collections.namedtuple('Row', 'name units ours peers')


def is_named(name, wanted):
    """Whether a row's name is the one wanted, or that and more behind a dash."""
    return name == wanted or name.startswith(wanted + '-')


def steps_of(size, length, batch, steps, dtype='float32', ranks=1):
    """Our command and the peer's for training steps of a classifier on rows of full length."""
    ours = ('finetune_classifier --bert_model {model-%s} --train_file {dense-%s-%d-%d} --max_len '
            '%d --batch_size %d --epochs 1 --optimizer adamw --lr 2e-5 --log_interval 1 --dtype %s '
            '--output_dir {out}'
            % (size, size, length, ranks * steps * batch, length, batch, dtype))
    return ours, ('peer step --model {model-%s} --length %d --batch_size %d --steps %d --warmup '
                  '{warmup} --dtype %s' % (size, length, batch, steps, dtype))


def pairs_of(train, dev, dtype='float32'):
    """The same for a script on sentence pairs: train, dev are the names of its data."""
    ours = ('finetune_classifier --bert_model {model-6l} --train_file {%s} --dev_file {%s} '
            '--epochs 1 --optimizer adamw --lr 2e-5 --dtype %s --output_dir {out}'
            % (train, dev, dtype))
    return ours, ('peer classify --model {model-6l} --train {%s} --dev {%s} --by_length --dtype %s '
                  '--output_dir {out}' % (train, dev, dtype))


def table(quick=False, cores=1):
    """All rows, as a list."""
    rows, steps = [], 3 if quick else 12

    def add(name, units, ours, *peers):
        rows.append(Row(name, units.split(), ours, peers))

    def size(few, many):
        return few if quick else many

    for short, dtype in DTYPES.items():
        add('gemm-' + short, 'GFLOP/s', 'benchmark --measure gemm --dtype ' + dtype,
            ('PyTorch', 'peer gemm --dtype ' + dtype))
    for shape, batch in ('6l', 32), ('base', 8):
        for short, dtype in DTYPES.items():
            ours, peer = steps_of(shape, 128, batch, steps, dtype)
            add('train-%s-%s' % (shape, short), 'examples/s', ours, ('PyTorch step', peer))
    for short, dtype in DTYPES.items():
        ours, peer = pairs_of('mrpc-6l-train-%d' % size(96, 3668), 'mrpc-6l-dev-%d'
                              % size(32, 1725), dtype)
        add('ragged-' + short, 's examples/s', ours, ('Trainer, by length', peer))
    peer = '--model {model-6l} --length 384 --output_dir {out} '
    data, dev = '{squad-6l-%d}' % size(24, 480), '{squad-6l-%d}' % size(23, 481)
    add('squad', 's examples/s',
        'finetune_squad --bert_model {model-6l} --train_file %s --batch_size 12 --epochs 1 '
        '--optimizer adamw --lr 3e-5 --output_dir {out}' % data,
        ('Trainer, padded', 'peer squad --batch_size 12 --train %s %s' % (data, peer)),
        ('Trainer, by length', 'peer squad --by_length --batch_size 12 --train %s %s'
         % (data, peer)))
    add('squad-inference', 's',
        'finetune_squad --only_predict --model_parameters {answerer} --dev_file %s '
        '--output_dir {out}' % dev,
        ('PyTorch, padded', 'peer answer --batch_size 24 --dev %s %s' % (dev, peer)),
        ('PyTorch, by length', 'peer answer --by_length --batch_size 24 --dev %s %s' % (dev, peer)))
    train, dev = 'ner-6l-%d' % size(96, 3394), 'ner-6l-%d' % size(32, 1009)
    add('ner', 's examples/s',
        'finetune_ner --bert_model {model-6l} --train_path {%s} --dev_path {%s} --batch_size 32 '
        '--epochs 1 --optimizer adamw --lr 2e-5 --output_dir {out}' % (train, dev),
        ('Trainer, by length', 'peer tag --model {model-6l} --train {%s} --dev {%s} --by_length '
         '--length 180 --output_dir {out}' % (train, dev)))
    for shape, batch in ('6l', 32), ('base', 8):
        for short, dtype in DTYPES.items():
            add('pretrain-%s-%s' % (shape, short), 'tokens/s',
                'run_pretraining --model {model-%s} --vocab {model-%s} --synthetic_data '
                '--max_seq_length 128 --max_predictions_per_seq 20 --batch_size %d --num_steps %d '
                '--log_interval 1 --optimizer adamw --dtype %s --ckpt_dir {out}'
                % (shape, shape, batch, steps, dtype),
                ('BertForPreTraining', 'peer step --task pretraining --model {model-%s} '
                 '--batch_size %d --steps %d --warmup {warmup} --dtype %s'
                 % (shape, batch, steps, dtype)))
    texts = '{texts-6l-%d}' % size(200, 3000)
    for kind in 'tokens', 'sentences':
        given = '--model {model-6l} --kind %s --train %s' % (kind, texts)
        for short, dtype in DTYPES.items():
            add('embed-%s-%s' % (kind, short), 'texts/s',
                'benchmark --measure %s --model {model-6l} --texts %s --dtype %s'
                % (kind, texts, dtype),
                *[('sentence-tr., ' + other, 'peer embed %s --dtype %s' % (given, DTYPES[other]))
                  for other in dict.fromkeys(('fp32', short))],
                ('ONNX Runtime, fp32', 'peer onnx_embed --onnx {onnx} ' + given))
    add('data', 'Mtokens/s',
        'create_pretraining_data --input_file {corpus-6l-%d} --vocab {model-6l} --max_seq_length '
        '128 --max_predictions_per_seq 20 --dupe_factor 5 --num_workers %d --output_dir {out}'
        % (size(2000, 25000), cores))
    # the same updates: of 2 x 16 texts, or of 32
    add('horovod', 'examples/s', 'OMP_NUM_THREADS=1 mpirun %s --comm horovod'
        % steps_of('6l', 128, 16, steps, ranks=2)[0],
        ('1 process, 2 threads', 'OMP_NUM_THREADS=2 ' + steps_of('6l', 128, 32, steps)[0]))

    for length in 32, 64, 128, 256, 512:
        ours, peer = steps_of('6l', length, STEP, steps)
        add('growth-length-%d' % length, 's/step', ours, ('PyTorch step', peer))
    for times in 1, 2, 4:
        ours, peer = pairs_of('pairs-6l-%d' % (times * size(48, 500)), 'pairs-6l-32')
        add('growth-data-%d' % times, 's', ours, ('Trainer, by length', peer))
    for count in range(1, cores + 1):
        ours, peer = ('OMP_NUM_THREADS=%d %s' % (count, command)
                      for command in steps_of('6l', 128, STEP, steps))
        add('growth-threads-%d' % count, 's/step', ours, ('PyTorch step', peer))
    return rows
