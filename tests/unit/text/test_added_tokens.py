"""Added tokens are whole, other tokenizers are refused, and ``tokenizers`` gives the same ids."""
import json
import pickle
import random
import re

import pytest
from helpers import refused

from bert.text import tokenizer
from bert.text.added_tokens import AddedToken, AddedTokens
from bert.text.vocabulary import SPECIALS
from bert.utils.errors import DataError

WORDS = ['a', 'b', 'covid', '##s', 'x', '##x', 'new', 'york', '[', ']', 'mask', '_', '中', '文']
ADDED = [{'id': 19, 'content': 'COVID-19', 'normalized': True},
         {'id': 20, 'content': '<ent>', 'normalized': False, 'special': True},
         {'id': 21, 'content': 'New York', 'normalized': True, 'single_word': True},
         {'id': 22, 'content': 'COVID', 'normalized': True}]


def folder(path, settings=(), **files):
    path.mkdir(exist_ok=True)
    (path / 'vocab.txt').write_text(''.join(f'{t}\n' for t in [*SPECIALS, *WORDS]), 'utf-8')
    (path / 'tokenizer_config.json').write_text(json.dumps(dict(settings, do_lower_case=True)))
    for name, content in files.items():
        (path / f'{name}.json').write_text(json.dumps(content), 'utf-8')
    return str(path)


def pieces(tok, text):
    ids, starts, ends = tok.ids_and_offsets(text)
    assert ids == tok.ids(text)
    return [(token, text[start:end]) for token, start, end in zip(tok.tokens(ids), starts, ends)]


def test_special_tokens_are_whole(tmp_path):
    tok = tokenizer.load(folder(tmp_path))
    assert tok.tokenize('a[MASK]b [SEP] [mask] [MASK') == [
        'a', '[MASK]', 'b', '[SEP]', '[', 'mask', ']', '[', 'mask']
    assert pieces(tok, 'a [MASK]s') == [('a', 'a'), ('[MASK]', '[MASK]'), ('[UNK]', 's')]
    assert len(tok) == 19


@pytest.mark.parametrize('where', ['tokenizer', 'config', 'list'])
def test_added_tokens_are_whole(tmp_path, where):
    if where == 'tokenizer':
        path = folder(tmp_path, tokenizer={'added_tokens': ADDED})
    elif where == 'config':
        path = folder(tmp_path, {'added_tokens_decoder': {
            str(token['id']): {k: v for k, v in token.items() if k != 'id'} for token in ADDED}})
    else:
        path = folder(tmp_path, added_tokens={token['content']: token['id'] for token in ADDED})
    tok = tokenizer.load(path)
    assert len(tok) == 23 and tok.tokens([19, 20]) == ['COVID-19', '<ent>']
    assert pieces(tok, 'a Covid-19 covids,New\tYork\u0301<ent>x') == [
        ('a', 'a'), ('COVID-19', 'Covid-19'), ('COVID', 'covid'), ('[UNK]', 's'), ('[UNK]', ','),
        ('New York', 'New\tYork\u0301'), ('<ent>', '<ent>'), ('x', 'x')]
    if where != 'list':
        assert tok.tokenize('New Yorkx') == ['new', 'york', '##x']      # a single word only
        assert tok.tokenize('<ENT>') == ['[UNK]'] * 3
    tok.save(str(tmp_path / 'out'))
    again = tokenizer.load(str(tmp_path / 'out'))
    assert again.added.tokens == tok.added.tokens and again.identity() == tok.identity()
    assert pickle.loads(pickle.dumps(tok)).ids('a covid <ent>') == tok.ids('a covid <ent>')


def listed(tokens, text):
    """The (start, end, id) of some added tokens in a text, found by a list, the longest first."""
    ids = {token.content: token.id for token in tokens}
    pattern = '|'.join(
        (r'(?<!\w)%s(?!\w)' if token.single_word else '%s') % re.escape(token.content)
        for token in sorted(tokens, key=lambda token: len(token.content), reverse=True))
    return [(*match.span(), ids[match.group()]) for match in re.finditer(pattern, text)]


