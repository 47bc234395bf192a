// What a Variable's copies share. For the files of autograd/ only.
#pragma once

#include <memory>

#include "autograd/variable.h"

namespace autograd {

struct Variable::Impl {
  ~Impl();

  Tensor data;
  Variable grad;
  std::shared_ptr<Node> grad_fn;
  std::weak_ptr<Node> accumulator;  // weak: the graph owns it
  int output_number = 0;
  bool requires_grad = false;
};

// Destroys part of a graph (a node, or what a variable holds) without recursion: a chain of a million would
// overflow the stack.
void release_iteratively(std::shared_ptr<void> part) noexcept;

}  // namespace autograd
