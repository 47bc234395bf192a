// The service behind made exchanges: addresses, refusals, the page's files, captions.
#include "imgcap/serve/service.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <future>
#include <set>

#include "imgcap/caption_json.h"
#include "imgcap/data/picture_format.h"
#include "imgcap/serve/page_files.h"
#include "tests/serve/eventually.h"
#include "tests/serve/made_exchange.h"
#include "tests/serve/small_captioner.h"
#include "tests/text.h"

using namespace imgcap;
using namespace imgcap::serve;
using tensor::io::Json;
using tests::Answered;
using tests::has;
using tests::made_request;
using tests::MadeExchange;

namespace {

ServiceOptions two_models() {
  ServiceOptions options;
  options.models = {{"two", tests::two_languages()}, {"plain", tests::plain_captioner()}};
  options.version = "1.2.3";
  return options;
}

ServiceOptions with_access(AccessRules access) {
  ServiceOptions options = two_models();
  options.access = std::move(access);
  return options;
}

class Asked {
 public:
  explicit Asked(ServiceOptions options = two_models())
      : service_(std::move(options)), handlers_(service_.handlers()) {}

  Answered operator()(const std::string& method, const std::string& target, const HttpFields& fields = {},
                      const std::string& body = "") {
    return tests::ask(handlers_, made_request(method, target, fields, body));
  }
  Answered raw(const std::string& query, const std::string& photo, HttpFields fields = {}) {
    fields.emplace_back("content-type", "image/png");
    return (*this)("POST", "/api/caption?" + query, fields, photo);
  }
  Answered form(const std::string& options, const std::vector<std::string>& photos, HttpFields fields = {}) {
    std::string body;
    for (size_t i = 0; i < photos.size(); ++i)
      body += tensor::format(
                  "--b\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"{}.png\"\r\n\r\n", i) +
              photos[i] + "\r\n";
    body += "--b\r\nContent-Disposition: form-data; name=\"options\"\r\n\r\n" + options + "\r\n--b--\r\n";
    fields.emplace_back("content-type", "multipart/form-data; boundary=b");
    return (*this)("POST", "/api/caption", fields, body);
  }
  int64_t metric(const std::string& name) {
    const auto lines = tests::all_between((*this)("GET", "/metrics").body, "\n" + name + " ", "\n");
    REQUIRE_MESSAGE(lines.size() == 1, name);
    return std::stoll(lines[0]);
  }
  Service& service() { return service_; }
  const HttpHandlers& handlers() const { return handlers_; }

 private:
  Service service_;
  HttpHandlers handlers_;
};

const HttpFields kEvents = {{"accept", "text/event-stream"}};

void check_guarded(const Answered& answer) {
  CHECK(has(answer.fields.at("Content-Security-Policy"), "default-src 'none'"));
  CHECK(answer.fields.at("X-Content-Type-Options") == "nosniff");
}

// What the captioner says of a photo, resized first, as the service's answers have it.
Json right(const Captioner& captioner, const std::string& png, BeamOptions search,
           const std::string& language) {
  const Image photo = decode_image({reinterpret_cast<const uint8_t*>(png.data()), png.size()}, "photo");
  CaptionRequest request;
  request.image = &photo;
  request.search = search;
  request.language = language;
  Json json = Json::object();
  add_to(json, captioner.caption(request).captions.front());
  return json;
}

void check_caption(const Json& caption, const Json& right) {
  for (const char* key : {"caption", "log_probability", "words"}) CHECK(caption.at(key) == right.at(key));
  CHECK_FALSE(caption.at("caption").as_text().empty());
}

}  // namespace

