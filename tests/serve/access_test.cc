// Who is let in: names of hosts, other sites' pages, tokens.
#include "imgcap/serve/access.h"

#include <doctest/doctest.h>

#include <map>

#include "tests/refused.h"
#include "tests/text.h"

using namespace imgcap::serve;
using tests::has;
using tests::refused;

namespace {

HttpHead head_of(const HttpFields& fields) { return {"GET", "/", fields}; }

// The status with which a site is refused; 0: it is not.
int site(const AccessRules& rules, const HttpFields& fields) {
  const auto refusal = refused_site(rules, head_of(fields));
  return refusal ? refusal->status : 0;
}
int host(const AccessRules& rules, const std::string& name) { return site(rules, {{"host", name}}); }

std::map<std::string, std::string> guards(const AccessRules& rules, const HttpHead* head) {
  std::map<std::string, std::string> fields;
  for (const auto& [name, value] : guarding_fields(rules, head)) CHECK(fields.emplace(name, value).second);
  return fields;
}

}  // namespace

TEST_CASE("access: which rules go together") {
  validate({});
  for (const char* name : {"localhost", "::1", "127.0.0.1", "127.8.9.10"}) {
    CHECK(is_loopback(name));
    validate({.host = name});
  }
  for (const char* name : {"0.0.0.0", "::", "192.168.1.2", "128.0.0.1", "example.org"}) {
    CHECK_FALSE(is_loopback(name));
    CHECK(has(refused([&] { validate({.host = name}); }), "give --token TOKEN, or --open-to-all"));
    validate({.host = name, .token = "a"});
    validate({.host = name, .open_to_all = true});
  }
  CHECK(has(refused([] { validate({.token = "a", .open_to_all = true}); }), "exclude each other"));
}

TEST_CASE("access: what a token, a root path, a name and an origin may be") {
  validate({.token = "aZ09-._~+/="});
  for (const char* token : {"a b", "a\"", "a\n", "é", "a#"})
    CHECK(has(refused([&] { validate({.token = token}); }), "serve: --token: letters"));
  validate({.root_path = "/captions/v1"});
  for (const char* path :
       {"/", "captions", "/a/", "//a", "/a//b", "/a?b", "/a#b", "/a b", "/a\"b", "/<a>", "/a\r\nb"})
    CHECK(has(refused([&] { validate({.root_path = path}); }), "serve: --root-path"));
  validate({.hosts = {"example.org", "box"}});
  for (const char* name : {"", "Example.org", "example.org:80", "a:b"})
    CHECK(has(refused([&] { validate({.hosts = {name}}); }), "serve: --allow-host"));
  const std::vector<std::string> right = {"https://example.org", "http://example.org:8000",
                                          "http://[::1]:80"};
  validate({.origins = right, .frame_origins = right});
  for (const char* origin :
       {"", "*", "null", "example.org", "ftp://example.org", "https://", "https://example.org/",
        "https://a.b, https://c.d", "https://a.b;x", "https://a.b'", "https://a.b:x"}) {
    CHECK(has(refused([&] { validate({.origins = {origin}}); }), "serve: --allow-origin"));
    CHECK(has(refused([&] { validate({.frame_origins = {origin}}); }), "serve: --allow-frame"));
  }
}

TEST_CASE("access: names of hosts") {
  const AccessRules rules{.hosts = {"box.example"}};
  for (const char* name :
       {"localhost", "localhost:7860", "LOCALHOST", "a.localhost:1", "127.0.0.1", "127.0.0.1:7860",
        "192.168.0.7:80", "[::1]", "[::1]:7860", "[fe80::1]:1", "box.example", "Box.Example:8000"})
    CHECK_MESSAGE(host(rules, name) == 0, name);
  for (const char* name : {"", "evil.example", "evil.example:7860", "localhost.evil.example", "evillocalhost",
                           "1.2.3.4.evil", "box.example.evil", "127.0.0.1.nip.io", "localhost:80:90",
                           "localhost:x", "[::1", "[::1]x", ":80", "sub.box.example"})
    CHECK_MESSAGE(host(rules, name) == 421, name);
  CHECK(site(rules, {}) == 421);  // no Host at all
  CHECK(host({.open_to_all = true}, "evil.example") == 0);
  CHECK(host({.open_to_all = true}, "") == 421);
  CHECK(host({.host = "box.lan", .token = "t"}, "BOX.lan:80") == 0);
}

