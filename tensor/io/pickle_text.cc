// What readers of a pickle's values share: look-up by key, and text for names and messages.

#include "tensor/format.h"
#include "tensor/io/pickle.h"

namespace tensor::io {
namespace {

using Kind = PickleValue::Kind;

constexpr int kDeepest = 3;

class Writer {
 public:
  Writer(const Pickle& pickle, size_t longest) : pickle_(pickle), longest_(longest) {}

  void write(PickleRef ref, int depth) {
    if (full()) return;
    if (depth > kDeepest + 1) return add("...");  // calls of calls of ...
    const PickleValue& value = pickle_.values[ref];
    switch (value.kind) {
      case Kind::none:
        return add("None");
      case Kind::boolean:
        return add(value.integer ? "True" : "False");
      case Kind::integer:
        return add(tensor::format("{}", value.integer));
      case Kind::real:
        return add(tensor::format("{}", value.real));
      case Kind::big_integer:
      case Kind::global:
        return add(value.text);
      case Kind::text:
        return quoted(value.text);
      case Kind::bytes:
        add("b");
        return quoted(value.text);
      case Kind::numpy_dtype:
        add("dtype(");
        quoted(value.text);
        return add(")");
      case Kind::list:
        return sequence("[", value.items, "]", depth);
      case Kind::tuple:
        return sequence("(", value.items, value.items.size() == 1 ? ",)" : ")", depth);
      case Kind::dict:
        return dictionary(value.items, depth);
      case Kind::object:
        write(value.items[0], depth + 1);
        return sequence("(", pickle_.values[value.items[1]].items, ")", depth);
      case Kind::storage:
        return add(pickle_.storages[static_cast<size_t>(value.integer)].type);
      case Kind::tensor:
        return add("tensor");
    }
  }

  std::string text() && {
    if (text_.size() > longest_) text_.replace(longest_, std::string::npos, "...");
    return std::move(text_);
  }

 private:
  bool full() const { return text_.size() > longest_; }
  void add(std::string_view text) { text_ += text.substr(0, longest_ + 1); }
  void quoted(std::string_view text) {
    add("'");
    add(text);
    add("'");
  }
  void sequence(const char* open, const std::vector<PickleRef>& items, const char* close, int depth) {
    add(open);
    if (depth >= kDeepest && !items.empty()) {
      add("...");
    } else {
      for (size_t i = 0; i < items.size() && !full(); ++i) {
        if (i > 0) add(", ");
        write(items[i], depth + 1);
      }
    }
    add(close);
  }
  void dictionary(const std::vector<PickleRef>& items, int depth) {
    add("{");
    if (depth >= kDeepest && !items.empty()) {
      add("...");
    } else {
      for (size_t i = 0; i < items.size() && !full(); i += 2) {
        if (i > 0) add(", ");
        write(items[i], depth + 1);
        add(": ");
        write(items[i + 1], depth + 1);
      }
    }
    add("}");
  }

  const Pickle& pickle_;
  size_t longest_;
  std::string text_;
};

}  // namespace

const PickleValue* find_item(const Pickle& pickle, const PickleValue& dict, std::string_view key) {
  if (dict.kind != Kind::dict) return nullptr;
  for (size_t i = 0; i < dict.items.size(); i += 2) {
    const PickleValue& name = pickle.values[dict.items[i]];
    if (name.kind == Kind::text && name.text == key) return &pickle.values[dict.items[i + 1]];
  }
  return nullptr;
}

std::string to_text(const Pickle& pickle, PickleRef ref, size_t longest) {
  Writer writer(pickle, longest);
  writer.write(ref, 0);
  return std::move(writer).text();
}

}  // namespace tensor::io
