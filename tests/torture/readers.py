"""The readers of the toolkit, each with a good input, its damage and a check of what it accepts."""
import importlib
import json
import math
import os
import re
import shutil
import types
from pathlib import Path

import damage
import numpy as np

import bert  # noqa: F401  (the numpy aliases, before anything imports MXNet)

ROOT = Path(__file__).resolve().parents[2]
TINY, SAMPLE = ROOT / 'tests/data/tiny_bert', ROOT / 'bert/sample'


class Nonsense(Exception):
    """What a reader accepted but should have refused."""


class Reader:
    """Reads one kind of input; ``folder`` is where its good files lie.

    ``file`` is the one that is damaged, ``damage(draw, content)`` returns other bytes.  ``read``
    takes the folder with the damaged file; it raises :class:`Nonsense` for what should be refused.
    """

    file, damage = None, None

    def make(self, folder):
        """Write the good files."""
        shutil.copyfile(self.source, folder / self.file)

    def spoil(self, draw, folder):
        """Damage the file."""
        path = folder / self.file
        path.write_bytes(type(self).damage(draw, path.read_bytes()))

    def read(self, folder):
        """Read the file as the programs do."""
        raise NotImplementedError


class Config(Reader):
    file, damage = 'config.json', damage.values

    def make(self, folder):
        config = json.loads((TINY / 'config.json').read_text(encoding='utf-8'))
        config.update(id2label={'0': 'no', '1': 'yes'}, label2id={'no': 0, 'yes': 1},
                      architectures=['BertForSequenceClassification'], gluon_bert={
                          'task': 'custom', 'pair': False, 'max_len': 128})
        (folder / self.file).write_text(json.dumps(config), encoding='utf-8')

    def read(self, folder):
        from bert.checkpoint.source import read_settings
        from bert.model.config import BertConfig
        from bert.utils.files import read_json
        path = str(folder / self.file)
        config = BertConfig.from_dict(read_json(path), path)
        read_settings(str(folder), 'custom', ['max_len'])
        again = BertConfig.from_dict(json.loads(json.dumps(config.to_dict())))
        numbers = [value for value in vars(config).values() if isinstance(value, (int, float))]
        if not all(math.isfinite(value) and value >= 0 for value in numbers):
            raise Nonsense(f'sizes {numbers}')
        if config.labels != again.labels:
            raise Nonsense(f'labels {config.labels}')


class Vocabulary(Reader):
    """A folder with a vocabulary, of which one file is damaged."""

    def make(self, folder):
        for name in ('vocab.txt', 'tokenizer_config.json'):
            shutil.copyfile(TINY / name, folder / name)

    def read(self, folder):
        from bert.text import tokenizer
        tok = tokenizer.load(str(folder))
        ids = tok.ids('The caf\u00e9, no. 1: un\u2028happy \U0001f600 \u5317')
        tok.save(str(folder))
        if not all(0 <= i < len(tok) for i in ids):
            raise Nonsense(f'ids {ids} of {len(tok)} tokens')


class VocabTxt(Vocabulary):
    file, damage = 'vocab.txt', damage.lines


class TokenizerConfig(Vocabulary):
    file, damage = 'tokenizer_config.json', damage.values


class TokenizerJson(Vocabulary):
    file, damage = 'tokenizer.json', damage.values

    def make(self, folder):
        from bert.text import tokenizer
        from export import tokenizer_json
        tok = tokenizer.load(str(TINY))
        tok.save(str(folder))
        tokenizer_json.write(str(folder), tok)
        for name in ('vocab.txt', 'tokenizer_config.json'):
            os.remove(folder / name)


class AddedTokens(Vocabulary):
    """Tokens beyond those of vocab.txt, as three files write them."""

    def make(self, folder):
        super().make(folder)
        ids = {'[NEW]': 8, 'Caf\u00e9': 9}
        size = (folder / 'vocab.txt').read_text(encoding='utf-8').count('\n') - 8
        tokens = [{'content': token, 'id': i + size, 'normalized': i == 9, 'single_word': False,
                   'lstrip': False, 'rstrip': False, 'special': i == 8}
                  for token, i in ids.items()]
        content = {
            'added_tokens.json': {token['content']: token['id'] for token in tokens},
            'tokenizer_config.json': {'do_lower_case': True, 'added_tokens_decoder': {
                str(token['id']): token for token in tokens}},
            'tokenizer.json': {'added_tokens': tokens, 'normalizer': {
                'type': 'BertNormalizer', 'lowercase': True}}}[self.file]
        (folder / self.file).write_text(json.dumps(content), encoding='utf-8')


