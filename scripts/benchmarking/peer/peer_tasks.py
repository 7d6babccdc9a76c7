"""Fine-tuning and pre-training steps, taggers, classifiers and question answering in PyTorch.

Each function takes the flags that it needs by name, and ignores the others.
"""
import itertools
import json
import statistics
import time

from peer_models import autocast, fit, load, read_table
from peer_scores import answer_scores, best_span, class_scores, entity_scores


def step(model, task, batch_size, length, masked, steps, warmup, dtype, **_):
    """Training steps on rows of full length."""
    import torch
    import transformers
    if task == 'pretraining':
        net = transformers.BertForPreTraining(transformers.BertConfig.from_pretrained(model))
    else:
        net = load('SequenceClassification', model, num_labels=2)
    net.train()
    optimizer = torch.optim.AdamW(net.parameters(), 2e-5, weight_decay=0.01, fused=True)
    shape, times = (batch_size, length), []
    for _ in range(steps):
        start = time.perf_counter()
        ids = torch.randint(5, net.config.vocab_size, shape)
        classes = torch.randint(0, 2, shape[:1])
        labels = {'labels': classes}
        if task == 'pretraining':
            places = torch.rand(shape).argsort(1) < masked
            labels = {'labels': torch.where(places, ids, -100), 'next_sentence_label': classes}
        with autocast(dtype):
            loss = net(ids, attention_mask=torch.ones_like(ids), **labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
        times.append(time.perf_counter() - start)
    rate = batch_size / statistics.mean(times[warmup:])
    return {'examples/s': rate, 'tokens/s': rate * length}


def classify(model, train, dev, length, **recipe):
    """Fine-tune a classifier of sentence pairs with Trainer, and score the dev set."""
    from transformers import AutoTokenizer, DataCollatorWithPadding
    tok = AutoTokenizer.from_pretrained(model)

    def encode(path):
        rows = read_table(path)
        codes = tok([row['sentence1'] for row in rows], [row['sentence2'] for row in rows],
                    truncation=True, max_length=length)
        return [{'label': int(row['label']), **{name: values[i] for name, values in codes.items()}}
                for i, row in enumerate(rows)]

    rows = encode(dev)
    figures, logits = fit(load('SequenceClassification', model, num_labels=2), encode(train),
                          DataCollatorWithPadding(tok), rows, **recipe)
    return dict(figures, **class_scores([row['label'] for row in rows], logits.argmax(-1)))


def tag(model, train, dev, length, **recipe):
    """Fine-tune a tagger with Trainer on CoNLL columns, and tag the dev set."""
    from transformers import AutoTokenizer, DataCollatorForTokenClassification
    tok = AutoTokenizer.from_pretrained(model)

    def read(path):
        with open(path, encoding='utf-8') as f:
            lines = [line.split() for line in f]
        return [list(rows) for words, rows in itertools.groupby(lines, bool) if words]

    sets = [read(train), read(dev)]
    names = sorted({word[-1] for rows in sets for row in rows for word in row})

    def encode(row):
        code = tok([word[0] for word in row], is_split_into_words=True, truncation=True,
                   max_length=length)
        before, labels = None, []
        for word in code.word_ids():    # the first piece of a word has its tag
            labels.append(-100 if word is None or word == before else names.index(row[word][-1]))
            before = word
        return {'input_ids': code['input_ids'], 'attention_mask': code['attention_mask'],
                'labels': labels}

    train, dev = ([encode(row) for row in rows] for rows in sets)
    figures, logits = fit(load('TokenClassification', model, num_labels=len(names)), train,
                          DataCollatorForTokenClassification(tok), dev, **recipe)
    pairs = [[(names[gold], names[guess]) for gold, guess in zip(row['labels'], guesses)
              if gold != -100] for row, guesses in zip(dev, logits.argmax(-1))]
    return dict(figures, **entity_scores(pairs))


def windows(tok, path, length, pad):
    """Windows over the passages of a SQuAD file, as Transformers' run_qa.py makes them.

    Returns (rows, [(question, passage, offsets, places of the passage)] of each row).
    """
    with open(path, encoding='utf-8') as f:
        asked = [(paragraph['context'], q) for article in json.load(f)['data']
                 for paragraph in article['paragraphs'] for q in paragraph['qas']]
    codes = tok([q['question'] for _, q in asked], [context for context, _ in asked],
                truncation='only_second', max_length=length, stride=128,
                return_overflowing_tokens=True, return_offsets_mapping=True,
                padding='max_length' if pad else False)
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
        where.append((asked[source][1], asked[source][0], offsets, inside))
    return rows, where


def squad(model, train, dev, length, pad, **recipe):
    """Fine-tune for question answering with Trainer, and score the answers to the dev set."""
    from transformers import AutoTokenizer, DataCollatorWithPadding
    tok = AutoTokenizer.from_pretrained(model)
    rows, _ = windows(tok, train, length, pad)
    dev, where = windows(tok, dev, length, pad) if dev else (None, ())
    figures, logits = fit(load('QuestionAnswering', model), rows, DataCollatorWithPadding(tok), dev,
                          **recipe)
    if not dev:
        return figures
    asked = {q['id']: [answer['text'] for answer in q['answers']] for q, *_ in where}
    best, answers = {}, {}
    for (question, context, offsets, inside), begins, ends in zip(where, *logits):
        found = best_span(begins, ends, inside)
        if found and found > best.get(question['id'], ()):
            best[question['id']] = found
            answers[question['id']] = context[offsets[found[1]][0]:offsets[found[2]][1]]
    return dict(figures, **answer_scores(asked, answers))


def answer(model, dev, length, batch_size, dtype, by_length, pad, **_):
    """Answer questions: the best span of 30 tokens or fewer among the 20 best starts and ends."""
    import torch
    from transformers import AutoTokenizer
    tok = AutoTokenizer.from_pretrained(model)
    rows, where = windows(tok, dev, length, pad)
    net = load('QuestionAnswering', model).eval()
    order, texts = range(len(rows)), {}
    if by_length:
        order = sorted(order, key=lambda i: -len(rows[i]['input_ids']))
    start = time.perf_counter()
    for at in range(0, len(rows), batch_size):
        part = order[at:at + batch_size]
        batch = tok.pad([{name: rows[i][name] for name in (
            'input_ids', 'attention_mask', 'token_type_ids')} for i in part], return_tensors='pt')
        with torch.inference_mode(), autocast(dtype):
            logits = net(**batch)
        for i, begins, ends in zip(part, logits.start_logits.float().numpy(),
                                   logits.end_logits.float().numpy()):
            _, context, offsets, inside = where[i]
            found = best_span(begins, ends, inside)
            if found:
                texts[i] = context[offsets[found[1]][0]:offsets[found[2]][1]]
    return {'examples/s': len(rows) / (time.perf_counter() - start), 'answers': len(texts)}
