// What every layer and model is: named parameters, buffers and children, a training mode, a state dict.
//
//   class Net : public nn::Layer {
//    public:
//     Net() : hidden_(add<nn::Linear>("hidden", 784, 128)), out_(add<nn::Linear>("out", 128, 10)) {}
//     Variable forward(const Variable& x) override { return out_(autograd::relu(hidden_(x))); }
//     std::string describe() const override { return "Net"; }
//    private:
//     nn::Linear &hidden_, &out_;
//   };
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "autograd/scope.h"
#include "autograd/variable.h"

namespace nn {

using autograd::Device;
using autograd::DType;
using autograd::ErrorKind;
using autograd::Shape;
using autograd::Tensor;
using autograd::Variable;
using autograd::Variables;

using StateDict = std::map<std::string, Tensor>;

struct LoadOptions {
  bool strict = true;  // an error for names that are missing or unexpected
  // Whether NaN and infinity in this parameter or buffer are an error; without a function nowhere.
  std::function<bool(const std::string&)> finite{};
  // The module takes the given tensors in place of its own, as they are: in their types, without a copy. For
  // modules whose weights are only read, as those of a frozen encoder, which lays them out anew.
  bool adopt = false;
};

// What load_state_dict left undone when it is not strict.
struct LoadReport {
  std::vector<std::string> missing;     // names of the module that the state dict does not have
  std::vector<std::string> unexpected;  // names of the state dict that the module does not have
};

// Parameters, buffers and children live in the module and keep their address: a class holds references to
// them, which its initialiser list makes. The order of that list is the order of the names and of the random
// draws. Hence modules are neither copied nor moved.
class Module {
 public:
  Module() = default;
  virtual ~Module();
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  // The name under which its (first) parent registered it, "lstm"; without one the class, "AttentionDecoder".
  std::string scope_name() const;
  // One line in the style of PyTorch: "Linear(in_features=3, out_features=4, bias=True)"; a container: "Net".
  virtual std::string describe() const = 0;

  // Names as in PyTorch, "lstm.weight_ih_l0", in the order of registration: own ones, then the children's.
  // A parameter with several names (tied weights) is listed once, under its first name, unless `duplicates`.
  std::vector<std::pair<std::string, Variable>> named_parameters(bool duplicates = false) const;
  std::vector<std::pair<std::string, Tensor>> named_buffers() const;
  Variables parameters() const;
  // Calls f with each parameter's tensor and each buffer, those of shared children as often as they are shared:
  // for whoever looks often, as the lists above take a while to make.
  void for_each_tensor(const std::function<void(const Tensor&)>& f) const;
  // This module (with an empty name), its children, theirs, ...; one that is registered twice is listed once.
  std::vector<std::pair<std::string, Module*>> named_modules();
  const std::vector<std::pair<std::string, Module*>>& children() const { return children_; }
  // By dotted name; an argument error when there is none.
  Variable& parameter(const std::string& name);
  Tensor& buffer(const std::string& name);
  // Puts another variable of the same shape and dtype in the place of a parameter: how weights are tied.
  void replace_parameter(const std::string& name, const Variable& shared);
  // Elements of all parameters, tied ones counted once; `trainable`: of those that require gradients.
  int64_t parameter_count(bool trainable = false) const;

  // Sets the mode of this module and all below it, except of frozen ones.
  void train(bool on = true);
  void eval() { train(false); }
  bool training() const { return training_; }
  // Evaluation mode and no gradients for this module and all below it. Neither train() nor requires_grad_()
  // undoes that, on whatever module it is called: only unfreeze() does.
  void freeze();
  // Ends it for all below, too; parameters require gradients again, the mode changes with the next train().
  void unfreeze();
  bool frozen() const { return frozen_; }
  // For all parameters but those of frozen modules.
  void requires_grad_(bool on);
  void zero_grad();

  // Converts the parameters and floating buffers, in place; gradients are dropped.
  void to(DType dtype);
  void to(Device device);