class AddedPlain(AddedTokens):
    file, damage = 'added_tokens.json', damage.values


class AddedDecoder(AddedTokens):
    file, damage = 'tokenizer_config.json', damage.values


class AddedListed(AddedTokens):
    file, damage = 'tokenizer.json', damage.values


class GluonVocabulary(Vocabulary):
    file, damage = 'x.vocab', damage.values

    def make(self, folder):
        tokens = (TINY / 'vocab.txt').read_text(encoding='utf-8').split('\n')[:-1]
        (folder / self.file).write_text(json.dumps({
            'idx_to_token': tokens, 'token_to_idx': {token: i for i, token in enumerate(tokens)}}),
            encoding='utf-8')


class Pieces(Vocabulary):
    file, damage = 'spm.model', damage.binary

    def make(self, folder):
        import sentencepiece
        sentencepiece.SentencePieceTrainer.train(
            input=str(ROOT / 'sample_text.txt'), model_prefix=str(folder / 'spm'), vocab_size=200,
            hard_vocab_limit=False, minloglevel=2)
        os.remove(folder / 'spm.vocab')


class Weights(Reader):
    """A model folder whose weights are damaged."""

    def make(self, folder):
        for name in ('vocab.txt', 'tokenizer_config.json', 'config.json', 'model.safetensors'):
            shutil.copyfile(TINY / name, folder / name)

    def read(self, folder):
        from bert.checkpoint import integrity, result_folder
        from bert.checkpoint.source import ModelSource
        from bert.model.heads import Classifier
        from bert.model.parameters import initialize, load_parameters
        if self.file.endswith('.params'):
            integrity.check_params(str(folder / self.file))
        model = result_folder.load(ModelSource(str(folder), offline=True))
        integrity.check_finite(str(folder / self.file), model.arrays)
        net = Classifier(model.config, 2, 0.0)
        initialize(net, model.config)
        load_parameters(net, model.arrays, model.source, ('classifier.', 'bert.pooler.'))


class Safetensors(Weights):
    file, damage = 'model.safetensors', damage.safetensors


class Params(Weights):
    file = 'model.params'

    def make(self, folder):
        from bert.checkpoint.weights import read_weights, write_params
        super().make(folder)
        write_params(str(folder / self.file), read_weights(str(folder / 'model.safetensors')))
        os.remove(folder / 'model.safetensors')

    def spoil(self, draw, folder):
        _spoil_params(draw, folder / self.file)


class Index(Weights):
    """Weights in several files."""

    file, damage = 'model.safetensors.index.json', damage.values

    def make(self, folder):
        from bert.checkpoint.weights import read_arrays, write_safetensors
        super().make(folder)
        names = {}
        for i, (name, array) in enumerate(
                read_arrays(str(folder / 'model.safetensors')).items()):
            names.setdefault(f'model-{i % 2}.safetensors', {})[name] = array
        for name, arrays in names.items():
            write_safetensors(str(folder / name), arrays)
        os.remove(folder / 'model.safetensors')
        (folder / self.file).write_text(json.dumps({'metadata': {'total_size': 1}, 'weight_map': {
            name: shard for shard, arrays in names.items() for name in arrays}}))


class Sentences(Weights):
    """A folder of sentence-transformers, of which one file is damaged."""

    damage = damage.values

    def make(self, folder):
        from safetensors.numpy import save_file
        super().make(folder)
        kinds = {'': 'Transformer', '1_Pooling': 'Pooling', '2_Dense': 'Dense',
                 '3_Normalize': 'Normalize'}
        for name in kinds:
            (folder / name).mkdir(exist_ok=True)
        files = {
            'modules.json': [
                {'idx': i, 'name': str(i), 'path': path,
                 'type': f'sentence_transformers.models.{kind}'}
                for i, (path, kind) in enumerate(kinds.items())],
            'sentence_bert_config.json': {'max_seq_length': 16, 'do_lower_case': True},
            '1_Pooling/config.json': {
                'word_embedding_dimension': 32, 'pooling_mode_cls_token': False,
                'pooling_mode_mean_tokens': True, 'pooling_mode_max_tokens': False},
            '2_Dense/config.json': {
                'in_features': 32, 'out_features': 8, 'bias': True,
                'activation_function': 'torch.nn.modules.activation.Tanh'}}
        for name, content in files.items():
            (folder / name).write_text(json.dumps(content))
        rng = np.random.default_rng(0)
        save_file({'linear.weight': rng.normal(size=(8, 32)).astype('float32'),
                   'linear.bias': np.zeros(8, 'float32')},
                  str(folder / '2_Dense/model.safetensors'))

    def read(self, folder):
        from bert.embedding import BertEmbedding
        embedding = BertEmbedding(model=str(folder), offline=True)
        for vector in embedding.sentences(['A text.', '']):
            if not np.isfinite(vector).all():
                raise Nonsense('a vector that is not finite')


