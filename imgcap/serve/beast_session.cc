#include "imgcap/serve/beast_session.h"

#include <boost/asio/post.hpp>
#include <boost/beast/http/read.hpp>
#include <ctime>

#include "tensor/format.h"

namespace imgcap::serve {

namespace http = boost::beast::http;
using net::ip::tcp;
using tensor::format;

namespace {

constexpr size_t kHeadBytes = 16 * 1024;
// What a client may send ahead while its request is worked on.
constexpr size_t kAheadBytes = 64 * 1024;

bool is_http_error(error_code error) {
  return error && error.category() == http::make_error_code(http::error::body_limit).category() &&
         error != http::error::end_of_stream && error != http::error::partial_message;
}

std::string now_as_date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[64];
  return {text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts)};
}

std::string text_of_head(const HttpResponse& response, bool keep, bool chunked,
                         std::optional<size_t> length) {
  std::string text = format("HTTP/1.1 {} {}\r\n", response.status, reason_of(response.status));
  const auto add = [&](std::string_view name, std::string_view value) {
    text.append(name).append(": ").append(value).append("\r\n");
  };
  add("Date", now_as_date());
  if (!response.type.empty()) add("Content-Type", response.type);
  for (const auto& [name, value] : response.fields) add(name, value);
  if (length) add("Content-Length", format("{}", *length));
  if (chunked) add("Transfer-Encoding", "chunked");
  add("Connection", keep ? "keep-alive" : "close");
  return text + "\r\n";
}

}  // namespace

// A request in other hands. What it is told goes to the server's thread, where the session passes over what comes too
// late.
class BeastSession::Answering final : public Exchange {
 public:
  Answering(std::shared_ptr<BeastServer> server, std::shared_ptr<BeastSession> session, HttpRequest request,
            int64_t held)
      : server_(std::move(server)),
        session_(std::move(session)),
        request_(std::move(request)),
        number_(session_->request_number_),
        held_(held) {}
  ~Answering() override {
    if (!begun_) respond(server_->handlers.refusal(&request_, 500, "the server gave no answer"));
    if (begun_ && !ended_) end_events();
    server_->now.bodies -= held_;
  }
  Answering(const Answering&) = delete;
  Answering& operator=(const Answering&) = delete;

  void give_up() { over_ = true; }

  const HttpRequest& request() const override { return request_; }
  const std::atomic<bool>& over() const override { return over_; }
  void respond(HttpResponse response) override {
    begun_ = ended_ = true;
    tell([response = std::move(response)](BeastSession& session) mutable {
      session.answer(std::move(response));
    });
  }
  void begin_events(HttpFields fields) override {
    begun_ = true;
    tell([fields = std::move(fields)](BeastSession& session) { session.begin_events(fields); });
  }
  void event(std::string_view name, std::string_view data) override {
    tell([text = format("event: {}\ndata: {}\n\n", name, data)](BeastSession& session) {
      session.write_part(text);
    });
  }
  void end_events() override {
    ended_ = true;
    tell([](BeastSession& session) { session.end_events(); });
  }

 private:
  template <class F>
  void tell(F what) {
    net::post(server_->context, [session = session_, number = number_, what = std::move(what)]() mutable {
      const bool late = session->closed_ || session->request_number_ != number;
      if (!late) what(*session);
    });
  }

  std::shared_ptr<BeastServer> server_;  // outlives the session
  std::shared_ptr<BeastSession> session_;
  HttpRequest request_;
  std::atomic<bool> over_{false};
  uint64_t number_;
  int64_t held_;
  bool begun_ = false, ended_ = false;
};

BeastSession::BeastSession(BeastServer& server, tcp::socket socket)
    : server_(server), socket_(std::move(socket)), deadline_(server.context), buffer_(2 * kAheadBytes) {
  ++server_.now.connections;
}

BeastSession::~BeastSession() { --server_.now.connections; }

void BeastSession::turn_away() {
  begun_ = std::chrono::steady_clock::now();
  refuse(503, "the server has as many connections as it takes; try again later", {{"Retry-After", "5"}});
}

void BeastSession::stop() {
  keep_ = false;
  if (phase_ == Phase::idle) close();
}

void BeastSession::close() {
  if (closed_) return;
  closed_ = true;
  if (const auto exchange = exchange_.lock()) exchange->give_up();
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_both, ignored);
  socket_.close(ignored);
  deadline_.cancel();
  hold(0);
  server_.dropped(shared_from_this());
}

void BeastSession::set_deadline(double seconds) {
  deadline_.expires_after(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(seconds)));
  deadline_.async_wait([self = shared_from_this(), number = ++deadline_number_](error_code error) {
    if (!error && number == self->deadline_number_ && !self->closed_) self->on_deadline();
  });
}

