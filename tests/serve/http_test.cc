// A real server and clients that do as the protocol says.
#include "imgcap/serve/http.h"

#include <doctest/doctest.h>

#include "tests/refused.h"
#include "tests/serve/running_server.h"
#include "tests/text.h"

using namespace imgcap::serve;
using tensor::ErrorKind;
using tests::Client;
using tests::eventually;
using tests::get;
using tests::has;
using tests::Kept;
using tests::post;
using tests::refused;
using tests::Reply;
using tests::RunningServer;

TEST_CASE("http: a head's parts") {
  const HttpHead head{"GET", "/a?b=c?d", {{"x", " \t1 "}, {"x", "2"}, {"empty", ""}}};
  CHECK(head.path() == "/a");
  CHECK(head.query() == "b=c?d");
  CHECK(head.field("x") == "1");
  CHECK(head.field("empty") == "");
  CHECK(head.field("y") == "");
  CHECK(HttpHead{"GET", "/a", {}}.path() == "/a");
  CHECK(HttpHead{"GET", "/a", {}}.query() == "");
  CHECK(reason_of(404) == "Not Found");
  CHECK(reason_of(999) == "");
}

TEST_CASE("http: a build without a server says so") {
  if (has_http_server()) SKIP("this build has a server");
  CHECK(has(refused([] { HttpServer("127.0.0.1", 0, {}, {}); }), "this build has no server"));
}

TEST_CASE("http: where it cannot listen") {
  NEEDS_SERVER();
  RunningServer server;
  const auto why = [&](const std::string& host, int port, ErrorKind kind) {
    return refused([&] { HttpServer(host, port, {}, {}); }, kind);
  };
  CHECK(
      has(why("127.0.0.1", server.port(), ErrorKind::io), "127.0.0.1 port " + std::to_string(server.port())));
  CHECK(has(why("localhost", server.port(), ErrorKind::io), "in use"));
  CHECK(has(why("192.0.2.1", 0, ErrorKind::io), "192.0.2.1"));  // of no machine (RFC 5737)
  for (const char* host : {"", "example.org", "127.0.0.1:80", "[::1]", "256.0.0.1"})
    CHECK(has(why(host, 0, ErrorKind::argument), "an address is needed"));
}

