"""What PyTorch makes of a few training steps, in double precision: writes pytorch-steps.json.

Weights and images are not in it: both sides make them from the same integers.
"""

import json
import pathlib

import torch
from torch import nn

STEPS, BATCH, CLASSES = 6, 4, 3
# Name: optimizer, learning rate, and what is done beside.
CONFIGS = {
    "sgd": dict(optimizer="sgd", rate=0.2),
    "sgd, momentum and decay": dict(optimizer="sgd", rate=0.1, momentum=0.9, decay=0.02),
    "sgd, Nesterov, no decay of vectors": dict(
        optimizer="sgd", rate=0.1, momentum=0.8, nesterov=True, decay=0.05, vectors=False
    ),
    "sgd, clipped, rates by layer": dict(optimizer="sgd", rate=0.1, momentum=0.9, clip=0.3, rates={"fc": 5.0, "dw": 0.5}),
    "sgd, averaged": dict(optimizer="sgd", rate=0.1, momentum=0.9, average=0.8),
    "adamw": dict(optimizer="adamw", rate=0.02, decay=0.1),
    "adamw, clipped, frozen, no decay of vectors": dict(
        optimizer="adamw", rate=0.03, betas=[0.7, 0.95], eps=1e-4, decay=0.2, vectors=False, clip=0.5, frozen=["conv", "bn1"]
    ),
}


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 5, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(5)
        self.dw = nn.Conv2d(5, 5, 3, padding=1, groups=5)
        self.fc = nn.Linear(5, CLASSES)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv(x)))
        return self.fc(torch.relu(self.dw(x)).mean((2, 3)))


def numbers(key, shape):
    count = torch.Size(shape).numel()
    values = [((i * 7919 + key * 104729 + 13) % 97 - 48) / 97 for i in range(count)]
    return torch.tensor(values, dtype=torch.float32).double().reshape(shape)


def state(model):
    return {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}


def train(c):
    model = Network().double()
    with torch.no_grad():
        for key, (name, p) in enumerate(state(model).items()):
            p.copy_(numbers(key, p.shape) + (1 if "bn1" in name and name.endswith(("weight", "var")) else 0))
    trained = [(k, p) for k, p in model.named_parameters() if k.split(".")[0] not in c.get("frozen", [])]
    for name, p in model.named_parameters():
        p.requires_grad_(any(name == k for k, _ in trained))
    factor = lambda name: c.get("rates", {}).get(name.split(".")[0], 1.0)
    decays = lambda p: c.get("vectors", True) or p.ndim > 1
    groups = [dict(params=[p], weight_decay=c.get("decay", 0.0) if decays(p) else 0.0) for _, p in trained]
    if c["optimizer"] == "sgd":
        optimizer = torch.optim.SGD(groups, lr=1, momentum=c.get("momentum", 0), nesterov=c.get("nesterov", False))
    else:
        optimizer = torch.optim.AdamW(groups, lr=1, betas=c.get("betas", (0.9, 0.999)), eps=c.get("eps", 1e-8))
    average = {k: v.clone() for k, v in state(model).items()}
    losses, first = [], {}
    for step in range(STEPS):
        x = numbers(100 + step, (BATCH, 2, 9, 8))
        labels = torch.tensor([(3 * i + step) % CLASSES for i in range(BATCH)])
        loss = nn.functional.cross_entropy(model(x), labels, label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            first = {k: p.grad.clone() for k, p in trained}
        if "clip" in c:
            nn.utils.clip_grad_norm_([p for _, p in trained], c["clip"])
        for group, (name, _) in zip(optimizer.param_groups, trained):
            group["lr"] = c["rate"] / (1 + step) * factor(name)
        optimizer.step()
        for k, v in state(model).items():
            average[k].mul_(c.get("average", 0)).add_(v, alpha=1 - c.get("average", 0))
    flat = lambda tensors: {k: [float(f"{v:.8g}") for v in t.flatten().tolist()] for k, t in tensors.items()}
    result = dict(config=c, losses=losses, state=flat(state(model)))
    if "average" in c:
        result["average"] = flat(average)
    if c == CONFIGS["sgd"]:
        result["gradients"] = flat(first)
    return result


path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps({name: train(c) for name, c in CONFIGS.items()}) + "\n")
