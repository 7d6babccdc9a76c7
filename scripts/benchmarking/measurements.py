"""What scripts/benchmark.py measures, by which command of ours and of each peer.

A command is words as in a shell.  NAME=value before it sets its environment, and mpirun starts
two ranks of it.  ``peer`` is the folder scripts/benchmarking/peer, other names are programs.
{name} stands for a path of :class:`.inputs.Inputs`, {out} for a folder to write to, {warmup} for
the number of steps that are left out.
"""
from typing import List, NamedTuple, Tuple

from .report import LENGTH, MASKED, STEP

__all__ = ['DTYPES', 'Measurement', 'all_measurements', 'is_named', 'steps_of']

DTYPES = {'fp32': 'float32', 'bf16': 'bfloat16'}


class Measurement(NamedTuple):
    """A row of the table: one line for each unit and peer."""
    name: str
    units: Tuple[str, ...]
    ours: str                           # a command
    peers: Tuple[Tuple[str, str], ...]  # (label, command)


def is_named(name: str, wanted: str) -> bool:
    """Whether a name is the one wanted, or begins with it and a dash."""
    return name == wanted or name.startswith(wanted + '-')


def steps_of(size: str, length: int, batch: int, steps: int, dtype: str = 'float32',
             ranks: int = 1) -> Tuple[str, str]:
    """Our command and the peer's for training steps of a classifier on rows of full length."""
    ours = (f'finetune_classifier --bert_model {{model-{size}}} --train_file '
            f'{{dense-{size}-{length}-{ranks * steps * batch}}} --max_len '
            f'{length} --batch_size {batch} --epochs 1 --optimizer adamw --lr 2e-5 --log_interval '
            f'1 --dtype {dtype} --output_dir {{out}}')
    return ours, (f'peer step --model {{model-{size}}} --length {length} --batch_size {batch} '
                  f'--steps {steps} --warmup {{warmup}} --dtype {dtype}')


def pairs_of(train: str, dev: str, dtype: str = 'float32') -> Tuple[str, str]:
    """Our command and the peer's, with random batches, for fine-tuning on sentence pairs."""
    ours = (f'finetune_classifier --bert_model {{model-6l}} --train_file {{{train}}} --dev_file '
            f'{{{dev}}} '
            f'--epochs 1 --optimizer adamw --lr 2e-5 --dtype {dtype} --output_dir {{out}}')
    return ours, (f'peer classify --model {{model-6l}} --train {{{train}}} --dev {{{dev}}} '
                  f'--dtype {dtype} --output_dir {{out}}')