TEST_CASE("service: addresses and their methods") {
  Asked ask;
  const auto status = [&](const char* method, const char* target) { return ask(method, target).status; };
  for (const char* target :
       {"/", "/healthz", "/api/models", "/openapi.json", "/metrics", "/?a=b", "/healthz?x"}) {
    CHECK_MESSAGE(status("GET", target) == 200, target);
    CHECK_MESSAGE(status("HEAD", target) == 200, target);
    const Answered refused = ask("POST", target);
    CHECK_MESSAGE(refused.status == 405, target);
    CHECK(refused.fields.at("Allow") == "GET, HEAD");
  }
  for (const char* target : {"/nothing", "/api", "/api/caption/", "/healthz/", "//", "/../etc/passwd", "",
                             "*", "/HEALTHZ", "http://localhost/healthz", "/index.html"})
    CHECK_MESSAGE(status("GET", target) == 404, target);
  const Answered refused = ask("GET", "/api/caption");
  CHECK(refused.status == 405);
  CHECK(refused.fields.at("Allow") == "POST");
  CHECK(refused.error() == "this address takes POST");
  CHECK(status("DELETE", "/") == 405);
  CHECK(status("OPTIONS", "/") == 405);  // of no other site's page
}

TEST_CASE("service: every answer is guarded") {
  Asked ask(with_access({.token = "secret", .origins = {"https://friend.example"}, .root_path = "/x"}));
  const HttpFields token = {{"authorization", "Bearer secret"}};
  const auto with_token = [&](std::pair<std::string, std::string> field) {
    HttpFields fields = token;
    fields.push_back(std::move(field));
    return fields;
  };
  const std::vector<std::pair<int, Answered>> answers = {
      {200, ask("GET", "/")},
      {200, ask("GET", "/healthz")},
      {200, ask("GET", "/api/models", token)},
      {200, ask.raw("", tests::small_png(1), token)},
      {200, ask.raw("", tests::small_png(1), with_token(kEvents[0]))},
      {204, ask("OPTIONS", "/api/caption", {{"origin", "https://friend.example"}})},
      {301, ask("GET", "/x")},
      {304, ask("GET", "/", {{"if-none-match", ask("GET", "/").fields.at("ETag")}})},
      {400, ask.raw("beam=x", tests::small_png(1), token)},
      {401, ask("GET", "/api/models")},
      {403, ask("GET", "/", {{"origin", "https://evil.example"}})},
      {404, ask("GET", "/nothing", token)},
      {405, ask("DELETE", "/healthz")},
      {415, ask("POST", "/api/caption", with_token({"content-type", "text/plain"}))},
      {421, ask("GET", "/", {{"host", "evil.example"}})},
      {422, ask.raw("", "no photo", token)}};
  for (const auto& [status, answer] : answers) {
    CHECK(answer.status == status);
    check_guarded(answer);
  }
  const HttpResponse refusal = ask.handlers().refusal(nullptr, 413, "too large");
  CHECK(refusal.status == 413);
  CHECK(tests::read_json(refusal.body).at("error").as_text() == "too large");
  CHECK(std::any_of(refusal.fields.begin(), refusal.fields.end(),
                    [](const auto& field) { return field.first == "Content-Security-Policy"; }));
}

TEST_CASE("service: who is let in") {
  Asked ask(with_access({.token = "secret"}));
  CHECK(ask("GET", "/healthz").status == 200);
  for (const PageFile& file : page_files()) CHECK(ask("GET", std::string(file.path)).status == 200);
  for (const char* target : {"/api/models", "/openapi.json", "/metrics", "/nothing"}) {
    const Answered refused = ask("GET", target);
    CHECK_MESSAGE(refused.status == 401, target);
    CHECK(refused.fields.at("WWW-Authenticate") == "Bearer");
    CHECK(ask("GET", target, {{"authorization", "Bearer secret2"}}).status == 401);
  }
  CHECK(ask.raw("", tests::small_png(1)).status == 401);
  CHECK(ask("GET", "/metrics", {{"authorization", "Bearer secret"}}).status == 200);
  // Whatever watches the server may not know its name.
  CHECK(ask("GET", "/healthz", {{"host", "evil.example"}}).status == 200);
  for (const char* target : {"/", "/api/models", "/nothing"})
    CHECK_MESSAGE(ask("GET", target, {{"host", "evil.example"}}).status == 421, target);
  CHECK(ask("GET", "/", {{"origin", "https://evil.example"}}).status == 403);
  CHECK(ask("OPTIONS", "/api/caption", {{"origin", "https://evil.example"}}).status == 403);
}

