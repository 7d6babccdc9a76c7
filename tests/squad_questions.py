"""Questions about short passages, and a vocabulary of their sub-words."""
from bert.data.squad import Answer, Question

VOCABULARY = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'who', *'abcdefghijxyz', 'cafe', 'san',
              'jose', 'was', 'born', '189', '##5', '1943', *'-().,', 'japanese', *'北京在']


def ask(context, answer=None, start=None, question='who'):
    """A question on ``context``; impossible without an answer."""
    answers = []
    if answer is not None:
        answers = [Answer(answer, context.index(answer) if start is None else start)]
    return Question('id', question, context, answers, not answers)
