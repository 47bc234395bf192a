// Queries, media types and forms, as programs send them and as nobody should.
#include "imgcap/serve/form.h"

#include <doctest/doctest.h>

#include "tests/refused.h"
#include "tests/text.h"

using namespace imgcap::serve;
using tests::has;

namespace {

template <class F>
std::string refused(F&& f) {
  return tests::refused(f, tensor::ErrorKind::data);
}

// A form of one part: its head's lines, each with its line break, and its bytes.
std::string form_of(const std::string& head, const std::string& bytes = "x") {
  return "--b\r\n" + head + "\r\n" + bytes + "\r\n--b--\r\n";
}

const std::string kNamed = "Content-Disposition: form-data; name=\"photo\"\r\n";

std::string refused_form(const std::string& body, const std::string& boundary = "b") {
  return refused([&] { parse_multipart(body, boundary); });
}

}  // namespace

TEST_CASE("form: a text of a query is decoded") {
  CHECK(decode_query_text("") == "");
  CHECK(decode_query_text("%41+b") == "A b");
  CHECK(decode_query_text("a%2Bb%26%3d%25") == "a+b&=%");
  CHECK(decode_query_text("caf%C3%A9 %d8%a7") == "café ا");
  for (const char* wrong : {"%", "a%4", "%4g", "%g4", "%%41", "%+1"})
    CHECK_MESSAGE(refused([&] { decode_query_text(wrong); }) == "query: a % without two hexadecimal digits",
                  wrong);
  for (const char* wrong : {"%ff", "%C3", "\xC3", "%ED%A0%80"})
    CHECK_MESSAGE(refused([&] { decode_query_text(wrong); }) == "query: a text that is not UTF-8", wrong);
}

TEST_CASE("form: a query's parameters stay in their order") {
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  CHECK(parse_query("") == Pairs{});
  CHECK(parse_query("beam=3&suppress=a&suppress=b") ==
        Pairs{{"beam", "3"}, {"suppress", "a"}, {"suppress", "b"}});
  CHECK(parse_query("&&attention&a=&=b&c=d=e&") ==
        Pairs{{"attention", ""}, {"a", ""}, {"", "b"}, {"c", "d=e"}});
  CHECK(parse_query("a%3Db=c%26d") == Pairs{{"a=b", "c&d"}});
  CHECK(has(refused([] { parse_query("a=1&b%=2"); }), "two hexadecimal digits"));
}

TEST_CASE("form: a query has 256 parameters at most") {
  std::string query;
  for (int i = 0; i < 256; ++i) query += "a&";
  CHECK(parse_query(query).size() == 256);
  CHECK(refused([&] { parse_query(query + "a"); }) == "query: more than 256 parameters");
}

