#include "tensor/io/pth.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "tensor/format.h"
#include "tensor/io/pth_container.h"
#include "tensor/io/text.h"

namespace tensor::io {
namespace {

using Kind = PickleValue::Kind;

constexpr int kDeepest = 64;
constexpr size_t kLongestName = 4096;
constexpr size_t kLongestDescription = 80;
// A pickle can use one value many times, so the flattened result has limits of its own.
constexpr int64_t kMostVisits = 4'000'000;
constexpr int64_t kMostText = int64_t{256} << 20;

// Gathers strided elements of `size` bytes into row-major order.
void gather(const std::byte* from, std::byte* to, const Shape& sizes, const Shape& strides, size_t size) {
  const int last = sizes.rank() - 1;
  Shape index = Shape::filled(sizes.rank(), 0);
  for (;;) {
    for (int64_t i = 0; i < sizes[last]; ++i, to += size) {
      std::memcpy(to, from + static_cast<size_t>(i * strides[last]) * size, size);
    }
    int dim = last - 1;
    for (; dim >= 0; --dim) {
      from += static_cast<size_t>(strides[dim]) * size;
      if (++index[dim] < sizes[dim]) break;
      from -= static_cast<size_t>(strides[dim] * sizes[dim]) * size;
      index[dim] = 0;
    }
    if (dim < 0) return;
  }
}

class Reader {
 public:
  explicit Reader(const std::filesystem::path& path)
      : file_(path), pickle_(file_.pickle()), name_(file_.name()) {
    copy_budget_ = 4 * file_.file_bytes() + (int64_t{256} << 20);
  }

  PthFile read() {
    flatten(pickle_.root, "", 0);
    return std::move(result_);
  }

 private:
  void flatten(PickleRef ref, const std::string& name, int depth) {
    const PickleValue& value = pickle_.values[ref];
    check(depth <= kDeepest && name.size() <= kLongestName, ErrorKind::data,
          "{}: {}: over the limits of {} levels and names of {} bytes", name_, in_quotes(name), kDeepest,
          kLongestName);
    count(1, name.size() + value.text.size());
    switch (value.kind) {
      case Kind::none:
        return add_scalar(name, "none");
      case Kind::boolean:
        return add_scalar(name, value.integer ? "true" : "false");
      case Kind::integer:
        return add_scalar(name, tensor::format("{}", value.integer));
      case Kind::real:
        return add_scalar(name, tensor::format("{}", value.real));
      case Kind::big_integer:
      case Kind::text:
      case Kind::bytes:
        return add_scalar(name, value.text);
      case Kind::list:
      case Kind::tuple:
        for (size_t i = 0; i < value.items.size(); ++i) {
          flatten(value.items[i], join(name, tensor::format("{}", i), depth), depth + 1);
        }
        return;
      case Kind::dict:
        for (size_t i = 0; i < value.items.size(); i += 2) {
          flatten(value.items[i + 1], join(name, key_text(value.items[i], name), depth), depth + 1);
        }
        return;
      case Kind::tensor: {
        expect_new(name);
        result_.tensors[name] = make_tensor(pickle_.tensors[static_cast<size_t>(value.integer)], name);
        return;
      }
      case Kind::object:
        if (flatten_module(value, name, depth)) return;
        return leave_out(ref, name);
      case Kind::global:
      case Kind::numpy_dtype:
      case Kind::storage:
        return leave_out(ref, name);
    }
  }

  void count(size_t visits, size_t text) {
    visits_ += static_cast<int64_t>(visits);
    text_ += static_cast<int64_t>(text);
    check(visits_ <= kMostVisits && text_ <= kMostText, ErrorKind::data,
          "{}: over the limits of {} values and {} bytes of text", name_, kMostVisits, kMostText);
  }

  // A whole module, saved as an object of its class: as its state_dict() would be.
  bool flatten_module(const PickleValue& module, const std::string& name, int depth) {
    const PickleValue& state = pickle_.values[module.items.back()];
    count(state.items.size(), 0);
    const PickleValue *parameters = find_item(pickle_, state, "_parameters"),
                      *buffers = find_item(pickle_, state, "_buffers"),
                      *modules = find_item(pickle_, state, "_modules");
    if (!parameters || !buffers || !modules) return false;
    const std::set<std::string> temporary = members(find_item(pickle_, state, "_non_persistent_buffers_set"));
    for (const PickleValue* part : {parameters, buffers, modules}) {
      for (size_t i = 0; i < part->items.size(); i += 2) {
        const std::string key = key_text(part->items[i], name);
        if (pickle_.values[part->items[i + 1]].kind == Kind::none ||
            (part == buffers && temporary.contains(key)))
          continue;
        flatten(part->items[i + 1], join(name, key, depth), depth + 1);
      }
    }
    return true;
  }

