// JSON as a value: read by nlohmann-json (compiled in one file), written here.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tensor::io {

bool is_utf8(std::string_view text);

class Json {
 public:
  enum class Kind : uint8_t { null, boolean, integer, unsigned_integer, real, text, array, object };
  struct Member;

  Json() = default;
  Json(bool value) : kind_(Kind::boolean), integer_(value) {}
  template <std::signed_integral T>
  Json(T value) : kind_(Kind::integer), integer_(value) {}
  template <std::unsigned_integral T>
  requires(!std::same_as<T, bool>) Json(T value)
      : kind_(Kind::unsigned_integer), integer_(static_cast<int64_t>(value)) {}
  // Written as the shortest text that reads back as the same number: 0.1, 1.0, 1e-07. What is not finite
  // becomes null, since JSON has no word for it.
  Json(double value) : kind_(Kind::real), real_(value) {}
  // The same for an f32, whose whole numbers are written without a point: 0.485, 127.
  Json(float value) : kind_(Kind::real), single_(true), real_(static_cast<double>(value)) {}
  template <std::convertible_to<std::string_view> T>
  Json(const T& text) : kind_(Kind::text), text_(std::string_view(text)) {}
  template <class T>
  Json(const std::vector<T>& items) : kind_(Kind::array) {
    for (const T& item : items) items_.emplace_back(item);
  }
  template <class T, size_t N>
  Json(const std::array<T, N>& items) : kind_(Kind::array), items_(items.begin(), items.end()) {}
  template <class T>
  Json(const std::map<std::string, T>& members) : kind_(Kind::object) {
    for (const auto& [key, value] : members) {
      keys_.push_back(key);
      items_.emplace_back(value);
    }
  }
  static Json array(std::initializer_list<Json> items = {});
  static Json object(std::initializer_list<Member> members = {});

  // The whole of `text`; of two equal keys both stay, and `find` gives the last. Errors: data ("NAME: not
  // JSON: line 1, column 5: ..."), also for more than `depth` arrays and objects inside one another.
  static Json parse(std::string_view text, const std::string& name, int depth = 32);
  // The same, or nothing.
  static std::optional<Json> try_parse(std::string_view text, int depth = 32);

  // On one line, or with `indent` blanks more on each level. Members stay in their order; bytes that are no
  // UTF-8 become U+FFFD.
  std::string dump(int indent = -1) const;

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::null; }
  bool is_bool() const { return kind_ == Kind::boolean; }
  bool is_integer() const { return kind_ == Kind::integer || kind_ == Kind::unsigned_integer; }
  bool is_number() const { return is_integer() || kind_ == Kind::real; }
  bool is_text() const { return kind_ == Kind::text; }
  bool is_array() const { return kind_ == Kind::array; }
  bool is_object() const { return kind_ == Kind::object; }

  // What a value holds. Errors: data (another kind, a number that does not fit).
  bool as_bool() const;
  int64_t as_int64() const;
  uint64_t as_uint64() const;
  double as_double() const;
  const std::string& as_text() const;
  // As one of these types (bool, integers, double, text), for settings that a template reads.
  template <class T>
  T as() const;
  // Whether as<T>() gives a value: an integer is a double, a fraction is no integer.
  template <class T>
  bool is() const;

  // Of an array or object; 0 for others.
  size_t size() const { return items_.size(); }
  const std::vector<Json>& items() const {
    return items_;
  }  // also the values of an object, in the order of keys()
  const std::vector<std::string>& keys() const { return keys_; }
  const Json* find(std::string_view key) const;  // null when there is none, or this is no object
  const Json& at(std::string_view key) const;    // errors: data, when there is none
  const Json& at(size_t index) const;            // of items(); errors: data, beyond their end

  // The member of this name, added as null when there is none; a null becomes an object.
  Json& operator[](std::string_view key);
  void add(std::string key, Json value);  // a member at the end, without a look at the others
  void push_back(Json item);              // a null becomes an array

  bool operator==(const Json& other) const;

 private:
  friend class JsonBuilder;
  void write(std::string& out, int indent, int level) const;

  Kind kind_ = Kind::null;
  bool single_ = false;
  union {
    int64_t integer_ = 0;
    double real_;
  };
  std::string text_;
  std::vector<Json> items_;
  std::vector<std::string> keys_;
};

struct Json::Member {
  std::string key;
  Json value;
};

template <class T>
bool Json::is() const {
  if constexpr (std::same_as<T, bool>)
    return is_bool();
  else if constexpr (std::integral<T>)
    return is_integer();
  else if constexpr (std::floating_point<T>)
    return is_number();
  else
    return is_text();
}

template <class T>
T Json::as() const {
  if constexpr (std::same_as<T, bool>)
    return as_bool();
  else if constexpr (std::same_as<T, uint64_t>)
    return as_uint64();
  else if constexpr (std::same_as<T, int64_t>)
    return as_int64();
  else if constexpr (std::same_as<T, double>)
    return as_double();
  else {
    static_assert(std::same_as<T, std::string>);
    return as_text();
  }
}

}  // namespace tensor::io
