#include "tensor/io/pth.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <set>
#include <span>
#include <string_view>
#include <utility>

#include "tensor/format.h"
#include "tensor/io/mapped_file.h"
#include "tensor/io/pickle.h"
#include "tensor/io/text.h"
#include "tensor/io/zip.h"

namespace tensor::io {
namespace {

using Kind = PickleValue::Kind;

constexpr int64_t kLargestPickle = int64_t{64} << 20;
constexpr int kDeepest = 64;
constexpr size_t kLongestName = 4096;
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
  explicit Reader(const std::filesystem::path& path) : file_(MappedFile::open(path)), name_(file_->name()) {
    check_container();
    entries_ = read_zip_directory(file_->bytes(), name_);
    find_root();
    copy_budget_ = 4 * file_->size() + (int64_t{256} << 20);
  }

  PthFile read() {
    pickle_ = read_pickle(content(root_ + "data.pkl"), name_);
    flatten(pickle_.root, "", 0);
    return std::move(result_);
  }

 private:
  void check_container() const {
    const std::string_view bytes(reinterpret_cast<const char*>(file_->bytes().data()), file_->bytes().size());
    // A pickle of the long integer that PyTorch before 1.6 began its files with, or any other pickle.
    check(!bytes.starts_with('\x80'), ErrorKind::data,
          "{}: a bare pickle, as PyTorch before 1.6 saved; convert it with a newer PyTorch: "
          "torch.save(torch.load(old, map_location='cpu', weights_only=True), new)",
          name_);
    check(bytes.starts_with("PK\x03\x04"), ErrorKind::data, "{}: not a file of torch.save (no zip archive)",
          name_);
  }

  // The folder that all entries are in; its name was the file's when it was saved.
  void find_root() {
    for (const auto& [name, entry] : entries_) {
      const size_t slash = name.find('/');
      if (slash == std::string::npos || name.substr(slash) != "/data.pkl") continue;
      check(root_.empty(), ErrorKind::data, "{}: two files data.pkl in the archive", name_);
      root_ = name.substr(0, slash + 1);
    }
    check(!root_.empty(), ErrorKind::data, "{}: not a file of torch.save (no data.pkl in the zip archive)",
          name_);
    check(!entries_.contains(root_ + "constants.pkl"), ErrorKind::data,
          "{}: a TorchScript program; save its state_dict instead: "
          "torch.save(torch.jit.load(old).state_dict(), new)",
          name_);
    const int64_t size = entries_.at(root_ + "data.pkl").size;
    check(size <= kLargestPickle, ErrorKind::data, "{}: a pickle of {} bytes is over the limit of {}", name_,
          size, kLargestPickle);
    if (entries_.contains(root_ + "byteorder")) {
      const auto order = content(root_ + "byteorder");
      const std::string_view text(reinterpret_cast<const char*>(order.data()), order.size());
      check(text == "little", ErrorKind::data, "{}: byte order {} is not supported", name_, in_quotes(text));
    }
  }

  // The checked bytes of an entry, which has to exist.
  std::span<const std::byte> content(const std::string& entry) {
    const auto found = entries_.find(entry);
    check(found != entries_.end(), ErrorKind::data, "{}: {} is missing in the archive", name_,
          in_quotes(entry));
    if (!verified_.insert(&found->second).second) {
      return file_->bytes().subspan(static_cast<size_t>(found->second.offset),
                                    static_cast<size_t>(found->second.size));
    }
    return zip_content(file_->bytes(), name_, entry, found->second);
  }

