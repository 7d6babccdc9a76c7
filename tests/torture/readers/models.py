"""Model folders: configurations, vocabularies, weights, with and without a checksum."""
import json
import math
import os
import shutil

import damage
import numpy as np

from .base import ROOT, TINY, Nonsense, Reader
from .weights import spoil_params


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
        read_settings(str(folder), 'custom')
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
        spoil_params(draw, folder / self.file)


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
