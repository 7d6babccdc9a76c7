"""Pre-train BERT on the devices of one machine, or on several workers with parameter servers.

    python run_pretraining.py --model sample --dataset_name sample --data sample_text.txt --raw \\
        --data_eval sample_text.txt --max_seq_length 64 --num_steps 200 --lr 1e-3 --log_interval 20
    python run_pretraining.py --gpus 0,1,2,3,4,5,6,7 --batch_size 4096 --accumulate 4 --lr 1e-4 \\
        --data '/path/*.npz' --num_steps 1000000 --use_avg_len --data_eval '/path/dev/*.npz'
    python launch.py -n 2 -s 1 python run_pretraining.py --kvstore dist_sync --data '/path/*.npz'

An update takes --accumulate batches per device of each worker.  Make the shards with
create_pretraining_data.py, or give text with --raw: one sentence per line, a blank line between
documents.  To train on short instances first, and then for fewer steps on long ones:

    python run_pretraining.py --data '/path/128/*.npz' --num_steps 900000 --ckpt_dir phase1 \\
        --batch_size 32 --accumulate 8
    python run_pretraining.py --data '/path/512/*.npz' --num_steps 100000 --ckpt_dir phase2 \\
        --batch_size 8 --accumulate 32 --pretrained --model phase1

--ckpt_dir becomes a model folder for all other programs.  launch.py --help explains how to use
several hosts.
"""
if not __package__:     # run as a file: `bert` is the checkout's
    import os.path
    import sys
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from bert.pretraining import flags
from bert.training import watch
from bert.utils import cli
from bert.utils.errors import run


def parse_args(argv=None):
    parser = cli.Parser(description=__doc__)
    flags.add_run_flags(parser)
    parser.add_argument('--kvstore', default='device', choices=(
        'device', 'local', 'dist_sync', 'dist_device_sync', 'horovod'),
                        help='dist_sync: one of several workers that launch.py started; horovod: '
                             'that mpirun or horovodrun started (default: %(default)s, this '
                             'process alone)')
    parser.add_argument('--comm_backend', choices=tuple(flags.BACKENDS),
                        help='the name of --kvstore in GluonNLP 0.10')
    args = parser.parse_args(argv)
    args.kvstore = flags.BACKENDS[args.comm_backend] if args.comm_backend else args.kvstore
    return flags.check(parser, args)


def main(argv=None):
    args = parse_args(argv)
    watch.start()
    from bert.pretraining.loop import train
    alone = args.kvstore in ('device', 'local')
    train(*flags.start(args, comm='local' if alone else args.kvstore))
    return 0


def program():
    """The console command."""
    run(main)


if __name__ == '__main__':
    program()
