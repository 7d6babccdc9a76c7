"""Texts, tables, tags, questions and shards."""
import json
import shutil
import types

import damage
import numpy as np

from .base import ROOT, SAMPLE, TINY, Nonsense, Reader


class Shards(Reader):
    file, damage = 'part-000.npz', damage.shard

    def make(self, folder):
        (folder.parent / 'text.txt').write_text(''.join(
            f'word {i} and the next.\n' + '\n' * (i % 4 == 3) for i in range(40)))
        self._create(folder)

    def _create(self, folder, **options):
        from bert.pretraining import masking, shard_writer
        from bert.pretraining.shards import vocabulary_sha1
        from bert.text import tokenizer
        tok, text = tokenizer.load(str(TINY)), folder.parent / 'text.txt'
        job = shard_writer.ShardJob([str(text)], tok, masking.Masking(tok, 16, 3), 1, 0, False, 1,
                                    str(folder))
        shard_writer.create(job, {'vocabulary_sha1': vocabulary_sha1(tok)}, **options)

    def read(self, folder):
        from bert.pretraining.settings import DataSettings, VocabularySettings
        from bert.pretraining.sources import open_sources
        from bert.pretraining.stream import Stream
        from bert.text import tokenizer
        tok = tokenizer.load(str(TINY))
        data = DataSettings(files=(str(folder / 'part-*.npz'),))
        source, _ = open_sources(data, tok, VocabularySettings(), 0)
        with Stream(source, 4, 1) as stream:
            for batch in next(iter(stream)).batches():
                tokens = np.concatenate(batch.ids)
                if not 0 <= tokens.min() <= tokens.max() < len(tok):
                    raise Nonsense('ids beyond the vocabulary')
                if len(batch.masked) and not 0 <= batch.masked.max() < len(tokens):
                    raise Nonsense('masked positions beyond the tokens')


class ShardsDescription(Shards):
    file, damage = 'pretraining_data.json', damage.values


class ShardsResumed(ShardsDescription):
    """create_pretraining_data.py --resume"""

    def read(self, folder):
        self._create(folder, resume=True)


class Text(Reader):
    file, damage = 'text.txt', damage.lines

    def make(self, folder):
        rows = (ROOT / 'sample_text.txt').read_bytes().split(b'\n')[:300]
        (folder / self.file).write_bytes(b'\n'.join(rows) + b'\n')

    def read(self, folder):
        from bert.pretraining.settings import DataSettings, MaskingSettings, VocabularySettings
        from bert.pretraining.sources import open_sources
        from bert.pretraining.stream import Stream
        from bert.text import tokenizer
        tok = tokenizer.load(str(TINY))
        data = DataSettings(files=(str(folder / self.file),), raw=True,
                            masking=MaskingSettings(32, 5))
        source, _ = open_sources(data, tok, VocabularySettings(), 0)
        with Stream(source, 2, 1) as stream:
            next(iter(stream))


class Table(Reader):
    damage = damage.lines
    rows = [('sentence1', 'sentence2', 'label'), ('A film.', 'A "good" film', 'yes'),
            ('Bad', 'It, too', 'no'), ('caf\u00e9', '\u5317\u4eac', 'yes')]

    def make(self, folder):
        text = ''.join('\t'.join(row) + '\n' for row in self.rows)
        (folder / self.file).write_text(text, encoding='utf-8')

    def read(self, folder):
        from bert.data import features, tables
        from bert.text import tokenizer
        examples = tables.read_table(str(folder / self.file))
        labels = tables.find_labels(examples)
        features.featurize('train', tokenizer.load(str(TINY)), examples, labels, 16)
        if not all(example.label and isinstance(example.text_a, str) for example in examples):
            raise Nonsense('examples without a label or text')


class Tsv(Table):
    file = 'x.tsv'


class Csv(Table):
    file = 'x.csv'

    def make(self, folder):
        import csv
        with open(folder / self.file, 'w', newline='', encoding='utf-8') as f:
            csv.writer(f).writerows(self.rows)


class JsonLines(Table):
    file, damage = 'x.jsonl', damage.values_in_lines

    def make(self, folder):
        (folder / self.file).write_text(''.join(
            json.dumps(dict(zip(self.rows[0], row))) + '\n' for row in self.rows[1:]))


class Conll(Reader):
    file, damage, source = 'x.txt', damage.lines, SAMPLE / 'conll/test.txt'

    def read(self, folder):
        from bert.data import conll, tagging, tags
        from bert.text import tokenizer
        path = str(folder / self.file)
        sentences = conll.read(path)
        tagging.features(tokenizer.load(str(TINY)), [s.words for s in sentences], 24)
        if sentences[0].tags:
            tag_map = tagging.tag_map(path, sentences, tags.BIO2)
            tagging.find_labels([(sentences, tag_map)])


class Squad(Reader):
    file, damage = 'x.json', damage.values

    def make(self, folder):
        document = json.loads((SAMPLE / 'squad/dev-v2.0.json').read_text(encoding='utf-8'))
        document['data'] = document['data'][:2]
        (folder / self.file).write_text(json.dumps(document))

    def read(self, folder):
        from bert.data import squad, squad_features
        from bert.text import tokenizer
        tok = tokenizer.load(str(TINY))
        for train in (True, False):
            questions = squad.read(str(folder / self.file), train)
            for question in questions[:3]:
                squad_features.features(question, tok, 96)


class TagNames(Reader):
    """The tags of a trained tagger, beside those of a file."""

    file, damage, source = 'config.json', damage.values, TINY / 'config.json'

    def make(self, folder):
        config = json.loads((TINY / 'config.json').read_text(encoding='utf-8'))
        names = ['O', 'B-PER', 'I-PER', 'B-LOC', 'I-LOC', 'B-ORG', 'I-ORG', 'B-MISC', 'I-MISC']
        config['id2label'] = dict(enumerate(names))
        (folder / self.file).write_text(json.dumps(config))
        shutil.copyfile(SAMPLE / 'conll/test.txt', folder / 'x.txt')

    def read(self, folder):
        from bert.data import conll
        from bert.model.config import BertConfig
        from bert.utils.files import read_json
        from scripts import finetune_ner as program
        path, file = str(folder / self.file), str(folder / 'x.txt')
        config = BertConfig.from_dict(read_json(path), path)
        model = types.SimpleNamespace(config=config, arrays={}, source=path)
        args = program.parse_args(['--train_path', file, '--model_parameters', str(folder)])
        program.resolve_labels(args, {'train': file}, {'train': conll.read(file)}, model)


class Texts(Reader):
    """The lines that bert-embedding takes."""

    file, damage = 'x.txt', damage.lines

    def make(self, folder):
        (folder / self.file).write_text('A text.\nAnother one.\n')

    def read(self, folder):
        from bert.data.inputs import read_texts
        from bert.text import tokenizer
        tok = tokenizer.load(str(TINY))
        for text in read_texts(str(folder / self.file)):
            tok.ids(text)