def test_the_longest_added_token_at_a_place_counts():
    draw = random.Random(2)

    def drawn(length):
        return ''.join(draw.choices('aaaabb.| _中', k=draw.randint(1, length)))

    for _ in range(100):
        tokens = [AddedToken(text, i, False, draw.random() < 0.5)
                  for i, text in enumerate({drawn(14) for _ in range(draw.randint(1, 60))})]
        text = drawn(200)
        found = AddedTokens(tokens, None).split(text, None)
        assert [part for part in found if part[2] is not None] == listed(tokens, text)


def test_added_tokens_that_begin_each_other():
    """Their tree is not so deep that Python cannot read it."""
    tokens = [AddedToken('a' * (i + 1), i) for i in range(400)]
    assert list(AddedTokens(tokens, None).split('b' + 'a' * 500, None)) == [
        (0, 1, None), (1, 401, 399), (401, 401, None), (401, 501, 99), (501, 501, None)]


def test_bad_added_tokens(tmp_path):
    for content, message in (({'x': 25}, 'but the ids of the tokens added to it are 25; take'),
                             ({'x': 'y'}, 'are not written as Transformers writes them'),
                             (['x'], 'are not written as Transformers writes them')):
        with pytest.raises(DataError, match=message):
            tokenizer.load(folder(tmp_path, added_tokens=content))


SETTINGS = {'lstrip': False, 'normalized': False, 'rstrip': False, 'single_word': False}


@pytest.mark.parametrize('name, content', [
    ('tokenizer_config', {'additional_special_tokens': ['new', '[NEW]']}),
    ('tokenizer_config', {'extra_special_tokens': ['new'], 'additional_special_tokens': ['x']}),
    ('tokenizer_config', {'extra_special_tokens': {'entity': 'new'}}),
    ('tokenizer_config', {'additional_special_tokens': [
        {'__type': 'AddedToken', 'content': 'new', **SETTINGS}]}),
    ('tokenizer_config', {'bos_token': 'new', 'cls_token': '[CLS]', 'add_bos_token': True}),
    ('special_tokens_map', {'additional_special_tokens': ['new']}),
    ('special_tokens_map', {'additional_special_tokens': [{'content': 'new', **SETTINGS}]}),
    ('special_tokens_map', {'entity_token': {'content': 'new', **SETTINGS}, 'mask_token': None})])
def test_special_tokens_that_are_only_named_are_whole(tmp_path, name, content):
    tok = tokenizer.load(folder(tmp_path, **{name: dict(content, do_lower_case=True)}))
    assert len(tok) == 19 and tok.tokenize('anewx New xx') == ['a', 'new', 'x', 'new', 'x', '##x']
    assert tok.tokenize('[NEW] aNew') == ['[', 'new', ']', '[UNK]']
    tok.save(str(tmp_path / 'out'))
    assert json.loads((tmp_path / 'out' / 'tokenizer_config.json').read_text())[
        'added_tokens_decoder'] == {'11': dict(SETTINGS, content='new', special=True)}
    assert tokenizer.load(str(tmp_path / 'out')).identity() == tok.identity()


def test_which_of_the_files_names_special_tokens(tmp_path):
    """As in Transformers 5.24."""
    def whole(config, special_tokens_map, **files):
        path = folder(tmp_path, config, special_tokens_map=special_tokens_map, **files)
        return [token for token in tokenizer.load(path).added.tokens
                if token.content not in SPECIALS]
    new, york = AddedToken('new', 11), AddedToken('york', 12)
    assert whole({}, {'additional_special_tokens': ['york', 'new']}) == [new, york]
    assert whole({'additional_special_tokens': ['new']},
                 {'additional_special_tokens': ['york']}) == [new]
    assert whole({'additional_special_tokens': ['new']},
                 {'extra_special_tokens': ['york']}) == [new, york]
    assert whole({'additional_special_tokens': ['new'], 'added_tokens_decoder': {}},
                 {'extra_special_tokens': ['york'], 'cls_token': 'x'}) == [new]
    # settings beside an id come first
    listed = {'added_tokens': [{'id': 11, 'content': 'new', 'normalized': True, 'special': True}]}
    assert whole({'bos_token': 'new'}, {}, tokenizer=listed) == [new._replace(normalized=True)]
    assert whole({'bos_token': 'new'}, {}, tokenizer={}, added_tokens={'new': 11, 'york': 12}) == [
        new, york._replace(normalized=True, special=False)]


