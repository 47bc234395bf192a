// Weights that other people saved, through the program: the original's checkpoints, wrapped and renamed
// names, classes of other data, values that are no numbers.
#include <doctest/doctest.h>

#include <limits>

#include "imgcap/cli/model_options.h"
#include "tensor/io/pth.h"
#include "tensor/io/safetensors.h"
#include "tests/cli/refused.h"
#include "tests/cli/small_model.h"
#include "tests/cli/training_run.h"
#include "tests/data_dir.h"
#include "tests/instrumented.h"

using tensor::io::Json;
using tests::check_refused;
using tests::Folder;
using tests::has;
using tests::read_json;
using tests::Result;
using tests::run;

namespace {

std::string golden(const std::string& name) { return (tests::source_dir() / "tests/golden" / name).string(); }

}  // namespace

// What is expected is PyTorch's: tests/golden/make_original.py.
TEST_CASE("the original's checkpoints become models that caption as PyTorch does") {
  SKIP_IF_INSTRUMENTED();
  const Folder folder;
  const Json expected = read_json(tests::read_text(golden("original.json")));
  for (const std::string kind : {"attention", "plain"}) {
    CAPTURE(kind);
    const std::string model = folder / (kind + ".safetensors"), from = golden("original_" + kind + ".pth");
    const Result converted = run({"convert", from, model, "--vocab", golden("original_vocab.pkl")});
    CAPTURE(converted.err);
    REQUIRE(converted.code == 0);
    CHECK(has(converted.err, "its names begin with 'model_state_dict._orig_mod.', which is left out"));
    CHECK(has(converted.err, "are not used: 'bleu_score', 'optimizer_state_dict.'"));
    const Json info = read_json(run({"info", model, "--json"}).out);
    CHECK(info.at("kind") == "checkpoint");
    CHECK(info.at("metadata").at("notes").at("epoch") == "30");
    CHECK(info.at("metadata").at("notes").at("train_loss") == "2.3125");
    CHECK(info.at("metadata").at("decoder").at("kind") == kind);
    CHECK(info.at("metadata").at("decoder").at("features") == 2048);

    // The searches themselves, token by token, and the text that the program prints.
    const imgcap::LoadedModel loaded = imgcap::cli::load_model(model, "");
    CHECK(Json(loaded.vocabulary.tokens()) == expected.at("tokens"));
    imgcap::Image picture = imgcap::read_image(golden("encoder_resnet50.png")), swapped = picture;
    for (size_t i = 0; i + 2 < swapped.pixels.size(); i += 3)
      std::swap(swapped.pixels[i], swapped.pixels[i + 2]);
    for (const std::string& search : expected.at(kind).keys()) {
      const Json& want = expected.at(kind).at(search);
      CAPTURE(search);
      imgcap::BeamOptions options;
      const bool original = search.starts_with("original");
      options.beam = search.ends_with("3") ? 3 : 1;
      const auto features = encode_images(loaded.encoder, {original ? swapped : picture});
      const imgcap::Hypothesis best = (original ? imgcap::hundred_steps_search : imgcap::beam_search)(
                                          *loaded.decoder, features, options, {})
                                          .front()
                                          .front();
      CHECK(Json(best.ids) == want.at("ids"));
      if (const Json* expected_log = want.find("log_probability"))
        CHECK(std::abs(best.log_probability - expected_log->as_double()) < 1e-4);
      std::vector<std::string> arguments = {"caption",
                                            "--model",
                                            model,
                                            "--beam",
                                            std::to_string(options.beam),
                                            "--json",
                                            golden("encoder_resnet50.png")};
      if (original) arguments.insert(arguments.end(), {"--compat", "original"});
      CHECK(read_json(run(arguments).out).at("caption") ==
            imgcap::text_of(best, loaded.vocabulary,
                            original ? imgcap::TextForm::tokens : imgcap::TextForm::words));
    }
  }
  check_refused(run({"convert", golden("encoder_resnet50.pth"), folder / "x.safetensors", "--vocab",
                     golden("original_vocab.pkl")}),
                "encoder_resnet50.pth: not a checkpoint of the original ImgCap");
  check_refused(run({"convert", golden("original_plain.pth"), folder / "x.safetensors", "--vocab",
                     golden("pth_attack.pth")}),
                "pth_attack.pth:1: ");
}

TEST_CASE("convert --rename: prefixes and whole names, in order") {
  const Folder folder;
  const std::string out = folder / "out.safetensors", in = folder / "in.safetensors";
  const tensor::Tensor one = tensor::Tensor::zeros({1});
  tensor::io::write_safetensors(in, {{"module.a", one}, {"module.b.c", one}, {"d", one}}, {});
  const auto names = [&](const std::vector<std::string>& rules) {
    std::vector<std::string> arguments = {"convert", in, out};
    for (const std::string& rule : rules) arguments.insert(arguments.end(), {"--rename", rule});
    const Result result = run(arguments);
    CAPTURE(result.err);
    CHECK(result.code == 0);
    std::vector<std::string> all;
    for (const auto& [name, value] : tensor::io::read_safetensors(out).tensors) all.push_back(name);
    return all;
  };
  using Names = std::vector<std::string>;
  CHECK(names({}) == Names{"d", "module.a", "module.b.c"});
  CHECK(names({"module.="}) == Names{"a", "b.c", "d"});
  CHECK(names({"module.b.=x.", "d=e"}) == Names{"e", "module.a", "x.c"});
  CHECK(names({"module.=", "a=f"}) == Names{"b.c", "d", "f"});  // in order
  CHECK(names({"=p."}) == Names{"p.d", "p.module.a", "p.module.b.c"});
  CHECK(names({"d=g=h"}) == Names{"g=h", "module.a", "module.b.c"});
  const auto refused = [&](const std::string& rule, const std::string& why) {
    check_refused(run({"convert", in, out, "--rename", rule}), "convert: --rename '" + rule + "': " + why);
  };
  refused("d", "FROM=TO is needed");
  refused("x=y", "no tensor is named 'x'");
  refused("module=y", "no tensor is named 'module'");
  refused("x.=y", "no tensor has a name that begins with 'x.'");
  refused("d=module.a", "'module.a' would be a second 'module.a'");
  refused("d=", "'d' would be without a name");
  tests::write_small_model(in, imgcap::DecoderKind::plain);
  check_refused(run({"convert", in, out, "--rename", "d=e"}), "a checkpoint, whose names stay");
}

