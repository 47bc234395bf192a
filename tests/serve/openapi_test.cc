// The service's description: that it holds together, and says what the service takes.
#include "imgcap/serve/openapi.h"

#include <doctest/doctest.h>

#include <set>

#include "imgcap/serve/caption_wish.h"
#include "tests/json.h"
#include "tests/refused.h"

using namespace imgcap;
using namespace imgcap::serve;
using tensor::io::Json;

namespace {

const OpenApiFacts kFacts = {.version = "1.2.3",
                             .root_path = "/x",
                             .token = true,
                             .models = {"attention", "plain"},
                             .languages = {"ar", "en"}};

// Each value of a member "$ref", wherever it stands.
void collect_refs(const Json& json, std::set<std::string>& refs) {
  for (size_t i = 0; i < json.size(); ++i) {
    if (json.is_object() && json.keys()[i] == "$ref") refs.insert(json.items()[i].as_text());
    collect_refs(json.items()[i], refs);
  }
}

const Json& options_of(const Json& api) {
  return api.at("components").at("schemas").at("Options").at("properties");
}
const Json& post_of(const Json& api) { return api.at("paths").at("/api/caption").at("post"); }

std::string taken(const Json& options) {
  return tests::refused([&] { wish_of(options); });
}

}  // namespace

TEST_CASE("openapi: each reference has what it names, and each schema is named") {
  const Json api = openapi(kFacts);
  std::set<std::string> refs, schemas;
  collect_refs(api, refs);
  for (const std::string& name : api.at("components").at("schemas").keys())
    CHECK(schemas.insert("#/components/schemas/" + name).second);
  CHECK(refs == schemas);
  CHECK(tests::read_json(api.dump()) == api);
}

TEST_CASE("openapi: what it says of the server") {
  const Json api = openapi(kFacts), bare = openapi({});
  CHECK(api.at("openapi").as_text() == "3.1.0");
  CHECK(api.at("info").at("version").as_text() == "1.2.3");
  CHECK(api.at("servers").at(0).at("url").as_text() == "/x");
  CHECK(bare.at("servers").at(0).at("url").as_text() == "/");
  const std::string scheme = api.at("security").at(0).keys().at(0);
  CHECK(api.at("components").at("securitySchemes").at(scheme).at("scheme").as_text() == "bearer");
  CHECK(bare.find("security") == nullptr);
  CHECK(bare.at("components").find("securitySchemes") == nullptr);
  const auto values = [&](const char* name) { return options_of(api).at(name).at("enum").dump(); };
  CHECK(values("model") == R"(["attention","plain","all"])");
  CHECK(values("language") == R"(["ar","en","all"])");
  CHECK(options_of(bare).find("language") == nullptr);
}

TEST_CASE("openapi: the options are those of a query and of JSON") {
  const Json api = openapi(kFacts);
  const Json& options = options_of(api);
  std::vector<std::string> names, parameters;
  const WishNumbers defaults;
  for (const auto& [name, help] : text_options()) names.push_back(name);
  for_each_setting(defaults, [&](const Row& row, const auto&) { names.emplace_back(row.name); });
  CHECK(options.keys() == names);
  CHECK_FALSE(api.at("components").at("schemas").at("Options").at("additionalProperties").as_bool());
  for (const Json& parameter : post_of(api).at("parameters").items()) {
    const std::string& name = parameter.at("name").as_text();
    parameters.push_back(name);
    CHECK(parameter.at("in").as_text() == "query");
    if (name != "name") CHECK(parameter.at("schema") == options.at(name));
  }
  names.emplace_back("name");
  CHECK(parameters == names);
}

TEST_CASE("openapi: types, defaults and bounds are those that are checked") {
  const Json options = options_of(openapi(kFacts));
  for (size_t i = 0; i < options.size(); ++i) {
    const std::string& name = options.keys()[i];
    const Json& schema = options.items()[i];
    CAPTURE(name);
    CHECK_FALSE(schema.at("description").as_text().empty());
    const std::string type = schema.at("type").as_text();
    // With sample, nbest has no bound but its own.
    const auto with = [&](const Json& value) {
      return taken(Json::object({{"sample", true}, {name, value}}));
    };
    if (name == "sample") {
      CHECK(type == "boolean");
      continue;
    }
    if (type == "string" || type == "array") {
      CHECK(with(type == "string" ? Json("en") : Json(std::vector<std::string>{"a"})) == "taken");
      continue;
    }
    CHECK(with(schema.at("default")) == "taken");
    if (type == "boolean") {
      CHECK(with(true) == "taken");
      continue;
    }
    const bool whole = type == "integer";
    CHECK((whole || type == "number"));
    CHECK(with(schema.at("maximum")) == "taken");
    const bool above = schema.find("exclusiveMinimum") != nullptr;
    const Json& low = schema.at(above ? "exclusiveMinimum" : "minimum");
    if (name == "seed") {
      CHECK(with(low) == "taken");
      CHECK(schema.at("maximum").as_uint64() == UINT64_MAX);
      continue;
    }
    CHECK((with(low) == "taken") == !above);
    const auto beyond = [&](const Json& bound, int step) {
      return whole ? Json(bound.as_int64() + step) : Json(bound.as_double() + 1e-9 * step);
    };
    CHECK(with(beyond(low, -1)) != "taken");
    CHECK(with(beyond(schema.at("maximum"), 1)) != "taken");
  }
}

TEST_CASE("openapi: each call has answers and a name of its own") {
  OpenApiFacts watching = kFacts;
  watching.run = true;
  const Json paths = openapi(watching).at("paths");
  const std::vector<std::string> always = {"/api/caption",  "/api/explain", "/api/report", "/api/score",
                                           "/api/examples", "/api/models",  "/healthz",    "/metrics"};
  CHECK(openapi(kFacts).at("paths").keys() == always);
  CHECK(paths.size() == always.size() + 2);
  CHECK(paths.find("/api/run") != nullptr);
  std::set<std::string> ids;
  for (const Json& path : paths.items())
    for (const Json& call : path.items()) {
      CHECK(ids.insert(call.at("operationId").as_text()).second);
      CHECK(call.at("responses").find("200") != nullptr);
      for (const Json& answer : call.at("responses").items())
        CHECK_FALSE(answer.at("description").as_text().empty());
    }
  std::vector<std::string> types = post_of(openapi(kFacts)).at("requestBody").at("content").keys();
  CHECK(types == std::vector<std::string>{"multipart/form-data", "application/octet-stream", "image/*"});
}
