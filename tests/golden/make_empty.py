"""Makes empty.txt: what PyTorch makes of sizes of 0, a line per call:

    OP INPUT... -> OUTPUT:VALUE... => GRADIENT:VALUE...        or        OP INPUT... refused
    ("=> refused" where backward alone is)

Input number k (from 0) is full of 0.25 (k + 1); one with an i in front is of whole numbers, all 0. VALUE is one number
where all are the same, else all of them with commas between, and - where there is none. Gradients are those of the
floating inputs for output gradients of 1.

    python make_empty.py > empty.txt
"""
import sys
import warnings

import torch
import torch.nn.functional as F

warnings.simplefilter("ignore")
torch.set_default_dtype(torch.float64)


def attention(keys, values, query, image, v, bias):
    scores = (torch.tanh(keys[image] + query[:, None]) * v).sum(2) + bias
    alpha = torch.softmax(scores, 1)
    return torch.bmm(alpha[:, None], values[image])[:, 0], alpha



def lstm(x, h, c, *w):
    out, h, c = torch.lstm(x, (h[None], c[None]), list(w), True, 1, 0.0, True, False, False)
    return out, h[0], c[0]


def lstm_shapes(x, n, size, hidden):
    return [x, (n, hidden), (n, hidden), (4 * hidden, size), (4 * hidden, hidden), (4 * hidden,), (4 * hidden,)]


def pool(kernel, stride, pad):
    return lambda x: F.max_pool2d(x, kernel, stride, pad)


def cross_entropy(reduction, smoothing):
    return lambda x, t: F.cross_entropy(x, t, reduction=reduction, label_smoothing=smoothing)


def norm(train):
    return lambda x, w, b: F.batch_norm(x, torch.zeros(x.shape[1]), torch.ones(x.shape[1]), w, b, train, 0.1, 1e-3)


ONE = [(0,), (0, 3), (3, 0), (2, 0, 3), (0, 0)]
TWO = [[(0, 3), (0, 3)], [(3, 0), (3, 0)], [(3, 0), (1, 0)], [(3, 0), (3, 1)], [(0, 3), (1, 3)], [(0, 3), ()],
       [(0,), (1,)], [(2, 1, 0), (2, 1)], [(0,), (2,)], [(3, 0), (3, 2)]]
CALLS = {}
for name in "relu relu6 tanh sigmoid exp log sqrt square abs neg".split():
    CALLS[name] = (getattr(torch, name, None) or getattr(F, name), [[s] for s in ONE])
CALLS["clamp"] = (lambda x: torch.clamp(x, 0, 1), [[s] for s in ONE])
CALLS["affine"] = (lambda x: 2 * x + 1, [[s] for s in ONE])
CALLS["pow"] = (lambda x: torch.pow(x, 2.5), [[s] for s in ONE])
CALLS["dropout"] = (lambda x: F.dropout(x, 0.5, True), [[s] for s in ONE])
for name in "add sub mul div maximum minimum".split():
    CALLS[name] = (getattr(torch, name), TWO)
CALLS["where"] = (lambda c, a, b: torch.where(c.bool(), a, b),
                  [[("i", 0, 3), (0, 3), (1, 3)], [("i", 3, 1), (3, 0), (1, 0)], [("i",), (0,), (0,)],
                   [("i", 0), (1,), ()], [("i", 0), (2,), (2,)]])
REDUCED = [(0,), (0, 3), (3, 0), (0, 0), (2, 0, 3)]
for name in "sum mean".split():
    CALLS[name] = (getattr(torch, name), [[s] for s in REDUCED])
for dim in (0, 1):
    for name in "sum mean max logsumexp argmax softmax log_softmax".split():
        f = getattr(torch, name)
        CALLS[f"{name}_{dim}"] = (
            (lambda x, f=f, dim=dim: f(x, dim)[0]) if name == "max" else (lambda x, f=f, dim=dim: f(x, dim)),
            [[s] for s in REDUCED if len(s) > dim])
for k in (0, 1, 2):
    CALLS[f"topk_{k}"] = (lambda x, k=k: tuple(torch.topk(x.detach(), k)), [[(0,)], [(0, 3)], [(3, 0)]])
for wanted in [(0,), (3, 0), (-1, 3), (0, -1), (-1, 0), (2,), (0, 0, 5)]:
    CALLS["reshape_" + ",".join(map(str, wanted))] = (lambda x, w=wanted: x.reshape(w), [[(0, 3)], [(3, 0)], [(0,)]])
CALLS["flatten"] = (torch.flatten, [[s] for s in ONE])
CALLS["flatten_1"] = (lambda x: torch.flatten(x, 1), [[(0, 3)], [(3, 0)], [(2, 0, 3)]])
CALLS["permute_2,0,1"] = (lambda x: x.permute(2, 0, 1), [[(0, 2, 3)], [(2, 0, 3)], [(2, 3, 0)]])
CALLS["transpose_0,1"] = (lambda x: x.transpose(0, 1), [[(0, 3)], [(3, 0)], [(0, 0)]])
for wanted in [(0,), (2, 0), (0, 3), (3, 0), (2, 3)]:
    CALLS["expand_" + ",".join(map(str, wanted))] = (
        lambda x, w=wanted: x.expand(w), [[(0,)], [(1,)], [()], [(1, 3)], [(0, 3)], [(3, 1)]])
