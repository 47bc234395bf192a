#include "tensor/io/pth_container.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "tensor/io/text.h"

namespace tensor::io::internal {
namespace {

using Kind = PickleValue::Kind;

constexpr int64_t kLargestPickle = int64_t{64} << 20;
// What PyTorch wrote before 1.6 begins with the pickle of this number.
constexpr std::string_view kOldMagic = "119547037146038801333356";
constexpr int64_t kOldVersion = 1001;

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

int64_t little_endian_64(std::span<const std::byte> bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < 8; ++i) value |= std::to_integer<uint64_t>(bytes[i]) << (8 * i);
  return static_cast<int64_t>(value);
}

// Signed integers of 1 or 2 bytes as i32.
Tensor widened(std::span<const std::byte> bytes, int64_t width) {
  const auto count = static_cast<int64_t>(bytes.size()) / width;
  Tensor result = Tensor::empty({count}, DType::i32);
  int32_t* to = result.mutable_data<int32_t>();
  const auto* from = reinterpret_cast<const unsigned char*>(bytes.data());
  for (int64_t i = 0; i < count; ++i)
    to[i] =
        width == 1 ? static_cast<int8_t>(from[i]) : static_cast<int16_t>(from[2 * i] | from[2 * i + 1] << 8);
  return result;
}

// Two tensors may be views of it: writing to one must not change the other.
Tensor read_only(Tensor tensor) {
  const auto owner = std::make_shared<const Tensor>(std::move(tensor));
  return Tensor::wrap(owner->raw(), owner->shape(), owner->dtype(), owner);
}

}  // namespace

PthContainer::PthContainer(const std::filesystem::path& path) : file_(MappedFile::open(path)) {
  const std::string_view bytes = text_of(file_->bytes());
  if (bytes.starts_with('\x80')) {
    open_old();
    return;
  }
  check(bytes.starts_with("PK\x03\x04"), ErrorKind::data, "{}: not a file of torch.save (no zip archive)",
        name());
  open_archive();
}

// --- the zip archive

void PthContainer::open_archive() {
  entries_ = read_zip_directory(file_->bytes(), name());
  // The folder that all entries are in; its name was the file's when it was saved.
  for (const auto& [entry, where] : entries_) {
    const size_t slash = entry.find('/');
    if (slash == std::string::npos || entry.substr(slash) != "/data.pkl") continue;
    check(root_.empty(), ErrorKind::data, "{}: two files data.pkl in the archive", name());
    root_ = entry.substr(0, slash + 1);
  }
  check(!root_.empty(), ErrorKind::data, "{}: not a file of torch.save (no data.pkl in the zip archive)",
        name());
  check(!entries_.contains(root_ + "constants.pkl"), ErrorKind::data,
        "{}: a TorchScript program; save its state_dict instead: "
        "torch.save(torch.jit.load(old).state_dict(), new)",
        name());
  const int64_t size = entries_.at(root_ + "data.pkl").size;
  check(size <= kLargestPickle, ErrorKind::data, "{}: a pickle of {} bytes is over the limit of {}", name(),
        size, kLargestPickle);
  if (entries_.contains(root_ + "byteorder")) {
    const std::string_view order = text_of(content(root_ + "byteorder"));
    check(order == "little", ErrorKind::data, "{}: byte order {} is not supported", name(), in_quotes(order));
  }
  pickle_ = read_pickle(content(root_ + "data.pkl"), name());
}

// The checked bytes of an entry, which has to exist.
std::span<const std::byte> PthContainer::content(const std::string& entry) const {
  const auto found = entries_.find(entry);
  check(found != entries_.end(), ErrorKind::data, "{}: {} is missing in the archive", name(),
        in_quotes(entry));
  return zip_content(file_->bytes(), name(), entry, found->second);
}

// --- before PyTorch 1.6: pickles of the magic number, the version, the machine, the value, and of the keys
// of its storages; then for each of these its number of elements (64 bits) and their bytes.

