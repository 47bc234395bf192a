// A run's files as they grow, are cut back, and are damaged.
#include "imgcap/serve/run_view.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "imgcap/serve/service.h"
#include "tests/refused.h"
#include "tests/serve/files.h"
#include "tests/serve/made_exchange.h"
#include "tests/serve/small_captioner.h"
#include "tests/text.h"

using imgcap::serve::RunView;
using tensor::io::Json;

namespace {

std::string step(int number) {
  return tensor::format("{{\"step\":{},\"epoch\":0,\"loss\":{}.5,\"lr\":0.1,\"captions_per_second\":10.0}}\n",
                        number, number);
}

const std::string kValidation = "{\"validation\":true,\"step\":2,\"epoch\":0,\"loss\":1.5,\"CIDEr\":0.25}\n";

}  // namespace

TEST_CASE("a run's log is read on from where it ended, and anew when another takes its place") {
  const tests::FileFolder folder;
  RunView view(folder / "");
  CHECK(view.now().at("step").as_int64() == 0);  // no log yet
  const std::string log = folder / "log.jsonl";
  folder.write("log.jsonl", step(1) + step(2).substr(0, 9));
  Json now = view.now();
  CHECK(now.at("step").as_int64() == 1);
  folder.write("log.jsonl", step(1) + step(2) + kValidation + "no JSON\n" + step(3));
  now = view.now();
  CHECK(now.at("step").as_int64() == 3);
  CHECK(now.at("steps").at("loss") == Json(std::vector<double>{1.5, 2.5, 3.5}));
  CHECK(now.at("validations").size() == 1);
  CHECK(now.at("validations").at(0).at("CIDEr").as_double() == 0.25);
  // A run that went on after a kill has another log, which may be as long.
  folder.write("other", step(1) + step(7) + step(8) + step(9) + step(10));
  std::filesystem::rename(folder / "other", log);
  now = view.now();
  CHECK(now.at("steps").at("step") == Json(std::vector<int64_t>{1, 7, 8, 9, 10}));
  CHECK(now.at("validations").size() == 0);
}

TEST_CASE("a run's samples, and long runs") {
  const tests::FileFolder folder;
  std::string log;
  for (int i = 1; i <= 1500; ++i) log += step(i);
  folder.write("log.jsonl", log);
  folder.write("samples/run.json",
               "{\"total_steps\":2000,\"step\":0,\"time\":1,\"photos\":[{\"photo\":\"a.jpg\"}]}");
  folder.write("samples/step_000000002.json", "{\"step\":2,\"captions\":[]}");
  folder.write("samples/step_000000010.json", "damaged");
  folder.write("samples/0.jpg", "bytes");
  RunView view(folder / "");
  const Json now = view.now();
  CHECK(now.at("total_steps").as_int64() == 2000);
  CHECK(now.at("seconds_left").as_double() > 0);
  CHECK(now.at("photos").at(0).at("photo").as_text() == "a.jpg");
  CHECK(now.at("samples").size() == 1);
  CHECK(now.at("steps").at("step").size() == 500);
  CHECK(now.at("steps").at("step").at(499).as_int64() == 1500);
  CHECK(now.at("steps").at("loss").at(0).as_double() == 2.5);  // of the first three
  CHECK(view.preview(0) == "bytes");
  CHECK(!view.preview(1));
  CHECK(tests::refused([&] { RunView(folder / "none"); }).find("is no folder of a training run") !=
        std::string::npos);
}

TEST_CASE("a run's previews have numbers, and nothing else is one") {
  const tests::FileFolder folder;
  folder.write("samples/0.jpg", "bytes");
  imgcap::serve::ServiceOptions options;
  options.models = {{"small", tests::small_captioner()}};
  options.run = std::make_shared<RunView>(folder / "");
  imgcap::serve::Service service(std::move(options));
  const auto status = [&](const std::string& query) {
    return tests::ask(service.handlers(), tests::made_request("GET", "/api/run/preview" + query, {}, ""))
        .status;
  };
  CHECK(status("?number=0") == 200);
  for (const char* query :
       {"", "?number=", "?number=1", "?number=-1", "?number=0x", "?number=99999999999999999999999"})
    CHECK(status(query) == 404);
}