TEST_CASE("service: pages of other sites that are let in") {
  Asked ask(with_access({.token = "secret", .origins = {"https://friend.example"}}));
  const HttpFields friends = {{"origin", "https://friend.example"}};
  const Answered before = ask("OPTIONS", "/api/caption", friends);  // which has no token yet
  CHECK(before.status == 204);
  CHECK(before.body.empty());
  CHECK(before.fields.at("Access-Control-Allow-Origin") == "https://friend.example");
  CHECK(has(before.fields.at("Access-Control-Allow-Methods"), "POST"));
  CHECK(has(before.fields.at("Access-Control-Allow-Headers"), "Authorization"));
  CHECK(has(before.fields.at("Access-Control-Allow-Headers"), "Content-Type"));
  HttpFields all = friends;
  all.emplace_back("authorization", "Bearer secret");
  const Answered answer = ask.raw("", tests::small_png(1), all);
  CHECK(answer.status == 200);
  CHECK(answer.fields.at("Access-Control-Allow-Origin") == "https://friend.example");
  // What the server refuses by itself is to be read there, too.
  const HttpRequest from_friends = made_request("POST", "/api/caption", friends);
  const HttpFields refusal = ask.handlers().refusal(&from_friends, 413, "too large").fields;
  CHECK(std::count(refusal.begin(), refusal.end(),
                   std::pair<std::string, std::string>("Access-Control-Allow-Origin",
                                                       "https://friend.example")) == 1);
}

TEST_CASE("service: a root path is left out or stands before each address") {
  Asked ask(with_access({.root_path = "/x"}));
  for (const char* target : {"/x/", "/", "/x/healthz", "/healthz", "/x/api/models"})
    CHECK_MESSAGE(ask("GET", target).status == 200, target);
  CHECK(ask("GET", "/x").status == 301);
  CHECK(ask("GET", "/x").fields.at("Location") == "/x/");
  for (const PageFile& file : page_files()) CHECK(ask("GET", "/x" + std::string(file.path)).status == 200);
  for (const char* target : {"/xhealthz", "/x/x/healthz", "/y/healthz"})
    CHECK_MESSAGE(ask("GET", target).status == 404, target);
  CHECK(ask("GET", "/x/openapi.json").json().at("servers").at(0).at("url").as_text() == "/x");
}

TEST_CASE("service: the page's files") {
  Asked ask;
  std::set<std::string_view> paths, etags;
  size_t bytes = 0;
  for (const PageFile& file : page_files()) {
    CAPTURE(std::string(file.path));
    bytes += file.bytes.size();
    CHECK(paths.insert(file.path).second);
    CHECK(etags.insert(file.etag).second);
    const Answered answer = ask("GET", std::string(file.path));
    CHECK(answer.status == 200);
    CHECK(answer.type == file.type);
    CHECK(answer.body == file.bytes);
    CHECK_FALSE(answer.body.empty());
    CHECK(answer.fields.at("ETag") == file.etag);
    CHECK(answer.fields.at("Cache-Control") == "no-cache");
    const Answered again = ask("GET", std::string(file.path), {{"if-none-match", std::string(file.etag)}});
    CHECK(again.status == 304);
    CHECK(again.body.empty());
    CHECK(again.fields.at("ETag") == file.etag);
    CHECK(ask("GET", std::string(file.path), {{"if-none-match", "\"other\""}}).status == 200);
  }
  CHECK(bytes <= 100 * 1024);
  CHECK(paths.contains("/"));
  CHECK(ask("GET", "/").type == "text/html; charset=utf-8");
}

