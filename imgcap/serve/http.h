// HTTP as the service sees it: a request is a value, and its answer may come later, from any thread. What speaks the
// protocol stands behind `HttpServer` and nowhere else.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace imgcap::serve {

using HttpFields = std::vector<std::pair<std::string, std::string>>;

struct HttpHead {
  std::string method;  // "GET"
  std::string target;  // as it was sent: path and query, not decoded
  HttpFields fields;   // names in small letters, in their order

  // The first value, without blanks at its ends; empty where there is none.
  std::string_view field(std::string_view name) const;
  // The target's parts. A path is not decoded: no address of ours needs it.
  std::string_view path() const;
  std::string_view query() const;
};

struct HttpRequest : HttpHead {
  std::string body;
};

struct HttpResponse {
  int status = 200;
  std::string type;  // Content-Type; empty: there is no body
  std::string body;
  HttpFields fields{};
};

// Of A to Z alone, as HTTP's names are compared.
std::string in_small_letters(std::string_view text);

std::string_view reason_of(int status);  // "Not Found"; "" where it is not known

// A request and the way to answer it, once. One that goes away without an answer is answered with 500.
class Exchange {
 public:
  virtual ~Exchange() = default;

  virtual const HttpRequest& request() const = 0;
  // True once nobody waits for the answer: the client has gone, or its time is over (which the server answers
  // itself).
  virtual const std::atomic<bool>& over() const = 0;

  virtual void respond(HttpResponse response) = 0;
  // An answer that comes in parts: server-sent events (HTML living standard, 9.2). `fields` as HttpResponse has them.
  virtual void begin_events(HttpFields fields) = 0;
  virtual void event(std::string_view name, std::string_view data) = 0;  // data: one line
  virtual void end_events() = 0;
};

struct HttpLimits {
  uint64_t body = uint64_t{32} << 20;            // bytes of one
  uint64_t bodies = uint64_t{256} << 20;         // of all that are held
  int64_t connections = 512;                     // more are turned away
  double head_seconds = 10, body_seconds = 60;   // from the first byte of each
  double pause_seconds = 10;                     // without a byte of a body
  double idle_seconds = 60, write_seconds = 20;  // between requests; without a byte taken
  double answer_seconds = 60;                    // from the request's end to the answer's begin
  double whole_answer_seconds = 300;             // from the answer's begin to its end
  double event_seconds = 15;  // without an event; then a comment says that there will be more
  double stop_seconds = 30;   // for what runs when the server is stopped
  // After an answer that came before the request's end so much longer is read, and thrown away: a connection that is
  // closed with something unread may lose the answer (RFC 9112, 9.6).
  double linger_seconds = 3;
};

struct HttpHandlers {
  // Looks at a request before its body is read: what it returns is the answer.
  std::function<std::optional<HttpResponse>(const HttpHead&)> admit;
  // Called on the server's thread: long work goes elsewhere.
  std::function<void(std::shared_ptr<Exchange>)> handle;
  // The answer for what the server refuses itself: 400, 408, 413, 431, 500, 503. `head` is null where it could not be
  // read.
  std::function<HttpResponse(const HttpHead* head, int status, const std::string& text)> refusal;
  // After each answer: of events, when they have ended. `head` is null where it could not be read.
  std::function<void(const HttpHead* head, int status, double seconds)> answered;
};

// The numbers that a running server tells of itself.
struct HttpNow {
  std::atomic<int64_t> connections{0}, bodies{0};  // open ones; bytes held
};

class HttpServer {
 public:
  // Listens at once; port 0: any free one. Errors: io (the address is in use or not of this machine), argument (the
  // build has no server; a host that is no address).
  HttpServer(const std::string& host, int port, const HttpLimits& limits, HttpHandlers handlers);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int port() const;
  const HttpNow& now() const;
  // Serves until `stop` is true: then nothing new is taken, and it returns when all that runs is answered.
  void run(const std::atomic<bool>& stop);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Whether this build can serve.
bool has_http_server();

}  // namespace imgcap::serve
