// What the names in a pickle mean, and calls of them: everything that a pickle could do harm with goes
// through here, and nothing of it is done.
#include <algorithm>
#include <cstring>

#include "tensor/format.h"
#include "tensor/io/pickle_machine.h"
#include "tensor/io/text.h"
#include "tensor/shape.h"

namespace tensor::io::internal {
namespace {

struct StorageType {
  std::string_view name;
  int64_t width;
  std::optional<DType> dtype;
};

constexpr StorageType kStorages[] = {
    {"torch.FloatStorage", 4, DType::f32}, {"torch.DoubleStorage", 8, DType::f64},
    {"torch.HalfStorage", 2, DType::f16},  {"torch.BFloat16Storage", 2, DType::bf16},
    {"torch.CharStorage", 1, DType::i32},  {"torch.ShortStorage", 2, DType::i32},
    {"torch.IntStorage", 4, DType::i32},   {"torch.LongStorage", 8, DType::i64},
    {"torch.ByteStorage", 1, DType::u8},   {"torch.BoolStorage", 1, DType::boolean},
    {"torch.ComplexFloatStorage", 8, {}},  {"torch.ComplexDoubleStorage", 16, {}},
    {"torch.QInt8Storage", 1, {}},         {"torch.QUInt8Storage", 1, {}},
    {"torch.QInt32Storage", 4, {}}};

bool is_storage_class(std::string_view name) {
  // One dot: torch.ShortStorage, not torch.storage.UntypedStorage, whose bytes have no type. A tensor that
  // lay on a GPU has torch.cuda.FloatStorage in files before 2019.
  return name.starts_with("torch.") && name.ends_with("Storage") &&
         name.rfind('.') == (name.starts_with("torch.cuda.") ? 10u : 5u);
}

}  // namespace

PickleRef PickleMachine::global(std::string_view module, std::string_view name) {
  charge(module.size() + name.size());
  return add({.kind = Kind::global, .text = tensor::format("{}.{}", module, name)});
}

void PickleMachine::stack_global() {
  const std::string& name = value(expect(pop(), Kind::text, "a name")).text;
  const std::string& module = value(expect(pop(), Kind::text, "a module")).text;
  if (name.size() + module.size() > 2 * kLongestGlobal)
    fail_here("a name of {} bytes", name.size() + module.size());
  push(global(module, name));
}

void PickleMachine::push_object(PickleRef callee, PickleRef arguments) {
  push(add({.kind = Kind::object, .items = {callee, arguments}}));
}

void PickleMachine::call(PickleRef callee, PickleRef arguments) {
  expect(arguments, Kind::tuple, "what a call gets");
  const Kind kind = value(callee).kind;
  // Python can call an object, too: functools.partial(...)(x).
  if (kind != Kind::object) expect(callee, Kind::global, "what is called");
  const std::string name = value(callee).text;
  // By value: what a call makes may move the values.
  const std::vector<PickleRef> args = value(arguments).items;
  charge(args.size() * sizeof(PickleRef) + name.size());
  if (kind == Kind::object || !call_known(name, args)) push_object(callee, arguments);
}

bool PickleMachine::call_known(const std::string& name, const std::vector<PickleRef>& args) {
  if (name == "collections.OrderedDict") return ordered_dict(args);
  if (name == "collections.defaultdict" && args.size() <= 1) {
    push_new(Kind::dict);
    return true;
  }
  if (name == "torch.Size" && args.size() == 1) {
    push(expect(args[0], Kind::tuple, "the argument of torch.Size"));
    return true;
  }
  if ((name == "torch._utils._rebuild_parameter" && args.size() == 3) ||
      (name == "torch._utils._rebuild_parameter_with_state" && args.size() == 4)) {
    push(expect(args[0], Kind::tensor, "the argument of _rebuild_parameter"));
    return true;
  }
  if ((name == "torch._utils._rebuild_tensor" && args.size() == 4) ||
      (name == "torch._utils._rebuild_tensor_v2" && (args.size() == 6 || args.size() == 7))) {
    rebuild_tensor(args);
    return true;
  }
  // (function, type, arguments, state): a tensor with attributes, or of a class of its own.
  if (name == "torch._tensor._rebuild_from_type_v2" && args.size() == 4 &&
      value(args[0]).kind == Kind::global && value(args[2]).kind == Kind::tuple) {
    const std::string inner = value(args[0]).text;
    const std::vector<PickleRef> inner_args = value(args[2]).items;
    charge(inner_args.size() * sizeof(PickleRef) + inner.size());
    return inner.starts_with("torch._utils.") && call_known(inner, inner_args);
  }
  if (name == "numpy.dtype" && !args.empty() && value(args[0]).kind == Kind::text) {
    charge(value(args[0]).text.size());
    push_text(value(args[0]).text, Kind::numpy_dtype);
    return true;
  }
  if (name == "_codecs.encode" && args.size() == 2) return encode(args);
  if ((name == "numpy.core.multiarray.scalar" || name == "numpy._core.multiarray.scalar") && args.size() == 2)
    return numpy_scalar(args);
  return false;
}

// Empty, or a list of pairs, as Python 2 wrote it.
bool PickleMachine::ordered_dict(const std::vector<PickleRef>& args) {
  std::vector<PickleRef> items;
  if (args.size() > 1) return false;
  if (args.size() == 1) {
    if (value(args[0]).kind != Kind::list) return false;
    for (const PickleRef ref : value(args[0]).items) {
      const PickleValue& pair = value(ref);
      if ((pair.kind != Kind::list && pair.kind != Kind::tuple) || pair.items.size() != 2) return false;
      items.insert(items.end(), pair.items.begin(), pair.items.end());
    }
    charge(items.size() * sizeof(PickleRef));
  }
  push(add({.kind = Kind::dict, .items = std::move(items)}));
  return true;
}

std::vector<int64_t> PickleMachine::integers(PickleRef ref, const char* what) {
  const auto& items = value(expect(ref, Kind::tuple, what)).items;
  if (items.size() > kMaxRank)
    fail_here("a tensor with {} dimensions; at most {} are read", items.size(), kMaxRank);
  std::vector<int64_t> result;
  for (const PickleRef item : items) result.push_back(not_negative(item, what));
  return result;
}

int64_t PickleMachine::not_negative(PickleRef ref, const char* what) {
  const int64_t result = value(expect(ref, Kind::integer, what)).integer;
  if (result < 0) fail_here("{}: {} is negative", what, result);
  return result;
}

// (storage, offset, sizes, strides[, requires_grad, backward hooks[, metadata]])
void PickleMachine::rebuild_tensor(const std::vector<PickleRef>& args) {
  PickleTensor tensor;
  tensor.storage = static_cast<size_t>(value(expect(args[0], Kind::storage, "a tensor's storage")).integer);
  tensor.offset = not_negative(args[1], "a tensor's offset");
  tensor.sizes = integers(args[2], "a tensor's size");
  tensor.strides = integers(args[3], "a tensor's stride");
  if (tensor.sizes.size() != tensor.strides.size()) {
    fail_here("a tensor with {} sizes and {} strides", tensor.sizes.size(), tensor.strides.size());
  }
  out_.tensors.push_back(std::move(tensor));
  push_integer(static_cast<int64_t>(out_.tensors.size() - 1), Kind::tensor);
}

void PickleMachine::persistent_id() {
  const std::vector<PickleRef> id = value(expect(pop(), Kind::tuple, "a persistent id")).items;
  const std::string& type =
      value(expect(id.empty() ? add({}) : id[0], Kind::text, "a persistent id's type")).text;
  if (type == "storage" && (id.size() == 5 || id.size() == 6)) return storage(id);
  // ('module', class, file, source code): files before 1.6 keep the code of a module beside it, to compare.
  if (type == "module" && id.size() == 4) return push(expect(id[1], Kind::global, "a module's class"));
  fail_here("a persistent id that is not a storage's");
}

// ('storage', class, key, device, number of elements[, None or (key of the view, begin, elements)])
void PickleMachine::storage(const std::vector<PickleRef>& id) {
  PickleStorage storage;
  storage.type = value(expect(id[1], Kind::global, "a storage's class")).text;
  if (!is_storage_class(storage.type)) fail_here("{} is not a storage class", in_quotes(storage.type));
  if (storage.type.starts_with("torch.cuda.")) storage.type.erase(6, 5);
  for (const StorageType& known : kStorages)
    if (known.name == storage.type) storage.dtype = known.dtype, storage.width = known.width;
  storage.key = value(expect(id[2], Kind::text, "a storage's key")).text;
  if (storage.key.size() > kLongestGlobal) fail_here("a storage's key of {} bytes", storage.key.size());
  expect(id[3], Kind::text, "a storage's device");
  storage.elements = storage.end = not_negative(id[4], "a storage's size");
  if (id.size() == 6 && value(id[5]).kind != Kind::none) {
    const std::vector<PickleRef>& view = value(expect(id[5], Kind::tuple, "a storage's view")).items;
    if (view.size() != 3) fail_here("a storage's view of {} values", view.size());
    storage.begin = not_negative(view[1], "a view's begin");
    const int64_t size = not_negative(view[2], "a view's size");
    if (__builtin_add_overflow(storage.begin, size, &storage.end) || storage.end > storage.elements)
      fail_here("{} elements from element {} reach outside a storage of {}", size, storage.begin,
                storage.elements);
  }
  const auto [first, is_new] = whole_storages_.emplace(storage.key, out_.storages.size());
  if (!is_new) {
    const PickleStorage& known = out_.storages[first->second];
    if (known.type != storage.type || known.elements != storage.elements)
      fail_here("the storage {} is {} of {} elements and {} of {}", in_quotes(storage.key),
                in_quotes(known.type), known.elements, in_quotes(storage.type), storage.elements);
  }
  charge(sizeof storage + storage.key.size() + storage.type.size());
  out_.storages.push_back(std::move(storage));
  push_integer(static_cast<int64_t>(out_.storages.size() - 1), Kind::storage);
}

// How protocol 2 writes bytes: as text of code points 0 to 255.
bool PickleMachine::encode(const std::vector<PickleRef>& args) {
  if (value(args[0]).kind != Kind::text || value(args[1]).kind != Kind::text) return false;
  const std::string& text = value(args[0]).text;
  if (value(args[1]).text != "latin1") return false;
  charge(text.size());
  std::string bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x80) {
      bytes += text[i];
    } else if ((lead == 0xc2 || lead == 0xc3) && i + 1 < text.size() &&
               (static_cast<unsigned char>(text[i + 1]) & 0xc0) == 0x80) {
      bytes += static_cast<char>((lead & 3) << 6 | (static_cast<unsigned char>(text[++i]) & 0x3f));
    } else {
      fail_here("_codecs.encode of a character above 255");
    }
  }
  push_text(bytes, Kind::bytes);
  return true;
}