TEST_CASE("service: what it says of itself") {
  Asked ask;
  CHECK(ask("GET", "/healthz").json().dump() == R"({"status":"ok"})");
  const Json models = ask("GET", "/api/models").json().at("models");
  REQUIRE(models.size() == 2);
  CHECK(models.at(0).at("name").as_text() == "two");
  CHECK(models.at(0).at("kind").as_text() == "attention");
  CHECK(models.at(0).at("encoder").as_text() == "resnet18");
  CHECK(models.at(0).at("vocabulary").as_int64() == 32);
  CHECK(models.at(0).at("photo_size").dump() == "[32,32]");
  CHECK(models.at(0).at("languages").at(1).at("code").as_text() == "ar");
  CHECK(models.at(0).at("language").as_text() == "en");
  CHECK(models.at(0).at("device").as_text() == "cpu");
  CHECK(models.at(0).at("attention").as_bool());
  CHECK_FALSE(models.at(0).at("confidence").as_bool());
  CHECK(models.at(1).find("languages") == nullptr);
  CHECK_FALSE(models.at(1).at("attention").as_bool());
  const Answered answer = ask("GET", "/openapi.json");
  CHECK(answer.type == "application/json");
  CHECK(answer.fields.at("Cache-Control") == "no-store");
  const Json api = answer.json();
  CHECK(api.at("info").at("version").as_text() == "1.2.3");
  const Json& options = api.at("components").at("schemas").at("Options").at("properties");
  CHECK(options.at("model").at("enum").dump() == R"(["two","plain","all"])");
  CHECK(options.at("language").at("enum").dump() == R"(["ar","en","all"])");
  for (size_t i = 0; i < api.at("paths").size(); ++i) {
    const bool post = api.at("paths").items()[i].find("post") != nullptr;
    CHECK(ask(post ? "POST" : "GET", api.at("paths").keys()[i]).status == (post ? 415 : 200));
  }
}

TEST_CASE("service: metrics") {
  Asked ask;
  HttpNow now;
  now.connections = 3, now.bodies = 1234;
  CHECK_FALSE(has(ask("GET", "/metrics").body, "imgcap_connections"));
  ask.service().tell_of(&now);
  CHECK(ask.metric("imgcap_connections") == 3);
  CHECK(ask.metric("imgcap_body_bytes") == 1234);
  ask.service().tell_of(nullptr);
  CHECK(ask("GET", "/metrics").type == "text/plain; version=0.0.4");
  CHECK(ask.metric("imgcap_photos_total") == 0);
  CHECK(ask.form(R"({"nbest":2})", {tests::small_png(1), tests::small_png(2), "broken"}).status == 200);
  CHECK(ask.metric("imgcap_photos_total") == 2);
  CHECK(ask.metric("imgcap_searches") == 2);
  CHECK(tests::eventually([&] { return ask.metric("imgcap_photos_now") == 0; }));
  // A client's text is no label.
  const HttpHead caption = made_request("POST", "/api/caption?x"), page = made_request("GET", "/"),
                 other = made_request("GET", "/\"\n");
  ask.handlers().answered(&caption, 200, 0.5);
  ask.handlers().answered(&page, 304, 0.5);
  ask.handlers().answered(&other, 404, 0.5);
  ask.handlers().answered(nullptr, 431, 0.5);
  const std::string text = ask("GET", "/metrics").body;
  for (const char* line : {"{route=\"caption\",status=\"200\"} 1\n", "{route=\"page\",status=\"304\"} 1\n",
                           "{route=\"other\",status=\"404\"} 1\n", "{route=\"other\",status=\"431\"} 1\n"})
    CHECK_MESSAGE(has(text, line), line);
}

