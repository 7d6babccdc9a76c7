"""What tests of training on SQuAD have in common: its data, flags of a small run, its answers."""
import json
import random

from bert.utils.files import read_json

SCRIPT = 'scripts/finetune_squad.py'
NOISE = ('the old river ran slowly past the town', 'in spring the market opened early',
         'a man sold bread and fish by the bridge',
         'they sang in the Caf\u00e9 \u5317\u4eac  at night')


def write_squad(path, split, seed, paragraphs):
    """A SQuAD 2.0 file: the answer is the one number of the passage; a third have none."""
    rng, entries = random.Random(seed), []
    for i in range(paragraphs):
        words = [rng.choice(NOISE) for _ in range(rng.randrange(2, 5))]
        number = str(rng.randrange(2, 99))
        if i % 3:
            words.insert(rng.randrange(len(words) + 1), f'it cost {number} crowns')
        context = '. '.join(words).capitalize() + '.'
        answers = [{'text': number, 'answer_start': context.index(number)}] if i % 3 else []
        entries.append({'context': context, 'qas': [{
            'id': f'{split}-{i}', 'question': 'How much did it cost?', 'answers': answers,
            'is_impossible': not answers}]})
    document = {'version': 'v2.0', 'data': [{'title': 't', 'paragraphs': entries}]}
    path.write_text(json.dumps(document), encoding='utf-8')


def flags(passages, out, *more):
    # passages of two windows and more
    return ['--bert_model', 'sample', '--version_2', '--train_file', str(passages / 'train.json'),
            '--dev_file', str(passages / 'dev.json'), '--output_dir', str(out), '--epochs', '4',
            '--batch_size', '8', '--lr', '1e-3', '--max_seq_length', '32', '--doc_stride', '12',
            '--max_query_length', '8', *more]


def answers(folder, name='predictions'):
    return read_json(str(folder / (name + '.json')))
