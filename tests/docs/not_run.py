"""The commands of the documentation that the tests do not run, each with the reason.

A key is a regular expression, searched for in the command. Every other command is run as written.
"""

# Their shell syntax, programs, options, configs and ``--cfg-options`` are checked, without running.
CHECKED = {
    r'--device cuda|cudagraph|--tune|bf16| --amp$': 'needs a GPU',
    r'tools/benchmark\.py .*(-l|1x800x1333|2x800x1333|compile)': 'measures for many minutes',
    r'compare_costs\.py mask-rcnn': 'measures images of 1280x800; run by tests/benchmark, smaller',
    r'dist_(train|test)\.sh|nproc_per_node=8': 'needs 8 GPUs',
    r'slurm_train\.sh': 'needs Slurm',
    r'reproduce\.py coco-': 'needs 8 GPUs and COCO',
    r'reproduce\.py (small-data|transplanted).*--dry-run': 'needs disk; run by tests/experiments',
    r'PENN_FUDAN|--data data/blood-cells .*--epochs': 'trains for hours',
    r'epsanet50-s_8xb32_in1k --cfg-options': 'needs ImageNet and days on GPUs',
    r'pretrain\.py epsanet50-s_1xb16_shapes': 'trains for an hour',
    r'convert_weights\.py work_dirs': 'needs the training before it',
    r'train\.py shapes\.py$': 'trains for hours',
    r'transplant\.py resnet50\.pth --arch': 'fits for minutes; run by tests/weight_transfer',
    r'transplant\.py (work_dirs|checkpoints)': 'needs a trained ResNet',
    r'transplant\.py mask-rcnn': 'needs a trained detector; run by tests/weight_transfer',
    r'serve\.py': 'waits for a browser; run by tests/serving',
    r'test-dev2017': 'needs the images of test-dev2017',
}

# These start no program of this project.
OTHERS = {
    r'^git clone': 'downloads this repository',
    r'(^|[A-Z]=\S+ )make (demo|test)': 'sets up an environment; .ci runs it',
    r'pip (un)?install': 'changes the installed packages',
    r'^docker ': 'needs Docker',
    r'public_data\.py': 'downloads; run by tests/benchmarks',
    r'coco_shaped\.py': 'writes 118,287 images; run by tests/benchmarks',
    r'^(mkdir|cp) .*checkpoints/detector': 'needs the training before it',
    r'ImageSets/Main/train\.txt': 'needs the blood cells',
    r'ap_by_time\.py': 'needs the trainings before it; run by tests/benchmarks',
    r'^tar ': 'packs the results of a plan on 8 GPUs',
    r'^nvidia-smi|^nvcc|get_compiling_cuda_version': 'needs a GPU',
    r'^python3 -m venv|^source ': 'makes or enters an environment',
    r'completion (zsh|fish)': 'needs these shells; tests/cli/test_completion.py',
    r'tests/(flip_bits|fuzz/run_fuzz)\.py': 'reads thousands of changed files; tests/fuzz',
    r'benchmarks/weight_transfer\.py': 'a study of hours; tests/weight_transfer',
    r'^cd |^g\+\+|^LD_PRELOAD|^python setup\.py': 'builds the kernels with a sanitizer',
}
