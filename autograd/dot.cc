#include "autograd/dot.h"

#include <map>
#include <unordered_map>

#include "autograd/node.h"
#include "tensor/error.h"

namespace autograd {
namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out + "\"";
}

std::string shapes(const Node& node) { return tensor::join(node.output_metas(), ", "); }

class Drawing {
 public:
  explicit Drawing(const std::vector<std::pair<std::string, Variable>>& names) {
    for (const auto& [name, variable] : names)
      if (variable.defined()) names_.emplace(&variable.data(), name);
  }

  std::string of(const Variable& root) {
    visit(root.gradient_edge().node.get());
    std::string text = "digraph autograd {\n  rankdir=BT;\n  node [fontname=\"Helvetica\", fontsize=10];\n";
    int cluster = 0;
    for (const auto& [scope, nodes] : clusters_) {
      if (!scope.empty())
        text += tensor::format(
            "  subgraph cluster_{} {{\n  labelloc=b; labeljust=l; fontname=\"Helvetica\"; fontsize=10; "
            "label={};\n",
            cluster++, quoted(scope));
      for (const Node* node : nodes) text += line(*node);
      if (!scope.empty()) text += "  }\n";
    }
    text += arrows_;
    text += tensor::format("  root [shape=plaintext, label={}];\n  n{} -> root;\n",
                           quoted("result " + tensor::describe(root.data()).text()),
                           ids_.at(root.gradient_edge().node.get()));
    return text + "}\n";
  }

 private:
  // Without recursion: graphs are as deep as a training step is long.
  void visit(const Node* root) {
    std::vector<const Node*> stack{root};
    add(root);
    while (!stack.empty()) {
      const Node* node = stack.back();
      stack.pop_back();
      for (const Edge& edge : node->next_edges()) {
        const Node* next = edge.node.get();
        if (next == nullptr) continue;
        if (!ids_.contains(next)) add(next), stack.push_back(next);
        arrows_ += tensor::format("  n{} -> n{};\n", ids_.at(next), ids_.at(node));
      }
    }
  }

  void add(const Node* node) {
    ids_.emplace(node, ids_.size());
    // Leaves belong to no module's work: they stand outside.
    clusters_[node->next_edges().empty() ? "" : node->scope()].push_back(node);
  }

  std::string line(const Node& node) const {
    const size_t id = ids_.at(&node);
    const auto* leaf = dynamic_cast<const AccumulateGrad*>(&node);
    if (leaf == nullptr)
      return tensor::format("  n{} [label={}];\n", id,
                            quoted(tensor::format("{}\n{}", node.name(), shapes(node))));
    const Variable variable = leaf->leaf();
    const auto found = variable.defined() ? names_.find(&variable.data()) : names_.end();
    const std::string name = found == names_.end() ? "leaf" : found->second;
    return tensor::format("  n{} [shape=box, style=filled, fillcolor=lightgrey, label={}];\n", id,
                          quoted(name + "\n" + shapes(node)));
  }

  std::map<const Tensor*, std::string>
      names_;  // the address of a variable's tensor is that of all its copies
  std::unordered_map<const Node*, size_t> ids_;
  std::map<std::string, std::vector<const Node*>> clusters_;
  std::string arrows_;
};

}  // namespace

std::string to_dot(const Variable& root, const std::vector<std::pair<std::string, Variable>>& names) {
  tensor::check(root.requires_grad(), ErrorKind::autograd,
                "to_dot: {} has no graph: it does not depend on anything that requires a gradient",
                root.defined() ? tensor::describe(root.data()).text() : "an undefined variable");
  return Drawing(names).of(root);
}

}  // namespace autograd
