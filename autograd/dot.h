// A picture of a recorded graph.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "autograd/variable.h"

namespace autograd {

// The graph that computes `root`'s gradient, in Graphviz's language: a box a leaf with its name and shape, an
// ellipse an op with the module that called it and its results' shapes, arrows from inputs to results,
// modules as clusters. `names`: of leaves, as Module::named_parameters() gives them. Deterministic: the same
// graph gives the same text.
//
//   std::ofstream("graph.dot") << autograd::to_dot(loss, model.named_parameters());   // dot -Tsvg graph.dot
//
// An autograd error for a variable without history.
std::string to_dot(const Variable& root, const std::vector<std::pair<std::string, Variable>>& names = {});

}  // namespace autograd
