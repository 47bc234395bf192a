#include "tensor/io/pickle.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>
#include <utility>

#include "tensor/format.h"
#include "tensor/io/text.h"
#include "tensor/shape.h"

namespace tensor::io {
namespace {

using Kind = PickleValue::Kind;

// Far above what checkpoints have (ResNet50's has some 8,000 opcodes), far below what hurts.
constexpr uint64_t kMostOpcodes = 4'000'000;
constexpr uint64_t kMostMemos = 4'000'000;
constexpr size_t kLongestGlobal = 256;

constexpr std::pair<std::string_view, DType> kStorages[] = {
    {"torch.FloatStorage", DType::f32}, {"torch.DoubleStorage", DType::f64},
    {"torch.HalfStorage", DType::f16},  {"torch.BFloat16Storage", DType::bf16},
    {"torch.IntStorage", DType::i32},   {"torch.LongStorage", DType::i64},
    {"torch.ByteStorage", DType::u8},   {"torch.BoolStorage", DType::boolean}};
constexpr std::string_view kRebuildTensor = "torch._utils._rebuild_tensor_v2",
                           kRebuildParameter = "torch._utils._rebuild_parameter",
                           kOrderedDict = "collections.OrderedDict", kSize = "torch.Size",
                           kNumpyDType = "numpy.dtype", kNumpyScalar = "numpy.core.multiarray.scalar",
                           kNumpyScalar2 = "numpy._core.multiarray.scalar", kEncode = "_codecs.encode";

bool is_storage_class(std::string_view name) {
  // One dot: torch.ShortStorage, not torch.storage.UntypedStorage, whose bytes have no type.
  return name.starts_with("torch.") && name.ends_with("Storage") && name.rfind('.') == 5;
}

bool is_allowed(std::string_view name) {
  for (const auto allowed : {kRebuildTensor, kRebuildParameter, kOrderedDict, kSize, kNumpyDType,
                             kNumpyScalar, kNumpyScalar2, kEncode}) {
    if (name == allowed) return true;
  }
  return is_storage_class(name);
}

const char* kind_name(Kind kind) {
  constexpr const char* names[] = {"None",   "a boolean",    "an integer", "a long integer", "a number",
                                   "text",   "bytes",        "a list",     "a tuple",        "a dictionary",
                                   "a name", "a NumPy type", "a storage",  "a tensor"};
  return names[static_cast<size_t>(kind)];
}

// Decimal text of a little-endian two's complement number.
std::string decimal(std::string bytes) {
  const bool negative = !bytes.empty() && (bytes.back() & 0x80) != 0;
  if (negative) {
    int carry = 1;
    for (char& c : bytes) {
      const int value = (~c & 0xff) + carry;
      c = static_cast<char>(value & 0xff);
      carry = value >> 8;
    }
  }
  std::string digits;
  while (std::any_of(bytes.begin(), bytes.end(), [](char c) { return c != 0; })) {
    int remainder = 0;
    for (size_t i = bytes.size(); i-- > 0;) {
      const int value = remainder * 256 + static_cast<unsigned char>(bytes[i]);
      bytes[i] = static_cast<char>(value / 10);
      remainder = value % 10;
    }
    digits += static_cast<char>('0' + remainder);
  }
  if (digits.empty()) return "0";
  if (negative) digits += '-';
  std::reverse(digits.begin(), digits.end());
  return digits;
}

class Machine {
 public:
  Machine(std::span<const std::byte> bytes, const std::string& file) : in_(bytes), file_(file) {}

  Pickle run() {
    for (uint64_t count = 0; !stopped_; ++count) {
      if (count == kMostOpcodes) fail_here("more opcodes than the limit");
      opcode_at_ = position_;
      step(static_cast<unsigned char>(take(1)[0]));
    }
    if (!marks_.empty() || stack_.size() != 1) fail_here("ends with other than one value");
    if (position_ != in_.size()) fail_here("bytes follow its end");
    out_.root = stack_.back();
    return std::move(out_);
  }