TEST_CASE("http: a connection serves one request after the other") {
  NEEDS_SERVER();
  RunningServer server;
  Client client(server.port());
  for (const std::string& body : std::vector<std::string>{"", "abc", "\r\n\r\n", std::string(100'000, 'x')}) {
    CHECK(client.send(post(body, "/a?b")));
    const Reply reply = client.reply();
    CHECK(reply.status == 200);
    CHECK(reply.body == "POST /a?b " + body);
    CHECK(reply.field("content-type") == "text/plain");
    CHECK(reply.field("connection") == "keep-alive");
    CHECK(reply.field("date").ends_with(" GMT"));
  }
  CHECK(server.connections() == 1);
  CHECK(client.send(get("/last", "Connection: close\r\n")));
  const Reply last = client.reply();
  CHECK(last.body == "GET /last ");
  CHECK(last.field("connection") == "close");
  CHECK(client.at_end());
  client.leave();
  CHECK(eventually([&] { return server.connections() == 0; }));
  const auto answered = server.answered();
  REQUIRE(answered.size() == 5);
  for (const auto& each : answered) {
    CHECK(each.status == 200);
    CHECK((each.seconds >= 0 && each.seconds < 60));
  }
  CHECK(answered.back().target == "/last");
}

TEST_CASE("http: fields come as they were sent, their names in small letters") {
  NEEDS_SERVER();
  HttpFields fields;
  RunningServer server([&](const auto& exchange) {
    fields = exchange->request().fields;
    exchange->respond({200, "text/plain", "x", {{"X-One", "1"}, {"X-Two", "b c"}}});
  });
  const Reply reply = server.ask("GET / HTTP/1.1\r\nHOST:  a \r\nX-B: 1\r\nx-B:2\r\nX-a: \r\n\r\n");
  CHECK(reply.field("x-one") == "1");
  CHECK(reply.field("x-two") == "b c");
  const HttpHead head{"GET", "/", fields};
  REQUIRE(fields.size() == 4);
  CHECK(fields[0].first == "host");
  CHECK(head.field("host") == "a");
  CHECK(head.field("x-b") == "1");
  CHECK(fields[2] == std::pair<std::string, std::string>("x-b", "2"));
  CHECK(head.field("x-a") == "");
}

TEST_CASE("http: requests that are sent ahead are answered in their order") {
  NEEDS_SERVER();
  std::vector<std::thread> threads;
  // At once, and from another thread when the connection waits for it.
  for (const bool at_once : {true, false}) {
    RunningServer server([&](const auto& exchange) {
      if (at_once) return tests::echo(exchange);
      threads.emplace_back([exchange] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        tests::echo(exchange);
      });
    });
    Client client(server.port());
    CHECK(client.send(get("/1") + post("two", "/2") + get("/3") + post("four", "/4")));
    for (const char* body : {"GET /1 ", "POST /2 two", "GET /3 ", "POST /4 four"}) {
      const Reply reply = client.reply();
      REQUIRE(reply.status == 200);
      CHECK(reply.body == body);
    }
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_CASE("http: a request that comes while another is answered") {
  NEEDS_SERVER();
  Kept kept;
  RunningServer server(kept.handler());
  Client client(server.port());
  CHECK(client.send(get("/1")));
  const auto first = kept.next();
  const std::string second = post(std::string(50'000, 'y'), "/2");
  CHECK(client.send(second.substr(0, 30)));
  tests::echo(first);
  CHECK(client.reply().body == "GET /1 ");
  CHECK(client.send(second.substr(30)));
  tests::echo(kept.next());
  CHECK(client.reply().body == "POST /2 " + std::string(50'000, 'y'));
}

TEST_CASE("http: more is sent ahead than the server keeps") {
  NEEDS_SERVER();
  Kept kept;
  RunningServer server(kept.handler());
  Client client(server.port());
  const std::string large(300'000, 'z');
  CHECK(client.send(get("/1")));
  const auto first = kept.next();
  std::thread sender([&] { CHECK(client.send(post(large, "/2") + post(large, "/3"))); });
  CHECK_FALSE(first->over());
  tests::echo(first);
  CHECK(client.reply().body == "GET /1 ");
  tests::echo(kept.next());
  CHECK(client.reply().body == "POST /2 " + large);
  tests::echo(kept.next());
  CHECK(client.reply().body == "POST /3 " + large);
  sender.join();
}

TEST_CASE("http: HEAD has everything but the body") {
  NEEDS_SERVER();
  RunningServer server;
  Client client(server.port());
  CHECK(client.send("HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n"));
  const Reply reply = client.reply(true);
  CHECK(reply.status == 200);
  CHECK(reply.field("content-length") == "8");  // of "HEAD /a "
  CHECK(client.send(get("/b")));
  CHECK(client.reply().body == "GET /b ");
  // What cannot be read is no HEAD.
  CHECK(client.send("HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n"));
  CHECK(client.reply(true).status == 200);
  CHECK(client.send("nonsense\r\n\r\n"));
  const Reply refusal = client.reply();
  CHECK(refusal.status == 400);
  CHECK(has(refusal.body, "no HTTP request"));
}

TEST_CASE("http: several Host fields are refused") {
  NEEDS_SERVER();
  RunningServer server;
  Client client(server.port());
  CHECK(client.send("GET /a HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n"));
  const Reply refusal = client.reply();
  CHECK(refusal.status == 400);
  CHECK(has(refusal.body, "several Host fields"));
}

TEST_CASE("http: answers without a body") {
  NEEDS_SERVER();
  RunningServer server([](const auto& exchange) {
    const int status = std::stoi(exchange->request().target.substr(1));
    exchange->respond({status, "", "", {}});
  });
  Client client(server.port());
  for (const int status : {204, 304, 301}) {
    CHECK(client.send(get("/" + std::to_string(status))));
    const Reply reply = client.reply();
    CHECK(reply.status == status);
    CHECK(reply.field("content-length") == (status == 301 ? "0" : ""));
    CHECK(reply.field("content-type") == "");
  }
}

TEST_CASE("http: HTTP/1.0 closes, unless it wants to go on") {
  NEEDS_SERVER();
  RunningServer server;
  Client once(server.port());
  CHECK(once.send("GET /a HTTP/1.0\r\n\r\n"));
  const Reply reply = once.reply();
  CHECK(reply.body == "GET /a ");
  CHECK(reply.field("connection") == "close");
  CHECK(once.at_end());
  Client more(server.port());
  for (int i = 0; i < 2; ++i) {
    CHECK(more.send("GET /b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    CHECK(more.reply().field("connection") == "keep-alive");
  }
}

TEST_CASE("http: bodies in chunks") {
  NEEDS_SERVER();
  RunningServer server;
  Client client(server.port());
  const std::string head = "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  CHECK(client.send(head));
  for (const char* part : {"5\r\nabc", "de\r", "\n1", "0;x=y\r\n0123456789abcdef", "\r\n0\r\n\r\n"}) {
    CHECK(client.send(part));
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // most likely they come one by one
  }
  CHECK(client.reply().body == "POST /c abcde0123456789abcdef");
  CHECK(client.send(head + "0\r\nX-Trailer: 1\r\n\r\n" + get("/d")));
  CHECK(client.reply().body == "POST /c ");
  CHECK(client.reply().body == "GET /d ");
}

TEST_CASE("http: a body that waits to be asked for") {
  NEEDS_SERVER();
  RunningServer server;
  server.admit = [](const HttpHead& head) -> std::optional<HttpResponse> {
    if (head.path() == "/no") return HttpResponse{403, "text/plain", "no"};
    return std::nullopt;
  };
  Client client(server.port());
  const std::string fields = " HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
  CHECK(client.send("POST /yes" + fields));
  CHECK(client.read_to("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
  CHECK(client.send("abc"));
  CHECK(client.reply().body == "POST /yes abc");
  CHECK(client.send("POST /no" + fields));
  CHECK(client.reply().status == 403);
  CHECK(client.at_end());
  // A client of HTTP/1.0 knows no such answer (RFC 9110, 10.1.1).
  Client old(server.port());
  CHECK(old.send("POST /old HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc"));
  CHECK(old.reply().body == "POST /old abc");
}

TEST_CASE("http: what is refused by its head alone") {
  NEEDS_SERVER();
  std::atomic<int> handled{0};
  RunningServer server([&](const auto& exchange) { ++handled, tests::echo(exchange); });
  server.admit = [](const HttpHead& head) -> std::optional<HttpResponse> {
    if (head.path() == "/no") return HttpResponse{403, "text/plain", "no"};
    return std::nullopt;
  };
  Client client(server.port());
  for (int i = 0; i < 2; ++i) {
    CHECK(client.send(get("/no")));
    CHECK(client.reply().status == 403);
  }
  CHECK(client.send(get("/yes")));
  CHECK(client.reply().status == 200);
  // A body that nobody wants is read over for a while, so that the answer arrives, and the connection ends.
  const std::string body(3'000'000, 'x');
  CHECK(client.send(post(body, "/no")));
  const Reply reply = client.reply();
  CHECK(reply.status == 403);
  CHECK(reply.field("connection") == "close");
  CHECK(client.at_end());
  CHECK(handled == 1);
}

TEST_CASE("http: an exchange without an answer") {
  NEEDS_SERVER();
  RunningServer server([](const auto& exchange) {
    if (exchange->request().path() == "/yes") tests::echo(exchange);
  });
  Client client(server.port());
  CHECK(client.send(get("/no")));
  const Reply reply = client.reply();
  CHECK(reply.status == 500);
  CHECK(reply.body == "the server gave no answer");
  CHECK(client.send(get("/yes")));
  CHECK(client.reply().status == 200);
}

TEST_CASE("http: events") {
  NEEDS_SERVER();
  RunningServer server([](const auto& exchange) {
    exchange->begin_events({{"X-One", "1"}});
    exchange->event("photo", "{\"a\":1}");
    if (exchange->request().path() == "/dropped") return;
    exchange->event("end", "");
    exchange->end_events();
  });
  const std::string photo = "event: photo\ndata: {\"a\":1}\n\n", all = photo + "event: end\ndata: \n\n";
  Client client(server.port());
  for (int i = 0; i < 2; ++i) {
    CHECK(client.send(get("/")));
    const Reply reply = client.reply();
    CHECK(reply.status == 200);
    CHECK(reply.field("content-type") == "text/event-stream");
    CHECK(reply.field("transfer-encoding") == "chunked");
    CHECK(reply.field("x-one") == "1");
    CHECK(reply.whole);
    CHECK(reply.body == all);
  }
  CHECK(client.send(get("/dropped")));  // it ends as events end
  const Reply dropped = client.reply();
  CHECK(dropped.whole);
  CHECK(dropped.body == photo);
  Client old(server.port());
  CHECK(old.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
  const Reply reply = old.reply();
  CHECK(reply.field("transfer-encoding") == "");
  CHECK(reply.field("connection") == "close");
  CHECK(reply.body == all);
  CHECK(old.at_end());
}

TEST_CASE("http: events come as they happen") {
  NEEDS_SERVER();
  Kept kept;
  RunningServer server(kept.handler());
  Client client(server.port());
  CHECK(client.send(get("/")));
  const auto exchange = kept.next();
  exchange->begin_events({});
  CHECK(has(client.read_to("\r\n\r\n"), "chunked"));
  for (const char* data : {"one", "two"}) {
    exchange->event("words", data);
    CHECK(has(client.read_to("\n\n\r\n"), std::string("event: words\ndata: ") + data));
  }
  exchange->end_events();
  CHECK(client.read_to("0\r\n\r\n") == "0\r\n\r\n");
}