void BeastSession::on_deadline() {
  if (phase_ == Phase::head || phase_ == Phase::body)
    refuse(408, "the request took too long to arrive");
  else if (phase_ == Phase::working)
    refuse(503, format("there was no answer within {} s", server_.limits.answer_seconds));
  else if (phase_ == Phase::answering && events_ && out_.empty() && left() > 0)
    write_part(": wait\n\n");
  else
    close();
}

// Of the time that a body or an answer as a whole may take.
double BeastSession::left() const {
  return std::chrono::duration<double>(until_ - std::chrono::steady_clock::now()).count();
}

void BeastSession::allow(double seconds) {
  until_ = std::chrono::steady_clock::now() +
           std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(seconds));
}

// False: all bodies together would be too many.
bool BeastSession::hold(int64_t bytes) {
  const int64_t more = bytes - held_;
  if (more > 0 && server_.now.bodies + more > static_cast<int64_t>(server_.limits.bodies)) return false;
  server_.now.bodies += more;
  held_ = bytes;
  return true;
}

// --- in

void BeastSession::wait_for_request() {
  phase_ = Phase::idle;
  set_deadline(server_.limits.idle_seconds);
  if (watching_) {  // that read goes on as this one, unless a request was sent ahead
    error_code ignored;
    if (buffer_.size() > 0) socket_.cancel(ignored);
    return;
  }
  if (buffer_.size() > 0)
    read_head();
  else
    watch();
}

void BeastSession::watch() {
  if (buffer_.size() >= kAheadBytes) return;
  watching_ = true;
  socket_.async_read_some(buffer_.prepare(4096), [self = shared_from_this()](error_code error, size_t bytes) {
    self->watching_ = false;
    self->on_watched(error, bytes);
  });
}

void BeastSession::on_watched(error_code error, size_t bytes) {
  if (closed_) return;
  if (error == net::error::operation_aborted && phase_ == Phase::idle) return read_head();
  if (error) return close();
  buffer_.commit(bytes);
  if (phase_ == Phase::idle)
    read_head();
  else if (phase_ == Phase::lingering)
    discard();
  else
    watch();
}

void BeastSession::read_head() {
  phase_ = Phase::head;
  begun_ = std::chrono::steady_clock::now();
  head_.reset();
  head_only_ = old_client_ = false;
  parser_.emplace();
  parser_->header_limit(kHeadBytes);
  parser_->body_limit(server_.limits.body);
  set_deadline(server_.limits.head_seconds);
  reading_ = true;
  http::async_read_header(socket_, buffer_, *parser_, [self = shared_from_this()](error_code error, size_t) {
    self->reading_ = false;
    self->on_head(error);
  });
}

void BeastSession::on_head(error_code error) {
  if (closed_) return;
  if (phase_ == Phase::lingering) return discard_after(error);
  if (phase_ != Phase::head) return;
  if (error == http::error::header_limit || error == http::error::buffer_overflow)
    return refuse(431, format("a request's head may have {} bytes", kHeadBytes));
  if (error == http::error::body_limit) return refuse_body();
  if (is_http_error(error)) return refuse(400, "this is no HTTP request: " + error.message());
  if (error) return close();
  if (!take_head()) return;
  if (parser_->is_done()) return on_request();
  phase_ = Phase::body;
  allow(server_.limits.body_seconds);
  set_deadline(std::min(server_.limits.pause_seconds, left()));
  // HTTP/1.0 knows no such answer (RFC 9110, 10.1.1).
  if (!old_client_ && head_->field("expect") == "100-continue") write("HTTP/1.1 100 Continue\r\n\r\n");
  read_body();
}

// False: it is refused.
bool BeastSession::take_head() {
  const auto& message = parser_->get();
  HttpHead& head = head_.emplace();
  head.method = std::string(message.method_string());
  head.target = std::string(message.target());
  for (const auto& field : message)
    head.fields.emplace_back(in_small_letters(field.name_string()), std::string(field.value()));
  keep_ = message.keep_alive() && !server_.stopping;
  old_client_ = message.version() < 11;
  head_only_ = head.method == "HEAD";
  if (message.count(http::field::host) > 1) {  // RFC 9112, 3.2
    refuse(400, "this is no HTTP request: it has several Host fields");
    return false;
  }
  if (parser_->content_length().value_or(0) > server_.limits.body) {
    refuse_body();
    return false;
  }
  if (std::optional<HttpResponse> refusal = server_.handlers.admit(head)) {
    keep_ = keep_ && parser_->is_done();
    answer(std::move(*refusal));
    return false;
  }
  return true;
}

void BeastSession::read_body() {
  reading_ = true;
  http::async_read_some(socket_, buffer_, *parser_, [self = shared_from_this()](error_code error, size_t) {
    self->reading_ = false;
    self->on_body(error);
  });
}