TEST_CASE("service: captions are the captioner's") {
  Asked ask;
  const std::string png = tests::small_png(1), other = tests::small_png(2, 33, 80);
  const Json one = right(*tests::two_languages(), png, {}, "en");
  Json answer = ask.raw("name=dog.png", png).json();
  REQUIRE(answer.at("photos").size() == 1);
  CHECK(answer.find("notes") == nullptr);
  const Json& photo = answer.at("photos").at(0);
  CHECK(photo.at("name").as_text() == "dog.png");
  CHECK(photo.at("width").as_int64() == 30);
  CHECK(photo.at("height").as_int64() == 40);
  CHECK(photo.at("orientation").as_int64() == 1);
  CHECK(photo.at("format").as_text() == "PNG");
  CHECK(photo.find("preview") == nullptr);
  REQUIRE(photo.at("captions").size() == 1);
  const Json& caption = photo.at("captions").at(0);
  CHECK(caption.at("model").as_text() == "two");
  CHECK(caption.at("language").as_text() == "en");
  CHECK(caption.at("milliseconds").as_double() >= 0);
  CHECK(caption.find("attention") == nullptr);
  CHECK(caption.find("alternatives") == nullptr);
  check_caption(caption, one);

  BeamOptions search;
  search.beam = 3;
  search.max_words = 7;
  answer = ask.form(R"({"beam":3,"max_words":7,"language":"ar"})", {png, other}).json();
  REQUIRE(answer.at("photos").size() == 2);
  for (size_t i = 0; i < 2; ++i) {
    const Json& each = answer.at("photos").at(i);
    CHECK(each.at("name").as_text() == std::to_string(i) + ".png");
    check_caption(each.at("captions").at(0),
                  right(*tests::two_languages(), i == 0 ? png : other, search, "ar"));
  }
}

TEST_CASE("service: each model and each language") {
  Asked ask;
  const std::string png = tests::small_png(1);
  Json captions = ask.raw("model=plain", png).json().at("photos").at(0).at("captions");
  REQUIRE(captions.size() == 1);
  CHECK(captions.at(0).at("model").as_text() == "plain");
  CHECK(captions.at(0).find("language") == nullptr);
  check_caption(captions.at(0), right(*tests::plain_captioner(), png, {}, ""));
  captions = ask.raw("language=all", png).json().at("photos").at(0).at("captions");
  REQUIRE(captions.size() == 2);
  for (size_t i = 0; i < 2; ++i) {
    const std::string code = i == 0 ? "en" : "ar";
    CHECK(captions.at(i).at("language").as_text() == code);
    check_caption(captions.at(i), right(*tests::two_languages(), png, {}, code));
  }
  captions = ask.raw("model=all", png).json().at("photos").at(0).at("captions");
  REQUIRE(captions.size() == 2);
  check_caption(captions.at(0), right(*tests::two_languages(), png, {}, "en"));
  check_caption(captions.at(1), right(*tests::plain_captioner(), png, {}, ""));
}

TEST_CASE("service: alternatives, attention, drawn words, notes") {
  Asked ask;
  const std::string png = tests::small_png(1);
  Json caption = ask.raw("nbest=3&attention", png).json().at("photos").at(0).at("captions").at(0);
  CHECK(caption.at("alternatives").size() == 2);
  CHECK(caption.at("alternatives").at(0).at("log_probability").as_double() <= 0);
  const Json& attention = caption.at("attention");
  CHECK(attention.at("rows").as_int64() == 1);
  CHECK(attention.at("columns").as_int64() == 1);
  CHECK(attention.at("maps").size() == attention.at("words").size());
  CHECK(attention.at("maps").size() > 0);
  const auto drawn = [&](const std::string& seed) {
    return ask.raw("sample&nbest=8&max_words=8&seed=" + seed, png)
        .json()
        .at("photos")
        .at(0)
        .at("captions")
        .at(0);
  };
  CHECK(drawn("1").at("alternatives").size() == 7);
  CHECK(drawn("1").at("alternatives") == drawn("1").at("alternatives"));
  CHECK(drawn("1").at("alternatives") != drawn("2").at("alternatives"));
  ServiceOptions twice = two_models();
  twice.models.push_back({"again", tests::plain_captioner()});
  const Json notes = Asked(std::move(twice)).raw("suppress=unheard&model=all", png).json().at("notes");
  REQUIRE(notes.size() == 2);  // of three models, each sentence once
  for (const Json& note : notes.items()) CHECK(has(note.as_text(), "unheard"));
}

