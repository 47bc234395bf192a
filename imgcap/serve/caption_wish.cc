#include "imgcap/serve/caption_wish.h"

#include <algorithm>
#include <charconv>

#include "imgcap/settings/json.h"
#include "tensor/error.h"
#include "tensor/io/text.h"

namespace imgcap::serve {
namespace {

using tensor::check;
using tensor::ErrorKind;
using tensor::io::Json;

constexpr int64_t kMostSuppressed = 200, kMostAnswerWords = 1000;  // of a photo in a model's language

template <class T>
Json number_of(const char* name, const std::string& text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(error == std::errc{} && end == text.data() + text.size(), ErrorKind::data,
        "options: '{}' is {}; a number is needed", name, tensor::io::in_quotes(text));
  return value;
}

Json truth_of(const char* name, const std::string& text) {
  if (text.empty() || text == "1" || text == "true") return true;
  check(text == "0" || text == "false", ErrorKind::data, "options: '{}' is {}; true or false is needed", name,
        tensor::io::in_quotes(text));
  return false;
}

// As JSON of the type that the option has.
Json value_of(const std::string& name, const std::string& text) {
  Json value(text);
  WishNumbers wish;
  for_each_setting(wish, [&]<class T>(const Row& row, T&) {
    if (name != row.name) return;
    if constexpr (std::same_as<T, bool>)
      value = truth_of(row.name, text);
    else
      value = number_of<T>(row.name, text);
  });
  return value;
}

std::vector<std::string> texts_of(const Json& json, const char* name) {
  const Json* given = json.find(name);
  if (given == nullptr) return {};
  std::vector<std::string> texts;
  check(given->is_array() || given->is_text(), ErrorKind::data, "options: '{}' has the wrong type", name);
  check(given->size() <= 100, ErrorKind::argument, "options: '{}' has over 100 texts", name);
  if (given->is_text()) return {text_option(json, name)};
  for (const Json& item : given->items()) texts.push_back(text_option(Json::object({{name, item}}), name));
  return texts;
}

}  // namespace

std::string text_option(const Json& json, const char* name) {
  const Json* given = json.find(name);
  if (given == nullptr) return "";
  check(given->is_text(), ErrorKind::data, "options: '{}' has the wrong type", name);
  check(given->as_text().size() <= 1000, ErrorKind::argument, "options: '{}' has over 1,000 bytes", name);
  return given->as_text();
}

std::vector<std::pair<std::string, std::string>> text_options() {
  return {
      {"model", "One of /api/models by its name, or all; without it the first"},
      {"language", "The captions' language, as en or ar, or all of the model's; without it the model's own"},
      {"prefix", "The words that every caption begins with"},
      {"suppress", "Words that no caption has; in a query once or more often"}};
}

CaptionWish wish_of(const Json& json) {
  check(json.is_object(), ErrorKind::data, "options: they are not a JSON object");
  CaptionWish wish;
  wish.model = text_option(json, "model");
  wish.language = text_option(json, "language");
  wish.prefix = text_option(json, "prefix");
  wish.suppress = texts_of(json, "suppress");
  int64_t words = 0;  // each costs a look at every token
  for (const std::string& text : wish.suppress)
    words += 1 + std::count_if(text.begin(), text.end(),
                               [](char c) { return static_cast<unsigned char>(c) <= ' '; });
  check(words <= kMostSuppressed, ErrorKind::argument, "options: 'suppress' has over {} words",
        kMostSuppressed);
  Json numbers = Json::object();
  for (size_t i = 0; i < json.size(); ++i) {
    const std::string& name = json.keys()[i];
    const auto texts = text_options();
    const bool is_text =
        std::any_of(texts.begin(), texts.end(), [&](const auto& each) { return each.first == name; });
    if (!is_text) numbers.add(name, json.items()[i]);
  }
  for (const std::string& name : numbers.keys()) {
    bool known = false;
    for_each_setting(static_cast<const WishNumbers&>(wish),
                     [&](const Row& row, const auto&) { known = known || name == row.name; });
    check(known, ErrorKind::data, "options: {} is no option", tensor::io::in_quotes(name));
  }
  static_cast<WishNumbers&>(wish) = settings_from_json<WishNumbers>(numbers);
  check_bounds(static_cast<const WishNumbers&>(wish));
  check(wish.nbest * wish.max_words <= kMostAnswerWords, ErrorKind::argument,
        "options: nbest times max_words may be {}", kMostAnswerWords);
  check(wish.sample || wish.nbest <= wish.beam, ErrorKind::argument, "options: nbest {} is over beam {}",
        wish.nbest, wish.beam);
  return wish;
}

Json options_of(const std::vector<std::pair<std::string, std::string>>& query) {
  Json json = Json::object();
  std::vector<std::string> suppress;
  for (const auto& [name, text] : query) {
    if (name == "suppress") {
      suppress.push_back(text);
      continue;
    }
    check(json.find(name) == nullptr, ErrorKind::data, "options: {} is there twice",
          tensor::io::in_quotes(name));
    json.add(name, value_of(name, text));
  }
  if (!suppress.empty()) json.add("suppress", suppress);
  return json;
}

CaptionWish wish_of(const std::vector<std::pair<std::string, std::string>>& query) {
  return wish_of(options_of(query));
}

std::vector<std::string> languages_of(const CaptionWish& wish, const Captioner& captioner) {
  const Vocabulary& vocabulary = captioner.vocabulary();
  if (wish.language == "all" && vocabulary.has_languages()) {
    std::vector<std::string> all;
    for (const Language& language : vocabulary.languages()) all.push_back(language.code);
    return all;
  }
  return {vocabulary.language(wish.language.empty() ? captioner.default_language() : wish.language).code};
}

CaptionRequest request_of(const CaptionWish& wish, const Captioner& captioner, const std::string& language,
                          std::vector<std::string>& notes) {
  BeamOptions search;
  search.beam = wish.beam;
  search.nbest = wish.nbest;
  search.max_words = wish.max_words;
  search.length_exponent = wish.length_exponent;
  search.attention = wish.attention && captioner.decoder().config().kind == DecoderKind::attention;
  const RuleTexts texts{wish.no_repeat_ngram, wish.min_words, wish.suppress, wish.prefix};
  search.rules = rules_of(texts, captioner.vocabulary(), language, wish.max_words, "options", {}, notes);
  CaptionRequest request;
  request.language = language;
  request.seed = wish.seed;
  request.search = search;
  if (!wish.sample) return request;
  SamplingOptions sampling;
  static_cast<DecodingOptions&>(sampling) = search;
  sampling.temperature = wish.temperature;
  sampling.top_k = wish.top_k;
  sampling.top_p = wish.top_p;
  sampling.samples = wish.nbest;
  request.search = sampling;
  return request;
}

}  // namespace imgcap::serve
