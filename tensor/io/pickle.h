// A reader of the Python pickles inside PyTorch's files that builds plain data and executes nothing.
// Opcodes: https://github.com/python/cpython/blob/main/Lib/pickletools.py
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tensor/dtype.h"

namespace tensor::io {

// The number of a value in Pickle::values. Values refer to each other by number, not by pointer, because a
// pickle may tie them into cycles.
using PickleRef = uint32_t;

struct PickleValue {
  enum class Kind {
    none,
    boolean,
    integer,
    big_integer,
    real,
    text,
    bytes,
    list,
    tuple,
    dict,
    global,
    numpy_dtype,
    storage,
    tensor
  };
  Kind kind = Kind::none;
  int64_t integer = 0;  // boolean, integer; storage: number of elements; tensor: place in Pickle::tensors
  double real = 0;      // real
  std::string text{};   // text, bytes; big_integer: decimal; global: "module.name"; storage: its key
  std::vector<PickleRef> items{};  // list, tuple; dict: key, value, key, value...; storage: its class
};

// A tensor as the pickle describes it; its sizes are not yet checked against anything.
struct PickleTensor {
  std::optional<DType> dtype;  // empty for element types that we lack
  std::string storage_class;   // "torch.FloatStorage"
  std::string storage;         // the key of the zip entry with the bytes
  int64_t storage_numel = 0, offset = 0;
  std::vector<int64_t> sizes, strides;  // in elements, none negative, at most kMaxRank, equally many
};

struct Pickle {
  std::vector<PickleValue> values;
  std::vector<PickleTensor> tensors;
  PickleRef root = 0;
};

// Understands protocols 2 to 4 as far as tensors, containers and scalars (Python's and NumPy's) need them,
// and these names: torch._utils._rebuild_tensor_v2, torch._utils._rebuild_parameter, torch.*Storage,
// torch.Size, collections.OrderedDict, numpy.dtype, numpy.core.multiarray.scalar, _codecs.encode. Any other
// name is refused with a data error that says it; so is everything malformed or over the limits. `file` is
// named in errors.
Pickle read_pickle(std::span<const std::byte> bytes, const std::string& file);

}  // namespace tensor::io
