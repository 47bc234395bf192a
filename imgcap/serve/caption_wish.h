// What a client may ask of a caption: the options of /api/caption, from a query or from JSON.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "imgcap/captioner.h"
#include "imgcap/decoding/rule_texts.h"
#include "imgcap/settings/setting.h"
#include "tensor/io/json.h"

namespace imgcap::serve {

struct WishNumbers {
  int64_t beam = BeamOptions().beam, nbest = 1, max_words = BeamOptions().max_words;
  double length_exponent = 1;
  int64_t no_repeat_ngram = 0, min_words = 0;
  bool sample = false;
  double temperature = 1;
  int64_t top_k = 0;
  double top_p = 1;
  uint64_t seed = 1;
  bool attention = false, preview = false;
};

struct CaptionWish : WishNumbers {
  // Empty: the first model, its default language. "all": each.
  std::string model, language;
  std::string prefix;
  std::vector<std::string> suppress;
};

inline constexpr int64_t kMostBeam = 20, kMostWords = 200;  // one request should not take the server's time

}  // namespace imgcap::serve

namespace imgcap {

template <>
inline constexpr auto kSettings<serve::WishNumbers> = [] {
  using W = serve::WishNumbers;
  return Table{
      "options",
      {.no_object = "they are not a JSON object", .wrong_type = "'{}' has the wrong type"},
      Setting{"beam", no_flag, &W::beam, between(1, serve::kMostBeam), "Beam width"},
      Setting{"nbest", no_flag, &W::nbest, between(1, serve::kMostBeam),
              "Captions per photo, at most beam (with sample: any number)"},
      Setting{"max_words", no_flag, &W::max_words, between(1, serve::kMostWords),
              "Longest caption, in tokens"},
      Setting{"length_exponent", no_flag, &W::length_exponent, between(0, 10),
              "Log-probability is divided by length to this power"},
      Setting{"no_repeat_ngram", no_flag, &W::no_repeat_ngram, between(0, serve::kMostWords),
              "No so many words follow each other twice (0: they may)"},
      Setting{"min_words", no_flag, &W::min_words, between(0, serve::kMostWords),
              "Shortest caption, in words"},
      Setting{"sample", no_flag, &W::sample, anything(), "Draw the words in place of a beam search"},
      Setting{"temperature", no_flag, &W::temperature, between(0.05, 10),
              "Words are drawn from softmax(logits / temperature)"},
      Setting{"top_k", no_flag, &W::top_k, between(0, 1'000'000), "Of the k likeliest words only (0: all)"},
      Setting{"top_p", no_flag, &W::top_p, positive_up_to(1),
              "Of the fewest words that have this probability together"},
      Setting{"seed", no_flag, &W::seed, anything(), "Of the words that are drawn"},
      Setting{"attention", no_flag, &W::attention, anything(), "Where the model looked for each word"},
      Setting{"preview", no_flag, &W::preview, anything(),
              "The photo, upright, as a JPEG of at most 1024 pixels a side"}};
}();

}  // namespace imgcap

namespace imgcap::serve {

// A query's options as JSON: numbers and truth values of the types that they have. Errors: data (a text that is no
// number where one is needed, a name twice, but for "suppress").
tensor::io::Json options_of(const std::vector<std::pair<std::string, std::string>>& query);

// The options of a query. Texts that are no number where one is needed, and names that are not known, are errors, as
// in JSON. Errors: data, argument (out of bounds).
CaptionWish wish_of(const std::vector<std::pair<std::string, std::string>>& query);
// {"beam": 5, "suppress": ["a", "b"], "language": "ar"}
CaptionWish wish_of(const tensor::io::Json& json);

// A text option; empty where there is none. Errors: data (another type), argument (over 1,000 bytes).
std::string text_option(const tensor::io::Json& options, const char* name);

// The text options by name, with a sentence each, for a description of the service.
std::vector<std::pair<std::string, std::string>> text_options();

// The request of one model in one language (of `language`, its code). Notes are for the client. Errors: argument.
CaptionRequest request_of(const CaptionWish& wish, const Captioner& captioner, const std::string& language,
                          std::vector<std::string>& notes);

// The codes of the languages that are wanted of a model. Errors: argument (it lacks that one).
std::vector<std::string> languages_of(const CaptionWish& wish, const Captioner& captioner);

}  // namespace imgcap::serve
