"""The layers' formulas once more, functionally and in double precision, for comparison.

Written from the papers' formulas, never from the layers, on plain arrays of parameters. They share
no code with ``epsanet_mmdet.layers``; batch normalisation is that of training. The functions whose
name ends in ``as_coded`` compute what the authors' code does where it differs from their paper.
"""

import math

import torch


def sigmoid(z):
    return 1 / (1 + torch.exp(-z))


def relu(z):
    return torch.where(z > 0, z, torch.zeros_like(z))


def softmax(z, axis):
    e = torch.exp(z - z.max(axis, keepdim=True).values)
    return e / e.sum(axis, keepdim=True)


def linear(z, w, b=None):
    """Maps the channels of (B, C) or (B, C, H, W) with a matrix or a 1x1 kernel."""
    w = w.reshape(w.shape[0], w.shape[1])
    out = torch.einsum('oc,bc...->bo...', w, z)
    return out if b is None else out + b.reshape(1, -1, *[1] * (z.ndim - 2))


def conv(z, w, b=None, dilation=1):
    """2-D convolution that keeps the map's size, as a sum of shifted maps."""
    _, _, height, width = z.shape
    reach = dilation * (w.shape[-1] // 2)
    padded = torch.zeros(*z.shape[:2], height + 2 * reach, width + 2 * reach, dtype=z.dtype)
    padded[:, :, reach : reach + height, reach : reach + width] = z
    out = 0
    for i in range(w.shape[-2]):
        for j in range(w.shape[-1]):
            top, left = i * dilation, j * dilation
            window = padded[:, :, top : top + height, left : left + width]
            out = out + torch.einsum('oc,bchw->bohw', w[:, :, i, j], window)
    return out if b is None else out + b[None, :, None, None]


def grouped_conv(z, w, dilation=1):
    """2-D convolution whose groups follow from the channels of its input and its kernel."""
    groups = z.shape[1] // w.shape[1]
    pairs = zip(z.chunk(groups, 1), w.chunk(groups, 0))
    return torch.cat([conv(part, kernel, dilation=dilation) for part, kernel in pairs], 1)


def conv1d(rows, taps):
    """Correlation of (B, C) along the channels with an odd number of taps."""
    reach = len(taps) // 2
    count = rows.shape[1]
    columns = []
    for c in range(count):
        terms = [
            taps[t] * rows[:, c + t - reach] for t in range(len(taps)) if 0 <= c + t - reach < count
        ]
        columns.append(sum(terms))
    return torch.stack(columns, 1)


def batch_norm(z, gain, shift, eps=1e-5):
    axes = (0, *range(2, z.ndim))
    mean = z.mean(axes, keepdim=True)
    variance = ((z - mean) ** 2).mean(axes, keepdim=True)
    shape = (1, -1, *[1] * (z.ndim - 2))
    return (z - mean) / torch.sqrt(variance + eps) * gain.reshape(shape) + shift.reshape(shape)


def gap(x):
    return x.sum((2, 3)) / (x.shape[2] * x.shape[3])


def gate(x, z):
    return x * sigmoid(z)[:, :, None, None]


def se(x, p):
    hidden = relu(linear(gap(x), p['se.fc1.weight'], p.get('se.fc1.bias')))
    return gate(x, linear(hidden, p['se.fc2.weight'], p.get('se.fc2.bias')))


def eca(x, p):
    return gate(x, conv1d(gap(x), p['conv.weight'].reshape(-1)))


def soft_channel(x, p, prefix='mlp.'):
    def mlp(s):
        hidden = relu(linear(s, p[prefix + 'fc1.weight'], p[prefix + 'fc1.bias']))
        return linear(hidden, p[prefix + 'fc2.weight'], p[prefix + 'fc2.bias'])

    highest = x.reshape(*x.shape[:2], -1).max(2).values
    return gate(x, mlp(gap(x)) + mlp(highest))


def cbam(x, p):
    y = soft_channel(x, p, 'channel.mlp.')
    maps = torch.stack([y.mean(1), y.max(1).values], 1)
    return y * sigmoid(conv(maps, p['spatial.conv.weight']))


def cbam_as_coded(x, p):
    y = soft_channel(x, p, 'channel.mlp.')
    maps = torch.stack([y.max(1).values, y.mean(1)], 1)
    z = conv(maps, p['spatial.conv.weight'])
    return y * sigmoid(batch_norm(z, p['spatial.norm.weight'], p['spatial.norm.bias']))


def bam_branches(x, p):
    s = linear(gap(x), p['channel.fc1.weight'], p['channel.fc1.bias'])
    s = relu(batch_norm(s, p['channel.norm.weight'], p['channel.norm.bias']))
    channel = linear(s, p['channel.fc2.weight'], p['channel.fc2.bias'])
    m = x
    for index, dilation in ((0, 1), (3, 4), (6, 4)):
        m = conv(m, p[f'spatial.{index}.weight'], p[f'spatial.{index}.bias'], dilation)
        index += 1
        m = relu(batch_norm(m, p[f'spatial.{index}.weight'], p[f'spatial.{index}.bias']))
    return channel[:, :, None, None], conv(m, p['spatial.9.weight'], p['spatial.9.bias'])


def bam(x, p):
    channel, spatial = bam_branches(x, p)
    return x + x * sigmoid(channel + spatial)


def bam_as_coded(x, p):
    channel, spatial = bam_branches(x, p)
    return x * (1 + sigmoid(channel * spatial))


def coordinate(x, p):
    height = x.shape[2]
    y = torch.cat([x.mean(3), x.mean(2)], 2)[..., None]
    y = linear(y, p['conv1.weight'], p['conv1.bias'])
    y = batch_norm(y, p['bn1.weight'], p['bn1.bias'])
    y = (y * (y + 3).clamp(0, 6) / 6)[..., 0]
    a_h = sigmoid(linear(y[:, :, :height], p['conv_h.weight'], p['conv_h.bias']))
    a_w = sigmoid(linear(y[:, :, height:], p['conv_w.weight'], p['conv_w.bias']))
    return x * a_h[:, :, :, None] * a_w[:, :, None, :]


def adaptive_pool(x, size):
    """Average pooling to ``size`` x ``size``, over windows from floor to ceiling."""

    def window(i, length):
        return slice(i * length // size, -(-(i + 1) * length // size))

    _, _, height, width = x.shape
    rows = [
        torch.stack(
            [x[:, :, window(i, height), window(j, width)].mean((2, 3)) for j in range(size)], 2
        )
        for i in range(size)
    ]
    return torch.stack(rows, 2)


def fca(x, p, size):
    rows = (0, 0, 6, 0, 0, 1, 1, 4, 5, 1, 3, 0, 0, 0, 3, 2)
    columns = (0, 1, 0, 5, 2, 0, 2, 0, 0, 6, 0, 4, 6, 3, 5, 2)

    def wave(position, frequency):
        value = math.cos(math.pi * frequency * (position + 0.5) / size) / math.sqrt(size)
        return value * (math.sqrt(2) if frequency else 1)

    share = x.shape[1] // 16
    pooled = []
    for group, maps in enumerate(adaptive_pool(x, size).split(share, 1)):
        u, v = rows[group] * (size // 7), columns[group] * (size // 7)
        basis = [[wave(i, u) * wave(j, v) for j in range(size)] for i in range(size)]
        pooled.append((maps * torch.tensor(basis, dtype=x.dtype)).sum((2, 3)))
    s = torch.cat(pooled, 1)
    return gate(x, linear(relu(linear(s, p['mlp.fc1.weight'])), p['mlp.fc2.weight']))


def position_attention(x, p, prefix=''):
    b, c, d = (
        linear(x, p[f'{prefix}{n}_conv.weight'], p[f'{prefix}{n}_conv.bias']).flatten(2)
        for n in ('key', 'query', 'value')
    )
    weights = softmax(torch.einsum('bci,bcj->bij', b, c), 1)
    summed = torch.einsum('bij,bci->bcj', weights, d)
    return p[f'{prefix}alpha'] * summed.reshape(x.shape) + x


def channel_attention(x, p, prefix='', weigh=lambda energy: softmax(energy, 1)):
    a = x.flatten(2)
    weights = weigh(torch.einsum('bin,bjn->bij', a, a))
    summed = torch.einsum('bij,bin->bjn', weights, a)
    return p[f'{prefix}beta'] * summed.reshape(x.shape) + x


def channel_attention_as_coded(x, p, prefix=''):
    def weigh(energy):
        return softmax(energy.max(1, keepdim=True).values - energy, 1)

    return channel_attention(x, p, prefix, weigh)


def dual_attention(x, p, channel_attention=channel_attention):
    def block(z, index, name):
        z = conv(z, p[f'{name}.{index}.weight'])
        return relu(batch_norm(z, p[f'{name}.{index + 1}.weight'], p[f'{name}.{index + 1}.bias']))

    position = block(position_attention(block(x, 0, 'position'), p, 'position.3.'), 4, 'position')
    channel = block(channel_attention(block(x, 0, 'channel'), p, 'channel.3.'), 4, 'channel')
    return linear(position + channel, p['fuse.weight'], p['fuse.bias'])


def dynamic_multi_kernel_eca(x, p):
    s = gap(x)
    mix = softmax(linear(s, p['fc.weight'], p['fc.bias']), 1)
    centres = [p[f'conv{k}.weight'][:, 0, k // 2] for k in (3, 5, 7)]
    return gate(x, sum(mix[:, i : i + 1] * centres[i] * s for i in range(3)))


def bidirectional_eca(x, p):
    s = gap(x)
    f = sigmoid(conv1d(s, p['forward_conv.weight'].reshape(-1)))
    b = sigmoid(conv1d(s.flip(1), p['backward_conv.weight'].reshape(-1))).flip(1)
    hidden = relu(linear(s, p['gate.fc1.weight'], p['gate.fc1.bias']))
    g = softmax(linear(hidden, p['gate.fc2.weight'], p['gate.fc2.bias']), 1)
    return gate(x, g[:, 0:1] * f + g[:, 1:2] * b)


def ms_cam_weights(z, p, prefix):
    def branch(s, name):
        q = {k.removeprefix(f'{prefix}{name}.'): v for k, v in p.items()}
        s = linear(s, q['0.fc1.weight'], q['0.fc1.bias'])
        s = relu(batch_norm(s, q['0.norm.weight'], q['0.norm.bias']))
        s = linear(s, q['0.fc2.weight'], q['0.fc2.bias'])
        return batch_norm(s, q['1.weight'], q['1.bias'])

    return sigmoid(branch(z, 'local_att') + branch(gap(z), 'global_att')[:, :, None, None])


def ms_cam(x, p):
    return x * ms_cam_weights(x, p, 'weights.')


def aff(x, y, p):
    m = ms_cam_weights(x + y, p, 'weights.')
    return 2 * (m * x + (1 - m) * y)


def iaff(x, y, p):
    m1 = ms_cam_weights(x + y, p, 'weights1.')
    m2 = ms_cam_weights(m1 * x + (1 - m1) * y, p, 'weights2.')
    return m2 * x + (1 - m2) * y


def pointwise_aff(x, y, p):
    def branch(s, name):
        s = linear(s, p[f'weights.{name}.0.weight'], p[f'weights.{name}.0.bias'])
        return batch_norm(s, p[f'weights.{name}.1.weight'], p[f'weights.{name}.1.bias'])

    m = sigmoid(branch(x + y, 'local_att') + branch(gap(x + y), 'global_att')[:, :, None, None])
    return 2 * (m * x + (1 - m) * y)


def refinement(x, y, p):
    return x + ms_cam_weights(x + y, p, 'weights.') * y


def gated_sum(x, y, p):
    return (x + y) * ms_cam_weights(x + y, p, 'weights.')


def selective_depth(x, y, p):
    v = batch_norm(linear(gap(x + y), p['fc.0.weight']), p['fc.1.weight'], p['fc.1.bias'])
    scores = [linear(relu(v), p[f'fcs.{i}.weight'], p[f'fcs.{i}.bias']) for i in (0, 1)]
    a = softmax(torch.stack(scores), 0)[..., None, None]
    return a[0] * x + a[1] * y


def levels(x, p, name):
    kernels = [p[key] for key in sorted(p) if key.startswith(name)]
    return [grouped_conv(x, kernel) for kernel in kernels]


def psa_without_softmax(x, p):
    weighted = [gate(f, se_scores(f, p)) for f in levels(x, p, 'conv_')]
    return torch.cat(weighted[::-1], 1)


def se_scores(f, p):
    hidden = relu(linear(gap(f), p['se.fc1.weight'], p['se.fc1.bias']))
    return linear(hidden, p['se.fc2.weight'], p['se.fc2.bias'])


def psa_without_attention(x, p):
    return torch.cat(levels(x, p, 'conv_')[::-1], 1)


def pyconv(x, p):
    return torch.cat(levels(x, p, 'conv2_'), 1)


def sk(x, p):
    maps = []
    for i, dilation in enumerate((1, 2)):
        u = grouped_conv(x, p[f'branches.{i}.0.weight'], dilation)
        u = batch_norm(u, p[f'branches.{i}.1.weight'], p[f'branches.{i}.1.bias'])
        maps.append(relu(u))
    z = linear(gap(maps[0] + maps[1]), p['fc1.weight'])
    z = relu(batch_norm(z, p['norm.weight'], p['norm.bias']))
    scores = linear(z, p['fc2.weight']).reshape(len(x), 2, -1)
    a, b = softmax(scores, 1).unbind(1)
    return a[:, :, None, None] * maps[0] + b[:, :, None, None] * maps[1]


def split_psa(x, p):
    kernels = [p[f'conv_{i}.weight'] for i in (1, 2, 3, 4)]
    maps = [grouped_conv(part, kernel) for part, kernel in zip(x.chunk(4, 1), kernels)]
    z = torch.stack([sigmoid(se_scores(f, p)) for f in maps], 1)
    weights = softmax(z, 1).unbind(1)
    return torch.cat([f * w[:, :, None, None] for f, w in zip(maps[::-1], weights[::-1])], 1)