 private:
  template <class... Args>
  [[noreturn]] void fail_here(FormatString<std::type_identity_t<Args>...> text, const Args&... args) const {
    fail(ErrorKind::data, "{}: pickle, byte {}: {}", file_, opcode_at_, format(text, args...));
  }

  // --- input

  std::string_view take(uint64_t count) {
    if (count > in_.size() - position_) fail_here("cut off");
    const std::string_view result(reinterpret_cast<const char*>(in_.data()) + position_, count);
    position_ += count;
    return result;
  }
  uint64_t number(size_t bytes) {
    const std::string_view raw = take(bytes);
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; ++i) value |= uint64_t{static_cast<unsigned char>(raw[i])} << (8 * i);
    return value;
  }
  std::string_view line() {
    const std::string_view rest(reinterpret_cast<const char*>(in_.data()) + position_,
                                std::min(in_.size() - position_, kLongestGlobal));
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) fail_here("a name without an end");
    take(end + 1);
    return rest.substr(0, end);
  }

  // --- values and the stack

  PickleRef add(PickleValue value) {
    out_.values.push_back(std::move(value));
    return static_cast<PickleRef>(out_.values.size() - 1);
  }
  void push(PickleRef ref) { stack_.push_back(ref); }
  void push_new(Kind kind) { push(add({.kind = kind})); }
  void push_integer(int64_t value, Kind kind = Kind::integer) { push(add({.kind = kind, .integer = value})); }
  void push_text(std::string_view text, Kind kind = Kind::text) {
    push(add({.kind = kind, .text = std::string(text)}));
  }
  void push_tuple(std::vector<PickleRef> items) {
    push(add({.kind = Kind::tuple, .items = std::move(items)}));
  }
  PickleValue& value(PickleRef ref) { return out_.values[ref]; }

