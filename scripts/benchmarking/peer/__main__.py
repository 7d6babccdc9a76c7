"""The peers' half of benchmark.py: the same work in PyTorch, Transformers and ONNX Runtime.

    python scripts/benchmarking/peer step --model FOLDER --batch_size 32 --length 128 --steps 12

benchmark.py runs this folder with the interpreter that --peer_python names.  It needs nothing of
this project and prints its figures as a line of JSON: {unit: value}.
"""
import argparse
import json
import os
import statistics
import time

import peer_tasks
import peer_vectors

PACKAGES = ('torch', 'transformers', 'sentence-transformers', 'onnxruntime', 'onnx', 'seqeval')
GEMM = ((1024, 1024, 1024), (2048, 2048, 2048), (4096, 384, 1536), (1024, 768, 3072))


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('work', choices=sorted(WORK), help='what to do')
    parser.add_argument('--model', metavar='DIR', help='a folder in the format of Hugging Face')
    parser.add_argument('--onnx', metavar='FILE', help='the same model as ONNX')
    parser.add_argument('--train', metavar='FILE', help='data to train on, or the texts to embed')
    parser.add_argument('--dev', metavar='FILE', help='data to predict afterwards')
    parser.add_argument('--task', choices=('classification', 'pretraining'),
                        default='classification', help='what step trains')
    parser.add_argument('--kind', choices=('tokens', 'sentences'), help='what to embed')
    parser.add_argument('--dtype', choices=('float32', 'bfloat16'), default='float32')
    parser.add_argument('--batch_size', type=int, default=32)
    parser.add_argument('--length', type=int, default=128, help='of texts, at most')
    parser.add_argument('--masked', type=int, default=20, help='tokens of a text to predict')
    parser.add_argument('--steps', type=int, default=12)
    parser.add_argument('--warmup', type=int, default=2, help='of the steps, left out of the rate')
    sampling = parser.add_mutually_exclusive_group()
    sampling.add_argument('--by_length', action='store_true',
                          help='batches of like length in place of random ones')
    sampling.add_argument('--pad', action='store_true',
                          help='questions and passages padded to --length')
    parser.add_argument('--epochs', type=int, default=1)
    parser.add_argument('--lr', type=float, default=2e-5)
    parser.add_argument('--warmup_ratio', type=float, default=0)
    parser.add_argument('--epsilon', type=float, default=1e-8, help="AdamW's")
    parser.add_argument('--seed', type=int, default=42)
    parser.add_argument('--output_dir', default='.', metavar='DIR')
    return parser.parse_args(argv)


def versions(**_):
    """{package: version, or None if it is missing}."""
    import platform
    from importlib import metadata
    found = {'python': platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def gemm(dtype, **_):
    """GFLOP/s of a linear layer at its best shape: the median of several runs."""
    import torch
    best, dtype = 0, getattr(torch, dtype)
    for rows, inner, columns in GEMM:
        x, weight = torch.ones(rows, inner, dtype=dtype), torch.ones(columns, inner, dtype=dtype)
        times = []
        for _ in range(8):
            start = time.perf_counter()
            for _ in range(4):
                torch.nn.functional.linear(x, weight)
            times.append((time.perf_counter() - start) / 4)
        best = max(best, 2e-9 * rows * inner * columns / statistics.median(times[2:]))
    return {'GFLOP/s': best}


WORK = {f.__name__: f for f in (
    versions, gemm, peer_tasks.step, peer_tasks.classify, peer_tasks.tag, peer_tasks.squad,
    peer_tasks.answer, peer_vectors.embed, peer_vectors.export, peer_vectors.onnx_embed,
    peer_vectors.onnx_classify)}


def main(argv=None):
    args = parse_args(argv)
    threads = int(os.environ.get('OMP_NUM_THREADS', 0))
    if threads and args.work not in ('versions', 'onnx_embed', 'onnx_classify'):
        import torch
        torch.set_num_threads(threads)
        torch.manual_seed(args.seed)    # the head's weights; Trainer sets its own
    print(json.dumps(WORK[args.work](**vars(args))))


if __name__ == '__main__':
    main()
