"""Makes pth_*.pth: files as PyTorch saves them, small, with values that the test computes itself.

Run with PyTorch 2.x and NumPy: python make_pth.py
"""

import argparse
import collections
import io
import os
import pathlib
import zipfile

import numpy
import torch

OUT = pathlib.Path(__file__).parent


def save(name, value, **options):
    torch.save(value, OUT / f"pth_{name}.pth", **options)


def counting(shape, dtype=torch.float32):
    return torch.arange(torch.Size(shape).numel()).reshape(shape).to(dtype)


# Every dtype, an empty tensor and a scalar; a Parameter; a _metadata attribute as Module.state_dict leaves it.
state = collections.OrderedDict()
for dtype in ("float32", "float64", "float16", "bfloat16", "int32", "int64", "uint8"):
    state[f"a.{dtype}"] = counting((2, 3), getattr(torch, dtype))
state["a.bool"] = torch.tensor([True, False, True])
state["empty"] = torch.zeros(0, 4)
state["scalar"] = torch.tensor(7)
state["parameter"] = torch.nn.Parameter(counting((3,)))
state._metadata = collections.OrderedDict({"": {"version": 1}})
save("state_dict", state)
save("protocol4", state, pickle_protocol=4)

# Views of one storage: transposed, a window, every second column, expanded, channels last; a tied weight.
base = counting((3, 4))
tied = torch.nn.Linear(2, 2)
with torch.no_grad():
    tied.weight.copy_(counting((2, 2)))
save("views", {
    "base": base,
    "transposed": base.t(),
    "window": base[1:, 1:3],
    "row": base[1],
    "stepped": base[:, ::2],
    "expanded": base[0, 1].expand(2, 2),
    "channels_last": counting((1, 2, 2, 3)).to(memory_format=torch.channels_last),
    "tied": [tied.weight, tied.weight],
})

# A training checkpoint: nested dictionaries, an optimiser's integer keys, scalars of Python and NumPy.
torch.manual_seed(0)
model = torch.nn.Linear(2, 2)
optimizer = torch.optim.AdamW(model.parameters(), lr=4e-4, weight_decay=1e-4)
model(torch.ones(1, 2)).sum().backward()
optimizer.step()
with torch.no_grad():
    model.weight.copy_(counting((2, 2)))
    model.bias.copy_(counting((2,)))
save("checkpoint", {
    "epoch": 40,
    "model_state_dict": model.state_dict(),
    "optimizer_state_dict": optimizer.state_dict(),
    "train_loss": 2.375,
    "val_loss": torch.tensor(2.5),
    "cider_score": numpy.float64(0.75),
    "bleu_score": numpy.float32(0.25),
    "steps": numpy.int64(-3),
    "best": numpy.bool_(True),
    "note": "caf\u00e9",
    "seed": 2**64 - 1,
    "negative": -(2**70),
    "nothing": None,
    "flag": False,
    "size": torch.Size([3, 4]),
})
save("tensor", counting((2,)))

# A network with the names of torchvision's ResNet18, every tensor cut to at most two entries a dimension.
try:
    import torchvision
    net = torchvision.models.resnet18(weights=None)
    save("resnet18", collections.OrderedDict(
        (name, counting([min(n, 2) for n in t.shape], t.dtype)) for name, t in net.state_dict().items()))
except ImportError:
    print("torchvision is missing: pth_resnet18.pth was not made")

# int8 and int16 at both ends of their ranges.
save("int16", {"layer": {"weight": torch.tensor([1, -1, 32767, -32768], dtype=torch.int16),
                         "small": torch.tensor([[-128, 127], [0, -1]], dtype=torch.int8).t()}})

# As PyTorch saved before 1.6: the same row of pickles and bytes.
save("old", {"weight": counting((2,))}, _use_new_zipfile_serialization=False)
save("old_views", {
    "base": base,
    "transposed": base.t(),
    "window": base[1:, 1:3],
    "tied": [tied.weight, tied.weight],
    "half": counting((3,), torch.float16),
    "flag": torch.tensor([True, False]),
    "small": torch.tensor([-3, 3], dtype=torch.int8),
    "double": counting((2, 2), torch.float64),
    "empty": torch.zeros(0, 2),
}, _use_new_zipfile_serialization=False)


# Whole modules: buffers that are not part of the state, a child, an entry that is None.
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 2, bias=False)
        self.norm = torch.nn.BatchNorm1d(2)
        self.register_buffer("kept", counting((3,)))
        self.register_buffer("temporary", counting((3,)), persistent=False)
        self.missing = None
        with torch.no_grad():
            self.linear.weight.copy_(counting((2, 2)))


save("module", Net())
save("module4", Net(), pickle_protocol=4)
# Old files have the code of each module's class, which is shortened here: it names files of the machine.
torch.serialization.get_source_lines_and_file = lambda module: (["class Net: ...\n"], 1, "net.py")
save("old_module", Net(), _use_new_zipfile_serialization=False)


# Values beside the weights that are no tensors. torch.load(weights_only=False) gives them all.
def others():
    return {
        "w": counting((2, 3)),
        "dtype": torch.float32,
        "device": torch.device("cuda", 1),
        "names": {"a"},
        "frozen": frozenset(("b",)),
        "counts": collections.Counter("aab"),
        "args": argparse.Namespace(lr=0.1),
        "function": len,
        "class": Net,
        "array": numpy.arange(3.0),
        "path": pathlib.PurePosixPath("a/b"),
        "complex": 1 + 2j,
        "default": collections.defaultdict(list, {"inner": counting((2,))}),
        "buffer": bytearray(b"xy"),
        (1, 2): counting((1,)),
        ("a", None): 7,
        1.5: counting((1,)),
        True: counting((1,)),
        None: counting((1,)),
        torch.float16: counting((1,)),
    }


save("others", others())
for protocol in (4, 5):
    save(f"others{protocol}", others(), pickle_protocol=protocol)
save("old_others", others(), _use_new_zipfile_serialization=False)


class Attack:
    def __reduce__(self):
        return (os.system, ("echo executed",))


# A call of posix.system: read as a name with its argument, and not called.
save("attack", {"weight": counting((2,)), "payload": Attack()})


def copy_zip(source, name, method, keep=lambda entry: True):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(OUT / f"pth_{name}.pth", "w") as new:
        for entry in filter(keep, old.namelist()):
            new.writestr(zipfile.ZipInfo(entry, (1980, 1, 1, 0, 0, 0)), old.read(entry), method)


# What has to be refused. TorchScript's archives hold a data.pkl too. Their debug entries name files of the machine, so they are left out.
script = io.BytesIO()
torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), script)
copy_zip(script, "script", zipfile.ZIP_STORED, lambda entry: not entry.endswith(".debug_pkl"))
copy_zip(OUT / "pth_state_dict.pth", "compressed", zipfile.ZIP_DEFLATED)
