"""The layers of GHOST 2.0's networks in PyTorch, for timing: the shapes of the original's at 512 px, random weights.

    python networks.py --threads 2 --parsing labels.bin

prints a line of JSON when it is ready, and one for each line on standard input: {"ms", "peakMemoryMB"} of one pass through the aligner
(three encoders and the generator) and the blender (features of two pictures, colours by correlation, decoder). labels.bin has a label of
the head parsing for each of 512 x 512 pixels, which tells how large the correlated parts are.
"""

import argparse
import json
import resource
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

SIZE = 512


def conv(inputs, outputs, kernel=3, stride=1, bias=False, groups=1, dilation=1):
    padding = dilation * (kernel - 1) // 2
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias)


def conv_norm(inputs, outputs, kernel=3, stride=1, groups=1, activation=None):
    layers = [conv(inputs, outputs, kernel, stride, groups=groups), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([activation] if activation else []))


class Residual(nn.Module):
    """A body added to a shortcut, with what comes behind the sum."""

    def __init__(self, body, shortcut=None, last=None):
        super().__init__()
        self.body, self.shortcut, self.last = body, shortcut or nn.Identity(), last or nn.Identity()

    def forward(self, x):
        return self.last(self.body(x) + self.shortcut(x))


def resnext50():
    """The portrait encoder: ResNeXt-50 with 32 groups of width 4."""
    layers = [conv_norm(3, 64, 7, 2, activation=nn.ReLU(True)), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for stage, depth in enumerate([3, 4, 6, 3]):
        width, outputs = 128 << stage, 256 << stage
        for i in range(depth):
            stride = 2 if i == 0 and stage > 0 else 1
            body = nn.Sequential(
                conv_norm(inputs, width, 1, activation=nn.ReLU(True)),
                conv_norm(width, width, 3, stride, groups=32, activation=nn.ReLU(True)),
                conv_norm(width, outputs, 1),
            )
            layers.append(Residual(body, conv_norm(inputs, outputs, 1, stride) if i == 0 else None, nn.ReLU(True)))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 512))


def iresnet50():
    """The identity encoder: ArcFace's residual network on 112 px."""
    layers = [conv_norm(3, 64, activation=nn.PReLU(64))]
    inputs = 64
    for stage, depth in enumerate([3, 4, 14, 3]):
        outputs = 64 << stage
        for i in range(depth):
            stride = 2 if i == 0 else 1
            body = nn.Sequential(
                nn.BatchNorm2d(inputs),
                conv_norm(inputs, outputs, activation=nn.PReLU(outputs)),
                conv_norm(outputs, outputs, 3, stride),
            )
            layers.append(Residual(body, conv_norm(inputs, outputs, 1, stride) if i == 0 else None))
            inputs = outputs
    return nn.Sequential(
        *layers, nn.BatchNorm2d(512), nn.Flatten(), nn.Linear(512 * 7 * 7, 512), nn.BatchNorm1d(512)
    )


def mobilenet_v2():
    """The pose encoder."""
    layers = [conv_norm(3, 32, 3, 2, activation=nn.ReLU6(True))]
    inputs = 32
    table = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    for expansion, outputs, depth, first in table:
        for i in range(depth):
            stride, width = first if i == 0 else 1, inputs * expansion
            body = [conv_norm(inputs, width, 1, activation=nn.ReLU6(True))] if expansion > 1 else []
            body += [conv_norm(width, width, 3, stride, width, nn.ReLU6(True)), conv_norm(width, outputs, 1)]
            block = nn.Sequential(*body)
            layers.append(Residual(block) if stride == 1 and inputs == outputs else block)
            inputs = outputs
    layers.append(conv_norm(inputs, 1280, 1, activation=nn.ReLU6(True)))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 256))


