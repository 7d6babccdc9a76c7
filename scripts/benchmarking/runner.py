"""Runs the processes of the measurements: ours and the peers'."""
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from bert.utils import files
from bert.utils.errors import DataError

from . import report
from .inputs import Inputs
from .measurements import Measurement

__all__ = ['Missing', 'Runner']

_HERE = os.path.dirname(os.path.abspath(__file__))
_ROOT = os.path.dirname(os.path.dirname(_HERE))
# packages that the peers' interpreter needs for each kind of work, if not torch and transformers
_PACKAGES = {'versions': (), 'gemm': ('torch',), 'embed': ('sentence-transformers',),
             'onnx_embed': ('onnxruntime', 'transformers'),
             'onnx_classify': ('onnxruntime', 'transformers')}
_EXPORTED = {'embedding': '--task embedding --pretrained --bert_model {model-6l}',
             'classifier': '--model_parameters {classifier}'}


class Missing(Exception):
    """An optional package that a measurement needs is not installed, which is no failure."""


class ProcessResult(NamedTuple):
    """A process that ended with exit code 0."""
    seconds: float
    cpu_seconds: float      # of all its threads: less noisy when other programs run
    megabytes: float        # at its peak
    output: str


def _program(command):
    """The name in a command, after the variables that it sets."""
    return next(word for word in command.split() if '=' not in word)


