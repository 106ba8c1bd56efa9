"""A process with PyTorch: one full training step at a time of a network that is written here after src/models.

It prints a line of JSON when it is ready, and one for each line on its standard input: the milliseconds of some steps, each by itself, the losses
of them, and the process's peak of memory.
"""

import argparse
import json
import struct
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

# kernel, hidden channels of RepGhostNet (GhostNet has twice as many), output channels, squeeze-and-excitation, stride
STAGES = [
    [(3, 8, 16, 0, 1)],
    [(3, 24, 24, 0, 2)],
    [(3, 36, 24, 0, 1)],
    [(5, 36, 40, 1, 2)],
    [(5, 60, 40, 1, 1)],
    [(3, 120, 80, 0, 2)],
    [(3, 100, 80, 0, 1), (3, 120, 80, 0, 1), (3, 120, 80, 0, 1), (3, 240, 112, 1, 1), (3, 336, 112, 1, 1)],
    [(5, 336, 160, 1, 2)],
    [(5, 480, 160, 0, 1), (5, 480, 160, 1, 1), (5, 480, 160, 0, 1), (5, 480, 160, 1, 1)],
]
# GhostNet's third and fourth rows of the sixth stage are not twice RepGhostNet's.
GHOST_HIDDEN = {(6, 1): 184, (6, 2): 184}


def divisible(value, by=4):
    rounded = max(by, int(value + by / 2) // by * by)
    return rounded + by if rounded < 0.9 * value else rounded


def conv(inputs, outputs, kernel, stride=1, groups=1, bias=False):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=bias)


def ended(relu, *layers):
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))