class Generator(nn.Module):
    """Grows a constant to a picture; the norms' scales and shifts come from the embedding. Spectral norm is folded."""

    def __init__(self):
        super().__init__()
        widths = [512, 512, 512] + [min(512, 64 << (6 - i)) for i in range(7)]
        self.constant = nn.Parameter(torch.ones(1, 512, 4, 4))
        self.blocks = nn.ModuleList()
        features = 0
        for i, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
            grows = i >= 2
            skip = conv(inputs, outputs, 1, bias=True) if grows or inputs != outputs else nn.Identity()
            self.blocks.append(nn.ModuleList([conv(inputs, outputs), conv(outputs, outputs), skip]))
            features += inputs + outputs
        features += 2 * 64
        self.rgb, self.mask = conv(64, 3, bias=True), conv(64, 1, bias=True)
        self.projector = nn.Sequential(nn.Linear(1280, 1280), nn.ReLU(True), nn.Linear(1280, 2 * features))

    def forward(self, embedding):
        parameters, at = self.projector(embedding), 0

        def norm(x):
            nonlocal at
            channels = x.shape[1]
            shift = parameters[:, at : at + channels, None, None]
            scale = parameters[:, at + channels : at + 2 * channels, None, None]
            at += 2 * channels
            return F.relu(F.instance_norm(x, eps=1e-4) * scale + shift)

        x = self.constant
        for i, (first, second, skip) in enumerate(self.blocks):
            grow = (lambda y: F.interpolate(y, scale_factor=2)) if i >= 2 else (lambda y: y)
            y = first(grow(norm(x)))
            x = second(norm(y)) + skip(grow(x))
        return torch.tanh(self.rgb(norm(x))), torch.sigmoid(self.mask(norm(x)))


class Features(nn.Module):
    """VGG-19 with a feature pyramid, of which the level at an eighth of the size is used."""

    def __init__(self, every_level):
        super().__init__()
        self.stages = nn.ModuleList()
        inputs = 3
        for outputs, depth in [(64, 2), (128, 2), (256, 4), (512, 4), (512, 4)]:
            layers = []
            for _ in range(depth):
                layers += [conv(inputs, outputs, bias=True), nn.ReLU()]
                inputs = outputs
            self.stages.append(nn.Sequential(*layers))
        self.inner = nn.ModuleList([conv(c, 256, 1, bias=True) for c in [64, 64, 128, 256, 512, 512]])
        self.outer = nn.ModuleList([conv(256, 256, bias=True) for _ in range(6)])
        self.lowest = 0 if every_level else 3

    def forward(self, x):
        levels = [self.stages[0][0](x)]
        for stage in self.stages:
            x = F.avg_pool2d(stage(x), 2)
            levels.append(x)
        y, wanted = self.inner[5](levels[5]), None
        for i in range(5, self.lowest - 1, -1):
            if i < 5:
                inner = self.inner[i](levels[i])
                y = inner + F.interpolate(y, size=inner.shape[-2:])
            if i == 3 or self.lowest == 0:
                out = self.outer[i](y)
                wanted = out if i == 3 else wanted
        return wanted


class Decoder(nn.Module):
    """The U-shaped network that makes the picture out of what is known of it."""

    def __init__(self):
        super().__init__()

        def stage(inputs, outputs, depth, dilation=1):
            layers = []
            for _ in range(depth):
                layers += [conv(inputs, outputs, bias=True, dilation=dilation), nn.ReLU(True)]
                inputs = outputs
            return nn.Sequential(*layers, nn.InstanceNorm2d(outputs))

        def halve(channels):
            return conv(channels, channels, 1, 2, groups=channels)

        def grow(inputs, outputs):
            return nn.Sequential(nn.Upsample(scale_factor=2), conv(inputs, outputs, bias=True))

        first = [conv(12, 32, bias=True), nn.ReLU(True), conv(32, 64, bias=True), nn.ReLU(True)]
        self.down1 = nn.Sequential(*first, stage(64, 64, 1))
        self.down2 = nn.Sequential(halve(64), stage(64, 128, 2))
        self.down3 = nn.Sequential(halve(128), stage(128, 256, 3))
        self.middle = nn.Sequential(
            halve(256), stage(256, 512, 3), stage(512, 512, 3, 2), stage(512, 512, 3, 2), stage(512, 512, 3)
        )
        self.up3, self.up2, self.up1 = grow(512, 256), grow(256, 128), grow(128, 128)
        self.short3, self.short2 = conv(256, 256, bias=True), conv(128, 128, bias=True)
        self.short1 = conv(64, 128, bias=True)
        self.join3, self.join2 = stage(256, 256, 2), stage(128, 128, 1)
        self.join1 = nn.Sequential(conv(128, 128, bias=True), nn.LeakyReLU(0.2, True), nn.Conv2d(128, 3, 1))

    def forward(self, x):
        one = self.down1(x)
        two = self.down2(one)
        three = self.down3(two)
        y = self.join3(F.relu(self.up3(self.middle(three)) + self.short3(three)))
        y = self.join2(F.relu(self.up2(y) + self.short2(two)))
        return torch.tanh(self.join1(F.relu(self.up1(y) + self.short1(one))))