class Runner:
    """Runs the processes of measurements.

    Parameters
    ----------
    folder : str
        For logs and models.
    inputs : scripts.benchmarking.inputs.Inputs
    peer_python : str or None
        The peers' interpreter.
    rounds : int
        How often each measurement is repeated.
    warmup : int
        Steps that are left out.

    Attributes
    ----------
    versions : dict
        {package of the peers: version or None}.
    path : str
        The batch layout that our programs choose by default.
    bfloat16 : bool
        Whether this CPU has bfloat16 products.
    """

    def __init__(self, folder: str, inputs: Inputs, peer_python: Optional[str] = None,
                 rounds: int = 3, warmup: int = 2):
        self.inputs, self.versions = inputs, {}
        self._folder, self._peer_python = folder, peer_python
        self._rounds, self._warmup = rounds, warmup
        if peer_python:
            self.versions = json.loads(self.process('peer versions', 'peer').output)
        # the first run on a machine builds the operators, which is not to be measured
        output = self.process('benchmark --measure operators', 'operators').output.splitlines()
        found = json.loads(output[0])
        self.path, self.bfloat16 = found['path'], found['bfloat16']

    def __getitem__(self, name: str) -> Any:
        """The path or number for ``{name}`` in a command."""
        if name == 'warmup':
            return self._warmup
        kind, *rest = name.split('-')
        if kind in ('answerer', 'classifier', 'onnx') and name not in self.inputs:
            folder = files.make_folder(os.path.join(self._folder, 'inputs', name), '--output_dir')
            self.inputs[name + '-new'] = folder
            self.inputs[name] = getattr(self, '_' + kind)(folder, *rest)
        return self.inputs[name]

    def measure(self, measurement: Measurement) -> Tuple[List[Dict[str, Any]], bool]:
        """The results, a dict for each unit and peer; and whether a process failed."""
        sides = {'ours': measurement.ours}
        sides.update((label, command) for label, command in measurement.peers
                     if self._peer_python or _program(command) != 'peer')
        figures, reasons, failed = {side: [] for side in sides}, {}, False
        if measurement.name.endswith('-bf16') and not self.bfloat16:
            reasons['ours'] = 'this CPU has no bfloat16 products'
        for _ in range(self._rounds):
            for side, command in sides.items():
                if 'ours' in reasons or side in reasons:
                    continue
                try:
                    figures[side].append(self._figures(measurement, command, side))
                except (DataError, Missing) as error:
                    reasons[side] = ' '.join(str(error).split())
                    failed |= isinstance(error, DataError)
        return [report.result(measurement.name, unit, side, figures, reasons)
                for unit in measurement.units for side in list(sides)[1:] or [None]], failed

    def _figures(self, measurement, command, side):
        """The value in each unit, and 'MB'."""
        found = self.process(command, f'{measurement.name} {side}')
        skip = 0 if 's' in measurement.units else self._warmup
        values = {unit: report.value(unit, found.seconds, found.output, self.inputs['out'], skip)
                  for unit in measurement.units}
        shutil.rmtree(self.inputs['out'])       # checkpoints are large
        return dict(values, MB=found.megabytes)

    def _answerer(self, folder):
        """A question-answering model, for its speed: it is hardly trained."""
        self.process('finetune_squad --bert_model {model-6l} --train_file {squad-6l-12} '
                     '--epochs 1 --output_dir {answerer-new} --overwrite', 'answerer')
        return folder

    def _classifier(self, folder):
        """A classifier of pairs, for its speed: it is hardly trained."""
        self.process('finetune_classifier --bert_model {model-6l} --train_file {pairs-6l-32} '
                     '--epochs 1 --output_dir {classifier-new} --overwrite', 'classifier')
        return folder

    def _onnx(self, folder, task, dtype):
        """The path of a 6-layer model as ONNX, by our export or, without onnx here, PyTorch's.

        ``dtype`` 'int8' stands for ONNX Runtime's dynamic quantization, per channel.
        """
        out = f'{{onnx-{task}-{dtype}-new}}'
        if self._exports():
            quantize = '--quantize int8 ' if dtype == 'int8' else ''
            self.process(f'export {_EXPORTED[task]} --format onnx {quantize}--output_dir {out} '
                         '--overwrite', f'export-{task}-{dtype}')
        elif self.versions['onnx'] and (task, dtype) == ('embedding', 'fp32'):
            self.process(f'peer export --model {{model-6l}} --onnx {out}/model.onnx', 'export')
        else:
            raise Missing(f'onnx is not installed, which the export of {task}, {dtype} needs')
        return os.path.join(folder, 'model.onnx')

    @staticmethod
    def _exports():
        """Whether our export can write ONNX here."""
        return all(importlib.util.find_spec(package) for package in ('onnx', 'onnxruntime'))

    def _command(self, command):
        """(argv, environment) of a command of :mod:`scripts.benchmarking.measurements`."""
        words, launcher = command.split(), []
        env = dict(os.environ, BERT_OFFLINE='1', HF_HUB_OFFLINE='1', TRANSFORMERS_VERBOSITY='error')
        while '=' in words[0]:
            name, _, value = words.pop(0).partition('=')
            env[name] = value
        if words[0] == 'mpirun':
            words.pop(0)
            if not importlib.util.find_spec('horovod'):
                raise Missing('no Horovod')
            if not shutil.which('mpirun'):
                raise Missing('no mpirun')
            launcher = ['mpirun', '--allow-run-as-root', '--oversubscribe', '--bind-to', 'none',
                        '-np', '2']
        name, *flags = words
        if name == 'peer':
            for package in _PACKAGES.get(flags[0], ('torch', 'transformers')):
                if not self.versions[package]:
                    raise Missing(f'no {package} for the peer')
            # -I: neither PYTHONPATH nor the working directory is for that interpreter
            program = [self._peer_python, '-I', os.path.join(_HERE, 'peer')]
        elif __package__.startswith('bert.'):   # installed
            program = [sys.executable, '-m', 'bert.export.export' if name == 'export'
                       else 'bert.scripts.' + name]
        else:
            program = [sys.executable, os.path.join(
                _ROOT, 'export' if name == 'export' else 'scripts', name + '.py')]
        return launcher + program + [flag.format_map(self) for flag in flags], env

    def process(self, command, label):
        """Run a command to its end: ProcessResult; DataError with its last line if it fails."""
        folder = os.path.join(self._folder, 'run')
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        self.inputs['out'] = folder
        argv, env = self._command(command)
        log = os.path.join(self._folder, 'logs', re.sub(r'\W+', '-', label))
        os.makedirs(os.path.dirname(log), exist_ok=True)
        with open(log + '.out', 'wb') as out, open(log + '.err', 'wb') as err:
            start = time.perf_counter()
            process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=out,
                                       stderr=err, cwd=folder)
            try:
                _, status, usage = os.wait4(process.pid, 0)
            except KeyboardInterrupt:
                process.kill()
                raise
            seconds = time.perf_counter() - start
        process.returncode = 0 if status == 0 else 1    # it has been waited for
        with open(log + '.err', encoding='utf-8', errors='replace') as f:
            errors = f.read()
        if status:
            lines = [text.strip() for text in errors.splitlines() if text.strip()]
            raise DataError(f"{lines[-1] if lines else f'status {status}'} ({log}.err)")
        unit = 1 << 20 if sys.platform == 'darwin' else 1 << 10
        with open(log + '.out', encoding='utf-8', errors='replace') as f:
            return ProcessResult(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit,
                                 f.read() + errors)