def test_settings_of_berts_own_special_tokens_are_kept(tmp_path):
    mask = dict(SETTINGS, content='[MASK]', normalized=True)
    tok = tokenizer.load(folder(tmp_path, {'mask_token': mask}))
    assert tok.tokenize('a[mask]') == ['a', '[MASK]']
    tok.save(str(tmp_path / 'out'))
    assert tokenizer.load(str(tmp_path / 'out')).tokenize('a[mask]') == ['a', '[MASK]']


@pytest.mark.parametrize('name', ['tokenizer_config', 'special_tokens_map'])
@pytest.mark.parametrize('content, message', [
    ({'cls_token': 'a'}, 'its cls_token is a, not BERT\'s [CLS], and cannot be used here; take a '
                         "model with BERT's special tokens"),
    ({'pad_token': dict(SETTINGS, content='b')}, "its pad_token is b, not BERT's [PAD], and "
     "cannot be used here; take a model with BERT's special tokens"),
    ({'sep_token': 3}, 'its special tokens are not written as Transformers writes them; download '
                       'it again'),
    ({'additional_special_tokens': 'new'}, 'its special tokens are not written as Transformers '
                                           'writes them; download it again'),
    ({'extra_special_tokens': [{}]}, 'its special tokens are not written as Transformers writes '
                                     'them; download it again')])
def test_special_tokens_that_cannot_be_used_are_refused(tmp_path, name, content, message):
    path = folder(tmp_path, **{name: content})
    assert refused(tokenizer.load, path) == f'{path}/{name}.json: {message}'


@pytest.mark.parametrize('name, content, message', [
    ('tokenizer_config', {'tokenizer_class': 'BertJapaneseTokenizer'},
     'tokenizer_config.json: its tokenizer_class is BertJapaneseTokenizer, no WordPiece'),
    ('config', {'tokenizer_class': 'BertJapaneseTokenizer'}, '/config.json: its tokenizer_class'),
    ('tokenizer_config', {'word_tokenizer_type': 'mecab'}, 'its word_tokenizer_type is mecab'),
    ('tokenizer_config', {'do_basic_tokenize': False}, 'its do_basic_tokenize is False')])
def test_tokenizers_of_other_kinds_are_refused(tmp_path, name, content, message):
    path = folder(tmp_path, **{name: content})
    with pytest.raises(DataError, match=message):
        tokenizer.load(path)
    (tmp_path / f'{name}.json').write_text('{"tokenizer_class": "BertTokenizerFast"}')
    tokenizer.load(path, cased=False)


# letters of 12 languages, and what is written in between
ALPHABETS = {
    'English': 'abcdefgXYZ', 'French': 'aeéèêçœÀÉïù', 'Vietnamese': 'ăâđêôơưạảấầẩẫậắ\u0301\u0323',
    'Turkish': 'ıİiIğĞşŞçö', 'Greek': 'αβγδεςΣΆέΏώ', 'Russian': 'абвёЁйЙщЯ', 'Hindi': 'कखगािीुू्ंः',
    'Arabic': 'ابتثجَُِّـء', 'Thai': 'กขคงาิีึ่้๊ำ', 'Chinese': '中文汉字𠀀𪛖豈',
    'Japanese': 'かがカガ゙゚ー漢字',
    'Korean': '한국어ᄒ\u1161ᆫ가'}
# the first article of the Universal Declaration of Human Rights, or its first sentence
DECLARATION = {
    'English': 'All human beings are born free and equal in dignity and rights. They are endowed '
               'with reason and conscience and should act towards one another in a spirit of '
               'brotherhood.',
    'French': "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont "
              "doués de raison et de conscience et doivent agir les uns envers les autres dans un "
              "esprit de fraternité.",
    'Vietnamese': 'Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền. Mọi '
                  'con người đều được tạo hoá ban cho lý trí và lương tâm',
    'Turkish': 'Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana '
               'sahiptirler ve birbirlerine karşı kardeşlik zihniyeti ile hareket etmelidirler.',
    'Greek': 'Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα. '
             'Είναι προικισμένοι με λογική και συνείδηση',
    'Russian': 'Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены '
               'разумом и совестью и должны поступать в отношении друг друга в духе братства.',
    'Hindi': 'सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।',
    'Arabic': 'يولد جميع الناس أحراراً متساوين في الكرامة والحقوق. وقد وهبوا عقلاً وضميراً',
    'Thai': 'มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ',
    'Chinese': '人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的'
               '精神相对待。',
    'Japanese': 'すべての人間は、生まれながらにして自由であり、かつ、尊厳と'
                '権利とについて平等である。',
    'Korean': '모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.'}
