// /api/explain, /api/report, /api/score and /api/examples behind made exchanges.
#include <doctest/doctest.h>

#include "imgcap/caption_json.h"
#include "imgcap/metrics/scores.h"
#include "imgcap/serve/service.h"
#include "tests/serve/files.h"
#include "tests/serve/made_exchange.h"
#include "tests/serve/small_captioner.h"
#include "tests/text.h"

using namespace imgcap;
using namespace imgcap::serve;
using tensor::io::Json;
using tests::Answered;
using tests::has;

namespace {

ServiceOptions models() {
  ServiceOptions options;
  const auto served = [](const char* name, std::shared_ptr<const Captioner> captioner) {
    return ServedModel{name, captioner, std::make_shared<const Explainer>(captioner)};
  };
  options.models = {served("two", tests::two_languages()), served("plain", tests::plain_captioner())};
  options.version = "1.2.3";
  return options;
}

class Asked {
 public:
  explicit Asked(ServiceOptions options = models())
      : service_(std::move(options)), handlers_(service_.handlers()) {}

  Answered post(const std::string& target, const std::string& body, const std::string& type = "image/png") {
    return tests::ask(handlers_, tests::made_request("POST", target, {{"content-type", type}}, body));
  }
  Answered get(const std::string& target) {
    return tests::ask(handlers_, tests::made_request("GET", target, {}, ""));
  }

 private:
  Service service_;
  HttpHandlers handlers_;
};

std::string form(const std::vector<std::string>& photos, const std::string& options) {
  std::string body;
  for (const std::string& photo : photos)
    body += "--b\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"a<b>.png\"\r\n\r\n" + photo +
            "\r\n";
  return body + "--b\r\nContent-Disposition: form-data; name=\"options\"\r\n\r\n" + options + "\r\n--b--\r\n";
}
const char* const kForm = "multipart/form-data; boundary=b";

}  // namespace

TEST_CASE("explain: what the library says of the sentence, in each language that is asked for") {
  Asked ask;
  const std::string png = tests::small_png(1);
  const Json photo =
      ask.post("/api/explain?model=two&language=ar&text=k1+k2&preview=1", png).json().at("photos").at(0);
  CHECK(photo.at("width").as_int64() == 30);
  CHECK(photo.at("preview").as_text().starts_with("data:image/jpeg;base64,"));
  const Explainer explainer(tests::two_languages());
  Json expected = Json::object({{"model", "two"}});
  add_to(expected, explainer.explain(tests::small_photo(1), "k1 k2", "ar"));
  CHECK(photo.at("explanations").at(0) == expected);
  CHECK(photo.at("explanations").at(0).at("attention").at("kind").as_text() == "attention");
  // Without a language each model's own; a model without attention, and without its parameters, has no maps.
  const Json all =
      ask.post("/api/explain?model=all&text=w3", png).json().at("photos").at(0).at("explanations");
  REQUIRE(all.size() == 2);
  CHECK(all.at(0).at("language").as_text() == "en");
  CHECK(all.at(1).find("attention") == nullptr);
  CHECK(all.at(1).at("words").at(0).at("others").size() == 10);
}

TEST_CASE("explain: what is refused") {
  Asked ask;
  const std::string png = tests::small_png(1);
  CHECK(ask.post("/api/explain?text=zebra", png).status == 400);
  CHECK(has(ask.post("/api/explain?text=zebra", png).error(), "no word \"zebra\""));
  CHECK(ask.post("/api/explain?text=w1&beam=3", png).status == 400);
  CHECK(ask.post("/api/explain?text=w1&model=none", png).status == 400);
  CHECK(ask.post("/api/explain?text=w1", "no photo").status == 422);
  CHECK(ask.post("/api/explain?text=w1", "text", "text/plain").status == 415);
  CHECK(ask.get("/api/explain").status == 405);
}

TEST_CASE("several models: those that lack a language are left out, unless none is left") {
  Asked ask;
  const std::string png = tests::small_png(1);
  const Json captions =
      ask.post("/api/caption?model=all&language=ar", png).json().at("photos").at(0).at("captions");
  REQUIRE(captions.size() == 1);
  CHECK(captions.at(0).at("model").as_text() == "two");
  CHECK(ask.post("/api/caption?model=all&language=fr", png).error() ==
        "options: no model has the language 'fr'");
  CHECK(ask.post("/api/caption?model=plain&language=ar", png).status == 400);
}

TEST_CASE("report: a page of the photos, with what people wrote, and every text escaped") {
  Asked ask;
  const std::vector<std::string> photos = {tests::small_png(1), tests::small_png(2)};
  const Answered answer =
      ask.post("/api/report",
               form(photos, R"({"title": "Mine <3", "texts": ["", "a <b> cat"], "model": "all"})"), kForm);
  CHECK(answer.status == 200);
  CHECK(answer.type == "text/html; charset=utf-8");
  CHECK(has(answer.body, "<title>Mine &lt;3</title>"));
  CHECK(has(answer.body, "a &lt;b&gt; cat"));
  CHECK(has(answer.body, "a&lt;b&gt;.png"));
  CHECK(has(answer.body, "2 models captioned 2 photos"));
  CHECK(has(answer.body, "Where two en looked, word by word"));
  CHECK_FALSE(has(answer.body, "<h2>Scores</h2>"));
  CHECK(ask.post("/api/report", form(photos, R"({"texts": ["one"]})"), kForm).error() ==
        "options: there are 1 texts for 2 photos");
  CHECK(ask.post("/api/report", form({"no photo"}, "{}"), kForm).status == 422);
}

