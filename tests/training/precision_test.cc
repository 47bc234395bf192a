#include "imgcap/training/precision.h"

#include <doctest/doctest.h>

#include "tensor/error.h"
#include "tensor/io/json.h"
#include "tensor/io/safetensors.h"
#include "tests/folder.h"

using namespace imgcap;
using tensor::io::Json;

TEST_CASE("the precision of a run is in its checkpoint's metadata: no weights, whole or not, are looked at") {
  const tests::TemporaryFolder folder("precision");
  const std::string file = (folder.path / "last.safetensors").string();
  // A file that load_checkpoint() would refuse.
  const auto write = [&](const std::map<std::string, std::string>& metadata) {
    tensor::io::write_safetensors(file, {{"model.x", tensor::Tensor::zeros({2})}}, metadata);
  };
  for (const Precision precision : {Precision::f32, Precision::f16, Precision::bf16}) {
    TrainOptions options;
    options.precision = precision;
    write({{"training",
            Json::object({{"step", 3}, {"options", Json::parse(to_json(options), "options")}}).dump()}});
    CHECK(precision_of_run(file) == precision);
  }
  const auto refused = [&](const std::map<std::string, std::string>& metadata) -> std::string {
    write(metadata);
    try {
      precision_of_run(file);
    } catch (const tensor::Error& error) {
      return error.what();
    }
    return "nothing";
  };
  CHECK(refused({}) == file + ": it is no checkpoint of a run");
  for (const char* bad :
       {"", "{}", "[]", "{\"options\":{\"precision\":\"f8\"}}", "{\"options\":{\"what\":1}}"}) {
    CAPTURE(bad);
    CHECK(refused({{"training", bad}}).starts_with(file + ": "));
  }
}
