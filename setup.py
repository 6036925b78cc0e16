"""Packaging. The mm* packages come by extras, so that installing changes no environment."""

from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
MIM = Path('epsanet_mmdet', '.mim')


def version() -> str:
    scope = {}
    exec((ROOT / 'epsanet_mmdet' / 'version.py').read_text(), scope)
    return scope['__version__']


def mim_files() -> list:
    """Configs and tools, which .mim links to, as mmdet's own packages carry them."""
    linked = [path for name in ('configs', 'tools') for path in (ROOT / name).rglob('*')]
    files = ['model-index.yml'] + [
        str(path.relative_to(ROOT))
        for path in linked
        if path.is_file() and '__pycache__' not in path.parts
    ]
    return [str(Path('.mim', name)) for name in files]


class BuildKernels(build_ext):
    """Build the kernels for CPUs, which are no Python module: the file name has no Python's tag.

    Their OpenMP stays unresolved and is torch's, whose threads they share. They are optional: where
    they do not compile, setuptools says so in a line, and torch computes.
    """

    def get_ext_filename(self, fullname: str) -> str:
        return str(Path(*fullname.split('.'))) + '.so'


SOURCES = Path('epsanet_mmdet', 'ops', 'cpu', 'csrc')
KERNELS = Extension(
    'epsanet_mmdet.ops.cpu._cpu_kernels',
    sources=sorted(map(str, SOURCES.glob('*.cpp'))),
    depends=sorted(map(str, SOURCES.glob('*.h'))),
    extra_compile_args=['-O3', '-g0', '-std=c++14', '-fopenmp'],
    optional=True,
)

setup(
    name='epsanet_mmdet',
    version=version(),
    description='EPSANet and the attention modules it is compared with, for MMDetection',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Science/Research',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Programming Language :: Python :: 3.13',
        'Programming Language :: Python :: 3.14',
        'Topic :: Scientific/Engineering :: Image Recognition',
    ],
    packages=find_packages(include=['epsanet_*']),
    package_data={
        'epsanet_mmdet': [*mim_files(), 'py.typed', '*/templates/*', 'experiments/*.json'],
    },
    entry_points={'console_scripts': ['epsanet = epsanet_cli.main:main']},
    ext_modules=[KERNELS] if KERNELS.sources else [],
    cmdclass={'build_ext': BuildKernels},
    python_requires='>=3.11',
    install_requires=[
        'argcomplete>=3.1',
        'jinja2',
        'msgspec>=0.19',
        'packaging',
        'safetensors>=0.4',
    ],
    extras_require={
        'upstream': [
            'torch>=2.6',
            'mmengine>=0.10.4,<1.0',
            'mmcv>=2.0.0,<2.2.0',
            'mmdet>=3.3.0,<3.4.0',
        ],
        'onedl': [
            'torch>=2.6',
            'onedl-mmengine>=0.10.8,<1.0',
            'onedl-mmcv>=2.3.0,<3.0',
            'onedl-mmdetection>=3.4.0,<4.0',
        ],
        'export': ['onnx', 'onnxruntime', 'onnxscript', 'openvino'],
        'serve': ['gradio>=6'],
        'video': ['av>=14'],
        'eval': ['faster-coco-eval>=1.8'],
        'test': [
            'av>=14',
            'faster-coco-eval>=1.8',
            'import-linter>=2.6',
            'ipykernel',
            'nbclient>=0.8',
            'psutil',
            'pytest',
            'pytest-xdist',
            'ruff==0.17.5',
            'triton>=3.4; sys_platform == "linux"',  # CUDA builds of torch come with it
        ],
    },
)
