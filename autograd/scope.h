// Where in a model this thread is: the path that modules push while their forward functions run.
#pragma once

#include <string>
#include <string_view>

namespace autograd {

namespace internal {
// One path of the tree of all paths that were ever entered. Never freed: nodes of a graph point to it.
struct ScopePath {
  const ScopePath* parent;
  std::string name, path;  // "lstm", "decoder.lstm"
};
}  // namespace internal

// Enters a part of a model for its lifetime: `const Scope scope("decoder");`. nn modules do it by themselves
// (nn::Scope). Nodes keep the scope of their forward op, and every tensor::Error that is thrown inside ends
// with it: "matmul: inner sizes differ: (2, 3) x (4, 5) (in decoder.lstm)".
class Scope {
 public:
  explicit Scope(std::string_view name);
  // Goes back to a former scope: the backward pass of a node runs in that of its forward op.
  explicit Scope(const internal::ScopePath* path);
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  const internal::ScopePath* previous_;
  bool entered_;
};

// "decoder.lstm"; empty outside of all modules.
const std::string& current_scope();

namespace internal {
const ScopePath* current_path();
}

}  // namespace autograd
