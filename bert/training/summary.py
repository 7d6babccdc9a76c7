"""What a fine-tuning program leaves at its end: scores, model card, pictures, and a hint."""
import os
from typing import Any, Dict, NamedTuple, Optional, Sequence

from ..utils import cli, files
from ..utils.errors import show
from . import model_card, plot

__all__ = ['Hint', 'write']


class Hint(NamedTuple):
    """How a trained model is used: ``flag`` takes its folder."""
    purpose: str
    script: str
    flag: str
    arguments: Sequence[str]

    @property
    def texts(self) -> Sequence[str]:
        """The example texts: the ``arguments`` behind the last flag."""
        flags = [i for i, word in enumerate(self.arguments) if word.startswith('--')]
        return self.arguments[max(flags) + 1:]


def write(folder: str, results: Dict[str, Any], hint: Optional[Hint] = None,
          curves: bool = False) -> None:
    """Write results.json if there are ``results``; print the folder and the ``hint``.

    After training, the ``hint`` says how to use the model, and the model card is written, too.
    ``curves`` draws the training curves.
    """
    if results:
        files.write_json(os.path.join(folder, 'results.json'), results)
    show(f'results: {folder}')
    if hint:
        show(f'{hint.purpose}: '
             + cli.command(hint.script, hint.flag, folder, *hint.arguments))
        model_card.write(folder, results, cli.console_command(hint.script, hint.flag, '.',
                                                              *hint.arguments), hint.texts)
    if hint and curves:     # last: nothing is lost if it fails
        plot.training_curves(folder)
