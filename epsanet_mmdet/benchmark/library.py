"""Passes without the package's own kernels, for comparison."""

import contextlib
from importlib import import_module
from typing import Callable, Iterator

# Modules that may be missing, with the context manager that switches their kernels, and its value
# for torch's own operations.
SWITCHES = (
    ('..ops.cpu.kernels', 'use_instruction_set', None),
    ('..ops.gpu.setting', 'use_gpu_kernels', False),
)


def library_only() -> Callable[[], contextlib.AbstractContextManager]:
    """Return a context manager in which torch's own operations replace the package's kernels.

    Modules are looked up here, not when a pass enters the context.
    """
    switches = []
    for module, name, value in SWITCHES:
        with contextlib.suppress(ModuleNotFoundError):
            switches.append((getattr(import_module(module, __package__), name), value))

    @contextlib.contextmanager
    def switched_off() -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for switch, value in switches:
                stack.enter_context(switch(value))
            yield

    return switched_off
