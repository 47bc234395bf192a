// One connection of the server, by Boost.Beast; for beast_server.cc and beast_session.cc alone. All of it runs on the
// one thread of HttpServer::run; other threads only post to it.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <deque>
#include <set>

#include "imgcap/serve/http.h"

namespace imgcap::serve {

namespace net = boost::asio;
using boost::system::error_code;

class BeastSession;

struct BeastServer : std::enable_shared_from_this<BeastServer> {
  // Before `context`, whose end drops the last sessions.
  HttpLimits limits;
  HttpHandlers handlers;
  HttpNow now;
  std::set<std::shared_ptr<BeastSession>> sessions;
  bool stopping = false;
  net::io_context context{1};
  net::ip::tcp::acceptor acceptor{context};
  net::steady_timer timer{context}, retry{context};

  void accept();
  void watch(const std::atomic<bool>& stop);
  void begin_stop();
  void dropped(const std::shared_ptr<BeastSession>& session);
};

// Waits for a request, reads it, waits for its answer, writes that, and so on. While a request is worked on, a read
// goes on: it notices that the client leaves, and what it brings is the next request's.
class BeastSession : public std::enable_shared_from_this<BeastSession> {
 public:
  BeastSession(BeastServer& server, net::ip::tcp::socket socket);
  ~BeastSession();

  void start() { wait_for_request(); }
  void turn_away();  // one connection too many
  void stop();       // what runs is finished, no other request is taken
  void close();

 private:
  class Answering;
  enum class Phase { idle, head, body, working, answering, lingering };

  void set_deadline(double seconds);
  void on_deadline();
  double left() const;
  void allow(double seconds);
  bool hold(int64_t bytes);

  void wait_for_request();
  void watch();
  void on_watched(error_code error, size_t bytes);
  void read_head();
  void on_head(error_code error);
  bool take_head();
  void read_body();
  void on_body(error_code error);
  void on_request();

  void refuse(int status, const std::string& text, const HttpFields& fields = {});
  void refuse_body();
  void answer(HttpResponse response);
  void begin_answer(int status);
  void begin_events(const HttpFields& fields);
  void write_part(const std::string& text);
  void end_events();
  void end_answer();
  void write(std::string text);
  void write_next();
  void on_written(size_t bytes);
  void linger();
  void discard_after(error_code error);
  void discard();

  BeastServer& server_;
  net::ip::tcp::socket socket_;
  net::steady_timer deadline_;
  uint64_t deadline_number_ = 0;  // a timer's handler that comes late finds another number
  boost::beast::flat_buffer buffer_;
  std::optional<boost::beast::http::request_parser<boost::beast::http::string_body>> parser_;
  std::optional<HttpHead> head_;
  std::deque<std::string> out_;
  size_t written_ = 0;                 // bytes of the first of `out_`
  std::weak_ptr<Answering> exchange_;  // of the request that is worked on
  uint64_t request_number_ = 0;        // an answer that comes late finds another number
  Phase phase_ = Phase::idle;
  std::chrono::steady_clock::time_point begun_{}, until_{};
  int status_ = 0;
  int64_t held_ = 0;  // bytes of the body that is read, which count among all bodies'
  bool watching_ = false, reading_ = false, closed_ = false, keep_ = false, old_client_ = false,
       head_only_ = false, chunked_ = false, ending_ = false, events_ = false;
};

}  // namespace imgcap::serve
