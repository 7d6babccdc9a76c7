"""Scores of the peers' predictions, with the names and units of our programs' dev scores."""
import collections
import importlib.util
import re
import string


def class_scores(gold, guesses):
    """Accuracy, and the F1 of class 1; fractions."""
    pairs = collections.Counter(zip(gold, map(int, guesses)))
    wrong = pairs[0, 1] + pairs[1, 0]
    return {'accuracy': (pairs[0, 0] + pairs[1, 1]) / len(gold),
            'f1': 2 * pairs[1, 1] / max(1, 2 * pairs[1, 1] + wrong)}


def entity_scores(sentences):
    """Accuracy of the words of sentences, [[(tag, guess)]]; with seqeval the F1 of the entities."""
    pairs = [pair for sentence in sentences for pair in sentence]
    scores = {'accuracy': sum(gold == guess for gold, guess in pairs) / len(pairs)}
    if importlib.util.find_spec('seqeval'):
        from seqeval.metrics import f1_score
        scores['f1'] = float(f1_score(*([[pair[side] for pair in sentence]
                                         for sentence in sentences] for side in (0, 1))))
    return scores


def best_span(begins, ends, inside):
    """(score, first, last) of the best span of 30 tokens or fewer among 20 starts and ends."""
    import numpy as np
    good = set(inside)
    return max(((begins[a] + ends[b], a, b) for a in np.argsort(begins)[-20:]
                for b in np.argsort(ends)[-20:] if a in good and b in good and 0 <= b - a < 30),
               default=None)


def normalize(text):
    text = ''.join(letter for letter in text.lower() if letter not in string.punctuation)
    return re.sub(r'\b(a|an|the)\b', ' ', text).split()


def answer_scores(asked, answers):
    """SQuAD's exact match and F1 in percent: {id: gold answers}, {id: answer}."""
    exact = f1 = 0
    for name, golds in asked.items():
        guess = normalize(answers.get(name, ''))
        golds = [normalize(gold) for gold in golds]
        exact += guess in golds
        f1 += max(2 * sum((collections.Counter(guess) & collections.Counter(gold)).values())
                  / max(1, len(guess) + len(gold)) for gold in golds)
    return {'exact': 100 * exact / len(asked), 'f1': 100 * f1 / len(asked)}
