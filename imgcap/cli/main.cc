#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <new>

#include "imgcap/cli/cli.h"
#include "imgcap/data/utf8.h"
#include "tensor/error.h"

namespace {

// A name of a file in it may hold anything.
int report(const char* what, int code) {
  std::fprintf(stderr, "imgcap: %s\n", imgcap::printable(what).c_str());
  return code;
}

int run(int argc, char** argv) {
  CLI::App app("Image captioning on a deep learning framework of its own: train, evaluate, caption.",
               "imgcap");
  app.set_version_flag("--version", std::string("imgcap ") + IMGCAP_VERSION);
  app.require_subcommand(1);
  app.option_defaults()->always_capture_default();
  imgcap::cli::Program program;
  imgcap::cli::Verb all(&app);
  imgcap::cli::add_train(all, program);
  imgcap::cli::add_eval(all, program);
  imgcap::cli::add_caption(all, program);
  imgcap::cli::add_score(all, program);
  imgcap::cli::add_report(all, program);
  imgcap::cli::add_prepare(all, program);
  imgcap::cli::add_classify(all, program);
  imgcap::cli::add_vocab(all, program);
  imgcap::cli::add_tokenize(all, program);
  imgcap::cli::add_convert(all, program);
  imgcap::cli::add_info(all, program);
  imgcap::cli::add_bench(all, program);
  imgcap::cli::add_gradcheck(all, program);
  imgcap::cli::add_ops(all, program);
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

int main(int argc, char** argv) {
  // A closed pipe and a file-size limit are errors of the write that meets them.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    return run(argc, argv);
  } catch (const imgcap::cli::Interrupted&) {
    return report("interrupted", 130);
  } catch (const tensor::Error& error) {
    return report(error.what(), error.kind() == tensor::ErrorKind::internal ? 1 : 2);
  } catch (const std::bad_alloc&) {
    return report("the system has no memory left", 2);
  } catch (const std::exception& error) {
    return report(error.what(), 1);
  }
}
