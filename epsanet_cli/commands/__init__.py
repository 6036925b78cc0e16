"""The commands: each is a module with a docstring, ``add_arguments(parser)`` and ``main(args)``."""

from . import (
    benchmark,
    browse,
    check,
    convert_weights,
    costs,
    demo,
    deploy,
    draw_image_folder,
    infer,
    new_config,
    pretrain,
    report,
    reproduce,
    test,
    train,
    transplant,
)

COMMANDS = {
    'train': train,
    'test': test,
    'infer': infer,
    'report': report,
    'check': check,
    'new-config': new_config,
    'browse': browse,
    'pretrain': pretrain,
    'convert-weights': convert_weights,
    'transplant': transplant,
    'deploy': deploy,
    'reproduce': reproduce,
    'benchmark': benchmark,
    'costs': costs,
    'demo': demo,
    'draw-image-folder': draw_image_folder,
}