TEST_CASE("score: the standard protocol's scores on the language's words") {
  Asked ask;
  const auto score = [&](const std::string& json) {
    return ask.post("/api/score", json, "application/json");
  };
  const Answered answer = score(
      R"({"candidates": {"a": "a dog runs", "b": "a cat"}, "references": {"a": ["A dog runs.", "dogs"], "b": ["a cat"]}})");
  const Candidates candidates = {{"a", "a dog runs"}, {"b", "a cat"}};
  const References references = {{"a", {"A dog runs.", "dogs"}}, {"b", {"a cat"}}};
  CHECK(answer.json() == tests::read_json(to_json(score_captions(candidates, references)).dump()));
  CHECK(score(R"({"candidates": {"a": "x"}, "references": {"a": ["x"]}, "language": "ar"})")
            .json()
            .at("tokenizer") == Json("unicode"));
  CHECK(has(score(R"({"candidates": {"a": "x"}, "references": {"b": ["x"]}})").error(),
            "have no references, first a"));
  CHECK(has(score(R"({"candidates": {"a": 1}, "references": {}})").error(), "a caption of 'a' is no text"));
  CHECK(score(R"({"candidates": {}, "references": {}, "more": 1})").status == 400);
  CHECK(score("[").status == 400);
  CHECK(ask.post("/api/score", "{}", "text/plain").status == 415);
}

TEST_CASE("examples: those with a line of their own, and their authors") {
  const tests::FileFolder folder;
  folder.write(
      "LICENSES.txt",
      "About the photos.\n"
      "one.jpg | CC BY 2.0 (Attribution License) https://example.org/by | https://example.org/1 | x\n"
      "two.jpg  | CC0 1.0 | \"CC0 by the photographer (A. Nyone).\"\n"
      "../three.jpg | CC0 1.0 | x\n"
      "missing.jpg | CC0 1.0 | x\n");
  for (const char* name : {"one.jpg", "two.jpg"}) folder.write(name, std::string("bytes of ") + name);
  ServiceOptions options = models();
  options.examples = load_examples(folder / "");
  Asked ask(std::move(options));
  const Json examples = ask.get("/api/examples").json().at("examples");
  REQUIRE(examples.size() == 2);
  CHECK(examples.at(0) == Json::object({{"name", "two.jpg"},
                                        {"photo", "examples/two.jpg"},
                                        {"licence", "CC0 1.0"},
                                        {"author", "A. Nyone"},
                                        {"source", ""}}));
  CHECK(examples.at(1).at("source").as_text() == "https://example.org/1");
  CHECK(examples.at(1).at("licence").as_text() == "CC BY 2.0 (Attribution License)");
  CHECK(ask.get("/examples/two.jpg").body == "bytes of two.jpg");
  CHECK(ask.get("/examples/two.jpg").type == "image/jpeg");
  CHECK(ask.get("/examples/LICENSES.txt").status == 404);
  CHECK(load_examples(folder / "nothing").empty());
}

TEST_CASE("what would take the server's time or memory is refused beforehand") {
  Asked ask;
  const std::string png = tests::small_png(1), long_text(70'000, 'x');
  const auto score = [&](const std::string& json) {
    return ask.post("/api/score", json, "application/json");
  };
  CHECK(has(score(std::string(3 << 20, ' ')).error(), "score: it has over 2 MiB"));
  CHECK(has(score(R"({"candidates": {"a": ")" + long_text + R"("}, "references": {"a": ["x"]}})").error(),
            "a caption of 'a' has over 2000 bytes"));
  CHECK(ask.post("/api/caption", form({png}, "{\"prefix\": \"" + long_text + "\"}"), kForm).error() ==
        "options: they have over 64 KiB");
  std::string words = "w1";
  for (int i = 0; i < 210; ++i) words += " w1";
  CHECK(ask.post("/api/caption", form({png}, "{\"suppress\": [\"" + words + "\"]}"), kForm).error() ==
        "options: 'suppress' has over 200 words");
  CHECK(ask.post("/api/caption?beam=20&nbest=20&max_words=200", png).error() ==
        "options: nbest times max_words may be 1000");
  std::string sentence = "w1";
  for (int i = 0; i < 60; ++i) sentence += "+w1";
  CHECK(
      has(ask.post("/api/explain?text=" + sentence, png).error(), "the text has 61 words; 60 are the most"));
}

TEST_CASE("a request's photos have a sum of pixels, over which no more are decoded") {
  ServiceOptions options = models();
  options.pixels_per_request = 2 * 40 * 30;
  Asked ask(std::move(options));
  const std::string png = tests::small_png(1);
  const Json photos = ask.post("/api/caption", form({png, png, png, png}, "{}"), kForm).json().at("photos");
  REQUIRE(photos.size() == 4);
  for (size_t i = 0; i < 3; ++i) CHECK(photos.at(i).find("captions") != nullptr);
  CHECK(has(photos.at(3).at("error").as_text(), "as many pixels as a request may have"));
}
