"""The peers' half of benchmark.py: the same work in PyTorch, Transformers and ONNX Runtime.

    python scripts/benchmarking/peer.py step --model FOLDER --batch_size 32 --length 128 --steps 12

benchmark.py runs it with the interpreter that --peer_python names.  It needs nothing of this
project and prints its figures as a line of JSON: {unit: value}.
"""
import argparse
import contextlib
import csv
import dataclasses
import json
import os
import statistics
import time

PACKAGES = ('torch', 'transformers', 'sentence-transformers', 'onnxruntime', 'onnx')
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
    parser.add_argument('--by_length', action='store_true',
                        help='batches of like length in place of padding to --length')
    parser.add_argument('--output_dir', default='.', metavar='DIR')
    return parser.parse_args(argv)


def autocast(args):
    """Run matrix products in the precision asked for."""
    import torch
    return (torch.autocast('cpu', dtype=torch.bfloat16) if args.dtype == 'bfloat16'
            else contextlib.nullcontext())


def load(head, args, **settings):
    """The model with a head, in float32 whatever its weights are stored in."""
    import transformers
    return getattr(transformers, 'BertFor' + head).from_pretrained(args.model, **settings).float()


def read_table(path):
    """Rows of a tab-separated file with a header: dicts."""
    with open(path, encoding='utf-8', newline='') as f:
        return list(csv.DictReader(f, delimiter='\t', quoting=csv.QUOTE_NONE))