bool PickleMachine::numpy_scalar(const std::vector<PickleRef>& args) {
  if (value(args[0]).kind != Kind::numpy_dtype || value(args[1]).kind != Kind::bytes) return false;
  const std::string& type = value(args[0]).text;
  const std::string& raw = value(args[1]).text;
  const auto is = [&](std::string_view name, size_t size) { return type == name && raw.size() == size; };
  const auto as = [&]<class T>(T) {
    T result;
    std::memcpy(&result, raw.data(), sizeof(T));
    return result;
  };
  if (is("f8", 8))
    push(add({.kind = Kind::real, .real = as(double{})}));
  else if (is("f4", 4))
    push(add({.kind = Kind::real, .real = as(float{})}));
  else if (is("i8", 8))
    push_integer(as(int64_t{}));
  else if (is("i4", 4))
    push_integer(as(int32_t{}));
  else if (is("b1", 1))
    push_integer(raw[0] != 0, Kind::boolean);
  else
    return false;
  return true;
}

void PickleMachine::build() {
  const PickleRef state = pop();
  PickleValue& object = value(top());
  if (object.kind == Kind::object) {
    object.items.push_back(state);
    return;
  }
  // Attributes of a dictionary or a tensor: a state_dict's _metadata, which only PyTorch's modules need.
  if (object.kind == Kind::dict || object.kind == Kind::tensor) return;
  if (object.kind == Kind::numpy_dtype) {
    const auto& fields = value(expect(state, Kind::tuple, "a NumPy type's state")).items;
    if (fields.size() < 2) fail_here("a NumPy type's state is too short");
    const std::string& order = value(expect(fields[1], Kind::text, "a NumPy type's byte order")).text;
    // Its scalars are then none that we know.
    if (order != "<" && order != "|") object.text.insert(0, ">");
    return;
  }
  fail_here("sets the state of {}: refused", kind_name(object.kind));
}

}  // namespace tensor::io::internal
