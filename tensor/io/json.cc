#include "tensor/io/json.h"

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "tensor/error.h"
#include "tensor/io/text.h"

namespace tensor::io {

// What the parser calls as it reads.
class JsonBuilder {
 public:
  using number_integer_t = nlohmann::json::number_integer_t;
  using number_unsigned_t = nlohmann::json::number_unsigned_t;
  using number_float_t = nlohmann::json::number_float_t;
  using string_t = nlohmann::json::string_t;
  using binary_t = nlohmann::json::binary_t;

  explicit JsonBuilder(int depth) : depth_(static_cast<size_t>(depth)) {}

  bool null() { return add({}); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(int64_t value) { return add(value); }
  bool number_unsigned(uint64_t value) { return add(value); }
  bool number_float(double value, const std::string&) { return add(value); }
  bool string(std::string& value) { return add(value); }
  bool binary(binary_t&) { return false; }  // not in text
  bool start_object(size_t) { return open(Json::object()); }
  bool start_array(size_t) { return open(Json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& key) {
    open_.back()->keys_.push_back(key);
    return true;
  }
  bool parse_error(size_t, const std::string&, const nlohmann::json::exception& error) {
    reason = error.what();
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
    if (const size_t end = reason.find("] "); end != std::string::npos) reason.erase(0, end + 2);
    if (reason.starts_with("parse error at ")) reason.erase(0, 15);
    return false;
  }

  Json root;
  std::string reason;

 private:
  Json* put(Json value) {
    if (open_.empty()) {
      root = std::move(value);
      return &root;
    }
    return &open_.back()->items_.emplace_back(std::move(value));
  }
  bool add(Json value) {
    put(std::move(value));
    return true;
  }
  bool open(Json value) {
    if (open_.size() >= depth_) {
      reason = format("more than {} arrays and objects inside one another", depth_);
      return false;
    }
    // Where it is does not change while it is open: only the innermost one grows.
    open_.push_back(put(std::move(value)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  size_t depth_;
  std::vector<Json*> open_;
};

namespace {

// How long the UTF-8 character at the beginning of `text` is; 0 when its bytes are none. After table 3-7 of
// the Unicode standard.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0; };
  const auto follows = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const int first = byte(0), second = byte(1);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return follows(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const bool good = (first != 0xE0 || second >= 0xA0) && (first != 0xED || second < 0xA0);
    return good && follows(1) && follows(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const bool good = (first != 0xF0 || second >= 0x90) && (first != 0xF4 || second < 0x90);
    return good && follows(1) && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

void write_text(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const char c = text.front();
    size_t length = 1;
    if (c == '"' || c == '\\') {
      out += '\\', out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\b') {
      out += "\\b";
    } else if (c == '\f') {
      out += "\\f";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += format("\\u{:04x}", static_cast<int>(c));
    } else if (length = utf8_length(text); length > 0) {
      out += text.substr(0, length);
    } else {
      out += "\xEF\xBF\xBD";
      length = 1;
    }
    text.remove_prefix(length);
  }
  out += '"';
}

void write_real(std::string& out, double value, bool single) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  if (single) {
    out += format("{}", static_cast<float>(value));
    return;
  }
  const std::string text = format("{}", value);
  out += text;
  if (text.find_first_of(".e") == std::string::npos) out += ".0";
}

// A value for an error text, which a whole file does not fit in.
std::string shown(const Json& json) {
  const std::string text = json.dump();
  return text.size() <= 100 ? text : text.substr(0, 100) + "...";
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

Json Json::array(std::initializer_list<Json> items) {
  Json json;
  json.kind_ = Kind::array;
  json.items_ = items;
  return json;
}

Json Json::object(std::initializer_list<Member> members) {
  Json json;
  json.kind_ = Kind::object;
  for (const Member& member : members) {
    json.keys_.push_back(member.key);
    json.items_.push_back(member.value);
  }
  return json;
}

Json Json::parse(std::string_view text, const std::string& name, int depth) {
  JsonBuilder builder(depth);
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder))
    fail(ErrorKind::data, "{}: not JSON: {}", name, builder.reason);
  return std::move(builder.root);
}

std::optional<Json> Json::try_parse(std::string_view text, int depth) {
  JsonBuilder builder(depth);
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) return std::nullopt;
  return std::move(builder.root);
}

void Json::write(std::string& out, int indent, int level) const {
  const auto new_line = [&](int to) {
    if (indent >= 0) out += '\n', out.append(static_cast<size_t>(indent * to), ' ');
  };
  switch (kind_) {
    case Kind::null:
      out += "null";
      break;
    case Kind::boolean:
      out += integer_ != 0 ? "true" : "false";
      break;
    case Kind::integer:
      out += format("{}", integer_);
      break;
    case Kind::unsigned_integer:
      out += format("{}", static_cast<uint64_t>(integer_));
      break;
    case Kind::real:
      write_real(out, real_, single_);
      break;
    case Kind::text:
      write_text(out, text_);
      break;
    case Kind::array:
    case Kind::object: {
      const bool object = kind_ == Kind::object;
      out += object ? '{' : '[';
      for (size_t i = 0; i < items_.size(); ++i) {
        if (i > 0) out += ',';
        new_line(level + 1);
        if (object) write_text(out, keys_[i]), out += indent >= 0 ? ": " : ":";
        items_[i].write(out, indent, level + 1);
      }
      if (!items_.empty()) new_line(level);
      out += object ? '}' : ']';
      break;
    }
  }
}

std::string Json::dump(int indent) const {
  std::string out;
  write(out, indent, 0);
  return out;
}

bool Json::as_bool() const {
  check(is_bool(), ErrorKind::data, "JSON: {} is neither true nor false", shown(*this));
  return integer_ != 0;
}

int64_t Json::as_int64() const {
  check(kind_ == Kind::integer || (kind_ == Kind::unsigned_integer && integer_ >= 0), ErrorKind::data,
        "JSON: {} is no integer of 64 bits", shown(*this));
  return integer_;
}

uint64_t Json::as_uint64() const {
  check(kind_ == Kind::unsigned_integer || (kind_ == Kind::integer && integer_ >= 0), ErrorKind::data,
        "JSON: {} is no integer from 0 on", shown(*this));
  return static_cast<uint64_t>(integer_);
}

double Json::as_double() const {
  check(is_number(), ErrorKind::data, "JSON: {} is no number", shown(*this));
  if (kind_ == Kind::integer) return static_cast<double>(integer_);
  return kind_ == Kind::real ? real_ : static_cast<double>(static_cast<uint64_t>(integer_));
}

const std::string& Json::as_text() const {
  check(is_text(), ErrorKind::data, "JSON: {} is no text", shown(*this));
  return text_;
}

const Json* Json::find(std::string_view key) const {
  for (size_t i = keys_.size(); i-- > 0;)
    if (keys_[i] == key) return &items_[i];
  return nullptr;
}

const Json& Json::at(std::string_view key) const {
  const Json* found = find(key);
  check(found != nullptr, ErrorKind::data, "JSON: {} is missing", in_quotes(key));
  return *found;
}

const Json& Json::at(size_t index) const {
  check(index < size(), ErrorKind::data, "JSON: {} has no item {}", shown(*this), index);
  return items_[index];
}

Json& Json::operator[](std::string_view key) {
  check(is_null() || is_object(), ErrorKind::internal, "JSON: a member of what is no object");
  kind_ = Kind::object;
  for (size_t i = 0; i < keys_.size(); ++i)
    if (keys_[i] == key) return items_[i];
  keys_.emplace_back(key);
  return items_.emplace_back();
}

void Json::add(std::string key, Json value) {
  check(is_null() || is_object(), ErrorKind::internal, "JSON: a member of what is no object");
  kind_ = Kind::object;
  keys_.push_back(std::move(key));
  items_.push_back(std::move(value));
}

void Json::push_back(Json item) {
  check(is_null() || is_array(), ErrorKind::internal, "JSON: an item of what is no array");
  kind_ = Kind::array;
  items_.push_back(std::move(item));
}

bool Json::operator==(const Json& other) const {
  if (is_number() && other.is_number()) {
    if (kind_ == Kind::real || other.kind_ == Kind::real) return as_double() == other.as_double();
    return integer_ == other.integer_ && (kind_ == other.kind_ || integer_ >= 0);
  }
  return kind_ == other.kind_ && integer_ == other.integer_ && text_ == other.text_ &&
         items_ == other.items_ && keys_ == other.keys_;
}

}  // namespace tensor::io
