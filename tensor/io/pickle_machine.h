// The stack machine that reads a pickle: pickle.cc has its opcodes, pickle_calls.cc what names and calls
// mean.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tensor/error.h"
#include "tensor/io/pickle.h"

namespace tensor::io::internal {

constexpr size_t kLongestGlobal = 256;

const char* kind_name(PickleValue::Kind kind);  // for messages: "a list"

class PickleMachine {
 public:
  PickleMachine(std::span<const std::byte> bytes, const std::string& file) : in_(bytes), file_(file) {}

  // Up to the end of the pickle; `consumed` bytes of it.
  Pickle run();
  size_t consumed() const { return position_; }

 private:
  using Kind = PickleValue::Kind;
  static constexpr PickleRef kNothing = ~PickleRef{0};

  template <class... Args>
  [[noreturn]] void fail_here(FormatString<std::type_identity_t<Args>...> text, const Args&... args) const {
    fail(ErrorKind::data, "{}: pickle, byte {}: {}", file_, opcode_at_, format(text, args...));
  }

  // --- input
  std::string_view take(uint64_t count);
  uint64_t number(size_t bytes);
  std::string_view line();

  // --- values and the stack
  PickleRef add(PickleValue value);
  PickleValue& value(PickleRef ref) { return out_.values[ref]; }
  void push(PickleRef ref) { stack_.push_back(ref); }
  void push_new(Kind kind) { push(add({.kind = kind})); }
  void push_integer(int64_t value, Kind kind = Kind::integer) { push(add({.kind = kind, .integer = value})); }
  void push_text(std::string_view text, Kind kind = Kind::text) {
    push(add({.kind = kind, .text = std::string(text)}));
  }
  void push_tuple(std::vector<PickleRef> items) {
    push(add({.kind = Kind::tuple, .items = std::move(items)}));
  }
  PickleRef top() const;
  PickleRef pop();
  std::vector<PickleRef> pop_n(size_t n);
  std::vector<PickleRef> pop_to_mark();
  PickleRef expect(PickleRef ref, Kind kind, const char* what);
  void append(const std::vector<PickleRef>& items);
  void set_items(const std::vector<PickleRef>& items);
  // For what a few bytes of a pickle can make much of. An error over the limit.
  void charge(size_t bytes);

  // --- memo
  void put(uint64_t index);
  void get(uint64_t index);

  // --- names and calls
  PickleRef global(std::string_view module, std::string_view name);
  void stack_global();
  // Pushes what Python would get from calling `callee`.
  void call(PickleRef callee, PickleRef arguments);
  // The same for what has a meaning here; false when it has none with these arguments.
  bool call_known(const std::string& name, const std::vector<PickleRef>& args);
  void push_object(PickleRef callee, PickleRef arguments);
  bool ordered_dict(const std::vector<PickleRef>& args);
  void rebuild_tensor(const std::vector<PickleRef>& args);
  void persistent_id();
  void storage(const std::vector<PickleRef>& id);
  bool encode(const std::vector<PickleRef>& args);
  bool numpy_scalar(const std::vector<PickleRef>& args);
  void build();
  std::vector<int64_t> integers(PickleRef ref, const char* what);
  int64_t not_negative(PickleRef ref, const char* what);

  // --- the opcodes
  void step(unsigned char opcode);
  void push_long(uint64_t size);
  void push_big_endian_double();

  std::span<const std::byte> in_;
  const std::string& file_;
  size_t position_ = 0, opcode_at_ = 0, charged_ = 0;
  bool stopped_ = false;
  std::vector<PickleRef> stack_, memo_;
  std::vector<size_t> marks_;
  std::map<std::string, size_t> whole_storages_;  // key -> place of the first in Pickle::storages
  Pickle out_;
};

}  // namespace tensor::io::internal
