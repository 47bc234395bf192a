"""Makes original_attention.pth, original_plain.pth, original_vocab.pkl and original.json: checkpoints as the original
program's trainer saves them, of models as it builds them, but for small decoders; and what they say of a picture.

The models are written from the published description of the original, with PyTorch and torchvision. The encoder is
ResNet50 in its full size, in few bytes: as in make_encoder_pth.py, its weights are strided views of a few storages.
Decoders are computed in float64. Searches: the original's greedy and beam search, and this program's.

    python make_original.py
"""
import json
import os
import pickle
import sys
import types

import numpy as np
import torch
import torch.nn as nn
import torchvision
from PIL import Image

from made import made

HERE = os.path.dirname(os.path.abspath(__file__))
E, H, A, F, LAYERS, STEPS = 8, 8, 6, 2048, 2, 100
TOKENS = ["<unk>", "<pad>", "<sos>", "<eos>", " a", "  ", " .", " in", " the", " man", " dog", " runs", " red", " on",
          " grass", " with", " ball", " woman", "x", "y", "z", " "]
UNK, PAD, SOS, EOS = range(4)
V = len(TOKENS)


# --- the models, with the original's names

class Encoder(nn.Module):
    def __init__(self, head):
        super().__init__()
        self.ResNet50 = torchvision.models.resnet50(weights=None)
        if head:
            self.ResNet50.fc = nn.Sequential(nn.Linear(F, E), nn.ReLU(), nn.Dropout(0.5), nn.Linear(E, E), nn.ReLU())
        else:
            self.features = nn.Sequential(*list(self.ResNet50.children())[:-2])


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention, self.attn_weights = nn.Linear(F + H, A), nn.Linear(A, 1)

    def forward(self, features, h):
        e = self.attn_weights(torch.tanh(self.attention(torch.cat((features, h.expand(len(features), -1)), 1))))
        return (torch.softmax(e, 0) * features).sum(0, keepdim=True)


class AttentionDecoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.attention = nn.Embedding(V, E), Attention()
        self.lstm, self.fc = nn.LSTM(E + F, H, LAYERS, batch_first=True, dropout=0.5), nn.Linear(H, V)

    def start(self, features):
        state = torch.zeros(LAYERS, 1, H).double(), torch.zeros(LAYERS, 1, H).double()
        return [SOS], features, state

    def step(self, features, word, state):
        x = torch.cat((self.embedding(torch.tensor([word])), self.attention(features, state[0][-1])), 1)
        out, state = self.lstm(x[None], state)
        return torch.log_softmax(self.fc(out[0, 0]), 0), state


class PlainDecoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.projection = nn.Embedding(V, E), nn.Linear(E, E)
        self.lstm, self.fc, self.relu = nn.LSTM(E, H, LAYERS, batch_first=True, dropout=0.5), nn.Linear(H, V), nn.ReLU()

    def start(self, features):
        return [], features, None

    def step(self, features, word, state):  # word None: the picture
        x = self.projection(features) if word is None else self.embedding(torch.tensor(word))
        out, state = self.lstm(x[None, None], state)
        return torch.log_softmax(self.fc(out[0, 0]), 0), state


class Model(nn.Module):
    def __init__(self, attention):
        super().__init__()
        self.cnn, self.lstm = Encoder(not attention), AttentionDecoder() if attention else PlainDecoder()


# --- the original's searches. What has no word yet is fed the picture (plain), else its last word.

def step(decoder, ids, features, state):
    return decoder.step(features, ids[-1] if ids else None, state)


def original_greedy(decoder, features):
    ids, features, state = decoder.start(features)
    margin = 1e9
    for _ in range(STEPS):
        logp, state = step(decoder, ids, features, state)
        top = logp.topk(2)
        margin = min(margin, float(top.values[0] - top.values[1]))
        ids = ids + [int(top.indices[0])]
        if ids[-1] == EOS:
            break
    return ids, margin


