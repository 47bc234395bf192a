#include "imgcap/cli/program.h"

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <new>

#include "imgcap/cli/cli.h"
#include "imgcap/data/utf8.h"
#include "tensor/error.h"

namespace imgcap::cli {
namespace {

int run(int argc, const char* const* argv) {
  CLI::App app("Image captioning on a deep learning framework of its own: train, evaluate, caption.",
               "imgcap");
  app.set_version_flag("--version", std::string("imgcap ") + IMGCAP_VERSION);
  app.require_subcommand(1);
  app.option_defaults()->always_capture_default();
  Program program;
  Verb all(&app);
  add_train(all, program);
  add_eval(all, program);
  add_caption(all, program);
  add_serve(all, program);
  add_score(all, program);
  add_report(all, program);
  add_data(all, program);
  add_prepare(all, program);
  add_classify(all, program);
  add_vocab(all, program);
  add_tokenize(all, program);
  add_convert(all, program);
  add_export(all, program);
  add_info(all, program);
  add_bench(all, program);
  add_gradcheck(all, program);
  add_ops(all, program);
  // CLI11 would say only that a subcommand is required.
  if (argc > 1 && argv[1][0] != '-') {
    const auto verbs = app.get_subcommands([&](const CLI::App* verb) { return verb->get_name() == argv[1]; });
    tensor::check(!verbs.empty(), tensor::ErrorKind::argument, "'{}' is no verb; imgcap --help lists them",
                  argv[1]);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return app.exit(success);  // --help, --version
  } catch (const CLI::ParseError& error) {
    app.exit(error);
    return 2;
  }
  return program.exit_code;
}

}  // namespace

Ending ending_of(const std::function<int()>& work) {
  try {
    return {work(), ""};
  } catch (const Interrupted&) {
    return {130, "interrupted"};
  } catch (const ClosedPipe&) {
    return {128 + SIGPIPE, ""};
  } catch (const tensor::Error& error) {
    return {error.kind() == tensor::ErrorKind::internal ? 1 : 2, error.what()};
  } catch (const std::filesystem::filesystem_error& error) {
    // A name that is too long, a folder that may not be looked into.
    return {2, error.path1().string() + ": " + error.code().message()};
  } catch (const std::bad_alloc&) {
    return {2, "the system has no memory left"};
  } catch (const std::exception& error) {
    return {1, error.what()};
  }
}

int run_program(int argc, const char* const* argv) {
  const Ending ending = ending_of([&] { return run(argc, argv); });
  // A name of a file in it may hold anything.
  if (!ending.sentence.empty()) std::fprintf(stderr, "imgcap: %s\n", printable(ending.sentence).c_str());
  return ending.code;
}

}  // namespace imgcap::cli
