// A reader of the Python pickles inside PyTorch's files that builds plain data and executes nothing.
// Opcodes: https://github.com/python/cpython/blob/main/Lib/pickletools.py
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
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
    object,
    numpy_dtype,
    storage,
    tensor
  };
  Kind kind = Kind::none;
  int64_t integer = 0;  // boolean, integer; storage, tensor: place in Pickle::storages, Pickle::tensors
  double real = 0;      // real
  std::string text{};   // text, bytes; big_integer: decimal; global: "module.name"; numpy_dtype: its code
  // list, tuple; dict: key, value, key, value...; object: what Python would have called, the tuple of its
  // arguments, then what it would have been given afterwards (its state, its items), in their order.
  std::vector<PickleRef> items{};
};

// Bytes that a pickle refers to: they stand elsewhere in the file.
struct PickleStorage {
  std::string key;
  std::string type;            // "torch.FloatStorage"
  std::optional<DType> dtype;  // as it is read: i32 for int8 and int16; empty for element types that we lack
  int64_t width = 0;           // bytes of an element in the file; 0 when not known
  int64_t elements = 0;        // of the whole storage
  int64_t begin = 0, end = 0;  // the elements of it that this is a view of; all but in files before 2018
};

// A tensor as the pickle describes it; its sizes are not yet checked against anything.
struct PickleTensor {
  size_t storage = 0;                   // place in Pickle::storages
  int64_t offset = 0;                   // from the storage's view's begin
  std::vector<int64_t> sizes, strides;  // in elements, none negative, at most kMaxRank, equally many
};

struct Pickle {
  std::vector<PickleValue> values;
  std::vector<PickleStorage> storages;
  std::vector<PickleTensor> tensors;
  PickleRef root = 0;
};

// Understands protocols 2 to 5 as far as PyTorch's files need them. These names mean something here, with the
// arguments that PyTorch, NumPy and Python give them: torch._utils._rebuild_tensor and _rebuild_tensor_v2,
// torch._utils._rebuild_parameter, torch._tensor._rebuild_from_type_v2, torch.*Storage, torch.Size,
// collections.OrderedDict and defaultdict, numpy.dtype, numpy.core.multiarray.scalar, _codecs.encode. Every
// other name, `posix.system` too, is kept as a name, and a call of it as an object: nothing is looked up,
// nothing is called. A data error for everything malformed or over the limits. `file` is named in errors.
Pickle read_pickle(std::span<const std::byte> bytes, const std::string& file);

// The same for a pickle that other bytes follow, which `bytes` then begins with.
Pickle read_next_pickle(std::span<const std::byte>& bytes, const std::string& file);

// The value of a text key of a dictionary; null when there is none or `dict` is no dictionary.
const PickleValue* find_item(const Pickle& pickle, const PickleValue& dict, std::string_view key);

// The value as Python would print it, but for what an object was given after its arguments; cut after
// `longest` bytes and three levels with "...". Strings are as they are in the file.
std::string to_text(const Pickle& pickle, PickleRef ref, size_t longest);

}  // namespace tensor::io
