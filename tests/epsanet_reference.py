"""EPSANet written a second time, from the formulas, sharing nothing with the package.

Functions over a state dict: sums of shifted products instead of convolutions, and plain
arithmetic instead of modules.
"""

import torch


def convolve(x, weight, stride=1, dilation=1, groups=1):
    """Sum over taps of the shifted input times the tap's matrix, group by group."""
    b, c, h, w = x.shape
    rows, columns, size, _ = weight.shape
    taps = weight.reshape(groups, rows // groups, columns, size, size)
    reach = dilation * (size // 2)
    canvas = x.new_zeros(b, groups, c // groups, h + 2 * reach, w + 2 * reach)
    canvas[..., reach : reach + h, reach : reach + w] = x.reshape(b, groups, -1, h, w)
    total = 0
    for i in range(size):
        for j in range(size):
            window = canvas[..., i * dilation :, j * dilation :][..., :h:stride, :w:stride]
            total = total + torch.einsum('goc,bgchw->bgohw', taps[..., i, j], window)
    return total.flatten(1, 2)


def psa(x, state, groups, stride=1, dilation=1):
    """Pyramid squeeze attention: branches, shared squeeze, softmax of sigmoids, reversed."""
    features, squeezed = [], []
    for i, g in enumerate(groups, start=1):
        f = convolve(x, state[f'conv_{i}.weight'], stride, dilation, g)
        mean = f.sum(dim=(2, 3)) / (f.shape[2] * f.shape[3])
        hidden = mean @ state['se.fc1.weight'][:, :, 0, 0].T + state['se.fc1.bias']
        hidden = hidden * (hidden > 0)
        z = hidden @ state['se.fc2.weight'][:, :, 0, 0].T + state['se.fc2.bias']
        features.append(f)
        squeezed.append(1 / (1 + torch.exp(-z)))
    total = sum(torch.exp(z) for z in squeezed)
    weighted = [f * (torch.exp(z) / total)[:, :, None, None] for f, z in zip(features, squeezed)]
    return torch.cat([weighted[3], weighted[2], weighted[1], weighted[0]], dim=1)


def batch_norm(x, state, train):
    mean, var = state['running_mean'], state['running_var']
    if train:
        mean = x.mean(dim=(0, 2, 3))
        var = ((x - mean[:, None, None]) ** 2).mean(dim=(0, 2, 3))
    scaled = (x - mean[:, None, None]) / (var + 1e-5).sqrt()[:, None, None]
    return scaled * state['weight'][:, None, None] + state['bias'][:, None, None]


def relu(x):
    return x * (x > 0)


def part(state, prefix):
    return {k[len(prefix) + 1 :]: v for k, v in state.items() if k.startswith(prefix + '.')}


def block(x, state, groups, stride, train):
    out = relu(batch_norm(convolve(x, state['conv1.weight']), part(state, 'bn1'), train))
    out = psa(out, part(state, 'conv2'), groups, stride)
    out = relu(batch_norm(out, part(state, 'bn2'), train))
    out = batch_norm(convolve(out, state['conv3.weight']), part(state, 'bn3'), train)
    if 'downsample.0.weight' in state:
        x = convolve(x, state['downsample.0.weight'], stride)
        x = batch_norm(x, part(state, 'downsample.1'), train)
    return relu(out + x)


def max_pool(x):
    b, c, h, w = x.shape
    canvas = x.new_full((b, c, h + 2, w + 2), float('-inf'))
    canvas[:, :, 1:-1, 1:-1] = x
    windows = [canvas[:, :, i : i + h : 2, j : j + w : 2] for i in range(3) for j in range(3)]
    return torch.stack(windows).amax(dim=0)


def epsanet(x, state, groups, train=False):
    """All four stages' outputs of an EPSANet, from its state dict."""
    x = max_pool(relu(batch_norm(convolve(x, state['conv1.weight'], 2), part(state, 'bn1'), train)))
    outputs = []
    for stage in range(1, 5):
        blocks = part(state, f'layer{stage}')
        for i in range(len({name.split('.')[0] for name in blocks})):
            stride = 2 if stage > 1 and i == 0 else 1
            x = block(x, part(blocks, str(i)), groups, stride, train)
        outputs.append(x)
    return outputs