TEST_CASE("access: other sites' pages") {
  const AccessRules rules{.hosts = {"box.example"}, .origins = {"https://friend.example"}};
  const auto origin = [&](const std::string& name, const std::string& of) {
    return site(rules, {{"host", of}, {"origin", name}});
  };
  CHECK(origin("", "localhost:7860") == 0);
  CHECK(origin("http://localhost:7860", "localhost:7860") == 0);
  CHECK(origin("http://LOCALHOST:7860", "localhost:7860") == 0);
  CHECK(origin("https://box.example", "box.example") == 0);  // a proxy speaks TLS
  CHECK(origin("https://friend.example", "localhost:7860") == 0);
  for (const char* other : {"null", "https://evil.example", "http://localhost", "http://localhost:7861",
                            "http://127.0.0.1:7860", "http://friend.example", "https://friend.example.evil",
                            "localhost:7860", "https://friend.example:444"})
    CHECK_MESSAGE(origin(other, "localhost:7860") == 403, other);
  // A name whose address was changed to this machine's is known by nobody, even where both agree.
  CHECK(origin("http://evil.example:7860", "evil.example:7860") == 421);
}

TEST_CASE("access: tokens") {
  const AccessRules rules{.token = "secret"};
  const auto token = [&](const HttpFields& fields) {
    const auto refusal = refused_token(rules, head_of(fields));
    return refusal ? refusal->status : 0;
  };
  CHECK(token({{"authorization", "Bearer secret"}}) == 0);
  CHECK(token({{"authorization", " bearer secret "}}) == 0);
  for (const char* wrong : {"", "secret", "Bearer", "Bearer ", "Bearer secre", "Bearer secrets",
                            "Bearer Secret", "Basic secret", "Bearer  secret"})
    CHECK_MESSAGE(token({{"authorization", wrong}}) == 401, wrong);
  const auto refusal = refused_token(rules, head_of({}));
  REQUIRE(refusal.has_value());
  CHECK(refusal->fields == HttpFields{{"WWW-Authenticate", "Bearer"}});
  CHECK_FALSE(has(refusal->text, "secret"));
  CHECK_FALSE(refused_token({}, head_of({})).has_value());
}

TEST_CASE("access: texts are compared as a whole") {
  CHECK(equal_in_constant_time("", ""));
  CHECK(equal_in_constant_time("abc", "abc"));
  for (const char* other : {"", "a", "ab", "abd", "Abc", "abcabc", "abca"}) {
    CHECK_FALSE(equal_in_constant_time("abc", other));
    CHECK_FALSE(equal_in_constant_time(other, "abc"));
  }
}

TEST_CASE("access: the root path") {
  const AccessRules rules{.root_path = "/x"};
  CHECK(inner_path(rules, "/x/api/caption") == "/api/caption");
  CHECK(inner_path(rules, "/api/caption") == "/api/caption");
  CHECK(inner_path(rules, "/x/") == "/");
  CHECK(inner_path(rules, "/x") == "");
  CHECK(inner_path(rules, "/xy") == "/xy");
  CHECK(inner_path({}, "/x/a") == "/x/a");
}

TEST_CASE("access: guarding fields") {
  auto fields = guards({}, nullptr);
  CHECK(has(fields.at("Content-Security-Policy"), "default-src 'none'"));
  CHECK(has(fields.at("Content-Security-Policy"), "frame-ancestors 'none'"));
  CHECK(fields.at("X-Content-Type-Options") == "nosniff");
  CHECK(fields.at("Referrer-Policy") == "no-referrer");
  CHECK(fields.at("X-Frame-Options") == "DENY");
  CHECK(fields.at("Cross-Origin-Resource-Policy") == "same-origin");
  CHECK(fields.count("Access-Control-Allow-Origin") + fields.count("Vary") == 0);

  const AccessRules rules{.origins = {"https://friend.example"}, .frame_origins = {"https://frame.example"}};
  const HttpHead friends = head_of({{"origin", "https://friend.example"}}),
                 others = head_of({{"origin", "https://other.example"}});
  fields = guards(rules, &friends);
  CHECK(fields.at("Access-Control-Allow-Origin") == "https://friend.example");
  CHECK(fields.at("Access-Control-Expose-Headers") == "Retry-After");
  CHECK(fields.at("Vary") == "Origin");
  CHECK(has(fields.at("Content-Security-Policy"), "frame-ancestors 'self' https://frame.example"));
  CHECK(fields.count("X-Frame-Options") + fields.count("Cross-Origin-Resource-Policy") == 0);
  fields = guards(rules, &others);
  CHECK_FALSE(fields.contains("Access-Control-Allow-Origin"));
  CHECK(fields.at("Cross-Origin-Resource-Policy") == "same-origin");
  CHECK(fields.at("Vary") == "Origin");
}
