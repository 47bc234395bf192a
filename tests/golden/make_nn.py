"""Makes nn.safetensors: layers of PyTorch in float64, their outputs and all gradients.

Inputs and parameters are rounded to float32, so that float32 and float64 runs can begin with the same numbers. Names:
CASE/in.NAME, CASE/parameter.NAME, CASE/out.NAME, CASE/cotangent.NAME (the gradient given to that output) and
CASE/grad.NAME (of inputs and parameters). A gradient that is 0 but for rounding (that of attn_weights.bias: softmax does
not change when all scores are shifted) is recorded as 0.

    python make_nn.py
"""
import os

import torch
from safetensors.torch import save_file
from torch import nn

torch.manual_seed(7)
torch.set_default_dtype(torch.float64)
tensors = {}


def rounded(*shape, scale=1.0):
    return (torch.randn(shape) * scale).float().double()


def record(case, module, inputs, forward):
    """inputs: name -> tensor; forward(inputs) -> name -> output."""
    for p in module.parameters():
        p.data = p.data.float().double()
    inputs = {k: v.requires_grad_() if v.is_floating_point() else v for k, v in inputs.items()}
    outputs = forward(inputs)
    loss = 0
    for name, out in outputs.items():
        cotangent = rounded(*out.shape)
        loss = loss + (out * cotangent).sum()
        tensors[f"{case}/out.{name}"] = out.detach().contiguous()
        tensors[f"{case}/cotangent.{name}"] = cotangent
    loss.backward()
    for name, x in inputs.items():
        tensors[f"{case}/in.{name}"] = x.detach().clone()
        if x.is_floating_point():
            tensors[f"{case}/grad.{name}"] = x.grad.contiguous()
    for name, p in module.named_parameters():
        tensors[f"{case}/parameter.{name}"] = p.detach().contiguous()
        tensors[f"{case}/grad.{name}"] = p.grad * (p.grad.norm() > 1e-12)


def lstm(case, layers, steps, bias=True, with_state=True):
    module = nn.LSTM(5, 6, num_layers=layers, bias=bias)
    inputs = {"x": rounded(steps, 3, 5)}
    if with_state:
        inputs |= {"h0": rounded(layers, 3, 6, scale=0.5), "c0": rounded(layers, 3, 6)}

    def forward(v):
        y, (h, c) = module(v["x"], (v["h0"], v["c0"]) if with_state else None)
        return {"y": y, "h": h, "c": c}

    record(case, module, inputs, forward)


def lstm_cell(case, bias=True):
    module = nn.LSTMCell(5, 6, bias=bias)

    def forward(v):
        h, c = module(v["x"], (v["h0"], v["c0"]))
        return {"h": h, "c": c}

    record(case, module, {"x": rounded(3, 5), "h0": rounded(3, 6), "c0": rounded(3, 6)}, forward)


class Attention(nn.Module):
    def __init__(self, feature, hidden, attention):
        super().__init__()
        self.attention = nn.Linear(feature + hidden, attention)
        self.attn_weights = nn.Linear(attention, 1)

    def forward(self, features, hidden):
        repeated = hidden.unsqueeze(1).expand(-1, features.size(1), -1)
        energy = torch.tanh(self.attention(torch.cat([features, repeated], 2)))
        alpha = torch.softmax(self.attn_weights(energy).squeeze(2), 1)
        return (alpha.unsqueeze(2) * features).sum(1), alpha


def attention(case, image):
    """image: which image each query looks at."""
    module = Attention(7, 4, 5)

    def forward(v):
        context, alpha = module(v["features"][v["image"]], v["hidden"])
        return {"context": context, "alpha": alpha}

    record(case, module, {"features": rounded(3, 6, 7), "hidden": rounded(len(image), 4),
                          "image": torch.tensor(image)}, forward)


def simple(case, module, inputs):
    record(case, module, inputs, lambda v: {"y": module(*v.values())})


simple("linear", nn.Linear(5, 4), {"x": rounded(3, 5)})
simple("linear_3d", nn.Linear(5, 4), {"x": rounded(2, 3, 5)})
simple("linear_no_bias", nn.Linear(5, 4, bias=False), {"x": rounded(3, 5)})
simple("embedding", nn.Embedding(7, 4), {"ids": torch.tensor([[3, 0, 6], [3, 3, 1]])})
simple("sequential", nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Dropout(0.5).eval(), nn.Linear(8, 4), nn.Tanh()),
       {"x": rounded(3, 5)})
lstm("lstm_1_layer_1_step", 1, 1)
lstm("lstm_1_layer_4_steps", 1, 4)
lstm("lstm_2_layers_1_step", 2, 1)
lstm("lstm_2_layers_4_steps", 2, 4)
lstm("lstm_3_layers_no_bias", 3, 3, bias=False)
lstm("lstm_no_state", 2, 3, with_state=False)
lstm_cell("lstm_cell")
lstm_cell("lstm_cell_no_bias", bias=False)
attention("attention", [0, 1, 2])
attention("attention_shared_images", [0, 0, 2, 1, 1])
targets = torch.tensor([[2, 5, 1, -100], [0, 2, -100, -100]])
simple("cross_entropy", nn.CrossEntropyLoss(), {"x": rounded(8, 6), "targets": targets.flatten()})
simple("cross_entropy_smooth", nn.CrossEntropyLoss(ignore_index=2, label_smoothing=0.1),
       {"x": rounded(8, 6, scale=3), "targets": targets.clamp(min=0).flatten()})
simple("cross_entropy_sum", nn.CrossEntropyLoss(reduction="sum"), {"x": rounded(8, 6), "targets": targets.flatten()})
simple("cross_entropy_none", nn.CrossEntropyLoss(reduction="none"), {"x": rounded(8, 6), "targets": targets.flatten()})

classes = rounded(6).abs() + 0.1
for reduction in ("mean", "sum", "none"):
    for smoothing in (0.0, 0.2):
        loss = nn.CrossEntropyLoss(weight=classes, ignore_index=2, label_smoothing=smoothing, reduction=reduction)
        simple(f"cross_entropy_weight_{reduction}_{smoothing}", loss,
               {"x": rounded(8, 6), "targets": targets.clamp(min=0).flatten()})
        tensors[f"cross_entropy_weight_{reduction}_{smoothing}/parameter.weight"] = classes.clone()

save_file(tensors, os.path.join(os.path.dirname(os.path.abspath(__file__)), "nn.safetensors"))
