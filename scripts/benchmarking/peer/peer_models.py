"""What the peers' work shares: models, precision, tables."""
import contextlib
import csv
import dataclasses
import time


def autocast(dtype):
    """A context in which matrix products run in ``dtype``."""
    import torch
    return (torch.autocast('cpu', dtype=torch.bfloat16) if dtype == 'bfloat16'
            else contextlib.nullcontext())


def load(head, model, **settings):
    """The model with a head, in float32 whatever its weights are stored in."""
    import transformers
    return getattr(transformers, 'BertFor' + head).from_pretrained(model, **settings).float()


def read_table(path):
    """Rows of a tab-separated file with a header: dicts."""
    with open(path, encoding='utf-8', newline='') as f:
        return list(csv.DictReader(f, delimiter='\t', quoting=csv.QUOTE_NONE))


def fit(model, rows, collate, dev=None, *, batch_size, dtype, by_length, output_dir, epochs, lr,
        warmup_ratio, epsilon, seed, **_):
    """Train with Trainer and predict ``dev``; (figures, predictions)."""
    from transformers import Trainer, TrainingArguments
    known = {field.name for field in dataclasses.fields(TrainingArguments)}
    settings = {'per_device_train_batch_size': batch_size, 'per_device_eval_batch_size': 32,
                'num_train_epochs': epochs, 'learning_rate': lr, 'weight_decay': 0.01,
                'adam_epsilon': epsilon, 'seed': seed, 'use_cpu': True,
                'bf16': dtype == 'bfloat16', 'save_strategy': 'no', 'report_to': [],
                'logging_steps': 10, 'disable_tqdm': True}
    # Transformers 5 takes a fraction for a number of steps
    settings['warmup_ratio' if 'warmup_ratio' in known else 'warmup_steps'] = warmup_ratio
    if by_length:
        settings.update({'train_sampling_strategy': 'group_by_length'}
                        if 'train_sampling_strategy' in known else {'group_by_length': True})
    trainer = Trainer(model, TrainingArguments(output_dir, **settings), train_dataset=rows,
                      data_collator=collate)
    start = time.perf_counter()
    trainer.train()
    figures = {'examples/s': epochs * len(rows) / (time.perf_counter() - start)}
    return figures, predict(trainer, dev, by_length) if dev else None


def predict(trainer, rows, by_length):
    """The logits of ``rows``, in their order: an array, or a tuple of them.

    With batches by length, the order of Trainer's own sampling is not known: sort them here.
    """
    import numpy as np
    order = np.arange(len(rows))
    if by_length:
        order = np.argsort([-len(row['input_ids']) for row in rows], kind='stable')
        trainer.args.train_sampling_strategy, trainer.args.group_by_length = 'random', False
    found, back = trainer.predict([rows[i] for i in order]).predictions, np.argsort(order)
    return tuple(part[back] for part in found) if isinstance(found, tuple) else found[back]
