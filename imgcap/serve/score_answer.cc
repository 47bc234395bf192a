#include "imgcap/metrics/scores.h"
#include "imgcap/serve/answers.h"
#include "imgcap/serve/caption_wish.h"
#include "imgcap/serve/side_answers.h"
#include "tensor/error.h"
#include "tensor/io/text.h"

namespace imgcap::serve {
namespace {

using tensor::check;
using tensor::ErrorKind;
using tensor::io::Json;

const Json& object_at(const Json& json, const char* name) {
  const Json* found = json.find(name);
  check(found != nullptr && found->is_object(), ErrorKind::data, "score: \"{}\" is no JSON object", name);
  return *found;
}

// ROUGE-L takes a product of lengths, and the side worker is one for all.
constexpr size_t kMostBytes = 2 << 20, kLongestCaption = 2000;

const std::string& text_at(const Json& json, const std::string& image) {
  check(json.is_text(), ErrorKind::data, "score: a caption of {} is no text", tensor::io::in_quotes(image));
  check(json.as_text().size() <= kLongestCaption, ErrorKind::argument,
        "score: a caption of {} has over {} bytes", tensor::io::in_quotes(image), kLongestCaption);
  return json.as_text();
}

Candidates candidates_in(const Json& json) {
  Candidates candidates;
  for (size_t i = 0; i < json.size(); ++i) {
    const std::string& image = json.keys()[i];
    const bool fresh = candidates.emplace(image, text_at(json.items()[i], image)).second;
    check(fresh, ErrorKind::data, "score: {} has two candidates", tensor::io::in_quotes(image));
  }
  return candidates;
}

References references_in(const Json& json) {
  References references;
  for (size_t i = 0; i < json.size(); ++i) {
    const std::string& image = json.keys()[i];
    check(json.items()[i].is_array(), ErrorKind::data, "score: the references of {} are no list",
          tensor::io::in_quotes(image));
    for (const Json& text : json.items()[i].items()) references[image].push_back(text_at(text, image));
  }
  return references;
}

}  // namespace

HttpResponse score_answer(const Exchange& exchange) {
  check(exchange.request().body.size() <= kMostBytes, ErrorKind::argument,
        "score: it has over {} MiB; imgcap score takes any number of captions", kMostBytes >> 20);
  const Json json = Json::parse(exchange.request().body, "score");
  check(json.is_object(), ErrorKind::data, "score: it is not a JSON object");
  for (const std::string& name : json.keys())
    check(name == "candidates" || name == "references" || name == "language", ErrorKind::data,
          "score: {} is none of candidates, references, language", tensor::io::in_quotes(name));
  const std::string language = text_option(json, "language");
  check(language.empty() || is_language_code(language), ErrorKind::argument,
        "score: a language has two letters a-z, as en");
  const ScoreOptions options = with_words_of(default_rules(language), {});
  return json_answer(to_json(score_captions(candidates_in(object_at(json, "candidates")),
                                            references_in(object_at(json, "references")), options)));
}

}  // namespace imgcap::serve