class ModuleList(Sentences):
    file = 'modules.json'


class Lowering(Sentences):
    file = 'sentence_bert_config.json'


class PoolingModule(Sentences):
    file = '1_Pooling/config.json'


class DenseModule(Sentences):
    file = '2_Dense/config.json'


class DenseWeights(Sentences):
    file, damage = '2_Dense/model.safetensors', damage.safetensors


class SealedSafetensors(Weights):
    """Weights with a checksum: no damage must pass unless it hides the checksum."""

    file, damage = 'model.safetensors', damage.binary

    def make(self, folder):
        from bert.checkpoint.weights import read_arrays, write_safetensors
        super().make(folder)
        path = str(folder / self.file)
        write_safetensors(path, read_arrays(path))
        self._content = (folder / self.file).read_bytes()

    def read(self, folder):
        super().read(folder)
        content = (folder / self.file).read_bytes()
        if content != self._content and b'"gluon_bert_file_crc32":"' in content:
            raise Nonsense('its checksum is wrong')


class SealedParams(Params):
    """Weights with a checksum: damage must not pass."""

    def make(self, folder):
        from bert.checkpoint import integrity
        super().make(folder)
        path = folder / self.file
        if integrity.TRAILER not in path.read_bytes():
            integrity.append_checksum(str(path))
        self._content = path.read_bytes()

    def spoil(self, draw, folder):
        content = self._content
        if draw.random() < 0.1:         # cut where its structure is whole
            from bert.checkpoint import integrity
            content = content[:content.rindex(integrity.TRAILER)]
        else:
            content = damage.binary(draw, content)
        (folder / self.file).write_bytes(content)

    def read(self, folder):
        from bert.checkpoint import integrity
        content = (folder / self.file).read_bytes()
        super().read(folder)
        if content != self._content and (
                content[8:16] == integrity.MARK or integrity.TRAILER in content[-60:]):
            raise Nonsense('its checksum is wrong or missing')


def _spoil_params(draw, path, kinds=('bytes', 'arrays')):
    """Damage a file of weights: its bytes, arrays, or the state of the training (JSON)."""
    from bert.checkpoint import integrity
    from bert.checkpoint.weights import read_params, write_params
    content = path.read_bytes()
    kind = draw.choice(kinds)
    if kind == 'bytes':                 # a file of others has no checksum
        content = content.rpartition(integrity.TRAILER)[0] or content
        path.write_bytes(damage.binary(draw, content))
        return
    arrays = read_params(str(path))
    if kind == 'state':
        text = damage.values(draw, arrays['training.state'].tobytes()) or b' '
        arrays['training.state'] = np.frombuffer(text, np.uint8)
    else:
        arrays = damage.arrays(draw, arrays)
        arrays = {name: array if array.ndim and array.dtype in (
            'float32', 'float16', 'int32', 'int64', 'uint8') else array.astype('float32')
            for name, array in arrays.items()}
    write_params(str(path), arrays)


class Finetuning(Reader):
    """The folder of a stopped run, which continues."""

    arguments = {'lr': 0.1, 'seed': 0, 'task_name': 'sample', 'labels': None}

    def _run(self, folder, resume):
        import mxnet as mx

        from bert.checkpoint import result_folder
        from bert.checkpoint.source import ModelSource
        from bert.model.heads import Classifier
        from bert.model.parameters import initialize
        from bert.training import finetuning
        from bert.training.distributed import create
        from bert.training.runtime import Runtime
        from bert.training.settings import OutputSettings, Recipe
        loaded = result_folder.load(ModelSource(str(TINY)))
        runtime = Runtime(create('local', [mx.cpu()]), 'padded', 'float32')
        net = Classifier(loaded.config, 2, 0.0)
        initialize(net, loaded.config)
        model = finetuning.Model(net, None, loaded.config, loaded.tokenizer, runtime, None)
        return finetuning.Run(
            Recipe(epochs=2, batch_size=4, lr=0.1),
            OutputSettings(folder=str(folder), resume=resume, arguments=self.arguments), model,
            [[[0] * 5] * 12],
            finetuning.Description('classifier.1.', ('no', 'yes'), {'task': 'custom'}))

    def make(self, folder):
        import mxnet as mx
        with self._run(folder, False) as run:
            for epoch in run.epochs():
                for update in epoch:
                    run.update(update, lambda indices, device: mx.nd.zeros(1) * 0 + sum(
                        p.data().sum() for p in run._net.collect_params().values()))
                run.end_epoch({'dev': {'accuracy': 0.5}}, 0.5)
                break

    def read(self, folder):
        with self._run(folder, True) as run:
            for epoch in run.epochs():
                if not all(0 <= i < 12 for update in epoch for i in update):
                    raise Nonsense('examples that are not there')
                break


