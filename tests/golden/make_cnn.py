"""Makes cnn.safetensors: convolutions, pools, batch norm and whole ResNets of PyTorch, float64.

Inputs and weights are not stored: both sides make them by a formula (`made` in made.py and tests/made.h), an integer
hash of the element's index. conv/K and pool/K: output and gradients of case K of the tables below. bn/...: three training
steps. resnet50/...: features and logits of two pictures of 64 x 64 in evaluation mode. resnet18/...: three pictures of
32 x 32 in training mode; of each parameter's gradient 32 elements, evenly spaced, and the 2-norm; all running statistics
of the last stage's last layer.

    python make_cnn.py
"""
import os

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from safetensors.torch import save_file

from made import made

torch.set_default_dtype(torch.float64)
out = {}


def grads(name, y, inputs):
    y.backward(made(99, tuple(y.shape)))
    out[f"{name}/out"] = y.detach()
    for key, x in inputs.items():
        out[f"{name}/grad.{key}"] = x.grad


# x, weight, stride, padding, dilation, groups
for k, (xs, ws, stride, pad, dilation, groups) in enumerate([
        ((2, 3, 9, 8), (4, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1),
        ((1, 4, 7, 9), (6, 2, 3, 2), (2, 1), (1, 0), (1, 2), 2),
        ((2, 6, 8, 8), (6, 1, 5, 5), (2, 2), (2, 2), (1, 1), 6),
        ((2, 5, 4, 6), (7, 5, 1, 1), (1, 1), (0, 0), (1, 1), 1)]):
    x, w, b = (made(i + 1, s).requires_grad_() for i, s in enumerate((xs, ws, ws[:1])))
    grads(f"conv/{k}", F.conv2d(x, w, b, stride, pad, dilation, groups), {"x": x, "weight": w, "bias": b})

for k, (xs, kernel, stride, pad, dilation, ceil) in enumerate([
        ((2, 3, 9, 8), 3, 2, 1, 1, False), ((1, 2, 8, 7), 2, 2, 0, 1, True), ((1, 2, 9, 10), 3, 1, 1, 2, True),
        ((1, 1, 6, 6), 3, 3, 1, 1, True)]):
    x = made(1, xs).requires_grad_()
    grads(f"pool/{k}", F.max_pool2d(x, kernel, stride, pad, dilation, ceil), {"x": x})
for k, (xs, size) in enumerate([((2, 3, 7, 7), (1, 1)), ((1, 2, 7, 5), (3, 2)), ((1, 2, 3, 4), (5, 6))]):
    x = made(1, xs).requires_grad_()
    grads(f"avg/{k}", F.adaptive_avg_pool2d(x, size), {"x": x})

for name, momentum, affine in (("bn/default", 0.1, True), ("bn/average", None, True), ("bn/plain", 0.3, False)):
    bn = torch.nn.BatchNorm2d(3, momentum=momentum, affine=affine)
    if affine:
        bn.weight.data, bn.bias.data = made(11, (3,)), made(12, (3,))
    for step in range(3):
        bn.zero_grad()
        x = (made(step, (4, 3, 5, 2)) * 2 + 3).requires_grad_()
        y = bn(x)
        grads(f"{name}/{step}", y, {"x": x} | ({"weight": bn.weight, "bias": bn.bias} if affine else {}))
    out[f"{name}/running_mean"], out[f"{name}/running_var"] = bn.running_mean, bn.running_var
    bn.eval()
    bn.zero_grad()
    x = made(7, (2, 3, 2, 2)).requires_grad_()
    grads(f"{name}/eval", bn(x), {"x": x} | ({"weight": bn.weight, "bias": bn.bias} if affine else {}))


def fill(model):
    """Weights by the formula, seeded by their place in the sorted list of names; rounded to float32."""
    state = model.state_dict()
    for seed, name in enumerate(sorted(k for k in state if not k.endswith("num_batches_tracked"))):
        t = state[name]
        if t.dim() > 1:
            bound = (3.0 / t[0].numel())**0.5
            v = made(seed, tuple(t.shape), -bound, bound)
        elif name.endswith("running_var") or (name.endswith("weight") and t.dim() == 1):
            v = made(seed, tuple(t.shape), 0.5, 1.5)
        else:
            v = made(seed, tuple(t.shape), -0.2, 0.2)
        state[name] = v.float().double()
    model.load_state_dict(state)


model = torchvision.models.resnet50(weights=None)
fill(model)
model.eval()
with torch.no_grad():
    x = made(1, (2, 3, 64, 64)).float().double()
    out["resnet50/features"] = torch.nn.Sequential(*list(model.children())[:-2])(x).float()
    out["resnet50/logits"] = model(x).float()

model = torchvision.models.resnet18(weights=None, num_classes=10)
fill(model)
model.train()
x = made(1, (3, 3, 32, 32)).requires_grad_()
logits = model(x)
grads("resnet18", logits, {"x": x})
for name, p in model.named_parameters():
    g = p.grad.flatten()
    out[f"resnet18/samples.{name}"] = g[:: max(1, g.numel() // 32)][:32].contiguous()
    out[f"resnet18/norm.{name}"] = g.norm().reshape(1)
out["resnet18/running_mean"] = model.layer4[1].bn2.running_mean
out["resnet18/running_var"] = model.layer4[1].bn2.running_var

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cnn.safetensors")
save_file({k: v.detach().contiguous() for k, v in out.items()}, path)
print(len(out), "tensors,", os.path.getsize(path), "bytes")