def all_measurements(quick: bool = False, cores: int = 1) -> List[Measurement]:
    """All measurements in the order of the table."""
    found, steps = [], 3 if quick else 12

    def add(name, units, ours, *peers):
        found.append(Measurement(name, tuple(units.split()), ours, peers))

    def size(few, many):
        return few if quick else many

    for short, dtype in DTYPES.items():
        add('gemm-' + short, 'GFLOP/s', 'benchmark --measure gemm --dtype ' + dtype,
            ('PyTorch', 'peer gemm --dtype ' + dtype))
    for shape, batch in ('6l', 32), ('base', 8):
        for short, dtype in DTYPES.items():
            ours, peer = steps_of(shape, LENGTH, batch, steps, dtype)
            add(f'train-{shape}-{short}', 'examples/s', ours, ('PyTorch step', peer))
    for short, dtype in DTYPES.items():
        ours, peer = pairs_of(f'mrpc-6l-train-{size(96, 3668)}', f'mrpc-6l-dev-{size(32, 1725)}',
                             dtype)
        add('ragged-' + short, 's examples/s', ours, ('Trainer, random', peer),
            ('Trainer, by length', peer + ' --by_length'))
    peer = '--model {model-6l} --length 384 --output_dir {out} '
    data, dev = f'{{squad-6l-{size(24, 480)}}}', f'{{squad-6l-{size(23, 481)}}}'
    add('squad', 's examples/s',
        f'finetune_squad --bert_model {{model-6l}} --train_file {data} --batch_size 12 --epochs 1 '
        '--optimizer adamw --lr 3e-5 --output_dir {out}',
        ('Trainer, padded', f'peer squad --pad --batch_size 12 --train {data} {peer}'),
        ('Trainer, by length', f'peer squad --by_length --batch_size 12 --train {data} {peer}'))
    add('squad-inference', 's',
        f'finetune_squad --only_predict --model_parameters {{answerer}} --dev_file {dev} '
        '--output_dir {out}',
        ('PyTorch, padded', f'peer answer --pad --batch_size 24 --dev {dev} {peer}'),
        ('PyTorch, by length', f'peer answer --by_length --batch_size 24 --dev {dev} {peer}'))
    train, dev = f'ner-6l-{size(96, 3394)}', f'ner-6l-{size(32, 1009)}'
    add('ner', 's examples/s',
        f'finetune_ner --bert_model {{model-6l}} --train_path {{{train}}} --dev_path {{{dev}}} '
        '--batch_size 32 --epochs 1 --optimizer adamw --lr 2e-5 --output_dir {out}',
        ('Trainer, by length', f'peer tag --model {{model-6l}} --train {{{train}}} --dev {{{dev}}} '
                               '--by_length --length 180 --output_dir {out}'))
    for shape, batch in ('6l', 32), ('base', 8):
        for short, dtype in DTYPES.items():
            add(f'pretrain-{shape}-{short}', 'tokens/s',
                f'run_pretraining --model {{model-{shape}}} --vocab {{model-{shape}}} '
                '--synthetic_data '
                f'--max_seq_length {LENGTH} --max_predictions_per_seq {MASKED} '
                f'--batch_size {batch} --num_steps {steps} '
                f'--log_interval 1 --optimizer adamw --dtype {dtype} --ckpt_dir {{out}}',
                ('BertForPreTraining', f'peer step --task pretraining --model {{model-{shape}}} '
                                       f'--batch_size {batch} --steps {steps} --warmup {{warmup}} '
                                       f'--dtype {dtype}'))
    texts = f'{{texts-6l-{size(200, 3000)}}}'
    for kind in 'tokens', 'sentences':
        given = f'--model {{model-6l}} --kind {kind} --train {texts}'
        for short, dtype in DTYPES.items():
            add(f'embed-{kind}-{short}', 'texts/s',
                f'benchmark --measure {kind} --model {{model-6l}} --texts {texts} --dtype {dtype}',
                *[('sentence-tr., ' + other, f'peer embed {given} --dtype {DTYPES[other]}')
                  for other in dict.fromkeys(('fp32', short))],
                ('ONNX Runtime, fp32', 'peer onnx_embed --onnx {onnx-embedding-fp32} ' + given))
        add(f'embed-{kind}-int8', 'texts/s',
            f'benchmark --measure {kind} --model {{model-6l}} --texts {texts} --dtype int8',
            ('ONNX Runtime, int8', 'peer onnx_embed --onnx {onnx-embedding-int8} ' + given))
    pairs = f'{{mrpc-6l-dev-{size(32, 1725)}}}'
    for short, dtype in ('fp32', 'float32'), ('int8', 'int8'):
        add('classify-' + short, 'texts/s', 'benchmark --measure pairs --model {classifier} '
            f'--texts {pairs} --dtype {dtype}',
            ('ONNX Runtime, ' + short, f'peer onnx_classify --onnx {{onnx-classifier-{short}}} '
                                       f'--model {{model-6l}} --dev {pairs}'))
    add('data', 'Mtokens/s',
        f'create_pretraining_data --input_file {{corpus-6l-{size(2000, 25000)}}} --vocab '
        '{model-6l} --max_seq_length '
        f'128 --max_predictions_per_seq 20 --dupe_factor 5 --num_workers {cores} --output_dir '
        '{out}')
    # the same updates: of 2 x 16 texts, or of 32
    add('horovod', 'examples/s', "OMP_NUM_THREADS=1 mpirun "
                                 f"{steps_of('6l', 128, 16, steps, ranks=2)[0]} --comm horovod",
        ('1 process, 2 threads', 'OMP_NUM_THREADS=2 ' + steps_of('6l', 128, 32, steps)[0]))

    for length in 32, 64, 128, 256, 512:
        ours, peer = steps_of('6l', length, STEP, steps)
        add(f'growth-length-{length}', 's/step', ours, ('PyTorch step', peer))
    for times in 1, 2, 4:
        ours, peer = pairs_of(f'pairs-6l-{times * size(48, 500)}', 'pairs-6l-32')
        add(f'growth-data-{times}', 's', ours, ('Trainer, by length', peer + ' --by_length'))
    for count in range(1, cores + 1):
        ours, peer = (f'OMP_NUM_THREADS={count} {command}'
                      for command in steps_of('6l', 128, STEP, steps))
        add(f'growth-threads-{count}', 's/step', ours, ('PyTorch step', peer))
    return found