  // The texts in a set: set([...]) in protocol 2, an empty one that is added to in later ones.
  std::set<std::string> members(const PickleValue* set) {
    std::set<std::string> result;
    if (!set || set->kind != Kind::object) return result;
    std::vector<PickleRef> items(set->items.begin() + 2, set->items.end());
    for (const PickleRef argument : pickle_.values[set->items[1]].items) {
      const PickleValue& list = pickle_.values[argument];
      if (list.kind == Kind::list) items.insert(items.end(), list.items.begin(), list.items.end());
    }
    count(items.size(), 0);
    for (const PickleRef item : items)
      if (pickle_.values[item].kind == Kind::text) result.insert(pickle_.values[item].text);
    return result;
  }

  static std::string join(const std::string& name, const std::string& key, int depth) {
    return depth == 0 ? key : name + "." + key;
  }

  std::string key_text(PickleRef ref, const std::string& name) const {
    const PickleValue& key = pickle_.values[ref];
    // Before the text is copied: one key may be used many times.
    check(key.kind != Kind::text || key.text.size() <= kLongestName, ErrorKind::data,
          "{}: {}: a key of {} bytes", name_, in_quotes(name), key.text.size());
    if (key.kind == Kind::text) return key.text;
    const std::string text = to_text(pickle_, ref, kLongestName);
    check(text.size() <= kLongestName, ErrorKind::data, "{}: {}: a key of over {} bytes", name_,
          in_quotes(name), kLongestName);
    return text;
  }

  void expect_new(const std::string& name) const {
    check(
        !result_.tensors.contains(name) && !result_.scalars.contains(name) && !result_.others.contains(name),
        ErrorKind::data, "{}: {}: the name appears twice", name_, in_quotes(name));
  }

  void add_scalar(const std::string& name, std::string text) {
    expect_new(name);
    result_.scalars.emplace(name, std::move(text));
  }

  void leave_out(PickleRef ref, const std::string& name) {
    expect_new(name);
    std::string text = to_text(pickle_, ref, kLongestDescription);
    count(0, text.size());
    result_.others.emplace(name, std::move(text));
  }

  Tensor make_tensor(const PickleTensor& t, const std::string& name) {
    const PickleStorage& storage = pickle_.storages[t.storage];
    const Tensor& all = file_.elements(t.storage, name);
    const int64_t size = size_of(all.dtype()), available = storage.end - storage.begin;
    const Shape shape{std::span<const int64_t>(t.sizes)};
    const Shape strides{std::span<const int64_t>(t.strides)};
    const int64_t numel = checked_numel(shape, all.dtype());
    check(numel >= 0, ErrorKind::data, "{}: {}: the size of {} overflows", name_, in_quotes(name),
          to_string(shape));

    // One past the last element that the strides reach.
    int64_t end = t.offset;
    bool overflow = false;
    if (numel > 0) {
      overflow = __builtin_add_overflow(end, 1, &end);
      for (int i = 0; i < shape.rank(); ++i) {
        int64_t step = 0;
        overflow |= __builtin_mul_overflow(shape[i] - 1, strides[i], &step);
        overflow |= __builtin_add_overflow(end, step, &end);
      }
    }
    check(!overflow && end <= available, ErrorKind::data,
          "{}: {}: {} with strides {} from element {} reaches outside its storage of {} elements", name_,
          in_quotes(name), to_string(shape), to_string(strides), t.offset, available);
    if (numel == 0) return Tensor::empty(shape, all.dtype());

    const int64_t begin = storage.begin + t.offset;
    if (is_contiguous(shape, strides)) return all.slice(0, begin, begin + numel).view(shape);
    // Strides of 0 make much out of little.
    copy_budget_ -= numel * size;
    check(copy_budget_ >= 0, ErrorKind::data,
          "{}: {}: strided tensors of this size are not read; save {}.contiguous()", name_, in_quotes(name),
          in_quotes(name));
    Tensor result = Tensor::empty(shape, all.dtype());
    gather(all.slice(0, begin, all.numel()).raw(), result.mutable_raw(), shape, strides,
           static_cast<size_t>(size));
    return result;
  }

  static bool is_contiguous(const Shape& shape, const Shape& strides) {
    int64_t expected = 1;
    for (int i = shape.rank() - 1; i >= 0; --i) {
      if (shape[i] != 1 && strides[i] != expected) return false;
      expected *= shape[i];
    }
    return true;
  }

  internal::PthContainer file_;
  const Pickle& pickle_;
  const std::string& name_;
  PthFile result_;
  int64_t copy_budget_ = 0, visits_ = 0, text_ = 0;
};

}  // namespace

PthFile read_pth(const std::filesystem::path& path) { return Reader(path).read(); }

}  // namespace tensor::io
