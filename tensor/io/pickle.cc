#include "tensor/io/pickle.h"

#include <algorithm>
#include <bit>
#include <string_view>
#include <utility>

#include "tensor/io/pickle_machine.h"

namespace tensor::io {
namespace internal {
namespace {

// Far above what checkpoints have (ResNet50's has some 8,000 opcodes), far below what hurts.
constexpr uint64_t kMostOpcodes = 4'000'000;
constexpr uint64_t kMostMemos = 4'000'000;
constexpr size_t kMostCharged = size_t{256} << 20;

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

}  // namespace

const char* kind_name(PickleValue::Kind kind) {
  constexpr const char* names[] = {"None",   "a boolean", "an integer",   "a long integer", "a number",
                                   "text",   "bytes",     "a list",       "a tuple",        "a dictionary",
                                   "a name", "an object", "a NumPy type", "a storage",      "a tensor"};
  return names[static_cast<size_t>(kind)];
}

Pickle PickleMachine::run() {
  for (uint64_t count = 0; !stopped_; ++count) {
    if (count == kMostOpcodes) fail_here("more opcodes than the limit");
    opcode_at_ = position_;
    step(static_cast<unsigned char>(take(1)[0]));
  }
  if (!marks_.empty() || stack_.size() != 1) fail_here("ends with other than one value");
  out_.root = stack_.back();
  return std::move(out_);
}

// --- input

std::string_view PickleMachine::take(uint64_t count) {
  if (count > in_.size() - position_) fail_here("cut off");
  const std::string_view result(reinterpret_cast<const char*>(in_.data()) + position_, count);
  position_ += count;
  return result;
}

uint64_t PickleMachine::number(size_t bytes) {
  const std::string_view raw = take(bytes);
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; ++i) value |= uint64_t{static_cast<unsigned char>(raw[i])} << (8 * i);
  return value;
}

std::string_view PickleMachine::line() {
  const std::string_view rest(reinterpret_cast<const char*>(in_.data()) + position_,
                              std::min(in_.size() - position_, kLongestGlobal));
  const size_t end = rest.find('\n');
  if (end == std::string_view::npos) fail_here("a name without an end");
  take(end + 1);
  return rest.substr(0, end);
}

// --- values and the stack

PickleRef PickleMachine::add(PickleValue value) {
  out_.values.push_back(std::move(value));
  return static_cast<PickleRef>(out_.values.size() - 1);
}

PickleRef PickleMachine::top() const {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) fail_here("takes a value from an empty stack");
  return stack_.back();
}

PickleRef PickleMachine::pop() {
  const PickleRef ref = top();
  stack_.pop_back();
  return ref;
}

std::vector<PickleRef> PickleMachine::pop_to_mark() {
  if (marks_.empty()) fail_here("no mark on the stack");
  const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<PickleRef> items(begin, stack_.end());
  stack_.erase(begin, stack_.end());
  marks_.pop_back();
  return items;
}

std::vector<PickleRef> PickleMachine::pop_n(size_t n) {
  std::vector<PickleRef> items(n);
  for (size_t i = n; i-- > 0;) items[i] = pop();
  return items;
}

PickleRef PickleMachine::expect(PickleRef ref, Kind kind, const char* what) {
  if (value(ref).kind != kind) {
    fail_here("{} is {}, not {}", what, kind_name(value(ref).kind), kind_name(kind));
  }
  return ref;
}

void PickleMachine::append(const std::vector<PickleRef>& items) {
  const PickleRef to = top();
  if (value(to).kind != Kind::object) expect(to, Kind::list, "what is appended to");
  auto& list = value(to).items;
  list.insert(list.end(), items.begin(), items.end());
}

void PickleMachine::set_items(const std::vector<PickleRef>& items) {
  const PickleRef to = top();
  if (value(to).kind != Kind::object) expect(to, Kind::dict, "what gets items");
  if (items.size() % 2 != 0) fail_here("a key without a value");
  auto& dict = value(to).items;
  dict.insert(dict.end(), items.begin(), items.end());
}

