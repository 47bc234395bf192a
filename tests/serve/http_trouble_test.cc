// A real server and clients that are slow, too many, wrong or gone.
#include <doctest/doctest.h>

#include <atomic>
#include "imgcap/serve/http.h"
#include "tests/serve/running_server.h"
#include "tests/text.h"

using namespace imgcap::serve;
using tests::Client;
using tests::eventually;
using tests::get;
using tests::has;
using tests::Kept;
using tests::post;
using tests::Reply;
using tests::RunningServer;

namespace {

// Short limits are for clients that keep to none. On a slow machine those that do may be late for them, too: they have
// servers of their own with the ordinary limits.

// That the server still serves.
void check_alive(RunningServer& server) {
  Client client(server.port());
  CHECK(client.send(get("/alive")));
  CHECK(client.reply().status == 200);
}

// A refusal, after which the connection ends.
Reply refused(RunningServer& server, const std::string& text, int status) {
  Client client(server.port());
  client.send(text);  // which may end before all is sent
  const Reply reply = client.reply();
  CHECK(reply.status == status);
  CHECK(reply.field("connection") == "close");
  CHECK(client.at_end());
  return reply;
}

const std::string kChunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

}  // namespace

TEST_CASE("http: what is no HTTP") {
  NEEDS_SERVER();
  RunningServer server;
  for (const std::string& text :
       {std::string("garbage\r\n\r\n"), std::string("GET /\r\n\r\n"), std::string("GET / HTTP/9.9\r\n\r\n"),
        std::string("\x16\x03\x01\x02\0\x01\0\x01\xFC\r\n\r\n", 13),
        std::string("GET / HTTP/1.1\r\nno colon\r\n\r\n"), std::string("GET / HTTP/1.1\r\nA B: x\r\n\r\n"),
        std::string("GET / HTTP/1.1\r\nA: x\0y\r\n\r\n", 26),
        std::string("POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"),
        std::string("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"),
        std::string("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n"),
        // Two lengths: what another server before this one reads as the body may be a request to this one.
        std::string("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        std::string("POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        std::string("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n"),
        kChunked + "x\r\n", kChunked + "1\r\nabcdef\r\n0\r\n\r\n", kChunked + "fffffffffffffffff\r\n"}) {
    CAPTURE(text);
    CHECK_FALSE(refused(server, text, 400).body.empty());
  }
  for (const auto& answered : server.answered()) CHECK((answered.status == 400 && answered.seconds < 60));
  check_alive(server);
}

TEST_CASE("http: a head that is too large") {
  NEEDS_SERVER();
  RunningServer server;
  const auto with_head = [](size_t bytes) {
    const std::string begin = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
    return begin + std::string(bytes - begin.size() - 4, 'x') + "\r\n\r\n";
  };
  CHECK(server.ask(with_head(16'000)).status == 200);
  refused(server, with_head(16'500), 431);
  refused(server, with_head(1'000'000), 431);
  refused(server, "GET /" + std::string(100'000, 'x'), 431);  // and does not end
  std::string many = "GET / HTTP/1.1\r\n";
  for (int i = 0; i < 10'000; ++i) many += "a:\r\n";
  refused(server, many, 431);
  check_alive(server);
}

TEST_CASE("http: a body that is too large") {
  NEEDS_SERVER();
  HttpLimits limits;
  limits.body = 1'000'000;
  std::atomic<int> handled{0};
  RunningServer server(
      [&](const auto& exchange) {
        ++handled, exchange->respond({200, "text/plain", "x"});
      },
      limits);
  CHECK(server.ask(post(std::string(1'000'000, 'x'))).status == 200);
  refused(server, post(std::string(1'000'001, 'x')), 413);
  refused(server, "POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", 413);  // before it comes
  refused(server, "POST / HTTP/1.1\r\nContent-Length: 1000001\r\nExpect: 100-continue\r\n\r\n", 413);
  refused(server, kChunked + "f4240\r\n" + std::string(1'000'000, 'x') + "\r\n1\r\ny\r\n0\r\n\r\n", 413);
  refused(server, kChunked + "f4241\r\n", 413);
  CHECK(handled == 1);
  CHECK(eventually([&] { return server.bodies() == 0; }));
  check_alive(server);
}

TEST_CASE("http: a head that does not come") {
  NEEDS_SERVER();
  HttpLimits limits;
  limits.head_seconds = 0.2;
  RunningServer server(tests::echo, limits);
  refused(server, "GET / HT", 408);
  // Not even where it goes on: the whole of it has its time.
  Client client(server.port());
  std::atomic<bool> refused_by_now{false};
  std::thread sender([&] {
    for (int i = 0; !refused_by_now && client.send(i == 0 ? "GET / HTTP/1.1\r\n" : "a: b\r\n"); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
  });
  CHECK(client.reply().status == 408);
  CHECK(client.at_end());
  refused_by_now = true;
  sender.join();
  CHECK(eventually([&] { return server.connections() == 0; }));
}

TEST_CASE("http: a body that does not come") {
  NEEDS_SERVER();
  HttpLimits limits;
  limits.body_seconds = 0.2;
  RunningServer server(tests::echo, limits);
  const Reply reply = refused(server, "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc", 408);
  CHECK(has(reply.body, "too long"));
  refused(server, kChunked + "5\r\nab", 408);
  CHECK(eventually([&] { return server.bodies() == 0; }));
  // One that pauses is not waited for as long.
  limits.body_seconds = 600;
  limits.pause_seconds = 0.2;
  RunningServer impatient(tests::echo, limits);
  refused(impatient, "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc", 408);
  check_alive(impatient);
}

TEST_CASE("http: a connection whose request was refused ends with its client, or after a while") {
  NEEDS_SERVER();
  HttpLimits limits;
  limits.head_seconds = limits.body_seconds = 0.1;
  for (const bool leaves : {true, false}) {
    limits.linger_seconds = leaves ? 1e6 : 0.1;
    RunningServer server(tests::echo, limits);
    for (const std::string& text :
         std::vector<std::string>{"GET / HT", "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc",
                                  kChunked + "5\r\nab", "garbage\r\n\r\n"}) {
      Client client(server.port());
      CHECK(client.send(text));
      CHECK(client.reply().status >= 400);
      CHECK(client.at_end());
      if (leaves) client.leave();
      CHECK(eventually([&] { return server.connections() == 0; }));
    }
  }
}

TEST_CASE("http: connections that nobody uses end") {
  NEEDS_SERVER();
  HttpLimits limits;
  limits.idle_seconds = 0.2;
  RunningServer server(tests::echo, limits);
  Client client(server.port());
  CHECK(client.at_end());
  CHECK(eventually([&] { return server.connections() == 0; }));
  limits.idle_seconds = 2;  // time to send something, or else there is another try
  RunningServer patient(tests::echo, limits);
  CHECK(eventually([&] {
    Client second(patient.port());
    return second.send(get("/")) && second.reply().status == 200 && second.at_end();
  }));
  CHECK(eventually([&] { return patient.connections() == 0; }));
}

TEST_CASE("http: a client that does not read is cut off") {
  NEEDS_SERVER();
  HttpLimits limits;
  limits.write_seconds = 0.3;
  constexpr size_t kBytes = 64 << 20;  // more than any system keeps for a socket
  std::atomic<bool> asked = false;
  const auto long_answer = [&asked](const auto& exchange) {
    asked = true;
    exchange->respond({200, "text/plain", std::string(kBytes, 'x')});
  };
  RunningServer server(long_answer, limits);
  Client client(server.port(), 4096);
  CHECK(client.send(get("/")));
  CHECK(eventually([&] { return asked.load(); }));
  CHECK(eventually([&] { return server.connections() == 0; }));
  const Reply reply = client.reply();
  CHECK_FALSE(reply.whole);
  CHECK(reply.body.size() < kBytes);
  // One that does read gets it all.
  RunningServer patient(long_answer);
  Client reader(patient.port());
  CHECK(reader.send(get("/")));
  CHECK(reader.reply().body.size() == kBytes);
}

TEST_CASE("http: an answer that does not come") {
  NEEDS_SERVER();
  HttpLimits limits;
  limits.answer_seconds = 0.2;
  Kept kept;
  RunningServer server(kept.handler(), limits);
  Client client(server.port());
  CHECK(client.send(get("/slow")));
  const auto late = kept.next();
  const Reply reply = client.reply();
  CHECK(reply.status == 503);
  CHECK(reply.body == "there was no answer within 0.2 s");
  CHECK(late->over());
  late->respond({200, "text/plain", "late"});  // to nobody
  CHECK(client.at_end());
  const auto answered = server.answered();
  REQUIRE(answered.size() == 1);
  CHECK(answered[0].target == "/slow");
  CHECK(answered[0].status == 503);
  // Nor do events that have begun wait for ever; until then a comment says that there will be more.
  limits = {};
  limits.event_seconds = 0.1;
  limits.whole_answer_seconds = 2;
  RunningServer lively(kept.handler(), limits);
  Client second(lively.port());
  CHECK(second.send(get("/events")));
  const auto events = kept.next();
  events->begin_events({});
  events->event("photo", "1");
  const Reply cut = second.reply();
  CHECK(cut.status == 200);
  CHECK_FALSE(cut.whole);
  const std::string wait = ": wait\n\n";
  std::string events_alone = cut.body;
  int64_t waits = 0;
  for (size_t at; (at = events_alone.find(wait)) != std::string::npos; ++waits)
    events_alone.erase(at, wait.size());
  CHECK(events_alone == "event: photo\ndata: 1\n\n");
  CHECK(waits > 0);
  CHECK(events->over());
}

TEST_CASE("http: too many connections") {
  NEEDS_SERVER();
  HttpLimits limits;
  limits.connections = 2;
  RunningServer server(tests::echo, limits);
  Client first(server.port());
  auto second = std::make_unique<Client>(server.port());
  for (Client* client : {&first, second.get()}) {
    CHECK(client->send(get("/")));
    CHECK(client->reply().status == 200);
  }
  Client third(server.port());
  const Reply reply = third.reply();  // without a word from it
  CHECK(reply.status == 503);
  CHECK(std::stoi(reply.field("retry-after")) > 0);
  CHECK(third.at_end());
  for (const auto& answered : server.answered()) CHECK((answered.seconds >= 0 && answered.seconds < 60));
  third.leave();
  second.reset();
  CHECK(eventually([&] { return server.connections() == 1; }));
  check_alive(server);
  CHECK(first.send(get("/")));
  CHECK(first.reply().status == 200);
}

TEST_CASE("http: too many bytes of bodies at once") {
  NEEDS_SERVER();
  HttpLimits limits;
  limits.bodies = 1000;
  Kept kept;
  RunningServer server(kept.handler(), limits);
  Client first(server.port());
  CHECK(first.send(post(std::string(600, 'x'))));
  auto exchange = kept.next();
  CHECK(server.bodies() == 600);
  const Reply reply = refused(server, post(std::string(600, 'y')), 503);
  CHECK(std::stoi(reply.field("retry-after")) > 0);
  CHECK(server.bodies() == 600);
  tests::echo(exchange);
  exchange.reset();
  CHECK(first.reply().status == 200);
  CHECK(eventually([&] { return server.bodies() == 0; }));
  Client again(server.port());
  CHECK(again.send(post(std::string(600, 'y'))));
  tests::echo(kept.next());
  CHECK(again.reply().status == 200);
}

TEST_CASE("http: a client that leaves is noticed, whatever it is waiting for") {
  NEEDS_SERVER();
  Kept kept;
  RunningServer server(kept.handler());
  Client client(server.port());
  CHECK(client.send(post("abc")));
  const auto exchange = kept.next();
  CHECK_FALSE(exchange->over());
  client.leave();
  CHECK(eventually([&] { return exchange->over().load(); }));
  tests::echo(exchange);  // to nobody
  Client reader(server.port());
  CHECK(reader.send(get("/")));
  const auto events = kept.next();
  events->begin_events({});
  events->event("photo", "1");
  reader.read_to("\n\n");
  reader.leave();
  CHECK(eventually([&] { return events->over().load(); }));
  events->event("photo", "2");
  events->end_events();
  // In the middle of a head and of a body.
  for (const char* text : {"GET / HT", "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc"}) {
    Client half(server.port());
    CHECK(half.send(text));
    half.leave();
  }
  CHECK(eventually([&] { return server.bodies() == 3 && server.connections() <= 2; }));
}

TEST_CASE("http: stopped, it finishes what runs and takes nothing new") {
  NEEDS_SERVER();
  Kept kept;
  RunningServer server(kept.handler());
  Client idle(server.port()), used(server.port()), working(server.port()), reading(server.port());
  CHECK(used.send(get("/")));
  tests::echo(kept.next());
  CHECK(used.reply().field("connection") == "keep-alive");
  CHECK(working.send(get("/working")));
  const auto exchange = kept.next();
  CHECK(
      reading.send("POST /reading HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nExpect: 100-continue\r\n\r\n"));
  CHECK(has(reading.read_to("\r\n\r\n"), "100 Continue"));
  CHECK(eventually([&] { return server.connections() == 4; }));
  server.begin_stop();
  CHECK(idle.at_end());
  CHECK(used.at_end());
  CHECK_FALSE(Client(server.port()).connected());
  CHECK_FALSE(server.ended());
  CHECK_FALSE(exchange->over());
  CHECK(reading.send("abcdef"));
  tests::echo(kept.next());
  const Reply read = reading.reply();
  CHECK(read.body == "POST /reading abcdef");
  CHECK(read.field("connection") == "close");
  tests::echo(exchange);
  const Reply reply = working.reply();
  CHECK(reply.body == "GET /working ");
  CHECK(reply.field("connection") == "close");
  CHECK(working.at_end());
  working.leave();
  reading.leave();
  CHECK(eventually([&] { return server.ended(); }));
}

TEST_CASE("http: stopped, it does not wait for ever") {
  NEEDS_SERVER();
  HttpLimits limits;
  limits.stop_seconds = 0.2;
  Kept kept;
  RunningServer server(kept.handler(), limits);
  Client client(server.port());
  CHECK(client.send(get("/")));
  const auto exchange = kept.next();
  server.begin_stop();
  CHECK(client.at_end());
  CHECK(exchange->over());
  CHECK(eventually([&] { return server.ended(); }));
}

TEST_CASE("http: a server that has nothing to do ends at once") {
  NEEDS_SERVER();
  RunningServer server;
  server.begin_stop();
  CHECK(eventually([&] { return server.ended(); }));
}

TEST_CASE("http: exchanges may outlive the server") {
  NEEDS_SERVER();
  HttpLimits limits;
  limits.stop_seconds = 0.05;
  Kept kept;
  std::shared_ptr<Exchange> answered, dropped, events;
  {
    RunningServer server(kept.handler(), limits);
    Client first(server.port()), second(server.port()), third(server.port());
    for (Client* client : {&first, &second, &third}) CHECK(client->send(post("abc")));
    answered = kept.next(), dropped = kept.next(), events = kept.next();
    events->begin_events({});
  }
  CHECK(answered->over());
  CHECK(answered->request().body == "abc");
  answered->respond({200, "text/plain", "late"});
  events->event("photo", "1");
  std::thread([&] { answered.reset(), dropped.reset(), events.reset(); }).join();
}

TEST_CASE("http: many clients, and answers from many threads") {
  NEEDS_SERVER();
  std::vector<std::thread> threads;
  std::mutex mutex;
  {
    RunningServer server([&](const auto& exchange) {
      const std::lock_guard lock(mutex);
      threads.emplace_back([exchange] { tests::echo(exchange); });
    });
    std::vector<std::thread> clients;
    for (int c = 0; c < 8; ++c)
      clients.emplace_back([&, c] {
        Client client(server.port());
        for (int i = 0; i < 20; ++i) {
          const std::string body = std::to_string(c) + " " + std::to_string(i);
          if (!client.send(post(body)) || client.reply().body != "POST /x " + body) {
            const std::lock_guard lock(mutex);
            FAIL_CHECK(body);
          }
        }
      });
    for (std::thread& client : clients) client.join();
    CHECK(eventually([&] { return server.answered().size() == 160; }));
  }
  for (std::thread& thread : threads) thread.join();
}