  // All parameters (under all their names) and buffers, sharing memory with the module.
  StateDict state_dict() const;
  // Copies the values into the module, converting between floating types. One of the names of a tied
  // parameter is enough, and a batch norm's num_batches_tracked may be missing, as in files of before PyTorch
  // 0.4.1: it then stays as it is. Errors, after which nothing has been changed: data (lists what is missing
  // or unexpected, when `strict`; has both shapes and dtypes of what does not fit).
  LoadReport load_state_dict(const StateDict& state, bool strict = true);
  // The same, and a data error with the name for a value that is not finite where it has to be; such a value
  // is found while it is copied, and what has been copied by then stays.
  LoadReport load_state_dict(const StateDict& state, const LoadOptions& options);

  // What load_state_dict() would report or refuse by names, shapes and types alone.
  LoadReport check_state_dict(const StateDict& state, bool strict = true) const;

  // Calls f on this module and all below it, children first.
  void apply(const std::function<void(Module&)>& f);

 protected:
  // Adds a parameter that requires gradients. An undefined tensor stands for a parameter that the layer can
  // have but has not (a bias): it is not listed. Errors: argument (a name that is taken, empty or has a dot).
  Variable& register_parameter(const std::string& name, Tensor data);
  // The same for a variable that already exists, as it is: with another module's, both share it.
  Variable& register_parameter(const std::string& name, Variable variable);
  // Adds a tensor that belongs to the state but is not trained.
  Tensor& register_buffer(const std::string& name, Tensor data);
  // After train() or eval() has set this module's mode.
  virtual void mode_changed() {}
  // Makes a child of class M from `args`, which this module owns. One that a module may be without is a
  // pointer: `gate_(gated ? &add<nn::Linear>("gate", 8, 8) : nullptr)`. Errors: those of a parameter.
  template <class M, class... Args>
  M& add(const std::string& name, Args&&... args) {
    return own(name, std::make_unique<M>(std::forward<Args>(args)...));
  }
  // Owns a child that exists already.
  template <class M>
  M& own(const std::string& name, std::unique_ptr<M> child) {
    M& result = *child;
    owned_.push_back(std::move(child));
    add_child(name, result);
    return result;
  }
  // Adds a child that somebody else owns and that lives at least as long: one that two modules share.
  template <class M>
  M& register_module(const std::string& name, M& child) {
    add_child(name, child);
    return child;
  }

 private:
  friend class Scope;

  // An own or inherited entry of the state: exactly one pointer is set.
  struct Entry {
    std::string name;
    Variable* parameter;
    Tensor* buffer;

    const Tensor& tensor() const { return parameter ? parameter->data() : *buffer; }
  };

  void add_child(const std::string& name, Module& child);
  void expect_new_name(const std::string& name) const;
  void collect(const std::string& prefix, std::vector<Entry>& entries) const;
  std::vector<Entry> entries() const;
  void convert(const std::function<Tensor(const Tensor&)>& f);

  // Mutable: a listing of a const module hands out handles, which do not change the module.
  mutable std::deque<std::pair<std::string, Variable>> parameters_;
  mutable std::deque<std::pair<std::string, Tensor>> buffers_;
  std::vector<std::pair<std::string, Module*>> children_;
  std::vector<std::unique_ptr<Module>> owned_;  // those of the children that no one else owns
  std::string name_;                            // in the first parent; empty without one
  bool training_ = true;
  bool frozen_ = false;
};

// For the first line of a forward function: what happens inside is said to be in this module. A Layer that is
// called by its operator() does this by itself. A module that nobody is the parent of, called inside another
// with a graph, is remembered and told to the observers: see nn/left_out.h.
class Scope : public autograd::Scope {
 public:
  explicit Scope(const Module& module);
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  // Remembers the module as left out of those that are being called, if it is.
  void expect_child() const;

  const Module& module_;
  const Scope* const outer_;  // the module that calls this one, on this thread
};

// A module from one variable to one: what Sequential can hold.
class Layer : public Module {
 public:
  virtual Variable forward(const Variable& x) = 0;
  Variable operator()(const Variable& x) {
    const Scope scope(*this);
    return forward(x);
  }
};

// The module and its children, indented, as PyTorch prints them.
std::string to_string(const Module& module);

}  // namespace nn