class Ghost(nn.Module):
    def __init__(self, inputs, outputs, relu=True):
        super().__init__()
        half = -(-outputs // 2)
        self.outputs = outputs
        self.primary_conv = ended(relu, conv(inputs, half, 1), nn.BatchNorm2d(half))
        self.cheap_operation = ended(relu, conv(half, half, 3, groups=half), nn.BatchNorm2d(half))

    def forward(self, x):
        own = self.primary_conv(x)
        return torch.cat([own, self.cheap_operation(own)], dim=1)[:, : self.outputs]


class RepGhost(nn.Module):
    def __init__(self, inputs, outputs, relu=True):
        super().__init__()
        self.relu = relu
        self.primary_conv = ended(relu, conv(inputs, outputs, 1), nn.BatchNorm2d(outputs))
        self.fusion_bn = nn.Sequential(nn.BatchNorm2d(outputs))
        self.cheap_operation = nn.Sequential(conv(outputs, outputs, 3, groups=outputs), nn.BatchNorm2d(outputs))

    def forward(self, x):
        own = self.primary_conv(x)
        y = self.cheap_operation(own) + self.fusion_bn(own)
        return F.relu(y, inplace=True) if self.relu else y


class SqueezeExcite(nn.Module):
    def __init__(self, channels):
        super().__init__()
        hidden = divisible(channels * 0.25)
        self.conv_reduce = conv(channels, hidden, 1, bias=True)
        self.conv_expand = conv(hidden, channels, 1, bias=True)

    def forward(self, x):
        hidden = F.relu(self.conv_reduce(F.adaptive_avg_pool2d(x, 1)), inplace=True)
        return x * F.hardsigmoid(self.conv_expand(hidden))


class Bottleneck(nn.Module):
    def __init__(self, module, inputs, hidden, outputs, kernel, stride, excite):
        super().__init__()
        self.ghost1 = module(inputs, hidden)
        self.strided = stride > 1
        if self.strided:
            self.conv_dw = conv(hidden, hidden, kernel, stride, groups=hidden)
            self.bn_dw = nn.BatchNorm2d(hidden)
        self.se = SqueezeExcite(hidden) if excite else None
        self.ghost2 = module(hidden, outputs, relu=False)
        self.shortcut = None
        if inputs != outputs or self.strided:
            self.shortcut = nn.Sequential(
                conv(inputs, inputs, kernel, stride, groups=inputs),
                nn.BatchNorm2d(inputs),
                conv(inputs, outputs, 1),
                nn.BatchNorm2d(outputs),
            )

    def forward(self, x):
        y = self.ghost1(x)
        if self.strided:
            y = self.bn_dw(self.conv_dw(y))
        if self.se is not None:
            y = self.se(y)
        return self.ghost2(y) + (x if self.shortcut is None else self.shortcut(x))


class ConvBnAct(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = conv(inputs, outputs, 1)
        self.bn1 = nn.BatchNorm2d(outputs)

    def forward(self, x):
        return F.relu(self.bn1(self.conv(x)), inplace=True)


class Network(nn.Module):
    def __init__(self, family, width, classes):
        super().__init__()
        ghost = family == 'ghostnet'
        channels = divisible(16 * width)
        self.conv_stem = conv(3, channels, 3, 2)
        self.bn1 = nn.BatchNorm2d(channels)
        stages = []
        for s, rows in enumerate(STAGES):
            stage = []
            for r, (kernel, thin, outputs, excite, stride) in enumerate(rows):
                hidden = GHOST_HIDDEN.get((s, r), 2 * thin) if ghost else thin
                sizes = (channels, divisible(hidden * width), divisible(outputs * width))
                stage.append(Bottleneck(Ghost if ghost else RepGhost, *sizes, kernel, stride, excite))
                channels = sizes[2]
            stages.append(nn.Sequential(*stage))
        last = divisible(960 * width)
        self.blocks = nn.Sequential(*stages, nn.Sequential(ConvBnAct(channels, last)))
        self.conv_head = conv(last, 1280, 1, bias=True)
        self.classifier = nn.Linear(1280, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv_stem(x)), inplace=True)
        x = F.adaptive_avg_pool2d(self.blocks(x), 1)
        return self.classifier(torch.flatten(F.relu(self.conv_head(x), inplace=True), 1))


def read_tensors(path):
    """The tensors of a safetensors file of 32-bit floats, and the file's metadata."""
    with open(path, 'rb') as file:
        data = file.read()
    (length,) = struct.unpack('<Q', data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop('__metadata__', {})
    tensors = {}
    for name, entry in header.items():
        start, end = entry['data_offsets']
        raw = bytearray(data[8 + length + start : 8 + length + end])
        tensors[name] = torch.frombuffer(raw, dtype=torch.float32).reshape(entry['shape']).clone()
    return tensors, metadata


def peak_memory_mb():
    """The most memory that the process itself had resident; ru_maxrss may still know that of the one that started it."""
    try:
        with open('/proc/self/status') as status:
            return next(int(line.split()[1]) for line in status if line.startswith('VmHWM')) / 1024
    except (OSError, StopIteration):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == 'darwin' else 1024)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('scene', help='what the bench writes: weights, a batch, targets')
    parser.add_argument('--layout', choices=['contiguous', 'channels_last'], required=True)
    parser.add_argument('--threads', type=int, help="PyTorch's own choice where it is not given")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    tensors, metadata = read_tensors(options.scene)
    images, targets = tensors.pop('bench.images'), tensors.pop('bench.targets')
    settings = json.loads(metadata['bench'])
    network = Network(settings['family'], settings['width'], targets.shape[1])
    # Any key or shape that is not the same is an error.
    counters = {k: v for k, v in network.state_dict().items() if k.endswith('num_batches_tracked')}
    network.load_state_dict({**tensors, **counters})
    del tensors
    if options.layout == 'channels_last':
        network = network.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    network.train()
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=settings['learningRate'],
        momentum=settings['momentum'],
        nesterov=settings['nesterov'],
        weight_decay=settings['weightDecay'],
    )

    def step():
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(network(images), targets)
        loss.backward()
        optimizer.step()
        # The loss is read, as a training does.
        value = loss.item()
        return (time.perf_counter() - start) * 1000, value

    print(json.dumps({'version': torch.__version__, 'threads': torch.get_num_threads()}), flush=True)
    for line in sys.stdin:
        runs = [step() for _ in range(int(line))]
        ms, losses = zip(*runs)
        print(json.dumps({'ms': ms, 'losses': losses, 'peakMemoryMB': peak_memory_mb()}), flush=True)


main()