  PickleRef top() const {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) fail_here("takes a value from an empty stack");
    return stack_.back();
  }
  PickleRef pop() {
    const PickleRef ref = top();
    stack_.pop_back();
    return ref;
  }
  std::vector<PickleRef> pop_to_mark() {
    if (marks_.empty()) fail_here("no mark on the stack");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<PickleRef> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return items;
  }
  std::vector<PickleRef> pop_n(size_t n) {
    std::vector<PickleRef> items(n);
    for (size_t i = n; i-- > 0;) items[i] = pop();
    return items;
  }
  PickleRef expect(PickleRef ref, Kind kind, const char* what) {
    if (value(ref).kind != kind) {
      fail_here("{} is {}, not {}", what, kind_name(value(ref).kind), kind_name(kind));
    }
    return ref;
  }

  void append(const std::vector<PickleRef>& items) {
    auto& list = value(expect(top(), Kind::list, "what is appended to")).items;
    list.insert(list.end(), items.begin(), items.end());
  }
  void set_items(const std::vector<PickleRef>& items) {
    auto& dict = value(expect(top(), Kind::dict, "what gets items")).items;
    if (items.size() % 2 != 0) fail_here("a key without a value");
    dict.insert(dict.end(), items.begin(), items.end());
  }

  // --- memo

  void put(uint64_t index) {
    if (index >= kMostMemos) fail_here("memo {} is over the limit", index);
    if (index >= memo_.size()) memo_.resize(index + 1, kNothing);
    memo_[index] = top();
  }
  void get(uint64_t index) {
    if (index >= memo_.size() || memo_[index] == kNothing) fail_here("memo {} was never set", index);
    push(memo_[index]);
  }

  // --- names and calls: everything that a pickle could do harm with goes through these

  void global(std::string_view module, std::string_view name) {
    const std::string full = tensor::format("{}.{}", module, name);
    if (!is_allowed(full)) {
      fail_here("asks for {}: refused; only tensors, containers and numbers are read (save a state_dict)",
                in_quotes(full));
    }
    push_text(full, Kind::global);
  }

  void reduce() {
    const PickleRef arguments = expect(pop(), Kind::tuple, "what a call gets");
    const PickleRef callee = expect(pop(), Kind::global, "what is called");
    const std::string name = value(callee).text;
    const std::vector<PickleRef>& args = value(arguments).items;
    if (name == kOrderedDict && args.empty()) return push_new(Kind::dict);
    if (name == kSize && args.size() == 1)
      return push(expect(args[0], Kind::tuple, "the argument of torch.Size"));
    if (name == kRebuildParameter && args.size() == 3) {
      return push(expect(args[0], Kind::tensor, "the argument of _rebuild_parameter"));
    }
    if (name == kRebuildTensor && (args.size() == 6 || args.size() == 7)) return rebuild_tensor(args);
    if (name == kNumpyDType && !args.empty()) {
      return push_text(value(expect(args[0], Kind::text, "the argument of numpy.dtype")).text,
                       Kind::numpy_dtype);
    }
    if (name == kEncode && args.size() == 2) return encode(args);
    if ((name == kNumpyScalar || name == kNumpyScalar2) && args.size() == 2) return numpy_scalar(args);
    fail_here("calls {} with {} arguments: refused", in_quotes(name), args.size());
  }

  std::vector<int64_t> integers(PickleRef ref, const char* what) {
    const auto& items = value(expect(ref, Kind::tuple, what)).items;
    if (items.size() > kMaxRank)
      fail_here("a tensor with {} dimensions; at most {} are read", items.size(), kMaxRank);
    std::vector<int64_t> result;
    for (const PickleRef item : items) result.push_back(not_negative(item, what));
    return result;
  }
  int64_t not_negative(PickleRef ref, const char* what) {
    const int64_t result = value(expect(ref, Kind::integer, what)).integer;
    if (result < 0) fail_here("{}: {} is negative", what, result);
    return result;
  }

  // (storage, offset, sizes, strides, requires_grad, backward hooks[, metadata])
  void rebuild_tensor(const std::vector<PickleRef>& args) {
    const PickleValue& storage = value(expect(args[0], Kind::storage, "a tensor's storage"));
    PickleTensor tensor;
    tensor.storage_class = value(storage.items[0]).text;
    for (const auto& [name, dtype] : kStorages) {
      if (name == tensor.storage_class) tensor.dtype = dtype;
    }
    tensor.storage = storage.text;
    tensor.storage_numel = storage.integer;
    tensor.offset = not_negative(args[1], "a tensor's offset");
    tensor.sizes = integers(args[2], "a tensor's size");
    tensor.strides = integers(args[3], "a tensor's stride");
    if (tensor.sizes.size() != tensor.strides.size()) {
      fail_here("a tensor with {} sizes and {} strides", tensor.sizes.size(), tensor.strides.size());
    }
    out_.tensors.push_back(std::move(tensor));
    push_integer(static_cast<int64_t>(out_.tensors.size() - 1), Kind::tensor);
  }

  // ('storage', class, key, device, number of elements)
  void persistent_id() {
    const auto& id = value(expect(pop(), Kind::tuple, "a persistent id")).items;
    if (id.size() != 5 || value(expect(id[0], Kind::text, "a persistent id's type")).text != "storage") {
      fail_here("a persistent id that is not a storage's");
    }
    const PickleValue& type = value(expect(id[1], Kind::global, "a storage's class"));
    if (!is_storage_class(type.text)) fail_here("{} is not a storage class", in_quotes(type.text));
    const std::string key = value(expect(id[2], Kind::text, "a storage's key")).text;
    if (key.size() > kLongestGlobal) fail_here("a storage's key of {} bytes", key.size());
    expect(id[3], Kind::text, "a storage's device");
    const int64_t numel = not_negative(id[4], "a storage's size");
    push(add({.kind = Kind::storage, .integer = numel, .text = key, .items = {id[1]}}));
  }

  // How protocol 2 writes bytes: as text of code points 0 to 255. Only a scalar's few are needed.
  void encode(const std::vector<PickleRef>& args) {
    const std::string& text = value(expect(args[0], Kind::text, "the argument of _codecs.encode")).text;
    const std::string& codec = value(expect(args[1], Kind::text, "the argument of _codecs.encode")).text;
    if (codec != "latin1" || text.size() > 32)
      fail_here("_codecs.encode of {} bytes to {}", text.size(), in_quotes(codec));
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
  }

  void numpy_scalar(const std::vector<PickleRef>& args) {
    const std::string& type = value(expect(args[0], Kind::numpy_dtype, "a NumPy scalar's type")).text;
    const std::string& raw = value(expect(args[1], Kind::bytes, "a NumPy scalar's value")).text;
    const auto is = [&](std::string_view name, size_t size) { return type == name && raw.size() == size; };
    const auto as = [&]<class T>(T) {
      T result;
      std::memcpy(&result, raw.data(), sizeof(T));
      return result;
    };
    if (is("f8", 8)) return push(add({.kind = Kind::real, .real = as(double{})}));
    if (is("f4", 4)) return push(add({.kind = Kind::real, .real = as(float{})}));
    if (is("i8", 8)) return push_integer(as(int64_t{}));
    if (is("i4", 4)) return push_integer(as(int32_t{}));
    if (is("b1", 1)) return push_integer(raw[0] != 0, Kind::boolean);
    fail_here("a NumPy scalar of type {} with {} bytes is not supported", in_quotes(type), raw.size());
  }

  void build() {
    const PickleRef state = pop();
    const PickleValue& object = value(top());
    // Attributes of a dictionary: a state_dict's _metadata, which only PyTorch's modules need.
    if (object.kind == Kind::dict) return;
    if (object.kind == Kind::numpy_dtype) {
      const auto& fields = value(expect(state, Kind::tuple, "a NumPy type's state")).items;
      if (fields.size() < 2) fail_here("a NumPy type's state is too short");
      const std::string& order = value(expect(fields[1], Kind::text, "a NumPy type's byte order")).text;
      if (order != "<" && order != "|") fail_here("NumPy byte order {} is not supported", in_quotes(order));
      return;
    }
    fail_here("sets the state of {}: refused", kind_name(object.kind));
  }

  // --- the opcodes

  void push_long(uint64_t size) {
    if (size > 255) fail_here("an integer of {} bytes", size);
    const std::string_view raw = take(size);
    if (raw.size() > 8) return push_text(decimal(std::string(raw)), Kind::big_integer);
    uint64_t bits = !raw.empty() && (raw.back() & 0x80) ? ~uint64_t{0} : 0;
    for (size_t i = raw.size(); i-- > 0;) bits = bits << 8 | static_cast<unsigned char>(raw[i]);
    push_integer(static_cast<int64_t>(bits));
  }

  void push_big_endian_double() {
    uint64_t bits = 0;
    for (const char c : take(8)) bits = bits << 8 | static_cast<unsigned char>(c);
    push(add({.kind = Kind::real, .real = std::bit_cast<double>(bits)}));
  }

  void stack_global() {
    const std::string name = value(expect(pop(), Kind::text, "a name")).text;
    const std::string module = value(expect(pop(), Kind::text, "a module")).text;
    if (name.size() + module.size() > 2 * kLongestGlobal)
      fail_here("a name of {} bytes", name.size() + module.size());
    global(module, name);
  }

  void step(unsigned char opcode) {
    switch (opcode) {
      case 0x80: {  // PROTO
        const uint64_t version = number(1);
        if (version < 2 || version > 4) fail_here("pickle protocol {}; 2 to 4 are read", version);
        return;
      }
      case 0x95:  // FRAME: a hint for buffered readers
        if (const uint64_t size = number(8); size > in_.size() - position_) fail_here("cut off");
        return;
      case '.':  // STOP
        stopped_ = true;
        return;
      case '(':  // MARK
        return marks_.push_back(stack_.size());
      case '0':  // POP
        pop();
        return;
      case '1':  // POP_MARK
        pop_to_mark();
        return;
      case '2':  // DUP
        return push(top());

      case 'N':  // NONE
        return push_new(Kind::none);
      case 0x88:  // NEWTRUE
        return push_integer(1, Kind::boolean);
      case 0x89:  // NEWFALSE
        return push_integer(0, Kind::boolean);
      case 'J':  // BININT
        return push_integer(static_cast<int32_t>(number(4)));
      case 'K':  // BININT1
        return push_integer(static_cast<int64_t>(number(1)));
      case 'M':  // BININT2
        return push_integer(static_cast<int64_t>(number(2)));
      case 0x8a:  // LONG1
        return push_long(number(1));
      case 0x8b:  // LONG4
        return push_long(number(4));
      case 'G':  // BINFLOAT
        return push_big_endian_double();

      case 'X':  // BINUNICODE
        return push_text(take(number(4)));
      case 0x8c:  // SHORT_BINUNICODE
        return push_text(take(number(1)));
      case 0x8d:  // BINUNICODE8
        return push_text(take(number(8)));
      case 'T':  // BINSTRING, Python 2's text
        return push_text(take(number(4)));
      case 'U':  // SHORT_BINSTRING
        return push_text(take(number(1)));
      case 'B':  // BINBYTES
        return push_text(take(number(4)), Kind::bytes);
      case 'C':  // SHORT_BINBYTES
        return push_text(take(number(1)), Kind::bytes);
      case 0x8e:  // BINBYTES8
        return push_text(take(number(8)), Kind::bytes);

      case ')':  // EMPTY_TUPLE
        return push_new(Kind::tuple);
      case 't':  // TUPLE
        return push_tuple(pop_to_mark());
      case 0x85:  // TUPLE1
      case 0x86:  // TUPLE2
      case 0x87:  // TUPLE3
        return push_tuple(pop_n(opcode - 0x84u));
      case ']':  // EMPTY_LIST
        return push_new(Kind::list);
      case 'l':  // LIST
        return push(add({.kind = Kind::list, .items = pop_to_mark()}));
      case 'a':  // APPEND
        return append(pop_n(1));
      case 'e':  // APPENDS
        return append(pop_to_mark());
      case '}':  // EMPTY_DICT
        return push_new(Kind::dict);
      case 'd': {  // DICT
        const auto items = pop_to_mark();
        push_new(Kind::dict);
        return set_items(items);
      }
      case 's':  // SETITEM
        return set_items(pop_n(2));
      case 'u':  // SETITEMS
        return set_items(pop_to_mark());

      case 'q':  // BINPUT
        return put(number(1));
      case 'r':  // LONG_BINPUT
        return put(number(4));
      case 0x94:  // MEMOIZE
        return put(memo_.size());
      case 'h':  // BINGET
        return get(number(1));
      case 'j':  // LONG_BINGET
        return get(number(4));

      case 'c':    // GLOBAL
      case 'i': {  // INST, which would also call it: nothing that it could name is allowed
        const std::string module(line());
        global(module, line());
        if (opcode == 'i') fail_here("makes an object of a class: refused");
        return;
      }
      case 0x93:  // STACK_GLOBAL
        return stack_global();
      case 'R':  // REDUCE
        return reduce();
      case 'b':  // BUILD
        return build();
      case 'Q':  // BINPERSID
        return persistent_id();
      default:
        fail_here("opcode 0x{:02x} is not supported: refused", opcode);
    }
  }

  static constexpr PickleRef kNothing = ~PickleRef{0};

  std::span<const std::byte> in_;
  const std::string& file_;
  size_t position_ = 0, opcode_at_ = 0;
  bool stopped_ = false;
  std::vector<PickleRef> stack_, memo_;
  std::vector<size_t> marks_;
  Pickle out_;
};

}  // namespace

Pickle read_pickle(std::span<const std::byte> bytes, const std::string& file) {
  return Machine(bytes, file).run();
}

}  // namespace tensor::io