class Arguments(Finetuning):
    file, damage = 'arguments.json', damage.values


class Metrics(Finetuning):
    file, damage = 'metrics.jsonl', damage.values_in_lines


class Curves(Reader):
    file, damage = 'metrics.jsonl', damage.values_in_lines

    def make(self, folder):
        rows = [{'type': 'train', 'update': i, 'epoch': 1, 'loss': 1.0, 'lr': 0.1} for i in (1, 2)]
        rows.append({'type': 'dev', 'update': 2, 'epoch': 1, 'set': 'dev', 'accuracy': 0.5})
        (folder / self.file).write_text(''.join(json.dumps(row) + '\n' for row in rows))

    def read(self, folder):
        from bert.training import plot
        plot.training_curves(str(folder))


class Last(Finetuning):
    file = 'last.params'

    def spoil(self, draw, folder):
        _spoil_params(draw, folder / self.file, ('bytes', 'arrays', 'state', 'state'))


class Step(Reader):
    """The last checkpoint of a pre-training run."""

    file = 'step-0000001.params'

    def _open(self, folder, resume):
        import mxnet as mx

        from bert.model.config import BertConfig
        from bert.model.heads import Classifier
        from bert.model.parameters import initialize
        from bert.pretraining.checkpoints import Checkpoints
        from bert.pretraining.settings import CheckpointSettings
        from bert.training.distributed import create
        from bert.training.stepper import Stepper
        config = BertConfig(4, 1, 1, 4, vocab_size=8, max_position_embeddings=8)
        net = Classifier(config, 2, 0.0)
        initialize(net, config)
        comm = create('local', [mx.cpu()])
        stepper = Stepper(net, comm, lambda update: 0.1)
        settings = CheckpointSettings(str(folder), {'lr': 0.1}, resume=resume)
        return Checkpoints(settings, comm, net, stepper, 1, data=0), stepper

    def _stream(self, position):
        from bert.pretraining.sources import Synthetic
        from bert.pretraining.stream import Stream
        return Stream(Synthetic(8, 2, 8, 0), 100, 1, seed=0, position=position)

    def make(self, folder):
        checkpoints, stepper = self._open(folder, False)
        (folder / 'arguments.json').write_text('{"lr": 0.1}')
        with self._stream(None) as stream:
            checkpoints.position = next(iter(stream)).position
        stepper.update = 1
        checkpoints.save()

    def spoil(self, draw, folder):
        _spoil_params(draw, folder / self.file, ('bytes', 'arrays', 'state', 'state'))

    def read(self, folder):
        checkpoints, _ = self._open(folder, True)
        checkpoints.load()
        with self._stream(checkpoints.position) as stream:
            next(iter(stream))


class Shards(Reader):
    file, damage = 'part-000.npz', damage.shard

    def make(self, folder):
        (folder.parent / 'text.txt').write_text(''.join(
            f'word {i} and the next.\n' + '\n' * (i % 4 == 3) for i in range(40)))
        self._create(folder)

    def _create(self, folder, **options):
        from bert.pretraining import masking, shard_writer
        from bert.pretraining.shards import fingerprint
        from bert.text import tokenizer
        tok, text = tokenizer.load(str(TINY)), folder.parent / 'text.txt'
        job = shard_writer.Job([str(text)], tok, masking.Masking(tok, 16, 3), 1, 0, False, 1,
                               str(folder))
        shard_writer.create(job, {'vocabulary_sha1': fingerprint(tok)}, **options)

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


