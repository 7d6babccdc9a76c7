"""The readers of the toolkit, each with a good input, its damage and a check of what it accepts."""
from .data import (
    Conll,
    Csv,
    JsonLines,
    Shards,
    ShardsDescription,
    ShardsResumed,
    Squad,
    TagNames,
    Text,
    Texts,
    Tsv,
)
from .flags import Commas, Flags
from .models import (
    AddedDecoder,
    AddedListed,
    AddedPlain,
    Config,
    DenseModule,
    DenseWeights,
    GluonVocabulary,
    Index,
    Lowering,
    ModuleList,
    Params,
    Pieces,
    PoolingModule,
    Safetensors,
    SealedParams,
    SealedSafetensors,
    TokenizerConfig,
    TokenizerJson,
    VocabTxt,
)
from .runs import Arguments, Curves, Last, Metrics, Step

__all__ = ['READERS']

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
