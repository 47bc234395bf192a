#include "imgcap/serve/access.h"

#include <algorithm>

#include "tensor/error.h"

namespace imgcap::serve {
namespace {

using tensor::check;
using tensor::ErrorKind;
using tensor::format;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_path_character(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("/-._~").find(c) != std::string_view::npos;
}

// "example.org:8000" -> "example.org"; "[::1]:8000" -> "[::1]"; empty: neither.
std::string name_of_host(std::string_view host) {
  const size_t end = host.starts_with('[') ? host.find(']') + 1 : std::min(host.find(':'), host.size());
  if (end == 0 || end > host.size()) return "";
  const std::string_view port = host.substr(end);
  const bool sound = port.empty() || (port[0] == ':' && std::all_of(port.begin() + 1, port.end(), is_digit));
  return sound ? in_small_letters(host.substr(0, end)) : "";
}

// Such as only an address has: the last label of a name is never all digits.
bool is_in_digits(std::string_view name) {
  if (name.starts_with('[')) return true;
  const std::string_view last = name.substr(name.rfind('.') + 1);
  return !last.empty() && std::all_of(last.begin(), last.end(), is_digit);
}

bool contains(const std::vector<std::string>& all, std::string_view one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

bool is_known_host(const AccessRules& rules, std::string_view host) {
  const std::string name = name_of_host(host);
  if (name.empty()) return false;
  return rules.open_to_all || name == "localhost" || name.ends_with(".localhost") || is_in_digits(name) ||
         name == in_small_letters(rules.host) || contains(rules.hosts, name);
}

// An origin: scheme, "://", host and port, nothing else.
bool is_origin(std::string_view text) {
  const size_t at = text.find("://");
  return (text.starts_with("http://") || text.starts_with("https://")) &&
         !name_of_host(text.substr(at + 3)).empty() &&
         text.find_first_of("/ \t\"';,", at + 3) == std::string_view::npos;
}

void expect_origins(const std::vector<std::string>& origins, const char* flag) {
  for (const std::string& origin : origins)
    check(is_origin(origin), ErrorKind::argument, "serve: {} {}: an origin is needed, as https://example.org",
          flag, origin);
}

}  // namespace

bool is_loopback(std::string_view host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

void validate(const AccessRules& rules) {
  check(
      is_loopback(rules.host) || !rules.token.empty() || rules.open_to_all, ErrorKind::argument,
      "serve: --host {}: others than this machine could come in; give --token TOKEN, or --open-to-all when all may",
      rules.host);
  check(rules.token.empty() || !rules.open_to_all, ErrorKind::argument,
        "serve: --token and --open-to-all exclude each other");
  check(std::all_of(rules.token.begin(), rules.token.end(),
                    [](char c) {
                      return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                             std::string_view("-._~+/=").find(c) != std::string_view::npos;
                    }),
        ErrorKind::argument, "serve: --token: letters, digits and - . _ ~ + / = are right");
  check(rules.root_path.empty() ||
            (rules.root_path.front() == '/' && rules.root_path.back() != '/' &&
             std::all_of(rules.root_path.begin(), rules.root_path.end(), is_path_character) &&
             rules.root_path.find("//") == std::string::npos),
        ErrorKind::argument, "serve: --root-path {}: it begins with / and does not end in one, as /captions",
        rules.root_path);
  for (const std::string& name : rules.hosts)
    check(!name.empty() && name_of_host(name) == name, ErrorKind::argument,
          "serve: --allow-host {}: a name in small letters, without a port, is needed, as example.org", name);
  expect_origins(rules.origins, "--allow-origin");
  expect_origins(rules.frame_origins, "--allow-frame");
}

std::optional<Refusal> refused_site(const AccessRules& rules, const HttpHead& head) {
  const std::string_view host = head.field("host"), origin = head.field("origin");
  if (!is_known_host(rules, host))
    return Refusal{421, "this server does not go by the name in Host; --allow-host NAME makes it"};
  if (origin.empty() || contains(rules.origins, origin)) return std::nullopt;
  // The same site, whichever scheme a proxy speaks.
  const size_t at = origin.find("://");
  if (at != std::string_view::npos && in_small_letters(origin.substr(at + 3)) == in_small_letters(host))
    return std::nullopt;
  return Refusal{403, "a page of another site may not ask this server; --allow-origin ORIGIN lets it"};
}

std::optional<Refusal> refused_token(const AccessRules& rules, const HttpHead& head) {
  if (rules.token.empty()) return std::nullopt;
  constexpr std::string_view kBearer = "bearer ";
  const std::string_view field = head.field("authorization");
  if (in_small_letters(field.substr(0, kBearer.size())) == kBearer &&
      equal_in_constant_time(field.substr(kBearer.size()), rules.token))
    return std::nullopt;
  return Refusal{401, "a token is needed: Authorization: Bearer TOKEN", {{"WWW-Authenticate", "Bearer"}}};
}

HttpFields guarding_fields(const AccessRules& rules, const HttpHead* head) {
  std::string frames = rules.frame_origins.empty() ? "'none'" : "'self'";
  for (const std::string& origin : rules.frame_origins) frames += " " + origin;
  HttpFields fields = {
      {"Content-Security-Policy",
       "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' "
       "blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors " +
           frames},
      {"X-Content-Type-Options", "nosniff"},
      {"Referrer-Policy", "no-referrer"},
      {"Permissions-Policy", "camera=(self), microphone=(), geolocation=()"},
  };
  if (rules.frame_origins.empty()) fields.emplace_back("X-Frame-Options", "DENY");
  const std::string_view origin = head == nullptr ? std::string_view{} : head->field("origin");
  if (contains(rules.origins, origin)) {
    fields.emplace_back("Access-Control-Allow-Origin", std::string(origin));
    fields.emplace_back("Access-Control-Expose-Headers", "Retry-After");
  } else {
    fields.emplace_back("Cross-Origin-Resource-Policy", "same-origin");
  }
  if (!rules.origins.empty()) fields.emplace_back("Vary", "Origin");
  return fields;
}

std::string_view inner_path(const AccessRules& rules, std::string_view path) {
  const std::string_view root = rules.root_path;
  if (!root.empty() && path.starts_with(root) && (path.size() == root.size() || path[root.size()] == '/'))
    path.remove_prefix(root.size());
  return path;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  size_t different = a.size() ^ b.size();
  for (size_t i = 0; i < a.size(); ++i)
    different |=
        static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b.empty() ? 0 : b[i % b.size()]);
  return different == 0;
}

}  // namespace imgcap::serve