TEST_CASE("convert and info say what they leave out and what is no number, and go on") {
  const Folder folder;
  const std::string out = folder / "out.safetensors";
  for (const char* name : {"pth_others.pth", "pth_old_others.pth"}) {
    const Result converted = run({"convert", golden(name), out}), shown = run({"info", golden(name)});
    CHECK(converted.code == 0);
    CHECK(has(converted.out, "7 tensors"));
    CHECK(shown.code == 0);
    for (const std::string& said : {converted.err, shown.err}) {
      CHECK(has(said, "12 values that are neither tensors nor numbers are left out: 'args' ("));
      CHECK(std::count(said.begin(), said.end(), '\n') == 1);
    }
  }
  tensor::Tensor bad = tensor::Tensor::full({4}, 70'000);
  tensor::io::write_safetensors(folder / "w.safetensors", {{"w", bad}}, {});
  // Too large for 16 bits: it is not there before, and is then.
  CHECK(run({"convert", folder / "w.safetensors", out}).err.empty());
  CHECK(has(run({"convert", folder / "w.safetensors", out, "--format", "f16"}).err,
            "out.safetensors: 4 values are NaN or infinite: 'w' (4)"));
  const Result shown = run({"info", out});
  CHECK(shown.code == 0);
  CHECK(has(shown.out, "w f16 (4)"));
  CHECK(has(shown.err, "out.safetensors: 4 values are NaN or infinite: 'w' (4)"));

  // A model: convert goes on, caption does not.
  const std::string model = folder / "model.safetensors";
  tests::write_small_model(model, imgcap::DecoderKind::attention);
  imgcap::Checkpoint checkpoint = imgcap::load_checkpoint(model);
  tensor::Tensor& bias = checkpoint.weights["fc.bias"];
  bias = bias.clone();
  bias.mutable_data<float>()[3] = std::numeric_limits<float>::quiet_NaN();
  save_checkpoint(model, checkpoint);
  const Result converted = run({"convert", model, out, "--format", "f16"});
  CHECK(converted.code == 0);
  CHECK(has(converted.err, "model.safetensors: 1 value is NaN or infinite: 'fc.bias' (1)"));
  for (const std::string& file : {model, out})
    check_refused(run({"caption", golden("encoder_resnet50.png"), "--model", file}),
                  file + ": fc.bias: 1 of 10 values NaN or infinite");
}

TEST_CASE("classify by an encoder of other classes, with names and without") {
  const Folder folder;
  const std::string picture = golden("encoder_resnet50.png"), names = folder / "names.txt",
                    weights = folder / "three.safetensors";
  auto tensors = tensor::io::read_pth(golden("encoder_resnet50.pth")).tensors;
  tensors["fc.weight"] = tensor::Tensor::zeros({3, 2048});
  tensors["fc.bias"] = tensor::Tensor::from(std::vector<float>{0, 2, 1}, {3});
  std::map<std::string, tensor::Tensor> wrapped;
  for (const auto& [name, value] : tensors) wrapped["module." + name] = value;
  tensor::io::write_safetensors(weights, wrapped, {});
  const auto classify = [&](std::vector<std::string> more) {
    more.insert(more.begin(),
                {"classify", "--encoder", "resnet50", "--weights", weights, "--top", "2", picture});
    return run(more);
  };
  const Result plain = classify({});
  CHECK(plain.out == picture + ": 1 (66.52 %), 2 (24.47 %)\n");  // softmax of 0, 2, 1
  CHECK(has(plain.err, "its names begin with 'module.', which is left out"));
  tests::write_text(names, "cat\r\nd\x1b\"og\ncaf\xc3\xa9\n");
  CHECK(classify({"--classes", names}).out ==
        picture + ": 1 d\\x1b\"og (66.52 %), 2 caf\xc3\xa9 (24.47 %)\n");
  const Json line = read_json(classify({"--classes", names, "--json"}).out).at("classes");
  CHECK(line.at(0).at(0) == 1);
  CHECK(line.at(0).at(2) == "d\x1b\"og");
  CHECK(read_json(classify({"--json"}).out).at("classes").at(0).size() == 2);
  tests::write_text(names, "cat\ndog\n");
  check_refused(classify({"--classes", names}),
                "names.txt: 2 names, a line each, but the encoder has 3 classes");
  tests::write_text(names, "cat\ndog\n\xff\n");
  check_refused(classify({"--classes", names}), "names.txt: it is not UTF-8");
  check_refused(classify({"--classes", folder / "none"}), "none: cannot be read");
  check_refused(run({"classify", "--encoder", "resnet50", "--weights", weights, "--top", "4", picture}),
                "--top 4: resnet50 has 3 classes");
}
