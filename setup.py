"""Install gluon-bert: pip install '.[cpu]' (see README.rst)."""
import re

from setuptools import setup

with open('bert/__init__.py', encoding='utf-8') as f:
    version = re.search(r"^__version__ = '(.+)'", f.read(), re.M).group(1)
with open('README.rst', encoding='utf-8') as f:
    readme = f.read()

# MXNet 1.9.1 is its last release and gluonnlp 0.10.0 too: others' next major versions are kept out
# until they were tried.
MXNET = {'cpu': 'mxnet', **{cuda: 'mxnet-' + cuda
                            for cuda in ('cu101', 'cu102', 'cu110', 'cu112', 'cu117')}}
extras = {name: [package + '==1.9.1'] for name, package in MXNET.items()}
extras.update(
    docs=['sphinx>=7,<10'],             # which bounds docutils
    horovod=['horovod==0.28.1'],        # needs MXNet at build: scripts/install_horovod.sh
    hub=['pyarrow<20'],                 # later ones need numpy 2
    onnx=['onnx>=1.14,<1.19',           # MXNet imports onnx.mapping, gone in 1.19
          'protobuf<8',                 # code that is generated for one may fail with the next
          'onnxruntime<1.23'],          # later ones need ml_dtypes, so numpy 2 on Python 3.13
    plot=['matplotlib>=3.5,<4'],
    tensorboard=['tensorboardX>=2.2,<3', 'protobuf<8'],
    tensorflow=['tensorflow-cpu<3'],    # only to convert checkpoints of google-research/bert
    # to make a WordPiece vocabulary; 0.21.0 takes Python 3.8 but has no wheel for it
    vocabulary=['tokenizers>=0.19,<1,!=0.21.0'],
)
extras['test'] = ['pytest>=8,<10', 'ruff==0.17.6'] + [
    package for name in ('docs', 'hub', 'onnx', 'plot', 'tensorboard', 'vocabulary')
    for package in extras[name]]

setup(
    name='gluon-bert',
    version=version,
    description='BERT research scripts on MXNet Gluon: fine-tune, tag, answer, pre-train, export',
    long_description=readme,
    long_description_content_type='text/x-rst',
    license='Apache-2.0',
    python_requires='>=3.8,<3.14',
    # scripts/ and export/ stand beside bert/ in a checkout and inside it once installed
    packages=['bert', *('bert.' + package for package in (
        'checkpoint', 'data', 'metrics', 'model', 'model.ops', 'pretraining', 'text', 'training',
        'utils')), 'bert.export', 'bert.scripts', 'bert.scripts.benchmarking',
              'bert.scripts.benchmarking.peer'],
    package_dir={'bert.export': 'export', 'bert.scripts': 'scripts'},
    package_data={'bert': ['sample/*', 'sample/*/*'], 'bert.export': ['examples/*.py'],
                  'bert.model.ops': ['*.h', '*.cc']},
    install_requires=[
        'gluonnlp==0.10.0',
        'numpy>=1.19,<2',               # MXNet 1.9.1 does not support numpy 2
        'huggingface_hub>=0.20,<3',
        'requests<3',
        'safetensors>=0.3,<1',
        'scikit-learn<2',
        'scipy<2',                      # MXNet 1.9.1 uses scipy.sparse.csr
        'sentencepiece>=0.1.95,<1',
        'seqeval==1.2.2',
        'setuptools<85; python_version >= "3.12"',  # MXNet imports its distutils
        'tqdm<5',
    ],
    extras_require=extras,
    entry_points={'console_scripts': [
        'bert-finetune-classifier = bert.scripts.finetune_classifier:program',
        'bert-finetune-squad = bert.scripts.finetune_squad:program',
        'bert-finetune-ner = bert.scripts.finetune_ner:program',
        'bert-predict-ner = bert.scripts.predict_ner:program',
        'bert-create-pretraining-data = bert.scripts.create_pretraining_data:program',
        'bert-run-pretraining = bert.scripts.run_pretraining:program',
        'bert-run-pretraining-hvd = bert.scripts.run_pretraining_hvd:program',
        'bert-launch = bert.scripts.launch:program',
        'bert-train-vocabulary = bert.scripts.train_vocabulary:program',
        'bert-embedding = bert.embedding:program',
        'bert-export = bert.export.export:program',
        'bert-convert-checkpoint = bert.scripts.convert_checkpoint:program',
        'bert-benchmark = bert.scripts.benchmark:program',
    ]},
)