void BeastSession::on_body(error_code error) {
  if (closed_) return;
  if (phase_ == Phase::lingering) return discard_after(error);
  if (phase_ != Phase::body) return;
  if (error == http::error::body_limit) return refuse_body();
  if (is_http_error(error)) return refuse(400, "the request's body is malformed: " + error.message());
  if (error) return close();
  if (!hold(static_cast<int64_t>(parser_->get().body().size())))
    return refuse(503, "the server holds as many bytes of requests as it can; try again later",
                  {{"Retry-After", "2"}});
  if (parser_->is_done()) return on_request();
  set_deadline(std::min(server_.limits.pause_seconds, left()));
  read_body();
}

void BeastSession::on_request() {
  phase_ = Phase::working;
  ++request_number_;
  set_deadline(server_.limits.answer_seconds);
  HttpRequest request;
  static_cast<HttpHead&>(request) = *head_;
  request.body = std::move(parser_->get().body());
  auto exchange =
      std::make_shared<Answering>(server_.shared_from_this(), shared_from_this(), std::move(request), held_);
  held_ = 0;  // it is the exchange's now
  exchange_ = exchange;
  watch();
  server_.handlers.handle(std::move(exchange));
}

// --- out

void BeastSession::refuse_body() {
  refuse(413, format("a request's body may have {} MiB", server_.limits.body >> 20));
}

void BeastSession::refuse(int status, const std::string& text, const HttpFields& fields) {
  if (const auto exchange = exchange_.lock()) exchange->give_up();
  ++request_number_;
  keep_ = false;
  HttpResponse response = server_.handlers.refusal(head_ ? &*head_ : nullptr, status, text);
  response.fields.insert(response.fields.end(), fields.begin(), fields.end());
  answer(std::move(response));
}

void BeastSession::answer(HttpResponse response) {
  begin_answer(response.status);
  const bool none = response.status == 204 || response.status == 304;
  write(text_of_head(response, keep_, false,
                     none ? std::nullopt : std::optional<size_t>(response.body.size())));
  if (!head_only_ && !none && !response.body.empty()) write(std::move(response.body));
  end_answer();
}

void BeastSession::begin_answer(int status) {
  phase_ = Phase::answering;
  allow(server_.limits.whole_answer_seconds);
  status_ = status;
  ending_ = chunked_ = events_ = false;
  hold(0);
  if (server_.stopping) keep_ = false;
}

void BeastSession::begin_events(const HttpFields& fields) {
  begin_answer(200);
  events_ = true;
  chunked_ = !old_client_;
  if (!chunked_) keep_ = false;
  write(text_of_head({200, "text/event-stream", "", fields}, keep_, chunked_, std::nullopt));
}

void BeastSession::write_part(const std::string& text) {
  write(chunked_ ? format("{:x}\r\n{}\r\n", text.size(), text) : text);
}

void BeastSession::end_events() {
  if (chunked_) write("0\r\n\r\n");
  end_answer();
}

void BeastSession::write(std::string text) {
  out_.push_back(std::move(text));
  if (out_.size() == 1) write_next();
}

void BeastSession::write_next() {
  if (phase_ == Phase::answering) set_deadline(std::min(server_.limits.write_seconds, left()));
  const std::string& text = out_.front();
  socket_.async_write_some(net::buffer(text.data() + written_, text.size() - written_),
                           [self = shared_from_this()](error_code error, size_t bytes) {
                             if (self->closed_) return;
                             if (error) return self->close();
                             self->on_written(bytes);
                           });
}

void BeastSession::on_written(size_t bytes) {
  written_ += bytes;
  if (written_ == out_.front().size()) {
    out_.pop_front();
    written_ = 0;
  }
  if (!out_.empty()) return write_next();
  if (phase_ != Phase::answering) return;  // it was the 100 before a body
  if (ending_)
    end_answer();
  else
    set_deadline(server_.limits.event_seconds);  // for the next event
}

// When all of it is written, the next request is waited for.
void BeastSession::end_answer() {
  ending_ = true;
  if (!out_.empty()) return;
  ++request_number_;
  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun_).count();
  server_.handlers.answered(head_ ? &*head_ : nullptr, status_, took);
  if (keep_)
    wait_for_request();
  else
    linger();
}

void BeastSession::linger() {
  phase_ = Phase::lingering;
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
  set_deadline(server_.limits.linger_seconds);
  if (!watching_ && !reading_) discard();
}

// What a read of a request came to is over. Of an end that it has met nothing would tell the next read.
void BeastSession::discard_after(error_code error) {
  if (error && !is_http_error(error))
    close();
  else
    discard();
}

void BeastSession::discard() {
  buffer_.clear();
  socket_.async_read_some(buffer_.prepare(kAheadBytes),
                          [self = shared_from_this()](error_code error, size_t) {
                            if (self->closed_) return;
                            if (error)
                              self->close();
                            else
                              self->discard();
                          });
}

}  // namespace imgcap::serve
