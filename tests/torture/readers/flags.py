"""Flags of programs."""
import importlib
import math
import re

import damage

from .base import Nonsense, Reader
from .data import Csv


class Commas(Reader):
    """The classes and columns that flags name, separated by commas, beside a table."""

    given = []

    def make(self, folder):
        Csv().make(folder)

    def spoil(self, draw, folder):
        names = ('yes', 'no', 'sentence1', 'sentence2', 'label', '', ' yes ', 'YES', '1', '0',
                 '-1', '\u2028', '\0', '\udcff', 'x' * 5000, '"', '[', '\n', '9' * 5000)
        self.given = {flag: ','.join(draw.choice(names) for _ in range(draw.randrange(5)))
                      for flag in draw.sample(('--labels', '--text_columns', '--label_column'),
                                              draw.randrange(1, 4))}
        self.given = [f'{flag}={value}' for flag, value in self.given.items()] + draw.sample(
            ['--multi_label', '--no_header', '--regression'], draw.randrange(2))

    def read(self, folder):
        from scripts import finetune_classifier as program
        args = program.parse_args(['--train_file', str(folder / 'x.csv'), *self.given])
        task, examples = program.read_examples(args, None)
        if task.labels is not None and (len(set(task.labels)) < len(task.labels)
                                        or not all(task.labels)):
            raise Nonsense(f'labels {task.labels}')


class Flags(Reader):
    """The flags of all programs, with nonsensical values."""

    programs = {
        'scripts.finetune_classifier': ['--task_name', 'sample'], 'scripts.finetune_squad': [],
        'scripts.finetune_ner': ['--train_path', 'x'],
        'scripts.predict_ner': ['--model_parameters', 'x'],
        'scripts.run_pretraining': ['--data', 'x', '--ckpt_dir', 'x'],
        'scripts.run_pretraining_hvd': ['--data', 'x', '--ckpt_dir', 'x'],
        'scripts.create_pretraining_data': ['--input_file', 'x', '--output_dir', 'x'],
        'scripts.train_vocabulary': ['--input_file', 'x', '--output_dir', 'x'],
        'scripts.convert_checkpoint': ['x', 'y'], 'scripts.benchmark': [],
        'bert.embedding': ['--sentences', 'x'], 'export.export': ['--task', 'classification'],
        'scripts.launch': ['-n', '1', 'true']}

    def make(self, folder):
        """No file is needed."""

    def spoil(self, draw, folder):
        import contextlib
        import io
        name = draw.choice(sorted(self.programs))
        self._parse = importlib.import_module(name).parse_args
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
            self._parse(['--help'])
        flags = sorted(set(re.findall(r'--?\w+', re.sub(r'(?s)^.*?\n(?=\w+.*:\n)', '',
                                                         out.getvalue()))) - {'--help', '-h'})
        flags = [flag for flag in flags if flag.startswith('--')]
        value, flag = damage.flag(draw), draw.choice(flags)
        self.given = [f'{flag}={value}'] if draw.random() < 0.7 else [flag, value]
        self.given = (self.given + self.programs[name] if name == 'scripts.launch'
                      else self.programs[name] + self.given)

    def read(self, folder):
        args = self._parse(self.given)
        for name, value in vars(args).items():
            if isinstance(value, float) and not math.isfinite(value) or (
                    isinstance(value, int) and 'seed' not in name and abs(value) >= 2 ** 63):
                raise Nonsense(f'{name} {value}')
