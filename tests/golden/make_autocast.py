"""Makes autocast.txt: for each of our ops, the type of its result in PyTorch under autocast to bfloat16, of bfloat16
and of float32 inputs ("mixed": one of each): on the CPU by running it, and for CUDA by PyTorch's own lists
(torch/testing/_internal/autocast_test_lists.py): lower, f32, or "as given" for an op in no list, whose result has the
type that its inputs promote to.

    python make_autocast.py
"""
import os
import sys
import types

import torch
import torch.nn.functional as F

# The lists' file wants one name of a module that needs more packages.
sys.modules["torch.testing._internal.common_utils"] = types.SimpleNamespace(TEST_WITH_ROCM=False, TestCase=object)
from torch.testing._internal.autocast_test_lists import AutocastTestLists

torch.manual_seed(1)
NAMES = {torch.float32: "f32", torch.bfloat16: "bf16", torch.float16: "f16"}
lists = AutocastTestLists("cpu")


def names(*attributes):
    return {entry[0] for a in attributes for entry in getattr(lists, a)}


LOWER = names("torch_fp16", "nn_fp16")
F32 = names("torch_fp32", "methods_fp32", "nn_fp32", "torch_need_autocast_promote") | {
    "softmax", "log_softmax", "sum", "cumsum", "cross_entropy_loss", "nll_loss", "pow", "logsumexp"}


def cuda(name, given):
    if name in ("lower", *LOWER):
        return "bf16"
    if name in F32:
        return "f32"
    return {"bf16": "bf16", "f32": "f32", "mixed": "f32"}[given]


w, conv, ids = torch.randn(3, 4), torch.randn(2, 1, 3, 3), torch.tensor([0, 2])
gates = [torch.randn(12, 4), torch.randn(12, 3), torch.randn(12), torch.randn(12)]
h, c = torch.randn(5, 3), torch.randn(5, 3)
mean, var = torch.zeros(4), torch.ones(4)
# name -> (PyTorch's name in its lists, callable of one or two tensors)
ONE = {
    "exp": ("exp", torch.exp), "log": ("log", torch.log), "sqrt": ("sqrt", torch.sqrt),
    "pow": ("pow", lambda x: torch.pow(x, 3.0)), "square": ("pow", torch.square), "abs": ("abs", torch.abs),
    "neg": ("neg", torch.neg), "affine": ("mul", lambda x: x * 2.0), "relu": ("relu", torch.relu),
    "tanh": ("tanh", torch.tanh), "sigmoid": ("sigmoid", torch.sigmoid),
    "clamp": ("clamp", lambda x: torch.clamp(x, 0.0, 1.0)), "sum": ("sum", torch.sum), "mean": ("mean", torch.mean),
    "max": ("max", lambda x: torch.max(x, 1)[0]), "logsumexp": ("logsumexp", lambda x: torch.logsumexp(x, 1)),
    "softmax": ("softmax", lambda x: torch.softmax(x, 1)),
    "log_softmax": ("log_softmax", lambda x: torch.log_softmax(x, 1)),
    "cross_entropy": ("nll_loss", lambda x: F.cross_entropy(x, torch.tensor([0, 1, 2, 3, 0]))),
    "linear": ("linear", lambda x: F.linear(x, w)),
    "matmul": ("matmul", lambda x: torch.matmul(x, w.t())),
    "conv2d": ("conv2d", lambda x: F.conv2d(x.reshape(1, 1, 5, 4), conv)),
    "max_pool2d": ("max_pool2d", lambda x: F.max_pool2d(x.reshape(1, 1, 5, 4), 2)),
    "adaptive_avg_pool2d": ("adaptive_avg_pool2d", lambda x: F.adaptive_avg_pool2d(x.reshape(1, 1, 5, 4), 2)),
    "batch_norm": ("batch_norm", lambda x: F.batch_norm(x, mean, var, torch.ones(4), torch.zeros(4), True)),
    "embedding": ("embedding", lambda x: F.embedding(ids, x)),
    "dropout": ("dropout", lambda x: F.dropout(x, 0.5, True)),
    "lstm_cell.h": ("lstm_cell", lambda x: torch.lstm_cell(x, (h, c), *gates)[0]),
    "lstm_cell.c": ("lstm_cell", lambda x: torch.lstm_cell(x, (h, c), *gates)[1]),
}
TWO = {
    "add": ("add", torch.add), "sub": ("sub", torch.sub), "mul": ("mul", torch.mul), "div": ("div", torch.div),
    "maximum": ("maximum", torch.maximum), "minimum": ("minimum", torch.minimum),
    "where": ("where", lambda a, b: torch.where(a > 0, a, b)), "cat": ("cat", lambda a, b: torch.cat([a, b])),
    "stack": ("stack", lambda a, b: torch.stack([a, b])),
}
# No device in the machine that runs this: CUDA's lists have all LSTM gates' products as "lower".
LOWER |= {"lstm_cell", "linear", "matmul", "conv2d"}

x = torch.rand(5, 4) + 0.1
lines = []
with torch.autocast("cpu", torch.bfloat16):
    for name, (listed, f) in ONE.items():
        for given in ("f32", "bf16"):
            argument = x if given == "f32" else x.bfloat16()
            try:
                result = NAMES[f(argument).dtype]
            except RuntimeError:
                result = "error"
            lines.append(f"{name} {given} {result} {cuda(listed, given)}")
    for name, (listed, f) in TWO.items():
        for given, a, b in (("f32", x, x), ("bf16", x.bfloat16(), x.bfloat16()), ("mixed", x.bfloat16(), x)):
            lines.append(f"{name} {given} {NAMES[f(a, b).dtype]} {cuda(listed, given)}")
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "autocast.txt"), "w") as file:
    file.write("\n".join(lines) + "\n")