CALLS["unsqueeze_0"] = (lambda x: x.unsqueeze(0), [[s] for s in ONE])
CALLS["unsqueeze_-1"] = (lambda x: x.unsqueeze(-1), [[s] for s in ONE])
CALLS["squeeze_0"] = (lambda x: x.squeeze(0), [[(1, 0)], [(1, 0, 3)]])
CALLS["slice_0:0"] = (lambda x: x[0:0], [[(0,)], [(2, 3)], [(0, 3)], [(2, 0)]])
CALLS["slice_1,0:2"] = (lambda x: x[:, 0:2], [[(0, 2)], [(0, 3)]])
CALLS["select_0"] = (lambda x: x.select(0, 0), [[(0,)], [(0, 3)], [(3, 0)]])
CALLS["select_1"] = (lambda x: x.select(1, 0), [[(0, 3)], [(3, 0)], [(2, 0, 3)]])
PARTS = [[(0, 3), (0, 3)], [(2, 0), (2, 0)], [(0, 3), (2, 3)], [(2, 0), (2, 3)], [(0,), (0,)], [(0,), (2,)],
         [(0,), (2, 3)], [(2, 3), (0,)], [(0,), (2, 3), (0,), (2, 3)], [(0, 2), (2, 3)], [(0,)]]
CALLS["cat_0"] = (lambda *x: torch.cat(x, 0), PARTS)
CALLS["cat_1"] = (lambda *x: torch.cat(x, 1), PARTS)
CALLS["stack_0"] = (lambda *x: torch.stack(x, 0), PARTS)
CALLS["stack_1"] = (lambda *x: torch.stack(x, 1), PARTS)
CALLS["contiguous"] = (lambda x: x.contiguous(), [[s] for s in ONE])
CALLS["to"] = (lambda x: x.to(torch.float32).to(torch.float64), [[s] for s in ONE])
CALLS["matmul"] = (torch.matmul, [
    [(0, 3), (3, 2)], [(2, 0), (0, 2)], [(2, 3), (3, 0)], [(0, 0), (0, 0)], [(0, 3), (3, 0)], [(2, 0, 3), (2, 3, 4)],
    [(2, 1, 3), (2, 3, 0)], [(2, 1, 0), (2, 0, 4)], [(0, 2, 3), (0, 3, 4)], [(0, 2, 3), (1, 3, 4)], [(0, 2, 3), (3, 4)],
    [(1, 2, 3), (0, 3, 4)], [(2, 1, 2, 0), (3, 0, 2)], [(2, 0, 2, 3), (1, 3, 2)], [(0, 2, 3), (2, 3, 4)],
    [(2, 0), (1, 2)]])
CALLS["linear"] = (F.linear, [
    [(0, 4), (2, 4), (2,)], [(2, 0), (3, 0), (3,)], [(2, 3), (0, 3), (0,)], [(2, 3), (0, 3)], [(2, 0), (3, 0)],
    [(0, 0), (0, 0), (0,)], [(2, 0, 3), (4, 3), (4,)], [(0, 2, 3), (4, 3), (4,)], [(2, 5, 0), (4, 0), (4,)],
    [(2, 5, 3), (0, 3), (0,)], [(0,), (3, 0), (3,)], [(3,), (0, 3), (0,)], [(2, 0), (3, 1), (3,)]])
for reduction in ("mean", "sum", "none"):
    for smoothing in (0, 0.1):
        CALLS[f"cross_entropy_{reduction}" + ("_smoothed" if smoothing else "")] = (
            cross_entropy(reduction, smoothing), [[(0, 3), ("i", 0)], [(2, 0), ("i", 2)]])
# Not here: no input channels, of which PyTorch makes no output channels, and we, as for linear, the bias.
CALLS["conv2d"] = (F.conv2d, [
    [(0, 2, 4, 4), (3, 2, 3, 3), (3,)], [(1, 2, 4, 4), (0, 2, 3, 3), (0,)],
    [(1, 2, 0, 4), (3, 2, 3, 3), (3,)], [(1, 2, 4, 0), (3, 2, 3, 3), (3,)], [(1, 2, 4, 4), (3, 2, 0, 3), (3,)],
    [(0, 2, 0, 4), (3, 2, 3, 3), (3,)], [(0, 2, 4, 4), (3, 2, 3, 3)], [(0, 2, 2, 2), (3, 2, 3, 3)]])
CALLS["conv2d_padded"] = (lambda *x: F.conv2d(*x, padding=1), [
    [(0, 2, 4, 4), (3, 2, 3, 3), (3,)], [(1, 2, 0, 4), (3, 2, 3, 3), (3,)], [(1, 2, 1, 0), (3, 2, 3, 2), (3,)],
    [(1, 2, 0, 0), (3, 2, 2, 2), (3,)], [(1, 2, 0, 0), (3, 2, 1, 1), (3,)]])
