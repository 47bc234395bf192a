// convert --average: the mean of several models' weights.
#include <doctest/doctest.h>

#include "tests/cli/refused.h"
#include "tests/cli/small_model.h"

using namespace tests;
using namespace imgcap;

TEST_CASE("the mean of several models is a model, and of one model with itself that model") {
  const Folder folder;
  const std::string a = folder / "a.safetensors", b = folder / "b.safetensors", c = folder / "c.safetensors",
                    out = folder / "out.safetensors";
  write_small_model(a, DecoderKind::attention, 1);
  write_small_model(b, DecoderKind::attention, 2);
  write_small_model(c, DecoderKind::attention, 3);
  const auto average = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"convert", a, out, "--average"});
    const Result result = run(more);
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    return load_checkpoint(out);
  };
  const Checkpoint first = load_checkpoint(a), second = load_checkpoint(b), third = load_checkpoint(c),
                   mean = average({b, c}), same = average({a});
  CHECK(mean.notes.at("average_of") == "3");
  CHECK(mean.notes.at("epoch") == "3");
  CHECK_FALSE(mean.notes.contains("validation_cider"));  // it was the first one's
  CHECK(mean.preprocessing == first.preprocessing);
  for (const auto& [name, weight] : first.weights) {
    CAPTURE(name);
    const auto x = weight.to_vector<float>(), y = second.weights.at(name).to_vector<float>(),
               z = third.weights.at(name).to_vector<float>(), m = mean.weights.at(name).to_vector<float>();
    for (size_t i = 0; i < x.size(); ++i)
      CHECK(m[i] == doctest::Approx((x[i] + y[i] + z[i]) / 3).epsilon(1e-5));
    CHECK(same.weights.at(name).to_vector<float>() == x);
  }
  // Each with an encoder of its own: the mean of those, too.
  const std::string encoder = encoder_in_the_box();
  for (const auto& [file, factor] : {std::pair{a, 1.0f}, {b, 3.0f}}) {
    Checkpoint own = load_checkpoint(file);
    own.encoder_weights = {{"conv.weight", tensor::Tensor::full({2, 2}, factor)},
                           {"bn.num_batches_tracked", tensor::Tensor::arange(1)}};
    save_checkpoint(file, own);
  }
  const Checkpoint both = average({b});
  CHECK(both.encoder_weights.at("conv.weight").to_vector<float>() == std::vector<float>(4, 2));
  CHECK(both.encoder_weights.at("bn.num_batches_tracked").dtype() == tensor::DType::i64);

  // What its training left as it was may be missing: of another beginning it would be something else.
  Checkpoint other_base = load_checkpoint(b);
  other_base.encoder_base = "efficientnet_lite2 0123 {}";
  const std::string d = folder / "d.safetensors";
  save_checkpoint(d, other_base);

  const auto refused = [&](const std::string& other, const std::string& why) {
    const std::string none = folder / "none.safetensors";
    check_refused(run({"convert", a, none, "--average", other}), why);
    CHECK_FALSE(std::filesystem::exists(none));
  };
  refused(c, "c.safetensors: it has 0 weights, the first model 2");
  write_small_model(c, DecoderKind::plain);
  refused(c, "c.safetensors: its model, vocabulary or encoder is not that of");
  refused(d, "d.safetensors: its model, vocabulary or encoder is not that of");
  refused(folder / "gone.safetensors", "gone.safetensors");
  check_refused(run({"convert", encoder, out, "--average", a}), "no checkpoint, which --average");
}