void PthContainer::open_old() {
  std::span<const std::byte> rest = file_->bytes();
  const auto next = [&] {
    std::span<const std::byte> pickle = rest.first(std::min<size_t>(rest.size(), kLargestPickle));
    const size_t before = pickle.size();
    Pickle result = read_next_pickle(pickle, name());
    rest = rest.subspan(before - pickle.size());
    return result;
  };
  const auto root = [](const Pickle& pickle) -> const PickleValue& { return pickle.values[pickle.root]; };
  const Pickle magic = next();
  check(root(magic).kind == Kind::big_integer && root(magic).text == kOldMagic, ErrorKind::data,
        "{}: a pickle, but not one of torch.save", name());
  const Pickle version = next();
  check(root(version).kind == Kind::integer && root(version).integer == kOldVersion, ErrorKind::data,
        "{}: a file of torch.save before 1.6 of another version than {}", name(), kOldVersion);
  const Pickle machine = next();
  const PickleValue* little = find_item(machine, root(machine), "little_endian");
  check(little != nullptr && little->kind == Kind::boolean && little->integer == 1, ErrorKind::data,
        "{}: byte order 'big' is not supported", name());
  pickle_ = next();
  const Pickle keys = next();
  check(root(keys).kind == Kind::list, ErrorKind::data, "{}: the keys of its storages are no list", name());
  std::map<std::string, const PickleStorage*> storages;
  for (const PickleStorage& storage : pickle_.storages) storages.emplace(storage.key, &storage);
  for (const PickleRef ref : root(keys).items) {
    const PickleValue& key = keys.values[ref];
    const auto found = key.kind == Kind::text ? storages.find(key.text) : storages.end();
    check(found != storages.end(), ErrorKind::data, "{}: bytes of a storage {} that no tensor has", name(),
          in_quotes(key.kind == Kind::text ? key.text : "?"));
    const PickleStorage& storage = *found->second;
    check(storage.width > 0, ErrorKind::data, "{}: elements of {} are not supported", name(),
          in_quotes(storage.type));
    check(rest.size() >= 8, ErrorKind::data, "{}: cut off", name());
    const int64_t count = little_endian_64(rest);
    rest = rest.subspan(8);
    check(count == storage.elements, ErrorKind::data, "{}: the storage {} has {} elements, not {}", name(),
          in_quotes(storage.key), count, storage.elements);
    check(count <= static_cast<int64_t>(rest.size()) / storage.width, ErrorKind::data, "{}: cut off", name());
    const int64_t offset = file_->size() - static_cast<int64_t>(rest.size());
    rest = rest.subspan(static_cast<size_t>(count * storage.width));
    const bool is_new = old_places_.emplace(storage.key, Place{offset, count * storage.width}).second;
    check(is_new, ErrorKind::data, "{}: the storage {} appears twice", name(), in_quotes(storage.key));
  }
  check(rest.empty(), ErrorKind::data, "{}: {} bytes follow its last storage", name(), rest.size());
}

// --- both

PthContainer::Place PthContainer::place_of(const PickleStorage& storage, const std::string& tensor) const {
  if (entries_.empty()) {
    const auto found = old_places_.find(storage.key);
    check(found != old_places_.end(), ErrorKind::data, "{}: {}: its storage {} is missing", name(),
          in_quotes(tensor), in_quotes(storage.key));
    return found->second;
  }
  const std::string entry = root_ + "data/" + storage.key;
  const int64_t bytes = static_cast<int64_t>(content(entry).size());
  check(bytes % storage.width == 0 && bytes / storage.width == storage.elements, ErrorKind::data,
        "{}: {}: its storage {} has {} bytes, not {} x {}", name(), in_quotes(tensor), in_quotes(entry),
        bytes, storage.elements, storage.width);
  return {entries_.at(entry).offset, bytes};
}

const Tensor& PthContainer::elements(size_t index, const std::string& tensor) {
  const PickleStorage& storage = pickle_.storages[index];
  if (const auto known = elements_.find(storage.key); known != elements_.end()) return known->second;
  check(storage.dtype.has_value(), ErrorKind::data,
        "{}: {}: elements of {} are not supported; convert the tensor to float32, int32 or uint8 in PyTorch",
        name(), in_quotes(tensor), in_quotes(storage.type));
  const Place place = place_of(storage, tensor);
  Tensor all = storage.width < size_of(*storage.dtype)
                   ? widened(file_->bytes().subspan(static_cast<size_t>(place.offset),
                                                    static_cast<size_t>(place.bytes)),
                             storage.width)
                   : mapped_tensor(file_, place.offset, {storage.elements}, *storage.dtype, tensor);
  return elements_.emplace(storage.key, read_only(std::move(all))).first->second;
}

}  // namespace tensor::io::internal