def versions(args):
    """{package: version, or None where it is missing}."""
    import platform
    from importlib import metadata
    found = {'python': platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def step(args):
    """Training steps on rows of full length."""
    import torch
    import transformers
    if args.task == 'pretraining':
        model = transformers.BertForPreTraining(transformers.BertConfig.from_pretrained(args.model))
    else:
        model = load('SequenceClassification', args, num_labels=2)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), 2e-5, weight_decay=0.01, fused=True)
    shape, times = (args.batch_size, args.length), []
    for _ in range(args.steps):
        start = time.perf_counter()
        ids = torch.randint(5, model.config.vocab_size, shape)
        classes = torch.randint(0, 2, shape[:1])
        labels = {'labels': classes}
        if args.task == 'pretraining':
            places = torch.rand(shape).argsort(1) < args.masked
            labels = {'labels': torch.where(places, ids, -100), 'next_sentence_label': classes}
        with autocast(args):
            loss = model(ids, attention_mask=torch.ones_like(ids), **labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
        times.append(time.perf_counter() - start)
    rate = args.batch_size / statistics.mean(times[args.warmup:])
    return {'examples/s': rate, 'tokens/s': rate * args.length}


def fit(args, model, rows, collate, dev=None):
    """Train for an epoch with Trainer, predict ``dev``; (figures, predictions)."""
    from transformers import Trainer, TrainingArguments
    settings = {'per_device_train_batch_size': args.batch_size, 'per_device_eval_batch_size': 32,
                'num_train_epochs': 1, 'learning_rate': 2e-5, 'weight_decay': 0.01, 'use_cpu': True,
                'bf16': args.dtype == 'bfloat16', 'save_strategy': 'no', 'report_to': [],
                'logging_steps': 10, 'disable_tqdm': True}
    if args.by_length:
        known = {field.name for field in dataclasses.fields(TrainingArguments)}
        settings.update({'train_sampling_strategy': 'group_by_length'}
                        if 'train_sampling_strategy' in known else {'group_by_length': True})
    trainer = Trainer(model, TrainingArguments(args.output_dir, **settings), train_dataset=rows,
                      data_collator=collate)
    start = time.perf_counter()
    trainer.train()
    figures = {'examples/s': len(rows) / (time.perf_counter() - start)}
    return figures, trainer.predict(dev).predictions if dev else None


def classify(args):
    """Fine-tune a classifier of sentence pairs with Trainer, and score the dev set."""
    from transformers import AutoTokenizer, DataCollatorWithPadding
    tok = AutoTokenizer.from_pretrained(args.model)

    def encode(path):
        rows = read_table(path)
        codes = tok([row['sentence1'] for row in rows], [row['sentence2'] for row in rows],
                    truncation=True, max_length=args.length)
        return [{'label': int(row['label']), **{name: values[i] for name, values in codes.items()}}
                for i, row in enumerate(rows)]

    train, dev = encode(args.train), encode(args.dev)
    model = load('SequenceClassification', args, num_labels=2)
    figures, scores = fit(args, model, train, DataCollatorWithPadding(tok), dev)
    right = sum(int(row['label'] == guess) for row, guess in zip(dev, scores.argmax(-1)))
    return dict(figures, accuracy=right / len(dev))


def tag(args):
    """Fine-tune a tagger with Trainer on CoNLL columns, and tag the dev set."""
    from transformers import AutoTokenizer, DataCollatorForTokenClassification
    tok = AutoTokenizer.from_pretrained(args.model)

    def read(path):
        with open(path, encoding='utf-8') as f:
            blocks = f.read().strip().split('\n\n')
        return [[line.split() for line in block.split('\n')] for block in blocks]

    sets = [read(args.train), read(args.dev)]
    names = sorted({word[-1] for rows in sets for row in rows for word in row})

    def encode(row):
        code = tok([word[0] for word in row], is_split_into_words=True, truncation=True,
                   max_length=args.length)
        before, labels = None, []
        for word in code.word_ids():    # the first piece of a word has its tag
            labels.append(-100 if word is None or word == before else names.index(row[word][-1]))
            before = word
        return {'input_ids': code['input_ids'], 'attention_mask': code['attention_mask'],
                'labels': labels}

    train, dev = ([encode(row) for row in rows] for rows in sets)
    model = load('TokenClassification', args, num_labels=len(names))
    figures, scores = fit(args, model, train, DataCollatorForTokenClassification(tok), dev)
    pairs = [(gold, guess) for row, guesses in zip(dev, scores.argmax(-1))
             for gold, guess in zip(row['labels'], guesses) if gold != -100]
    return dict(figures, accuracy=sum(gold == guess for gold, guess in pairs) / len(pairs))


def windows(args, tok, path):
    """Windows over the passages of a SQuAD file, as Transformers' run_qa.py makes them."""
    with open(path, encoding='utf-8') as f:
        asked = [(paragraph['context'], q) for article in json.load(f)['data']
                 for paragraph in article['paragraphs'] for q in paragraph['qas']]
    codes = tok([q['question'] for _, q in asked], [context for context, _ in asked],
                truncation='only_second', max_length=args.length, stride=128,
                return_overflowing_tokens=True, return_offsets_mapping=True,
                padding=False if args.by_length else 'max_length')
    rows, where = [], []
    for i, source in enumerate(codes['overflow_to_sample_mapping']):
        answer, offsets = asked[source][1]['answers'][0], codes['offset_mapping'][i]
        first, last = answer['answer_start'], answer['answer_start'] + len(answer['text'])
        inside = [k for k, part in enumerate(codes.sequence_ids(i)) if part == 1]
        start = end = 0                 # [CLS]: the answer is not in this window
        if offsets[inside[0]][0] <= first and last <= offsets[inside[-1]][1]:
            start = max(k for k in inside if offsets[k][0] <= first)
            end = min(k for k in inside if offsets[k][1] >= last)
        rows.append({name: codes[name][i]
                     for name in ('input_ids', 'attention_mask', 'token_type_ids')})
        rows[-1].update(start_positions=start, end_positions=end)
        where.append((asked[source][0], offsets, inside))
    return rows, where


def squad(args):
    """Fine-tune for question answering with Trainer."""
    from transformers import AutoTokenizer, DataCollatorWithPadding
    tok = AutoTokenizer.from_pretrained(args.model)
    rows, _ = windows(args, tok, args.train)
    model = load('QuestionAnswering', args)
    return fit(args, model, rows, DataCollatorWithPadding(tok))[0]


def answer(args):
    """Answer questions: the best span of 30 tokens or fewer among the 20 best starts and ends."""
    import numpy as np
    import torch
    from transformers import AutoTokenizer
    tok = AutoTokenizer.from_pretrained(args.model)
    rows, where = windows(args, tok, args.dev)
    model = load('QuestionAnswering', args).eval()
    order, texts = range(len(rows)), {}
    if args.by_length:
        order = sorted(order, key=lambda i: -len(rows[i]['input_ids']))
    start = time.perf_counter()
    for at in range(0, len(rows), args.batch_size):
        part = order[at:at + args.batch_size]
        batch = tok.pad([{name: rows[i][name] for name in (
            'input_ids', 'attention_mask', 'token_type_ids')} for i in part], return_tensors='pt')
        with torch.inference_mode(), autocast(args):
            scores = model(**batch)
        for i, begins, ends in zip(part, scores.start_logits.float().numpy(),
                                   scores.end_logits.float().numpy()):
            context, offsets, inside = where[i]
            good = set(inside)
            spans = [(begins[a] + ends[b], a, b) for a in np.argsort(begins)[-20:]
                     for b in np.argsort(ends)[-20:] if a in good and b in good and 0 <= b - a < 30]
            if spans:
                _, first, last = max(spans)
                texts[i] = context[offsets[first][0]:offsets[last][1]]
    return {'examples/s': len(rows) / (time.perf_counter() - start), 'answers': len(texts)}


def read_texts(path):
    with open(path, encoding='utf-8') as f:
        return [line.strip() for line in f]


def timed(encode, texts):
    """Texts a second, after a warm-up."""
    encode(texts[:64])
    start = time.perf_counter()
    count = len(encode(texts))
    return {'texts/s': count / (time.perf_counter() - start)}


def embed(args):
    """Vectors of tokens or sentences with sentence-transformers, as it sorts and pads them."""
    from sentence_transformers import SentenceTransformer
    model = SentenceTransformer(args.model, device='cpu')
    model = model.bfloat16() if args.dtype == 'bfloat16' else model.float()
    kind = {'tokens': 'token_embeddings', 'sentences': 'sentence_embedding'}[args.kind]
    return timed(lambda texts: model.encode(texts, batch_size=args.batch_size, output_value=kind,
                                            show_progress_bar=False), read_texts(args.train))


def export(args):
    """Write --model as ONNX, with PyTorch's exporter."""
    import torch
    from transformers import AutoModel
    model = AutoModel.from_pretrained(args.model, attn_implementation='eager').float().eval()

    class Encodings(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, ids, mask, segments):
            return self.model(ids, attention_mask=mask, token_type_ids=segments)[0]

    names = ['input_ids', 'attention_mask', 'token_type_ids']
    ids = torch.ones((2, 16), dtype=torch.int64)
    axes = {name: {0: 'batch', 1: 'length'} for name in [*names, 'encodings']}
    torch.onnx.export(Encodings(), (ids, ids, torch.zeros_like(ids)), args.onnx, input_names=names,
                      output_names=['encodings'], dynamic_axes=axes, opset_version=17,
                      dynamo=False)
    return {}


def onnx_embed(args):
    """Vectors of tokens or sentences with ONNX Runtime, sorted by length and padded by batch."""
    import numpy as np
    import onnxruntime
    from transformers import AutoTokenizer
    tok = AutoTokenizer.from_pretrained(args.model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get('OMP_NUM_THREADS', 0))
    session = onnxruntime.InferenceSession(args.onnx, options, ['CPUExecutionProvider'])
    kinds = {'tensor(float)': np.float32, 'tensor(int32)': np.int32, 'tensor(int64)': np.int64}
    first = session.get_outputs()[0].name

    def encode(texts):
        rows, out = tok(texts, truncation=True, max_length=512)['input_ids'], [None] * len(texts)
        order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))
        for at in range(0, len(rows), args.batch_size):
            part = order[at:at + args.batch_size]
            lengths = np.array([len(rows[i]) for i in part])
            ids = np.zeros((len(part), lengths.max()), np.int64)
            for row, i in zip(ids, part):
                row[:len(rows[i])] = rows[i]
            mask = np.arange(ids.shape[1]) < lengths[:, None]
            given = {'input_ids': ids, 'data0': ids, 'token_type_ids': ids * 0, 'data1': ids * 0,
                     'attention_mask': mask, 'data2': lengths}
            vectors, = session.run([first], {x.name: given[x.name].astype(kinds[x.type])
                                             for x in session.get_inputs()})
            if args.kind == 'sentences':
                vectors = (vectors * mask[..., None]).sum(1) / lengths[:, None]
            for i, vector in zip(part, vectors):
                out[i] = vector if args.kind == 'sentences' else vector[:len(rows[i])]
        return out

    return timed(encode, read_texts(args.train))


def gemm(args):
    """GFLOP/s of a linear layer at its best shape: medians over several goes."""
    import torch
    best, dtype = 0, getattr(torch, args.dtype)
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


WORK = {f.__name__: f for f in (versions, step, classify, tag, squad, answer, embed, export,
                                onnx_embed, gemm)}


def main(argv=None):
    args = parse_args(argv)
    threads = int(os.environ.get('OMP_NUM_THREADS', 0))
    if threads and args.work not in ('versions', 'onnx_embed'):
        import torch
        torch.set_num_threads(threads)
    print(json.dumps(WORK[args.work](args)))


if __name__ == '__main__':
    main()