def correlate(source, target, picture, pairs):
    """For each pair of masks the colours of the target's pixels with like features, at the source's pixels."""
    small = F.interpolate(picture, size=source.shape[-2:], mode="bilinear", align_corners=True)[0].flatten(1)
    source, target = source[0].flatten(1), target[0].flatten(1)
    result = torch.zeros_like(small)
    for where, whence in pairs:
        a, b = source[:, where], target[:, whence]
        if a.shape[1] == 0 or b.shape[1] == 0:
            continue
        a = (a - a.mean(0)) / (a.norm(dim=0) + 1e-8)
        b = (b - b.mean(0)) / (b.norm(dim=0) + 1e-8)
        weights = F.softmax(a.T @ b / 0.001, dim=-1)
        result[:, where] = small[:, whence] @ weights.T
    return result.view(1, 3, SIZE // 8, SIZE // 8)


def part_masks(labels):
    """The pixels of each part at the features' size, and those of the margin around the head."""
    parts = [[15, 20], [18], [5, 6], [2], [3, 4], [12], [9], [7, 8], [16], [17], [19], [14], [10], [11]]
    is_head = sum(labels == label for part in parts for label in part)[None, None].float()
    margin = (F.max_pool2d(is_head, 17, 1, 8) - is_head)[0, 0]
    masks = [sum(labels == label for label in part) for part in parts] + [margin]
    return [mask[::8, ::8].flatten() > 0 for mask in masks]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--parsing", required=True)
    parser.add_argument("--original", action="store_true")
    options = parser.parse_args()
    began = time.perf_counter()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    with open(options.parsing, "rb") as file:
        labels = torch.frombuffer(bytearray(file.read()), dtype=torch.uint8).view(SIZE, SIZE).int()
    masks = part_masks(labels)
    networks = nn.ModuleDict(
        {
            "portrait": resnext50(),
            "identity": iresnet50(),
            "pose": mobilenet_v2(),
            "generator": Generator(),
            "features": Features(options.original),
            "decoder": Decoder(),
        }
    ).eval()
    wide, other = torch.rand(1, 3, SIZE, SIZE) * 2 - 1, torch.rand(1, 3, SIZE, SIZE) * 2 - 1
    arc = torch.rand(1, 3, 112, 112) * 2 - 1

    @torch.inference_mode()
    def swap(layout):
        a, b = wide.contiguous(memory_format=layout), other.contiguous(memory_format=layout)
        embedding = [networks["portrait"](a), networks["identity"](arc), networks["pose"](b)]
        head, mask = networks["generator"](torch.cat(embedding, 1))
        source, target = networks["features"](head), networks["features"](b)
        colours = correlate(source, target, b, [(mask, mask) for mask in masks])
        colours = F.interpolate(colours, size=(SIZE, SIZE), mode="bilinear", align_corners=True)
        picture = torch.cat([colours, b, mask, head, mask, mask], 1).contiguous(memory_format=layout)
        return networks["decoder"](picture)

    def milliseconds(layout):
        start = time.perf_counter()
        swap(layout)
        return (time.perf_counter() - start) * 1000

    # Whichever layout is faster here is the one that is measured; they take turns.
    layouts = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
    tried = {name: [] for name in layouts}
    for _ in range(3):
        for name, layout in layouts.items():
            networks.to(memory_format=layout)
            tried[name].append(milliseconds(layout))
    # The first round warms up.
    tried = {name: min(times[1:]) for name, times in tried.items()}
    name = min(tried, key=tried.get)
    layout = layouts[name]
    networks.to(memory_format=layout)

    note = f"{name} is the faster layout ({', '.join(f'{key} {ms:.0f} ms' for key, ms in tried.items())})"
    ready = {"ms": (time.perf_counter() - began) * 1000, "version": torch.__version__, "note": note}
    print(json.dumps(ready), flush=True)
    for _ in sys.stdin:
        ms = milliseconds(layout)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"ms": ms, "peakMemoryMB": peak}), flush=True)


main()
