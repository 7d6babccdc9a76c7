"""What tests of pre-training have in common: the program, and flags of a small run."""
ALONE = 'scripts/run_pretraining.py'
SMALL = ['--model', 'bert_1_16_2', '--dataset_name', 'sample', '--lr', '1e-2', '--num_data_workers',
        '0']
STEPS = ['--num_steps', '6', '--ckpt_interval', '2', '--log_interval', '1']


def flags(shards, out, *more):
    return [*SMALL, '--data', shards, '--ckpt_dir', str(out), *more]