void PickleMachine::charge(size_t bytes) {
  charged_ += bytes;
  if (charged_ > kMostCharged)
    fail_here("names, calls and storages over the limit of {} bytes", kMostCharged);
}

// --- memo

void PickleMachine::put(uint64_t index) {
  if (index >= kMostMemos) fail_here("memo {} is over the limit", index);
  if (index >= memo_.size()) memo_.resize(index + 1, kNothing);
  memo_[index] = top();
}

void PickleMachine::get(uint64_t index) {
  if (index >= memo_.size() || memo_[index] == kNothing) fail_here("memo {} was never set", index);
  push(memo_[index]);
}

// --- the opcodes

void PickleMachine::push_long(uint64_t size) {
  if (size > 255) fail_here("an integer of {} bytes", size);
  const std::string_view raw = take(size);
  if (raw.size() > 8) return push_text(decimal(std::string(raw)), Kind::big_integer);
  uint64_t bits = !raw.empty() && (raw.back() & 0x80) ? ~uint64_t{0} : 0;
  for (size_t i = raw.size(); i-- > 0;) bits = bits << 8 | static_cast<unsigned char>(raw[i]);
  push_integer(static_cast<int64_t>(bits));
}

void PickleMachine::push_big_endian_double() {
  uint64_t bits = 0;
  for (const char c : take(8)) bits = bits << 8 | static_cast<unsigned char>(c);
  push(add({.kind = Kind::real, .real = std::bit_cast<double>(bits)}));
}

void PickleMachine::step(unsigned char opcode) {
  switch (opcode) {
    case 0x80: {  // PROTO
      const uint64_t version = number(1);
      if (version < 2 || version > 5) fail_here("pickle protocol {}; 2 to 5 are read", version);
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
    case 0x96:  // BYTEARRAY8
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

    case 'c': {  // GLOBAL
      const std::string_view module = line();
      return push(global(module, line()));
    }
    case 0x93:  // STACK_GLOBAL
      return stack_global();
    case 'R':     // REDUCE
    case 0x81: {  // NEWOBJ
      const PickleRef arguments = pop();
      return call(pop(), arguments);
    }
    case 0x92: {  // NEWOBJ_EX, with keyword arguments
      const PickleRef keywords = expect(pop(), Kind::dict, "a call's keywords"), arguments = pop();
      call(pop(), arguments);
      if (value(top()).kind == Kind::object) value(top()).items.push_back(keywords);
      return;
    }
    case 'i': {  // INST
      const std::string_view module = line();
      const PickleRef type = global(module, line());
      push_tuple(pop_to_mark());
      return call(type, pop());
    }
    case 'o': {  // OBJ
      std::vector<PickleRef> items = pop_to_mark();
      if (items.empty()) fail_here("an object without a class");
      const PickleRef type = items.front();
      items.erase(items.begin());
      push_tuple(std::move(items));
      return call(type, pop());
    }
    case 0x8f:  // EMPTY_SET
      push_new(Kind::tuple);
      return call(global("builtins", "set"), pop());
    case 0x91:  // FROZENSET
      push_tuple({add({.kind = Kind::list, .items = pop_to_mark()})});
      return call(global("builtins", "frozenset"), pop());
    case 0x90: {  // ADDITEMS
      const std::vector<PickleRef> items = pop_to_mark();
      expect(top(), Kind::object, "what gets items");
      return append(items);
    }
    case 'b':  // BUILD
      return build();
    case 'Q':  // BINPERSID
      return persistent_id();
    default:
      fail_here("opcode 0x{:02x} is not supported: refused", opcode);
  }
}

}  // namespace internal

Pickle read_pickle(std::span<const std::byte> bytes, const std::string& file) {
  const Pickle pickle = read_next_pickle(bytes, file);
  check(bytes.empty(), ErrorKind::data, "{}: pickle: {} bytes follow its end", file, bytes.size());
  return pickle;
}

Pickle read_next_pickle(std::span<const std::byte>& bytes, const std::string& file) {
  internal::PickleMachine machine(bytes, file);
  Pickle pickle = machine.run();
  bytes = bytes.subspan(machine.consumed());
  return pickle;
}

}  // namespace tensor::io
