"""What tests of training a classifier have in common: the program, and flags of a small run."""
SCRIPT = 'scripts/finetune_classifier.py'


def flags(reviews, out, *more):
    return ['--bert_model', 'sample', '--train_file', str(reviews / 'train.tsv'), '--dev_file',
            str(reviews / 'dev.tsv'), '--output_dir', str(out), '--epochs', '2', '--batch_size',
            '8', '--lr', '1e-3', *more]
