"""The catalogue of published models, beside GluonNLP's."""
import pytest

from bert.checkpoint.catalogue import CATALOGUE, MODELS, datasets, find


def test_the_catalogue_is_gluonnlps():
    pytest.importorskip('gluonnlp', reason='the published table is in gluonnlp')
    from gluonnlp.data.utils import _vocab_sha1
    from mxnet.gluon.model_zoo.model_store import _model_sha1
    for row in CATALOGUE:
        assert row.weights_sha1 == _model_sha1[f'{row.model}_{row.dataset}']
        assert row.vocab_sha1 == _vocab_sha1[row.dataset][0]
    from gluonnlp.model.bert import bert_hparams
    for name, sizes in MODELS.items():
        theirs = bert_hparams[name]
        assert sizes.num_hidden_layers == theirs['num_layers']
        assert sizes.hidden_size == theirs['units'] == theirs['embed_size']
        assert sizes.intermediate_size == theirs['hidden_size']
        assert sizes.num_attention_heads == theirs['num_heads']
        assert sizes.max_position_embeddings == theirs['max_length']
        assert sizes.type_vocab_size == theirs['token_type_vocab_size']
        assert sizes.hidden_dropout_prob == theirs['dropout']


def test_the_catalogue():
    assert datasets('bert_12_768_12') == [
        'book_corpus_wiki_en_uncased', 'book_corpus_wiki_en_cased', 'wiki_multilingual_uncased',
        'wiki_multilingual_cased', 'wiki_cn_cased', 'scibert_scivocab_uncased',
        'scibert_scivocab_cased', 'scibert_basevocab_uncased', 'scibert_basevocab_cased',
        'biobert_v1.0_pmc_cased', 'biobert_v1.0_pubmed_cased', 'biobert_v1.0_pubmed_pmc_cased',
        'biobert_v1.1_pubmed_cased', 'clinicalbert_uncased']
    assert datasets('bert_24_1024_16') == ['book_corpus_wiki_en_uncased',
                                           'book_corpus_wiki_en_cased']
    large = find('bert_24_1024_16', 'book_corpus_wiki_en_cased')
    assert large.weights_file == 'bert_24_1024_16_book_corpus_wiki_en_cased-4e685a96.params'
    assert large.vocab_file == 'book_corpus_wiki_en_cased-2d62af22.vocab'
    assert large.hub == 'google-bert/bert-large-cased' and large.cased
    assert not find('bert_12_768_12').cased and find('bert_12_768_12').lacks == ()
    assert find('bert_12_768_12', 'clinicalbert').lacks == ('decoder',)
    assert find('bert_12_768_12', 'wiki_cn').dataset == 'wiki_cn_cased'
    for name in ('v1.0_pmc', 'v1.0_pubmed', 'v1.0_pubmed_pmc', 'v1.1_pubmed'):
        biobert = find('bert_12_768_12', 'biobert_' + name)
        assert biobert.dataset == f'biobert_{name}_cased'
        assert biobert.lacks == ('decoder', 'classifier')