CALLS["conv2d_groups"] = (lambda *x: F.conv2d(*x, groups=2), [[(0, 4, 4, 4), (2, 2, 3, 3), (2,)],
                                                              [(0, 2, 4, 4), (2, 1, 3, 3), (2,)],
                                                              [(1, 2, 4, 4), (0, 1, 3, 3), (0,)]])
POOLED = [(0, 2, 4, 4), (1, 0, 4, 4), (1, 2, 0, 4), (1, 2, 4, 0), (0, 0, 4, 4), (0, 2, 0, 4)]
CALLS["max_pool2d"] = (pool(2, 2, 0), [[s] for s in POOLED])
CALLS["max_pool2d_padded"] = (pool(3, 2, 1), [[s] for s in POOLED])
for size in [(1, 1), (2, 3)]:  # of no cells PyTorch makes an output, but refuses its backward: we refuse both
    CALLS["adaptive_avg_pool2d_" + ",".join(map(str, size))] = (
        lambda x, size=size: F.adaptive_avg_pool2d(x, size), [[s] for s in POOLED + [(1, 2, 4, 4)]])
NORMED = [[(0, 3), (3,), (3,)], [(0, 3, 2, 2), (3,), (3,)], [(2, 3, 0, 2), (3,), (3,)], [(2, 0), (0,), (0,)],
          [(0, 0), (0,), (0,)], [(2, 0, 2, 2), (0,), (0,)]]
CALLS["batch_norm_train"] = (norm(True), NORMED)
CALLS["batch_norm"] = (norm(False), NORMED)
CALLS["embedding"] = (lambda w, ids: F.embedding(ids, w),
                      [[(3, 2), ("i", 0)], [(3, 2), ("i", 2, 0)], [(3, 0), ("i", 2)], [(0, 2), ("i", 0)],
                       [(0, 2), ("i", 1)], [(0, 0), ("i", 0)]])
CALLS["lstm_cell"] = (lambda x, h, c, *w: torch.lstm_cell(x, (h, c), *w),
                      [lstm_shapes((0, 3), 0, 3, 2), lstm_shapes((2, 0), 2, 0, 2), lstm_shapes((2, 3), 2, 3, 0)])
CALLS["lstm_sequence"] = (lstm, [lstm_shapes((4, 0, 3), 0, 3, 2), lstm_shapes((0, 2, 3), 2, 3, 2),
                                 lstm_shapes((4, 2, 0), 2, 0, 2), lstm_shapes((4, 2, 3), 2, 3, 0)])
CALLS["additive_attention"] = (attention, [
    [(2, 3, 4), (2, 3, 5), (0, 4), ("i", 0), (4,), (1,)], [(0, 3, 4), (0, 3, 5), (0, 4), ("i", 0), (4,), (1,)],
    [(2, 3, 0), (2, 3, 5), (6, 0), ("i", 6), (0,), (1,)], [(2, 3, 4), (2, 3, 0), (6, 4), ("i", 6), (4,), (1,)],
    [(0, 3, 4), (0, 3, 5), (1, 4), ("i", 1), (4,), (1,)]])


def text(shape):
    return ("i" if shape[:1] == ("i",) else "") + "(" + ",".join(str(n) for n in shape if n != "i") + ")"


def described(t, like):
    t = torch.zeros(like) if t is None else t.detach()
    if t.numel() == 0:
        return text(tuple(t.shape)) + ":-"
    values = t.double().flatten()
    if values.isnan().all() or bool((values == values[0]).all()):
        values = values[:1]
    return text(tuple(t.shape)) + ":" + ",".join(f"{v:.17g}" for v in values.tolist())


for name, (f, calls) in CALLS.items():
    for shapes in calls:
        line = [name] + [text(s) for s in shapes]
        inputs = [torch.zeros(s[1:], dtype=torch.int64) if s[:1] == ("i",) else
                  torch.full(s, 0.25 * (k + 1)).requires_grad_() for k, s in enumerate(shapes)]
        try:
            out = f(*inputs)
            outs = out if isinstance(out, tuple) else (out,)
            line += ["->"] + [described(o, o.shape) for o in outs] + ["=>"]
        except (RuntimeError, IndexError, ValueError) as error:
            line = line[:1 + len(shapes)] + ["refused"]
            print(*line, error, file=sys.stderr)
        roots = [o for o in outs if o.requires_grad] if line[-1] == "=>" else []
        leaves = [x for x in inputs if x.requires_grad]
        try:
            gradients = torch.autograd.grad(roots, leaves, [torch.ones_like(o) for o in roots], allow_unused=True) \
                if roots else []
            line += [described(g, x.shape) for g, x in zip(gradients, leaves)]
        except (RuntimeError, IndexError, ValueError) as error:
            line.append("refused")
            print(*line, error, file=sys.stderr)
        print(" ".join(line))
