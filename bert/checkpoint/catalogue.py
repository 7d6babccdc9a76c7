"""The pre-trained models that are known by name, and the hashes of their published files."""
import difflib
import re
from typing import List, NamedTuple, Optional, Tuple

from ..model.config import BertConfig
from ..utils.errors import DataError

__all__ = ['CATALOGUE', 'DEFAULT', 'MODELS', 'PublishedModel', 'datasets', 'find']

DEFAULT = 'bert_12_768_12'      # the model where none is named


class PublishedModel(NamedTuple):
    """A set of weights that GluonNLP published.

    ``hub`` names the Hugging Face repository with the same weights, or is None; ``lacks`` names
    the heads that GluonNLP's file lacks: 'decoder' (masked LM), 'classifier' (next sentence).
    """

    model: str
    dataset: str
    weights_sha1: str
    vocab_sha1: str
    hub: Optional[str]
    lacks: Tuple[str, ...]

    @property
    def cased(self) -> bool:
        return not self.dataset.endswith('_uncased')

    @property
    def weights_file(self) -> str:
        return f'{self.model}_{self.dataset}-{self.weights_sha1[:8]}.params'

    @property
    def vocab_file(self) -> str:
        return f'{self.dataset}-{self.vocab_sha1[:8]}.vocab'


def _sizes(layers, units, heads):
    return BertConfig(hidden_size=units, num_hidden_layers=layers, num_attention_heads=heads,
                      intermediate_size=4 * units)


MODELS = {'bert_12_768_12': _sizes(12, 768, 12), 'bert_24_1024_16': _sizes(24, 1024, 16)}

# SHA-1 of the files in the Gluon repository, as published with GluonNLP 0.10
_EN_UNCASED, _EN_CASED = ('a66073971aa0b1a262453fe51342e57166a8abcf',
                          '2d62af22535ed51f35cc8e2abb607723c89c2636')
_BASE_UNCASED, _BASE_CASED = ('80ef760a6bdafec68c99b691c94ebbb918c90d02',
                              'a4ff6fe1f85ba95f3010742b9abc3a818976bb2c')
_HEADLESS = ('decoder', 'classifier')
CATALOGUE = [PublishedModel(*row) for row in (
    ('bert_12_768_12', 'book_corpus_wiki_en_uncased', '75cc780f085e8007b3bf6769c6348bb1ff9a3074',
     _EN_UNCASED, 'google-bert/bert-base-uncased', ()),
    ('bert_12_768_12', 'book_corpus_wiki_en_cased', '5656dac6965b5054147b0375337d5a6a7a2ff832',
     _EN_CASED, 'google-bert/bert-base-cased', ()),
    ('bert_12_768_12', 'wiki_multilingual_uncased', '237f39851b24f0b56d70aa20efd50095e3926e26',
     '2b2514cc539047b9179e9d98a4e68c36db05c97a', 'google-bert/bert-base-multilingual-uncased', ()),
    ('bert_12_768_12', 'wiki_multilingual_cased', 'b0f57a207f85a7d361bb79de80756a8c9a4276f7',
     '0247cb442074237c38c62021f36b7a4dbd2e55f7', 'google-bert/bert-base-multilingual-cased', ()),
    ('bert_12_768_12', 'wiki_cn_cased', '885ebb9adc249a170c5576e90e88cfd1bbd98da6',
     'ddebd8f3867bca5a61023f73326fb125cf12b4f5', 'google-bert/bert-base-chinese', ()),
    ('bert_12_768_12', 'scibert_scivocab_uncased', '6c82d963fc8fa79c35dd6cb3e1725d1e5b6aa7d7',
     '2d2566bfc416790ab2646ab0ada36ba628628d60', 'allenai/scibert_scivocab_uncased', ()),
    ('bert_12_768_12', 'scibert_scivocab_cased', 'adf9c81e72ac286a37b9002da8df9e50a753d98b',
     '2c714475b521ab8542cb65e46259f6bfeed8041b', 'allenai/scibert_scivocab_cased', ()),
    ('bert_12_768_12', 'scibert_basevocab_uncased', '75acea8e8386890120533d6c0032b0b3fcb2d536',
     _BASE_UNCASED, None, ()),
    ('bert_12_768_12', 'scibert_basevocab_cased', '8e86e5de55d6dae99123312cd8cdd8183a75e057',
     _BASE_CASED, None, ()),
    ('bert_12_768_12', 'biobert_v1.0_pmc_cased', 'a07780385add682f609772e81ec64aca77c9fb05',
     _BASE_CASED, None, _HEADLESS),
    ('bert_12_768_12', 'biobert_v1.0_pubmed_cased', '280ad1cc487db90489f86189e045e915b35e7489',
     _BASE_CASED, None, _HEADLESS),
    ('bert_12_768_12', 'biobert_v1.0_pubmed_pmc_cased', '8a8c75441f028a6b928b11466f3d30f4360dfff5',
     _BASE_CASED, 'monologg/biobert_v1.0_pubmed_pmc', _HEADLESS),
    ('bert_12_768_12', 'biobert_v1.1_pubmed_cased', '55f15c5d23829f6ee87622b68711b15fef50e55b',
     _BASE_CASED, 'dmis-lab/biobert-base-cased-v1.1', _HEADLESS),
    ('bert_12_768_12', 'clinicalbert_uncased', '60281c98ba3572dfdaac75131fa96e2136d70d5c',
     _BASE_UNCASED, None, ('decoder',)),
    ('bert_24_1024_16', 'book_corpus_wiki_en_uncased', '24551e1446180e045019a87fc4ffbf714d99c0b5',
     _EN_UNCASED, 'google-bert/bert-large-uncased', ()),
    ('bert_24_1024_16', 'book_corpus_wiki_en_cased', '4e685a966f8bf07d533bd6b0e06c04136f23f620',
     _EN_CASED, 'google-bert/bert-large-cased', ()),
)]


def datasets(model: str) -> List[str]:
    """The names of the data sets that ``model`` was pre-trained on, the default one first."""
    return [published.dataset for published in CATALOGUE if published.model == model]


def find(model: str, dataset: Optional[str] = None) -> PublishedModel:
    """The catalogue's entry for a model and a data set, the model's first one by default.

    The casing may be left out where only one is published: ``clinicalbert``.
    """
    known = datasets(model)
    if not known:
        raise _unknown('model', model, sorted(MODELS) + ['sample'],
                       ', a folder, or a hub repository as "organization/name"')
    names = [name for name in known if re.sub('_(un)?cased$', '', name) == dataset]
    dataset = names[0] if len(names) == 1 else dataset or known[0]
    if dataset not in known:
        raise _unknown('data set', dataset, known, f' (for {model})')
    return next(published for published in CATALOGUE
                if (published.model, published.dataset) == (model, dataset))


def _unknown(kind, name, known, others):
    known = difflib.get_close_matches(name, known, 1, 0.3) + known
    return DataError(f'{kind} "{name}" is not known; the closest first: '
                     f"{', '.join(dict.fromkeys(known))}{others}")