def original_beam(decoder, features, k):
    ids, features, state = decoder.start(features)
    beams, done, margin = [(ids, 0.0, state)], [], 1e9
    for _ in range(STEPS):
        candidates = []
        for ids, score, state in beams:
            if ids and ids[-1] == EOS:
                done.append((ids, score))
                continue
            logp, after = step(decoder, ids, features, state)
            top = logp.topk(k)
            for value, word in zip(top.values.tolist(), top.indices.tolist()):
                candidates.append((ids + [word], score + value, after))
        if not candidates:
            break
        ranked = sorted(candidates, key=lambda c: -c[1])
        if len(ranked) > k:
            margin = min(margin, ranked[k - 1][1] - ranked[k][1])
        beams = ranked[:k]
        if len(done) >= k:
            break
    done = sorted(done or [(b[0], b[1]) for b in beams], key=lambda b: -b[1])
    return (*done[0], margin)


# --- this program's search (imgcap/decoding/beam_search.h): no <unk>, <pad>, <sos>; scores are means of words.

def own_beam(decoder, features, k, max_words=30):
    ids, features, state = decoder.start(features)
    if not ids:
        _, state = decoder.step(features, None, None)
        ids = [SOS]
    beams, done, margin = [(ids, 0.0, state)], [], 1e9
    for length in range(1, max_words + 2):
        candidates = []
        for ids, score, state in beams:
            logp, after = step(decoder, ids, features, state)
            logp[[UNK, PAD, SOS]] = -float("inf")
            candidates += [(ids + [w], score + float(logp[w]), after) for w in range(EOS, V)]
        ranked, before = sorted(candidates, key=lambda c: -c[1]), beams
        margin = min([margin] + [a[1] - b[1] for a, b in zip(ranked[:k], ranked[1:k + 1])])
        beams = []
        for rank, (ids, score, after) in enumerate(ranked[:2 * k]):
            if ids[-1] == EOS:
                if rank < k and len(done) < k:
                    done.append((ids, score, score / length))
            elif length <= max_words and len(beams) < k:
                beams.append((ids, score, after))
        best = max((d[2] for d in done), default=-float("inf"))
        if not beams or len(done) >= k or beams[0][1] / (max_words + 1) <= best:
            break
    done.sort(key=lambda d: -d[2])
    if len(done) > 1:
        margin = min(margin, done[0][2] - done[1][2])
    return (*(done or before)[0][:2], margin)  # the best open one when none has ended


# --- weights

bases = {}


def view(shape, seed, low, high):
    """A strided view of the base of these bounds; its place in it depends on `seed`."""
    steps = (5, 3, 2, 1)[: len(shape)]
    base = bases.setdefault((low, high), made(len(bases), (14000,), low, high).float())
    span = 1 + sum(s * (n - 1) for s, n in zip(steps, shape))
    return base.as_strided(shape, steps, (17 * seed) % (len(base) - span))


def encoder_weights(resnet):
    state = {}
    for seed, (name, t) in enumerate(sorted(resnet.state_dict().items())):
        if name.startswith("fc.") and len(t) != 1000 or name.endswith("num_batches_tracked"):
            state[name] = t
        elif t.dim() > 1:  # the bound of unit variance, to a power of two: few storages
            bound = 2.0 ** round(np.log2((3.0 / t[0].numel()) ** 0.5))
            state[name] = view(tuple(t.shape), seed, -bound, bound)
        elif name.endswith("running_var") or name.endswith("weight"):
            state[name] = view(tuple(t.shape), seed, 0.5, 1.5)
        else:
            state[name] = view(tuple(t.shape), seed, -0.2, 0.2)
    return state


def checkpoint(model, name):
    """As the original's trainer saves it: of the compiled model, with the optimiser's state."""
    optimizer = torch.optim.AdamW(model.lstm.fc.parameters(), lr=4e-4, weight_decay=1e-4)  # of few, for a small file
    for parameter in model.lstm.fc.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    before = torch.compile(model).state_dict()
    views = encoder_weights(model.cnn.ResNet50)
    model.cnn.ResNet50.load_state_dict(views)
    state = torch.compile(model).state_dict()
    children = dict(enumerate(n for n, _ in model.cnn.ResNet50.named_children()))
    for key in state:
        if key.startswith("_orig_mod.cnn.ResNet50."):
            state[key] = views[key.removeprefix("_orig_mod.cnn.ResNet50.")]
        elif key.startswith("_orig_mod.cnn.features."):  # the same storages under other names
            number, rest = key.removeprefix("_orig_mod.cnn.features.").split(".", 1)
            state[key] = views[children[int(number)] + "." + rest]
    assert list(before) == list(state)
    torch.save({"epoch": 30, "model_state_dict": state, "optimizer_state_dict": optimizer.state_dict(),
                "train_loss": 2.3125, "val_loss": 2.8125, "bleu_score": torch.tensor(0.125),
                "cider_score": np.float64(0.5)}, os.path.join(HERE, f"original_{name}.pth"))


