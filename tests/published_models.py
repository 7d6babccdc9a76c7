"""A published model that is made here, as the hub and as a Gluon repository serve it."""
import hashlib
import json
import zipfile

from bert.checkpoint import catalogue
from bert.model.config import BertConfig

CONFIG = {'model_type': 'bert', 'hidden_size': 4, 'num_hidden_layers': 1, 'vocab_size': 5,
          'num_attention_heads': 1, 'intermediate_size': 8}
PARSED = BertConfig.from_dict(CONFIG)
VOCAB = json.dumps({'token_to_idx': {'[UNK]': 0, '[PAD]': 1, 'a': 2}}).encode()
WEIGHTS = b'weights' * 20000
HUB = {'config.json': json.dumps(CONFIG).encode(), 'vocab.txt': b'[PAD]\n[UNK]\n',
       'tokenizer_config.json': b'{"do_lower_case": true}', 'model.safetensors': b'tensors' * 20000}
ROW = catalogue.PublishedModel('bert_12_768_12', 'book_corpus_wiki_en_uncased',
                    hashlib.sha1(WEIGHTS).hexdigest(), hashlib.sha1(VOCAB).hexdigest(), 'org/tiny',
                    ())


def zipped(tmp_path, name, body):
    path = tmp_path / 'made.zip'
    with zipfile.ZipFile(str(path), 'w', zipfile.ZIP_STORED) as z:
        z.writestr(name, body)
    return path.read_bytes()


def put_gluon(server, tmp_path, weights=WEIGHTS, vocab=VOCAB):
    """Make ``server`` a Gluon repository with the files of ``ROW``; their two paths."""
    paths = (f"gluon/models/{ROW.weights_file[:-len('.params')]}.zip",
             f"gluon/dataset/vocab/{ROW.vocab_file[:-len('.vocab')]}.zip")
    server.put(paths[0], zipped(tmp_path, ROW.weights_file, weights))
    server.put(paths[1], zipped(tmp_path, ROW.vocab_file, vocab))
    return paths


def lines(error):
    return str(error.value).splitlines()
