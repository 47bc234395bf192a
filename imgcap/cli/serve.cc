#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>

#include "imgcap/cli/cli.h"
#include "imgcap/cli/device_option.h"
#include "imgcap/cli/model_options.h"
#include "imgcap/serve/service.h"
#include "tensor/error.h"

namespace imgcap::cli {
namespace {

struct Options {
  std::vector<std::string> models = {"attention"};
  std::string weights, device = "cpu", run;
  int port = 7860, queue = 64;
  serve::AccessRules access;
  bool open = false;
};

std::string drawn_token() {
  std::random_device random;  // the system's
  std::string token;
  for (int i = 0; i < 4; ++i) token += tensor::format("{:08x}", static_cast<uint32_t>(random()));
  return token;
}

// "http://127.0.0.1:7860/captions/"; with the token behind #, which browsers keep to themselves.
std::string address_of(const serve::AccessRules& access, int port) {
  const bool any = access.host == "0.0.0.0" || access.host == "::";
  const std::string host = any ? "127.0.0.1" : access.host;
  return tensor::format("http://{}:{}{}/{}", host.find(':') == std::string::npos ? host : "[" + host + "]",
                        port, access.root_path, access.token.empty() ? "" : "#token=" + access.token);
}

// In the background: the browser may live as long as it likes.
void open_browser(const std::string& address) {
  const std::string command =
      "xdg-open '" + address + "' >/dev/null 2>&1 &";  // whose characters need no quotes (access.h)
  if (std::system(command.c_str()) != 0) say({"--open: no browser could be started"});
}

serve::ServedModel load(const std::string& model, const std::string& name, const std::string& weights,
                        const tensor::Device& device) {
  auto captioner =
      std::make_shared<const Captioner>(cli::load_model(model, weights, ModelUse::captions, device));
  auto explainer = load_explainer(captioner, model);
  return {name, std::move(captioner), std::move(explainer)};
}

void run(Options& o) {
  tensor::check(serve::has_http_server(), tensor::ErrorKind::argument,
                "serve: this build has no server: build it where Boost 1.81 is (Debian: libboost1.81-dev)");
  if (o.access.token == "auto") o.access.token = drawn_token();
  serve::validate(o.access);
  serve::ServiceOptions options;
  options.access = o.access;
  options.queue = o.queue;
  options.version = IMGCAP_VERSION;
  const std::vector<std::string> names = short_names(o.models);
  options.examples = serve::load_examples(assets_folder() + "/photos");
  const tensor::Device device = choose_device_for(o.models, o.device);
  for (size_t i = 0; i < o.models.size(); ++i)
    options.models.push_back(load(o.models[i], names[i], o.weights, device));
  if (!o.run.empty()) options.run = std::make_shared<serve::RunView>(o.run);
  const StopSignals signals;
  serve::Service service(std::move(options));
  serve::HttpServer server(o.access.host, o.port, {}, service.handlers());
  service.tell_of(&server.now());
  const std::string address = address_of(o.access, server.port());
  tell(tensor::format("serving {} at {}\n", tensor::join(names, ", "), address));
  if (o.open) open_browser(address);
  server.run(stop_flag());
  tell("stopped\n");
  service.tell_of(nullptr);
}

}  // namespace

void add_serve(Verb& app, Program& program) {
  Verb verb = add_verb(app, program, "serve", "Serve a page that captions photos, and the same for programs");
  const auto o = std::make_shared<Options>();
  verb.option("--model", o->models, "Checkpoints, or attention or plain: the models in the box");
  verb.option("--weights", o->weights, "The encoder's weights (default: the encoder in the box)");
  add_device_option(verb, o->device);
  verb.option("--run", o->run, "A training run to watch: the folder of imgcap train --out");
  verb.option("--host", o->access.host, "The address to listen at; 0.0.0.0: all of this machine's");
  verb.option("--port", o->port, "0: any free one").range(0, 65535);
  verb.option("--queue", o->queue, "Photos that may wait or be worked on; to more the answer is 429")
      .range(1, 100'000);
  verb.flag("--open", o->open, "Open the page in a browser");
  verb.option(
      "--token", o->access.token,
      "What callers have to send (Authorization: Bearer TOKEN); the printed link has it. auto: a drawn one");
  verb.flag("--open-to-all", o->access.open_to_all, "Whoever reaches the server may use it");
  verb.option("--root-path", o->access.root_path,
              "What stands before all addresses behind a proxy, as /captions");
  verb.option("--allow-host", o->access.hosts, "A name that the server goes by, besides localhost")
      .one_a_use();
  verb.option("--allow-origin", o->access.origins, "Another site whose pages may ask, as https://example.org")
      .one_a_use();
  verb.option("--allow-frame", o->access.frame_origins, "A site that may show the page in a frame")
      .one_a_use();
  verb.on_run([o] { run(*o); });
}

}  // namespace imgcap::cli