  void flatten(PickleRef ref, const std::string& name, int depth) {
    const PickleValue& value = pickle_.values[ref];
    text_ += static_cast<int64_t>(name.size() + value.text.size());
    if (depth > kDeepest || name.size() > kLongestName || ++visits_ > kMostVisits || text_ > kMostText) {
      fail(ErrorKind::data,
           "{}: {}: over the limits of {} levels, names of {} bytes, {} values, {} bytes of text", name_,
           in_quotes(name), kDeepest, kLongestName, kMostVisits, kMostText);
    }
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
        const bool is_new = !result_.tensors.contains(name) && !result_.scalars.contains(name);
        check(is_new, ErrorKind::data, "{}: {}: the name appears twice", name_, in_quotes(name));
        result_.tensors[name] = make_tensor(pickle_.tensors[static_cast<size_t>(value.integer)], name);
        return;
      }
      case Kind::global:
      case Kind::numpy_dtype:
      case Kind::storage:
        fail(ErrorKind::data, "{}: {}: neither a tensor nor a scalar ({})", name_, in_quotes(name),
             in_quotes(value.text));
    }
  }

  static std::string join(const std::string& name, const std::string& key, int depth) {
    return depth == 0 ? key : name + "." + key;
  }

  std::string key_text(PickleRef ref, const std::string& name) const {
    const PickleValue& key = pickle_.values[ref];
    if (key.kind == Kind::integer) return tensor::format("{}", key.integer);
    check(key.kind == Kind::text, ErrorKind::data, "{}: {}: a key that is neither text nor an integer", name_,
          in_quotes(name));
    // Before the text is copied: one key may be used many times.
    check(key.text.size() <= kLongestName, ErrorKind::data, "{}: {}: a key of {} bytes", name_,
          in_quotes(name), key.text.size());
    return key.text;
  }

  void add_scalar(const std::string& name, std::string text) {
    const bool is_new =
        !result_.tensors.contains(name) && result_.scalars.emplace(name, std::move(text)).second;
    check(is_new, ErrorKind::data, "{}: {}: the name appears twice", name_, in_quotes(name));
  }

  Tensor make_tensor(const PickleTensor& t, const std::string& name) {
    check(
        t.dtype.has_value(), ErrorKind::data,
        "{}: {}: elements of {} are not supported; convert the tensor to float32, int32 or uint8 in PyTorch",
        name_, in_quotes(name), in_quotes(t.storage_class));
    const int64_t size = size_of(*t.dtype);
    const std::string entry = root_ + "data/" + t.storage;
    const auto storage = content(entry);
    check(static_cast<int64_t>(storage.size()) % size == 0 &&
              static_cast<int64_t>(storage.size()) / size == t.storage_numel,
          ErrorKind::data, "{}: {}: its storage {} has {} bytes, not {} x {}", name_, in_quotes(name),
          in_quotes(entry), storage.size(), t.storage_numel, size);
    const Shape shape{std::span<const int64_t>(t.sizes)};
    const Shape strides{std::span<const int64_t>(t.strides)};
    const int64_t numel = checked_numel(shape, *t.dtype);
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
    check(!overflow && end <= t.storage_numel, ErrorKind::data,
          "{}: {}: {} with strides {} from element {} reaches outside its storage of {} elements", name_,
          in_quotes(name), to_string(shape), to_string(strides), t.offset, t.storage_numel);
    if (numel == 0) return Tensor::empty(shape, *t.dtype);

    const int64_t at = entries_.at(entry).offset + t.offset * size;
    if (is_contiguous(shape, strides)) return mapped_tensor(file_, at, shape, *t.dtype, name);
    // Strides of 0 make much out of little.
    copy_budget_ -= numel * size;
    check(copy_budget_ >= 0, ErrorKind::data,
          "{}: {}: strided tensors of this size are not read; save {}.contiguous()", name_, in_quotes(name),
          in_quotes(name));
    const Tensor all = mapped_tensor(file_, at, {end - t.offset}, *t.dtype, name);
    Tensor result = Tensor::empty(shape, *t.dtype);
    gather(all.raw(), result.mutable_raw(), shape, strides, static_cast<size_t>(size));
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

  std::shared_ptr<const MappedFile> file_;
  const std::string& name_;
  std::map<std::string, ZipEntry> entries_;
  std::string root_;
  std::set<const ZipEntry*> verified_;
  Pickle pickle_;
  PthFile result_;
  int64_t copy_budget_ = 0, visits_ = 0, text_ = 0;
};

}  // namespace

PthFile read_pth(const std::filesystem::path& path) { return Reader(path).read(); }

}  // namespace tensor::io
