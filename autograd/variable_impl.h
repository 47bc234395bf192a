// What a Variable's copies share. For the files of autograd/ only.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

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
  std::atomic<bool> optimised = false;
  // Of `accumulator`, and of `grad` while backward adds to it: several threads may do that to one leaf. Not
  // held while anything is recorded or destroyed.
  std::mutex mutex;
};

// Destroys part of a graph (a node, or what a variable holds) without recursion: a chain of a million would
// overflow the stack.
void release_iteratively(std::shared_ptr<void> part) noexcept;

}  // namespace autograd
