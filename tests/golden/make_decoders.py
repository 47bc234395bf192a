"""Loss and every gradient of both caption decoders, and ten training steps of each, float64, from PyTorch: python make_decoders.py (writes decoders.safetensors).

The models are written from the published description of the original, one step at a time, with its quirks: the zero
logits of the <sos> slot (attention) and the <sos> target of step 0 (plain) count in the `compat` losses.
"""
import json
import torch, torch.nn as nn, torch.nn.functional as F
from safetensors.torch import save_file

torch.manual_seed(5)
torch.set_default_dtype(torch.float64)
V, E, H, A, D, P, M, L = 17, 6, 5, 7, 8, 4, 3, 2
image = torch.tensor([0, 1, 1, 2])
words = torch.tensor([[2, 5, 9, 11, 4, 3], [2, 7, 16, 6, 3, 1], [2, 8, 12, 3, 1, 1], [2, 3, 1, 1, 1, 1]])
coins = [True, False, True, True, True]  # coins[k]: the word after step k is the caption's
features = torch.randn(M, P, D)


class Attention(nn.Module):
    def __init__(s, gate):
        super().__init__()
        s.embedding, s.lstm, s.fc = nn.Embedding(V, E), nn.LSTM(E + D, H, L), nn.Linear(H, V)
        s.attention = nn.Module()
        s.attention.attention, s.attention.attn_weights = nn.Linear(D + H, A), nn.Linear(A, 1)
        if gate:
            s.gate, s.init_h, s.init_c = nn.Linear(H, D), nn.Linear(D, L * H), nn.Linear(D, L * H)

    def forward(s, compat):
        f, B, S = features[image], len(image), words.shape[1]
        state = torch.zeros(L, B, H), torch.zeros(L, B, H)
        if hasattr(s, "gate"):
            state = tuple(torch.tanh(i(f.mean(1))).view(B, L, H).transpose(0, 1).contiguous() for i in (s.init_h, s.init_c))
        out, w = torch.zeros(B, S, V), torch.full((B,), 2)
        for t in range(1, S):
            h = state[0][-1]
            e = s.attention.attn_weights(torch.tanh(s.attention.attention(torch.cat((f, h.unsqueeze(1).expand(-1, P, -1)), 2))))
            context = (torch.softmax(e, 1) * f).sum(1)
            if hasattr(s, "gate"): context = context * torch.sigmoid(s.gate(h))
            o, state = s.lstm(torch.cat((s.embedding(w), context), 1).unsqueeze(0), state)
            out[:, t] = s.fc(o[0])
            w = words[:, t] if coins[t - 1] else out[:, t].argmax(1)
        first = 0 if compat else 1
        return F.cross_entropy(out[:, first:].reshape(-1, V), words[:, first:].reshape(-1), ignore_index=1)


class Plain(nn.Module):
    def __init__(s):
        super().__init__()
        s.head = nn.Sequential(nn.Linear(D, E), nn.ReLU(), nn.Identity(), nn.Linear(E, E), nn.ReLU())
        s.embedding, s.projection = nn.Embedding(V, E), nn.Linear(E, E)
        s.lstm, s.fc = nn.LSTM(E, H, L), nn.Linear(H, V)

    def forward(s, compat):
        x = torch.cat((s.projection(s.head(features.mean(1))[image]).unsqueeze(0), s.embedding(words[:, :-1]).transpose(0, 1)))
        out = s.fc(s.lstm(x)[0]).transpose(0, 1)
        first = 0 if compat else 1
        return F.cross_entropy(out[:, first:].reshape(-1, V), words[:, first:].reshape(-1), ignore_index=1)


tensors = {"features": features, "image": image, "words": words}
models = (("attention", Attention(False)), ("gated", Attention(True)), ("plain", Plain()))
for name, model in models:
    tensors[f"{name}/compat_loss"] = model(True).detach()
    loss = model(False)
    loss.backward()
    tensors[f"{name}/loss"] = loss.detach()
    for key, parameter in model.named_parameters():
        tensors[f"{name}/weight/{key}"], tensors[f"{name}/grad/{key}"] = parameter.detach().clone(), parameter.grad.clone()

def train(name, model, steps=10):
    """Losses, gradient norms before clipping and every gradient of ten steps of AdamW, with other coins in each."""
    global coins
    given, optimizer, losses, norms = coins, torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1), [], []
    for step in range(steps):
        coins = [(7 * step + 3 * k) % 5 != 0 for k in range(5)]
        optimizer.zero_grad()
        loss = model(False)
        loss.backward()
        for key, parameter in model.named_parameters():
            tensors[f"{name}/step{step}/{key}"] = parameter.grad.clone()
        norms.append(nn.utils.clip_grad_norm_(model.parameters(), 0.3))
        losses.append(loss.detach())
        optimizer.step()
    tensors[f"{name}/losses"], tensors[f"{name}/norms"] = torch.stack(losses), torch.stack(norms)
    coins = given


for name, model in models:
    train(name, model)
save_file({k: v.contiguous() for k, v in tensors.items()}, "decoders.safetensors",
          {"coins": json.dumps(coins), "torch": torch.__version__})
