// What the framework offers when a model misbehaves: a summary, errors that say where, anomaly mode, a
// drawing of the graph, a profile. docs/debugging.md walks through its output.
//   build/bin/find_the_mistake [FOLDER]
// writes graph.dot and trace.json into the folder, or into a new temporary one.
#include <fmt/core.h>
#include <stdlib.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>

#include "autograd/anomaly.h"
#include "autograd/dot.h"
#include "autograd/ops.h"
#include "autograd/profiler.h"
#include "nn/activation.h"
#include "nn/linear.h"
#include "nn/sequential.h"
#include "nn/summary.h"
#include "optim/sgd.h"
#include "tensor/error.h"

using autograd::Variable;
using tensor::Tensor;

namespace {

// Scales each row of x to length 1. The mistake: a row of zeros has length 0.
class UnitLength : public nn::Layer {
 public:
  Variable forward(const Variable& x) override {
    return x / autograd::sqrt(autograd::sum(autograd::square(x), {1}, true));
  }
  std::string describe() const override { return "UnitLength()"; }
};

class Classifier : public nn::Layer {
 public:
  Classifier()
      : body_(add<nn::Sequential>("body")),
        head_(add<nn::Linear>("head", 8, 3)),
        old_head_(add<nn::Linear>("old_head", 8, 3)) {
    body_.emplace<nn::Linear>(4, 8);
    body_.emplace<nn::ReLU>();
    body_.emplace<UnitLength>();
  }
  Variable forward(const Variable& x) override { return head_(body_(x)); }
  std::string describe() const override { return "Classifier"; }

 private:
  nn::Sequential& body_;
  nn::Linear &head_, &old_head_;
};

// The mistake: `head_` is no child, so its parameters are not among this module's.
class Forgetful : public nn::Layer {
 public:
  Forgetful() : body_(add<nn::Linear>("body", 4, 8)) {}
  Variable forward(const Variable& x) override { return head_(autograd::relu(body_(x))); }
  std::string describe() const override { return "Forgetful"; }

 private:
  nn::Linear& body_;
  nn::Linear head_{8, 3};
};

// Runs f and prints the error that it ends with; false when there is none.
template <class F>
bool shows_error(const char* title, F&& f) {
  fmt::print("\n== {}\n", title);
  try {
    f();
  } catch (const tensor::Error& e) {
    fmt::print("{}\n", e.what());
    return true;
  }
  return false;
}

// Nothing is left in the folder that the program is started in.
std::string new_folder() {
  std::string name = (std::filesystem::temp_directory_path() / "find_the_mistake_XXXXXX").string();
  return ::mkdtemp(name.data()) == nullptr ? "" : name;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string folder = argc > 1 ? argv[1] : new_folder();
  std::error_code error;
  if (!folder.empty()) std::filesystem::create_directories(folder, error);
  if (!std::filesystem::is_directory(folder, error)) {
    fmt::print(stderr, "there is no folder '{}' to write to, and it cannot be made\n", folder);
    return 2;
  }
  tensor::default_generator() = tensor::Generator(1);
  Classifier model;
  Tensor batch = Tensor::zeros({2, 4});
  batch.slice(0, 1, 2).fill_(1);  // the first row is all zeros
  const Tensor labels = Tensor::zeros({2}, tensor::DType::i64);
  model.parameter("body.0.bias").mutable_data().zero_();
  const auto loss = [&] { return autograd::cross_entropy(model(batch), labels); };

  fmt::print("== A summary\n{}", nn::summary(model, Variable(batch)));

  bool all = shows_error("A wrong shape", [&] { model(Tensor::zeros({2, 5})); });
  all &= shows_error("The loss is nan: where does it begin?", [&] {
    const autograd::DetectAnomaly detect;
    loss().backward();
  });
  batch.fill_(1);  // no row of zeros any more
  all &= shows_error("A layer that nothing uses", [&] {
    optim::SGD optimizer(std::vector<optim::GroupOptions>{{model.named_parameters()}}, {.lr = 0.1});
    loss().backward();
    optimizer.expect_gradients();
  });
  all &= shows_error("A layer that is no child", [&] {
    Forgetful forgetful;
    optim::SGD optimizer(forgetful.named_parameters(), {.lr = 0.1});
    autograd::cross_entropy(forgetful(batch), labels).backward();
    optimizer.expect_gradients();
  });
  all &= shows_error("A weight changed between forward and backward", [&] {
    const Variable l = loss();
    model.parameter("head.weight").mutable_data().fill_(0);
    l.backward();
  });

  fmt::print("\n== A profile\n");
  const autograd::Profile profile = autograd::profile([&] { loss().backward(); });
  fmt::print("{}", profile.table());
  std::ofstream trace(folder + "/trace.json"), graph(folder + "/graph.dot");
  trace << profile.chrome_trace();
  graph << autograd::to_dot(loss(), model.named_parameters());
  trace.close(), graph.close();
  fmt::print("\n{0}/trace.json is for ui.perfetto.dev, {0}/graph.dot for: dot -Tsvg {0}/graph.dot\n", folder);
  return all && trace && graph ? 0 : 1;
}