TEST_CASE("form: a media type has a type and parameters") {
  const MediaType plain = parse_media_type("Image/JPEG");
  CHECK(plain.type == "image/jpeg");
  CHECK(plain.parameters.empty());
  const MediaType form = parse_media_type(" multipart/FORM-data ;Boundary=\"a b;c\" ; charset = UTF-8;");
  CHECK(form.type == "multipart/form-data");
  CHECK(form.parameter("boundary") == "a b;c");
  CHECK(form.parameter("charset") == "UTF-8");
  CHECK_FALSE(form.parameter("Boundary").has_value());
  // Backslashes stand before quotes and themselves; others are a Windows path's.
  CHECK(parse_media_type(R"(a/b; x="q\"q\\q\q")").parameter("x") == R"(q"q\q\q)");
  CHECK(parse_media_type("a/b; x=").parameter("x") == "");
  CHECK(parse_media_type("a/b; x=\"\"").parameter("x") == "");
}

TEST_CASE("form: what is no media type") {
  for (const char* wrong :
       {"", "text", "text/", "/plain", "te xt/plain", "text/pl(ain", "a/b/c", ";a=b", "\xC3\xA9/x"})
    CHECK_MESSAGE(refused([&] { parse_media_type(wrong); }) == "Content-Type: it is no type", wrong);
  const auto why = [](const std::string& parameters) {
    return refused([&] { parse_media_type("a/b" + parameters); });
  };
  CHECK(why("; x") == "Content-Type: a parameter without a value");
  CHECK(why("; =x") == "Content-Type: a parameter without a name");
  CHECK(why("; x y=z") == "Content-Type: a parameter without a name");
  CHECK(why("; x=1; X=2") == "Content-Type: the parameter x twice");
  CHECK(why("; x=\"1") == "Content-Type: a parameter whose quotes do not end");
  CHECK(why("; x=\"1\\\"") == "Content-Type: a parameter whose quotes do not end");
  CHECK(why("; x=\"1\"y=2") == "Content-Type: a parameter without ; before it");
  std::string many;
  for (int i = 0; i < 16; ++i) many += tensor::format(";p{}=1", i);
  CHECK(parse_media_type("a/b" + many).parameters.size() == 16);
  CHECK(why(many + ";q=1") == "Content-Type: more than 16 parameters");
}

TEST_CASE("form: as a browser sends it") {
  const std::string boundary = "----WebKitFormBoundary7MA4YWxkTrZu0gW", mark = "--" + boundary;
  const std::string photo = std::string("\xFF\xD8\0\r\n\r\n--\r\n------WebKitFormBoundary7\n", 37) + mark;
  const std::string body =
      mark +
      "\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"a %22b\\c.jpg\"\r\n"
      "Content-Type: image/jpeg\r\n\r\n" +
      photo + "\r\n" + mark +
      "\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"\"\r\n"
      "Content-Type: application/octet-stream\r\n\r\n\r\n" +
      mark + "\r\nContent-Disposition: form-data; name=\"options\"\r\n\r\n{\"beam\":3}\r\n" + mark + "--\r\n";
  const std::vector<FormPart> parts = parse_multipart(body, boundary);
  REQUIRE(parts.size() == 3);
  CHECK(parts[0].name == "photo");
  CHECK(parts[0].file_name == "a %22b\\c.jpg");
  CHECK(parts[0].type == "image/jpeg");
  CHECK(parts[0].bytes == photo);
  CHECK(parts[0].bytes.data() == body.data() + body.find("\xFF\xD8"));
  CHECK(parts[1].file_name == "");
  CHECK(parts[1].bytes.empty());
  CHECK(parts[2].name == "options");
  CHECK_FALSE(parts[2].file_name.has_value());
  CHECK(parts[2].type.empty());
  CHECK(parts[2].bytes == "{\"beam\":3}");
}

TEST_CASE("form: as curl and Python send it") {
  const std::string curl =
      "--------------------------d74496d66958873e\r\n"
      "Content-Disposition: form-data; name=\"photo\"; filename=\"a\\\"b.jpg\"\r\nContent-Type: image/jpeg\r\n\r\nJPEG\r\n"
      "--------------------------d74496d66958873e\r\n"
      "Content-Disposition: form-data; name=\"options\"\r\nContent-Type: application/json\r\n\r\n{}\r\n"
      "--------------------------d74496d66958873e--\r\n";
  std::vector<FormPart> parts = parse_multipart(curl, "------------------------d74496d66958873e");
  REQUIRE(parts.size() == 2);
  CHECK(parts[0].file_name == "a\"b.jpg");
  CHECK(parts[1].type == "application/json");

  const std::string requests =
      "--0af2\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"caf\xC3\xA9.jpg\"\r\n\r\nJPEG\r\n"
      "--0af2--\r\n";
  parts = parse_multipart(requests, "0af2");
  REQUIRE(parts.size() == 1);
  CHECK(parts[0].file_name == "café.jpg");
  CHECK(parts[0].bytes == "JPEG");
}

TEST_CASE("form: names in any letters, blanks, words before and behind") {
  const std::string body =
      "for old programs\r\n--b \t\r\nX-Other:1\r\nCONTENT-DISPOSITION:Form-Data;NAME=photo;FileName=a.jpg\r\n\r\n"
      "\r\n\r\n--b--and more";
  const std::vector<FormPart> parts = parse_multipart(body, "b");
  REQUIRE(parts.size() == 1);
  CHECK(parts[0].name == "photo");
  CHECK(parts[0].file_name == "a.jpg");
  CHECK(parts[0].bytes == "\r\n");
}

TEST_CASE("form: a form may have no parts") { CHECK(parse_multipart("--b--", "b").empty()); }

TEST_CASE("form: boundaries") {
  CHECK(refused_form(form_of(kNamed), "") == "form: its boundary has 0 characters; 1 to 70 are right");
  const std::string longest(70, 'x');
  CHECK(parse_multipart("--" + longest + "--", longest).empty());
  CHECK(has(refused_form("", longest + "x"), "71 characters"));
  CHECK(refused_form("") == "form: its boundary is nowhere in the body");
  CHECK(refused_form(form_of(kNamed), "c") == "form: its boundary is nowhere in the body");
  CHECK(refused_form("x--b--") == "form: its boundary is nowhere in the body");
  CHECK(refused_form("--bc\r\n") == "form: a boundary has something behind it");
  CHECK(refused_form("--b") == "form: a boundary has something behind it");
  CHECK(refused_form("--b\n\n") == "form: a boundary has something behind it");
}

TEST_CASE("form: a body that is cut short anywhere") {
  const std::string whole = "--b\r\n" + kNamed + "\r\nbytes\r\n--b--";
  CHECK(parse_multipart(whole, "b").size() == 1);
  for (size_t size = 0; size < whole.size(); ++size)
    CHECK_MESSAGE(has(refused_form(whole.substr(0, size)), "form: "), size);
  CHECK(refused_form("--b\r\n" + kNamed + "\r\nbytes\r\n--c--") ==
        "form: it is cut short: its last boundary is missing");
}

TEST_CASE("form: heads of parts") {
  CHECK(refused_form(form_of("")) == "form: a part has no name");
  CHECK(refused_form(form_of("Content-Type: image/jpeg\r\n")) == "form: a part has no name");
  CHECK(refused_form(form_of("Content-Disposition: form-data\r\n")) == "form: a part has no name");
  CHECK(refused_form(form_of("Content-Disposition: attachment; name=a\r\n")) ==
        "form: a part is no form-data");
  CHECK(refused_form(form_of(kNamed + kNamed)) == "form: a part has two names");
  for (const char* line : {"no colon", ": x", "a b: x", "a : x", " folded: x"})
    CHECK_MESSAGE(
        refused_form(form_of(kNamed + line + "\r\n")) == "form: a part's head has a line that is no field",
        line);
  CHECK(has(refused_form(form_of("Content-Disposition: form-data; name=\"a\r\n")), "quotes do not end"));
  CHECK(has(refused_form(form_of("Content-Disposition: form-data; name=a; name=b\r\n")), "twice"));
}

TEST_CASE("form: a part's head has 16 KiB at most") {
  const auto with_head = [](size_t bytes) {
    const std::string field = "X: ";
    return form_of(kNamed + field + std::string(bytes - kNamed.size() - field.size(), 'x') + "\r\n");
  };
  CHECK(parse_multipart(with_head(16384), "b").size() == 1);
  CHECK(refused_form(with_head(16385)) == "form: a part's head does not end within 16384 bytes");
}

TEST_CASE("form: so many parts") {
  std::string body;
  for (int i = 0; i < 3; ++i) body += "--b\r\n" + kNamed + "\r\nx\r\n";
  body += "--b--";
  CHECK(parse_multipart(body, "b", 3).size() == 3);
  CHECK(refused([&] { parse_multipart(body, "b", 2); }) == "form: more than 2 parts");
}