BETWEEN = [' ', ' ', ' ', '  ', '\t', '\u00a0', '\u3000', '\u2028', ',', '.', '_', '-', '$', '…',
           '。', '「', '’', '123', '\u200b', '\u200d', '\x00', '\x07', '\ufffd', '\ufeff', '😀',
           '👍🏽', '❤\ufe0f', '👨\u200d👩', '🇩🇪', '[MASK]', '[SEP]', '[mask]', 'COVID-19',
           'covid-19', '<ent>', 'a' * 99, 'b' * 101]


def generated_lines(count):
    """Lines of words of 12 languages, some in capitals, of their letters, and of what is between.
    """
    draw = random.Random(0)
    for i in range(count):
        language = list(ALPHABETS)[i % len(ALPHABETS)]
        words, letters = DECLARATION[language].split(), ALPHABETS[language]
        parts = []
        for _ in range(draw.randint(1, 20)):
            chance = draw.random()
            if chance < 0.35:
                parts.append(draw.choice(words) + ' ')
            elif chance < 0.45:
                parts.append(draw.choice(words).upper() + draw.choice(BETWEEN))
            elif chance < 0.75:
                parts.append(''.join(draw.choice(letters) for _ in range(draw.randint(1, 6))))
            else:
                parts.append(draw.choice(BETWEEN))
        yield ''.join(parts)


@pytest.mark.parametrize('lower', [True, False])
@pytest.mark.slow
def test_the_tokenizers_library_gives_the_same_ids(lower):
    library = pytest.importorskip('tokenizers', reason='what we are compared with')
    normalizer = library.normalizers.BertNormalizer(lowercase=lower)
    draw = random.Random(1)
    letters = sorted(set(normalizer.normalize_str(
        ''.join([*ALPHABETS.values(), *DECLARATION.values()]) + ',._-$…。「’123a')) - {' '})
    letters = [letter for letter in letters if draw.random() < 0.9]     # others are unknown
    whole = {word for text in DECLARATION.values() for word in normalizer.normalize_str(
        re.sub(r'[^\w\s]', ' ', text)).split() if len(word) > 1 and draw.random() < 0.5}
    tokens = [*SPECIALS, *letters, *('##' + letter for letter in letters), *sorted(whole - {'ab'}),
              'ab', '##cd', '##αβ', '##ος', '##οσ', '😀', 'covid']
    added = [AddedToken('COVID-19', len(tokens), True, False, False),
             AddedToken('<ent>', len(tokens) + 1)]
    ours = tokenizer.WordPiece(tokens, not lower, added=[
        AddedToken(token, i) for i, token in enumerate(SPECIALS)] + added)
    theirs = library.Tokenizer(library.models.WordPiece(
        {token: i for i, token in enumerate(tokens)}, unk_token='[UNK]',
        max_input_chars_per_word=100))
    theirs.normalizer, theirs.pre_tokenizer = normalizer, library.pre_tokenizers.BertPreTokenizer()
    theirs.add_special_tokens(list(SPECIALS))
    theirs.add_tokens([library.AddedToken('COVID-19', normalized=True)])
    theirs.add_special_tokens(['<ent>'])
    lines = list(generated_lines(10000))
    seen = set()
    for line, encoding in zip(lines, theirs.encode_batch(lines, add_special_tokens=False)):
        same = ours.ids(line) == encoding.ids
        assert same, line
        seen.update(encoding.ids)
    assert len(set(lines)) > 9800 and len(seen) > 0.6 * len(ours)


@pytest.mark.parametrize('number', ['-1', '1e999', '19.5', '"19x"', 'null'])
def test_ids_are_whole_numbers(tmp_path, number):
    where = folder(tmp_path)
    (tmp_path / 'added_tokens.json').write_text(f'{{"new": {number}}}')
    with pytest.raises(DataError, match='added_tokens.json: its added tokens are not written'):
        tokenizer.load(where)
