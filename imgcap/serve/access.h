// Who may ask what: the first look at a request, before its body is read.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imgcap/serve/http.h"

namespace imgcap::serve {

struct AccessRules {
  std::string host = "127.0.0.1";            // where the server listens
  std::string token{};                       // empty: none is asked for
  bool open_to_all = false;                  // any name of a host will do
  std::vector<std::string> hosts{};          // names besides loopback's and addresses in digits
  std::vector<std::string> origins{};        // other sites whose pages may ask, as https://example.org
  std::vector<std::string> frame_origins{};  // sites that may show the page in a frame
  std::string root_path{};  // "/x", before each address where a proxy leaves it there; or empty
};

bool is_loopback(std::string_view host);

// Errors: argument (a host that is not loopback's with neither a token nor open_to_all, a root path that is no path,
// origins that are none, a token that a header cannot hold).
void validate(const AccessRules& rules);

// Why a request is refused; nothing when it may go on.
struct Refusal {
  int status = 0;
  std::string text;
  HttpFields fields{};
};

// A page of another site can make a browser send requests to a loopback address, and, by a name whose address changes
// (DNS rebinding), read the answers. Such requests name that site in Origin, or in Host: names that are not known are
// refused, addresses in digits are not, since no name stands behind them.
std::optional<Refusal> refused_site(const AccessRules& rules, const HttpHead& head);

// What has to come with each request but for the page's own files and /healthz: "Authorization: Bearer TOKEN".
std::optional<Refusal> refused_token(const AccessRules& rules, const HttpHead& head);

// The fields of every answer: what browsers may do with it. `head` is null where it could not be read.
HttpFields guarding_fields(const AccessRules& rules, const HttpHead* head);

// The path without the root path: "/api/caption" of "/x/api/caption" as of "/api/caption".
std::string_view inner_path(const AccessRules& rules, std::string_view path);

// In a time that does not depend on where they differ.
bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace imgcap::serve