TEST_CASE("service: a preview is an upright JPEG of 1024 pixels a side at most") {
  Asked ask;
  const auto preview = [&](int64_t height, int64_t width) {
    const Json photo = ask.raw("preview", tests::small_png(1, height, width)).json().at("photos").at(0);
    const std::string uri = photo.at("preview").as_text(), head = "data:image/jpeg;base64,";
    REQUIRE(uri.starts_with(head));
    std::string bytes;
    uint32_t bits = 0;
    int count = 0;
    for (const char c : uri.substr(head.size())) {
      if (c == '=') break;
      const char* digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
      const char* at = std::find(digits, digits + 64, c);
      REQUIRE(at != digits + 64);
      bits = bits << 6 | static_cast<uint32_t>(at - digits);
      if ((count += 6) >= 8) bytes += static_cast<char>(bits >> (count -= 8) & 0xFF);
    }
    CHECK(photo.at("width").as_int64() == width);
    const std::span<const uint8_t> file(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    CHECK(name_of(picture_format(file)) == "JPEG");
    const Image image = decode_image(file, "preview");
    return std::pair(image.height, image.width);
  };
  CHECK(preview(40, 30) == std::pair<int64_t, int64_t>(40, 30));
  CHECK(preview(1024, 7) == std::pair<int64_t, int64_t>(1024, 7));
  CHECK(preview(60, 2048) == std::pair<int64_t, int64_t>(30, 1024));
  CHECK(preview(3000, 1) == std::pair<int64_t, int64_t>(1024, 1));
}

TEST_CASE("service: what a client has wrong") {
  Asked ask;
  const std::string png = tests::small_png(1);
  const auto refused = [&](const Answered& answer, int status) {
    CHECK(answer.status == status);
    CHECK(answer.fields.at("Cache-Control") == "no-store");
    return answer.error();
  };
  CHECK(has(refused(ask.raw("beam=0", png), 400), "beam"));
  CHECK(has(refused(ask.raw("beams=3", png), 400), "beams"));
  CHECK(refused(ask.raw("model=none", png), 400) ==
        "options: there is no model 'none'; /api/models lists them");
  CHECK(has(refused(ask.raw("language=de", png), 400), "de"));
  CHECK(has(refused(ask.raw("prefix=unheard", png), 400), "unheard"));
  CHECK(has(refused(ask.raw("model=plain&language=en", png), 400), "en"));
  CHECK(has(refused(ask.raw("prefix=w1+w2+w3&max_words=2", png), 400), "options"));
  CHECK(has(refused(ask.form("{", {png}), 400), "options: not JSON"));
  CHECK(has(refused(ask.form("{}", {}), 400), "no photo"));
  CHECK(has(refused(ask.form("{}", std::vector<std::string>(33, png)), 400),
            "there are 33 photos; a request may have 32"));
  CHECK(refused(ask.raw("", ""), 400) == "there is no photo in the request");
  CHECK(has(refused(ask.raw("name=a.png", "GIF89a"), 422), "a.png: "));
  CHECK(has(refused(ask.raw("", png.substr(0, png.size() / 2)), 422), "photo: "));
  CHECK(has(refused(ask.form("{}", {"no", "none"}), 422), "1.png: "));
  for (const char* type : {"", "application/json", "text/plain"})
    CHECK(
        has(refused(ask("POST", "/api/caption", {{"content-type", type}}, png), 415), "multipart/form-data"));
}

TEST_CASE("service: one photo's trouble is not the others'") {
  Asked ask;
  const std::string png = tests::small_png(1);
  const Answered answer = ask.form("{}", {png, "broken", png});
  CHECK(answer.status == 200);
  const Json photos = answer.json().at("photos");
  REQUIRE(photos.size() == 3);
  for (const size_t i : {0, 2})
    check_caption(photos.at(i).at("captions").at(0), right(*tests::two_languages(), png, {}, "en"));
  CHECK(photos.at(1).at("name").as_text() == "1.png");
  CHECK(has(photos.at(1).at("error").as_text(), "1.png: "));
  CHECK(photos.at(1).find("captions") == nullptr);
}

TEST_CASE("service: a photo's size is looked at before it is read") {
  ServiceOptions options = two_models();
  options.images.pixels = 1000;
  Asked ask(std::move(options));
  CHECK(ask.raw("", tests::small_png(1, 25, 40)).status == 200);
  CHECK(ask.raw("", tests::small_png(1, 25, 41)).status == 422);
}

TEST_CASE("service: a file's name may be anything") {
  Asked ask;
  std::string body =
      "--b\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"\xFF\x01<b>\n\"\r\n\r\n";
  body +=
      tests::small_png(1) +
      "\r\n--b\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"\xE9\x1B[31m\"\r\n\r\nbroken\r\n--b--\r\n";
  for (const HttpFields& accept : {HttpFields{}, kEvents}) {
    HttpFields fields = accept;
    fields.emplace_back("content-type", "multipart/form-data; boundary=b");
    const Answered answer = ask("POST", "/api/caption", fields, body);
    CHECK(answer.status == 200);
    CHECK(tensor::io::is_utf8(answer.body));
    if (accept.empty()) CHECK(answer.json().at("photos").size() == 2);
  }
}

TEST_CASE("service: captions as events") {
  Asked ask;
  const std::string png = tests::small_png(1);
  const auto events = [&](const std::string& query) {
    const Answered answer = ask.raw(query, png, kEvents);
    CHECK(answer.status == 200);
    CHECK(answer.in_events);
    CHECK(answer.fields.at("Cache-Control") == "no-store");
    REQUIRE(answer.events.size() >= 3);
    CHECK(answer.events.front().name == "photo");
    CHECK(answer.events.front().data.at("photo").as_int64() == 0);
    CHECK(answer.events.back().name == "end");
    return answer.events;
  };
  std::string text;
  size_t captions = 0;
  for (const tests::Event& event : events("name=dog.png")) {
    if (event.name == "photo") CHECK(event.data.at("name").as_text() == "dog.png");
    if (event.name == "words") {
      CHECK(event.data.at("model").as_text() == "two");
      CHECK(event.data.at("language").as_text() == "en");
      CHECK(event.data.at("text").as_text().starts_with(text));  // one greedy caption, which grows
      text = event.data.at("text").as_text();
    }
    if (event.name == "caption") {
      ++captions;
      CHECK(event.data.at("photo").as_int64() == 0);
      check_caption(event.data, right(*tests::two_languages(), png, {}, "en"));
    }
  }
  CHECK(captions == 1);
  BeamOptions greedy;
  greedy.beam = 1;
  CHECK(text == right(*tests::two_languages(), png, greedy, "en").at("caption").as_text());
  // A beam of one is its own, and so are drawn words.
  for (const char* query : {"beam=1", "sample&max_words=6"}) {
    captions = 0;
    text.clear();
    for (const tests::Event& event : events(query)) {
      if (event.name == "words") text = event.data.at("text").as_text();
      if (event.name != "caption") continue;
      ++captions;
      CHECK(event.data.at("caption").as_text() == text);
    }
    CHECK(captions == 1);
  }
  CHECK(events("suppress=unheard").back().data.at("notes").size() == 1);
}

TEST_CASE("service: problems as events") {
  Asked ask;
  const Answered answer = ask.form("{}", {"broken", tests::small_png(1)}, kEvents);
  CHECK(answer.status == 200);
  std::vector<std::string> names;
  for (const tests::Event& event : answer.events) {
    if (event.name != "words") names.push_back(event.name);
    if (event.name == "problem") CHECK(event.data.at("photo").as_int64() == 0);
    if (event.name == "caption") CHECK(event.data.at("photo").as_int64() == 1);
  }
  CHECK(names == std::vector<std::string>{"problem", "photo", "caption", "end"});
  // What is wrong with the request as a whole is known before events begin.
  const Answered refused = ask.raw("beam=x", tests::small_png(1), kEvents);
  CHECK(refused.status == 400);
  CHECK_FALSE(refused.in_events);
}

TEST_CASE("service: too many photos") {
  ServiceOptions options = two_models();
  options.queue = 2;
  Asked ask(std::move(options));
  std::promise<void> begun, go_on;
  HttpFields fields = kEvents;
  fields.emplace_back("content-type", "image/png");
  const auto first =
      std::make_shared<MadeExchange>(made_request("POST", "/api/caption", fields, tests::small_png(1)));
  first->on_event = [&](const std::string& name) {
    if (name != "photo") return;
    begun.set_value();
    go_on.get_future().wait();
  };
  ask.handlers().handle(first);
  begun.get_future().wait();
  CHECK(ask.metric("imgcap_photos_now") == 1);
  const Answered busy = ask.form("{}", {tests::small_png(1), tests::small_png(2)});
  CHECK(busy.status == 429);
  CHECK(std::stoi(busy.fields.at("Retry-After")) > 0);
  CHECK(has(busy.error(), "try again later"));
  CHECK(ask.raw("", tests::small_png(1)).status == 200);
  CHECK(tests::eventually([&] { return ask.metric("imgcap_photos_now") == 1; }));
  go_on.set_value();
  CHECK(first->wait().status == 200);
  CHECK(tests::eventually([&] { return ask.metric("imgcap_photos_now") == 0; }));
  CHECK(ask.form("{}", {tests::small_png(1), tests::small_png(2)}).status == 200);
}

TEST_CASE("service: more photos than may ever wait") {
  ServiceOptions options = two_models();
  options.queue = 2;
  const Answered refused =
      Asked(std::move(options)).form("{}", std::vector<std::string>(3, tests::small_png(1)));
  CHECK(refused.status == 400);  // 429 would have the client try for ever
  CHECK(refused.error() == "there are 3 photos; a request may have 2");
}

TEST_CASE("service: a client that has left costs nothing more") {
  Asked ask;
  HttpFields fields = {{"content-type", "image/png"}};
  const auto gone =
      std::make_shared<MadeExchange>(made_request("POST", "/api/caption", fields, tests::small_png(1)));
  gone->leave();
  ask.handlers().handle(gone);
  CHECK(tests::eventually([&] { return gone.use_count() == 1; }));
  CHECK(ask.metric("imgcap_searches") == 0);
  // One that leaves when its photo is read.
  fields.push_back(kEvents[0]);
  const auto leaves =
      std::make_shared<MadeExchange>(made_request("POST", "/api/caption", fields, tests::small_png(1)));
  leaves->on_event = [&](const std::string& name) {
    if (name == "photo") leaves->leave();
  };
  ask.handlers().handle(leaves);
  const Answered answer = leaves->wait();
  CHECK(answer.events.size() == 2);  // photo and end
  CHECK(tests::eventually([&] { return leaves.use_count() == 1; }));
  CHECK(ask.metric("imgcap_searches") == 0);
  CHECK(tests::eventually([&] { return ask.metric("imgcap_searches_dropped") == 2; }));
  CHECK(ask.metric("imgcap_photos_now") == 0);
}

TEST_CASE("service: it ends when what it was given is done") {
  std::vector<std::shared_ptr<MadeExchange>> exchanges;
  {
    Asked ask;
    for (int i = 0; i < 5; ++i) {
      exchanges.push_back(std::make_shared<MadeExchange>(
          made_request("POST", "/api/caption", {{"content-type", "image/png"}}, tests::small_png(i))));
      ask.handlers().handle(exchanges.back());
    }
  }
  for (const auto& exchange : exchanges) {
    CHECK(exchange.use_count() == 1);
    CHECK(exchange->wait().status == 200);
  }
}