class Commas(Reader):
    """The classes and columns that flags name, separated by commas, beside a table."""

    given = []

    def make(self, folder):
        Csv().make(folder)

    def spoil(self, draw, folder):
        names = ('yes', 'no', 'sentence1', 'sentence2', 'label', '', ' yes ', 'YES', '1', '0',
                 '-1', '\u2028', '\0', '\udcff', 'x' * 5000, '"', '[', '\n', '9' * 5000)
        self.given = {flag: ','.join(draw.choice(names) for _ in range(draw.randrange(5)))
                      for flag in draw.sample(('--labels', '--text_columns', '--label_column'),
                                              draw.randrange(1, 4))}
        self.given = [f'{flag}={value}' for flag, value in self.given.items()] + draw.sample(
            ['--multi_label', '--no_header', '--regression'], draw.randrange(2))

    def read(self, folder):
        from scripts import finetune_classifier as program
        args = program.parse_args(['--train_file', str(folder / 'x.csv'), *self.given])
        task, examples = program.read_examples(args, None)
        if task.labels is not None and (len(set(task.labels)) < len(task.labels)
                                        or not all(task.labels)):
            raise Nonsense(f'labels {task.labels}')


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


class Flags(Reader):
    """The flags of all programs, with nonsensical values."""

    programs = {
        'scripts.finetune_classifier': ['--task_name', 'sample'], 'scripts.finetune_squad': [],
        'scripts.finetune_ner': ['--train_path', 'x'],
        'scripts.predict_ner': ['--model_parameters', 'x'],
        'scripts.run_pretraining': ['--data', 'x', '--ckpt_dir', 'x'],
        'scripts.run_pretraining_hvd': ['--data', 'x', '--ckpt_dir', 'x'],
        'scripts.create_pretraining_data': ['--input_file', 'x', '--output_dir', 'x'],
        'scripts.train_vocabulary': ['--input_file', 'x', '--output_dir', 'x'],
        'scripts.convert_checkpoint': ['x', 'y'], 'scripts.benchmark': [],
        'bert.embedding': ['--sentences', 'x'], 'export.export': ['--task', 'classification'],
        'scripts.launch': ['-n', '1', 'true']}

    def make(self, folder):
        """No file is needed."""

    def spoil(self, draw, folder):
        import contextlib
        import io
        name = draw.choice(sorted(self.programs))
        self._parse = importlib.import_module(name).parse_args
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
            self._parse(['--help'])
        flags = sorted(set(re.findall(r'--?\w+', re.sub(r'(?s)^.*?\n(?=\w+.*:\n)', '',
                                                         out.getvalue()))) - {'--help', '-h'})
        flags = [flag for flag in flags if flag.startswith('--')]
        value, flag = damage.flag(draw), draw.choice(flags)
        self.given = [f'{flag}={value}'] if draw.random() < 0.7 else [flag, value]
        self.given = (self.given + self.programs[name] if name == 'scripts.launch'
                      else self.programs[name] + self.given)

    def read(self, folder):
        args = self._parse(self.given)
        for name, value in vars(args).items():
            if isinstance(value, float) and not math.isfinite(value) or (
                    isinstance(value, int) and 'seed' not in name and abs(value) >= 2 ** 63):
                raise Nonsense(f'{name} {value}')


READERS = {
    'config.json': Config(), 'tokenizer_config.json': TokenizerConfig(), 'vocab.txt': VocabTxt(),
    'tokenizer.json': TokenizerJson(), '.vocab': GluonVocabulary(), 'spm.model': Pieces(),
    '.params': Params(), '.params, checksum': SealedParams(), '.safetensors': Safetensors(),
    'arguments.json': Arguments(), 'last.params': Last(), 'step-N.params': Step(),
    'metrics.jsonl': Metrics(), 'metrics.jsonl, plot': Curves(), 'shard .npz': Shards(),
    'pretraining_data.json': ShardsDescription(),
    'pretraining_data.json, resumed': ShardsResumed(), 'raw text': Text(), '.tsv': Tsv(),
    '.csv': Csv(), '.jsonl': JsonLines(), 'CoNLL': Conll(), 'SQuAD': Squad(),
    'lines of text': Texts(), 'flags': Flags(), 'added_tokens.json': AddedPlain(),
    'tokenizer_config.json, added': AddedDecoder(), 'tokenizer.json, added': AddedListed(),
    '.safetensors, index': Index(), '.safetensors, checksum': SealedSafetensors(),
    'modules.json': ModuleList(), 'sentence_bert_config.json': Lowering(),
    'Pooling': PoolingModule(), 'Dense': DenseModule(), 'Dense, weights': DenseWeights(),
    'tags': TagNames(), 'commas': Commas()}
