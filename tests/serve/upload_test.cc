// Photos and options as requests bring them.
#include "imgcap/serve/upload.h"

#include <doctest/doctest.h>

#include "tests/refused.h"
#include "tests/text.h"

using namespace imgcap::serve;
using tensor::ErrorKind;
using tests::has;

namespace {

HttpRequest request_of(const std::string& type, const std::string& body,
                       const std::string& target = "/api/caption") {
  HttpRequest request;
  request.method = "POST";
  request.target = target;
  request.fields = {{"content-type", type}};
  request.body = body;
  return request;
}

// A part: what stands behind form-data in its head, and its bytes.
struct Part {
  std::string names, bytes;
};

HttpRequest form_of(const std::vector<Part>& parts, const std::string& target = "/api/caption") {
  std::string body;
  for (const Part& part : parts)
    body += "--b\r\nContent-Disposition: form-data; " + part.names + "\r\n\r\n" + part.bytes + "\r\n";
  return request_of("multipart/form-data; boundary=b", body + "--b--\r\n", target);
}

const Part kPhoto = {"name=\"photo\"; filename=\"a.jpg\"", "JPEG"};

std::string refused(const HttpRequest& request, ErrorKind kind = ErrorKind::data) {
  return tests::refused([&] { upload_of(request, 3); }, kind);
}

}  // namespace

TEST_CASE("upload: types that photos come in") {
  for (const char* type : {"multipart/form-data", "Multipart/Form-Data; boundary=x",
                           "application/octet-stream", "image/jpeg", "IMAGE/x-anything; a=b"})
    CHECK_MESSAGE(takes_photos(type), type);
  for (const char* type : {"", "application/json", "application/x-www-form-urlencoded", "text/plain",
                           "multipart/mixed", "image", "image/", "image/*x y", "video/mp4", "ximage/jpeg"})
    CHECK_MESSAGE(!takes_photos(type), type);
}

TEST_CASE("upload: one photo is the body") {
  const HttpRequest request = request_of("image/jpeg", "JPEG", "/api/caption?beam=3&name=my+dog.jpg&nbest=2");
  const Upload upload = upload_of(request, 1);
  REQUIRE(upload.photos.size() == 1);
  CHECK(upload.photos[0].name == "my dog.jpg");
  CHECK(upload.photos[0].bytes.data() == request.body.data());
  CHECK(upload.photos[0].bytes == "JPEG");
  CHECK(upload.wish.beam == 3);
  CHECK(upload.wish.nbest == 2);
  CHECK(upload_of(request_of("application/octet-stream", "x"), 1).photos[0].name == "photo");
  CHECK(upload_of(request_of("application/octet-stream", "x", "/api/caption?name="), 1).photos[0].name ==
        "photo");
  CHECK(refused(request_of("image/jpeg", "")) == "there is no photo in the request");
  CHECK(has(refused(request_of("image/jpeg", "x", "/api/caption?beam=x")), "a number is needed"));
  CHECK(has(refused(request_of("image/jpeg", "x", "/api/caption?%")), "query: "));
  CHECK(has(refused(request_of("image/jpeg", "x", "/api/caption?beam=0"), ErrorKind::argument), "beam"));
}

TEST_CASE("upload: photos and options in a form") {
  const HttpRequest request = form_of({{"name=\"options\"", R"({"beam":3,"suppress":["a"]})"},
                                       kPhoto,
                                       {"name=\"photo\"", "no name"},
                                       {"name=\"anything\"; filename=\"\"", ""}});
  const Upload upload = upload_of(request, 3);
  REQUIRE(upload.photos.size() == 3);
  CHECK(upload.photos[0].name == "a.jpg");
  CHECK(upload.photos[0].bytes == "JPEG");
  CHECK(upload.photos[1].name == "photo");
  CHECK(upload.photos[1].bytes == "no name");
  CHECK(upload.photos[2].name == "photo");
  CHECK(upload.photos[2].bytes.empty());
  CHECK(upload.wish.beam == 3);
  CHECK(upload.wish.suppress == std::vector<std::string>{"a"});
  CHECK(upload_of(form_of({kPhoto}, "/api/caption?beam=4"), 3).wish.beam == 4);
  // A file may be called as it likes.
  CHECK(upload_of(form_of({{"name=\"options\"; filename=\"b.jpg\"", "JPEG"}}), 3).photos.size() == 1);
}

TEST_CASE("upload: forms that are refused") {
  CHECK(refused(form_of({})) == "there is no photo in the form");
  CHECK(refused(form_of({{"name=\"options\"", "{}"}})) == "there is no photo in the form");
  CHECK(refused(form_of({kPhoto, kPhoto, kPhoto, kPhoto}), ErrorKind::argument) ==
        "there are 4 photos; a request may have 3");
  CHECK(refused(form_of({kPhoto, {"name=\"beam\"", "3"}})) ==
        "form: the part 'beam' is neither a photo nor \"options\"");
  const Part options = {"name=\"options\"", "{}"};
  CHECK(refused(form_of({kPhoto, options, options})) == "options: they are there twice");
  CHECK(refused(form_of({kPhoto, options}, "/api/caption?beam=3")) == "options: they are there twice");
  CHECK(has(refused(form_of({kPhoto, {"name=\"options\"", "{\"beam\":"}})), "options: not JSON"));
  CHECK(has(refused(form_of({kPhoto, {"name=\"options\"", "{\"beam\":0}"}}), ErrorKind::argument), "beam"));
  CHECK(has(refused(request_of("multipart/form-data", "--b--")), "its boundary has 0 characters"));
  CHECK(has(refused(request_of("multipart/form-data; boundary=c", "--b--")), "nowhere in the body"));
}
