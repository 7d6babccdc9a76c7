"""Scores of tagged words: precision, recall and F1 of entities, or the accuracy of token labels."""
import warnings
from typing import Any, Dict, List, Sequence

__all__ = ['entity_scores', 'main_scores', 'score', 'table']


def score(sentences: Sequence[Any], predicted: Sequence[Sequence[str]],
          tag_map: Any) -> Dict[str, Any]:
    """The scores of predicted labels.

    Parameters
    ----------
    sentences : sequence of bert.data.conll.Sentence
        With gold tags.
    predicted : sequence of list of str
        The labels of each sentence.
    tag_map : bert.data.tagging.TagMap
        How the tags stand to the labels.

    Returns
    -------
    dict
        Of entities what :func:`entity_scores` returns; of token labels {'accuracy': the share of
        words with the right one, 'words': their number}.
    """
    gold = [tag_map.gold(sentence.tags) for sentence in sentences]
    predicted = [tag_map.predicted(labels) for labels in predicted]
    if tag_map.model.letters:
        return entity_scores(gold, predicted)
    pairs = [pair for both in zip(gold, predicted) for pair in zip(*both)]
    return {'accuracy': sum(one == other for one, other in pairs) / len(pairs),
            'words': len(pairs)}


def entity_scores(gold: List[List[str]], predicted: List[List[str]]) -> Dict[str, Any]:
    """Entity scores by seqeval, in its default mode, which counts as conlleval does.

    ``gold`` and ``predicted`` hold the tags of each sentence in BIO2, BIO, BIOES or IO, such as
    B-PER.  Returns {'overall': {'precision', 'recall', 'f1', 'support'}, 'types': {type: the same
    four}, 'accuracy': the share of words with the right tag}; 0 / 0 is 0.
    """
    from seqeval.metrics import accuracy_score, classification_report
    with warnings.catch_warnings():     # numpy's, if there is no entity at all
        warnings.simplefilter('ignore')
        report = classification_report(gold, predicted, output_dict=True, zero_division=0)
    scores = {name: {'precision': float(row['precision']), 'recall': float(row['recall']),
                     'f1': float(row['f1-score']), 'support': int(row['support'])}
              for name, row in report.items() if name not in ('macro avg', 'weighted avg')}
    return {'overall': scores.pop('micro avg'), 'types': scores,
            'accuracy': float(accuracy_score(gold, predicted))}


def main_scores(scores: Dict[str, Any]) -> Dict[str, float]:
    """The scores of a whole set for the log, the one that chooses the best epoch first."""
    if 'overall' in scores:
        return {name: scores['overall'][name] for name in ('f1', 'precision', 'recall')}
    return {'accuracy': scores['accuracy']}


def table(scores: Dict[str, Any]) -> str:
    """The scores as lines of text: one per type, and one for all of them together."""
    if 'overall' not in scores:
        return f"accuracy {scores['accuracy']:.4f} of {scores['words']} words"
    lines = [f"{'':<20} {'precision':>9} {'recall':>9} {'f1':>9} {'support':>9}"]
    for name, row in [*scores['types'].items(), ('overall', scores['overall'])]:
        lines.append(f"{name:<20} {row['precision']:9.4f} {row['recall']:9.4f} {row['f1']:9.4f} "
                     f"{row['support']:9d}")
    return '\n'.join(lines)