def vocabulary():
    """As pickle.dump of torchtext's Vocab writes it."""
    for name in ("torchtext", "torchtext.vocab", "torchtext.vocab.vocab", "torchtext._torchtext"):
        sys.modules[name] = types.ModuleType(name)

    class Inner:
        def __getstate__(self):
            return ("0.0.2", [0], TOKENS, [])

    class Vocab(nn.Module):
        def __init__(self):
            super().__init__()
            self.vocab = Inner()

    for kind, module, name in ((Inner, "torchtext._torchtext", "Vocab"), (Vocab, "torchtext.vocab.vocab", "Vocab")):
        kind.__module__, kind.__qualname__ = module, name
        setattr(sys.modules[module], name, kind)
    with open(os.path.join(HERE, "original_vocab.pkl"), "wb") as file:
        pickle.dump(Vocab(), file, protocol=4)


picture = Image.open(os.path.join(HERE, "encoder_resnet50.png")).convert("RGB")
resized = np.asarray(picture.resize((224, 224), Image.BILINEAR), dtype=np.float64) / 255
normal = (resized - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
# The original's page swaps red and blue before.
swapped = (np.asarray(Image.merge("RGB", picture.split()[::-1]).resize((224, 224), Image.BILINEAR),
                      dtype=np.float64) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]



def set_weights(model, seed):
    """Such that captions depend on the picture and end."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, p in model.lstm.named_parameters():
            bound = 2.0 if p.dim() > 1 else 0.5
            if name == "lstm.weight_ih_l0" and p.shape[1] > F:
                p.copy_(torch.empty(p.shape).uniform_(-bound, bound))[:, E:] *= 0.01
            elif name == "attention.attention.weight":
                p.copy_(torch.empty(p.shape).uniform_(-bound, bound))[:, :F] *= 0.01
            else:
                p.copy_(torch.empty(p.shape).uniform_(-bound, bound))
        if isinstance(model.lstm, PlainDecoder):
            for layer in (model.cnn.ResNet50.fc[0], model.cnn.ResNet50.fc[3]):
                bound = 0.01 if layer.weight.shape[1] == F else 1
                layer.weight.copy_(torch.empty(layer.weight.shape).uniform_(-bound, bound))


def captions(decoder, own, original):
    """What all searches find; features of the picture and of the one with red for blue."""
    entry = {}
    ids, margin = original_greedy(decoder, original)
    entry["original_greedy"] = {"ids": ids, "margin": margin}
    for name, result in (("original_beam3", original_beam(decoder, original, 3)),
                         ("own_beam1", own_beam(decoder, own, 1)), ("own_beam3", own_beam(decoder, own, 3))):
        entry[name] = {"ids": result[0], "log_probability": result[1], "margin": result[2]}
    return entry


def features_of(model, pixels):
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    if hasattr(model.cnn, "features"):
        return model.cnn.features(image)[0].flatten(1).t()
    return model.cnn.ResNet50(image)[0]


if __name__ == "__main__":
    expected = {}
    for name, seed in (("attention", 388), ("plain", 33)):
        model = Model(name == "attention")
        set_weights(model, seed)
        checkpoint(model, name)
        model = model.double().eval()
        with torch.no_grad():
            expected[name] = captions(model.lstm, features_of(model, normal), features_of(model, swapped))
    vocabulary()
    with open(os.path.join(HERE, "original.json"), "w") as file:
        json.dump({"tokens": TOKENS, **expected}, file, indent=1)
    for name, entry in expected.items():
        for search, result in entry.items():
            print(name, search, result, "".join(TOKENS[i] for i in result["ids"]))
    for name in ("original_attention.pth", "original_plain.pth", "original_vocab.pkl"):
        print(name, os.path.getsize(os.path.join(HERE, name)), "bytes")
