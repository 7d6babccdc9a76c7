"""Writing a folder that SentenceTransformer loads, by the library's documented layout."""
import os
from typing import Optional

from ..text.tokenizer import WordPiece
from ..utils.errors import DataError
from ..utils.files import make_folder, read_json, write_json
from . import result_folder
from .names import to_huggingface
from .sentence_modules import LIST, MODES, Dense, SentenceModules, root
from .source import ModelSource
from .weights import write_safetensors

__all__ = ['save']


def save(folder: str, source: ModelSource, modules: SentenceModules,
         max_length: Optional[int] = None) -> None:
    """Write the model of ``source`` and ``modules`` to ``folder``.

    ``max_length`` is the number of tokens, special ones included, at which sentence-transformers
    truncates texts; None takes that of a source in its format, else the number of positions.

    Raises DataError if ``folder`` contains a model, or the vocabulary is a SentencePiece model.
    """
    if any(os.path.exists(os.path.join(folder, name)) for name in (LIST, 'config.json')):
        raise DataError(f'--save_model {folder}: already contains a model; name another folder')
    config, tok, arrays, _, origin = result_folder.load(source)
    if not isinstance(tok, WordPiece):
        raise DataError(f'--save_model: the vocabulary of {source.name} is a SentencePiece model, '
                        'which a BERT of Transformers cannot have')
    for name, key in (('sentence_bert_config.json', 'max_seq_length'),
                      ('tokenizer_config.json', 'model_max_length')):
        settings = os.path.join(origin, name)
        if root(origin) and os.path.isfile(settings):
            max_length = max_length or read_json(settings, dict).get(key)
    max_length = min(max_length or config.max_position_embeddings, config.max_position_embeddings)
    make_folder(folder, '--save_model')
    theirs, _ = to_huggingface({name: array for name, array in arrays.items()
                                if name.startswith('bert.')
                                and not name.startswith(('bert.decoder.', 'bert.classifier.'))})
    write_safetensors(os.path.join(folder, 'model.safetensors'),    # as a bare BertModel
                      {name[len('bert.'):]: array for name, array in theirs.items()})
    other = {key: value for key, value in config.other.items()
             if key not in ('dtype', 'torch_dtype')}
    write_json(os.path.join(folder, 'config.json'), config.replace(
        architectures=('BertModel',), labels=None, problem_type=None, settings={},
        other=other).to_dict())
    tok.save(folder, max_length)
    write_json(os.path.join(folder, 'sentence_bert_config.json'),
               {'max_seq_length': max_length, 'do_lower_case': modules.lower})
    write_json(os.path.join(folder, 'config_sentence_transformers.json'),
               {'prompts': {'default': modules.prompt} if modules.prompt else {},
                'default_prompt_name': 'default' if modules.prompt else None,
                'similarity_fn_name': modules.similarity})
    listed = [('Transformer', ''), ('Pooling', '1_Pooling')]
    write_json(os.path.join(make_folder(os.path.join(folder, '1_Pooling'), '--save_model'),
                            'config.json'),
               dict({'word_embedding_dimension': config.hidden_size},
                    **{key: name == modules.pooling for name, key in MODES.items()},
                    pooling_mode_mean_sqrt_len_tokens=False))
    for number, step in enumerate(modules.steps, 2):
        kind = 'Dense' if isinstance(step, Dense) else 'Normalize'
        listed.append((kind, f'{number}_{kind}'))
        place = make_folder(os.path.join(folder, listed[-1][1]), '--save_model')
        if isinstance(step, Dense):
            _write_dense(place, step)
    write_json(os.path.join(folder, LIST), [
        {'idx': i, 'name': str(i), 'path': path, 'type': 'sentence_transformers.models.' + kind}
        for i, (kind, path) in enumerate(listed)])


def _write_dense(folder, dense):
    where = 'linear' if dense.activation == 'Identity' else 'activation'
    write_json(os.path.join(folder, 'config.json'), {
        'in_features': dense.weight.shape[1], 'out_features': dense.weight.shape[0], 'bias': True,
        'activation_function': f'torch.nn.modules.{where}.{dense.activation}'})
    write_safetensors(os.path.join(folder, 'model.safetensors'),
                      {'linear.weight': dense.weight, 'linear.bias': dense.bias})
