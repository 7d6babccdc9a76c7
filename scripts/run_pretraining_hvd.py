"""Pre-train BERT with Horovod: one worker per GPU, or one process per few CPU cores.

    mpirun -np 16 -H host0_ip:8,host1_ip:8 -mca pml ob1 -mca btl ^openib -bind-to none \\
        -mca odls_base_sigkill_timeout 30 \\
        python run_pretraining_hvd.py --data='folder1/*.txt,folder2/*.txt,' \\
        --data_eval='dev_folder/*.txt,' --num_steps 1000000 --lr 1e-4 --batch_size 4096 \\
        --accumulate 4 --use_avg_len --raw
    horovodrun --gloo -np 2 python run_pretraining_hvd.py --cpus 1 --model sample --raw \\
        --data sample_text.txt --max_seq_length 64 --num_steps 200 --lr 1e-3 --log_interval 20

An update takes --accumulate batches of each worker.  Each worker reads its own share of the data.
Rank 0 writes --ckpt_dir; for --resume it must be on a disk that all workers see.  To stop in order,
send SIGTERM to one worker.  On Ctrl-C mpirun kills the workers after twice the seconds of its MCA
parameter odls_base_sigkill_timeout (default: 1), horovodrun after 5 seconds, saved or not.
Everything else is as in run_pretraining.py; its --help has the recipe for two phases.  Build
Horovod with scripts/install_horovod.sh.
"""
if not __package__:     # run as a file: `bert` is the checkout's
    import os.path
    import sys
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from bert.pretraining import flags
from bert.utils import cli
from bert.utils.errors import run


def parse_args(argv=None):
    parser = cli.Parser(description=__doc__)
    flags.add_run_flags(parser)
    return flags.check(parser, parser.parse_args(argv))


def main(argv=None):
    args = parse_args(argv)
    from bert.pretraining.loop import train
    train(*flags.start(args, comm='horovod'))
    return 0


def program():
    """The console command."""
    run(main)


if __name__ == '__main__':
    program()
