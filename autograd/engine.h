// Backward passes through recorded graphs.
#pragma once

#include "autograd/variable.h"

namespace autograd {

// Adds d(outputs . gradients) / d(leaf) to the grad() of every leaf that the outputs depend on. An undefined
// gradient stands for 1 and needs an output of one element.
//   retain_graph  keeps what the nodes saved, for another backward (implied by create_graph)
//   create_graph  records the backward pass itself, so that gradients can be differentiated. The leaf's
//                 grad() then has a graph that holds the leaf: leaf -> grad -> node -> leaf, a cycle, so that
//                 neither is ever freed until zero_grad() (or set_grad) on the leaf ends it. grad() makes no
//                 cycle and is mostly what is wanted.
// Errors: autograd (an output without history, a second backward through a freed graph, a gradient of the
// wrong shape). Threads may run backward at once: on graphs of their own, which may share leaves, or on one
// graph when each gives retain_graph.
void backward(const Variables& outputs, const Variables& gradients = {}, bool retain_graph = false,
              bool create_graph = false);

// The gradients of `inputs` (leaves or results) alone, in their order; no grad() is changed. Without
// create_graph they have no history, whatever `gradients` have. An input that the outputs do not depend on:
// undefined when `allow_unused`, else an autograd error.
Variables grad(const Variables& outputs, const Variables& inputs, const Variables& gradients = {},
               bool retain_graph = false, bool create_graph = false, bool allow_unused = false);

}  // namespace autograd
