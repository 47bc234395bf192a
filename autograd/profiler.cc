#include "autograd/profiler.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "autograd/node.h"
#include "tensor/allocator.h"
#include "tensor/cuda/runtime.h"
#include "tensor/error.h"
#include "tensor/io/json.h"
#include "tensor/kernel_call.h"

namespace autograd {
namespace {

using tensor::io::Json;

using Clock = std::chrono::steady_clock;

int64_t bytes_of(const std::vector<TensorMeta>& metas) {
  int64_t bytes = 0;
  for (const TensorMeta& meta : metas) bytes += meta.shape.numel() * tensor::size_of(meta.dtype);
  return bytes;
}

std::string shapes_of(const Node& node) {
  std::string text;
  for (const TensorMeta& meta : node.input_metas())
    text += (text.empty() ? "" : ", ") + to_string(meta.shape);
  return text;
}

class Recorder final : public Observer, public tensor::KernelListener {
 public:
  Recorder() : outer_(tensor::internal::kernel_listener) {
    if (devices_ > 0) tensor::cuda::linked_runtime()->measure_launches();
    tensor::internal::kernel_listener = this;
  }
  ~Recorder() override { tensor::internal::kernel_listener = outer_; }

  void op(const Node* node, const std::vector<Tensor>&, const Variables&) override {
    const double now = now_ms();
    if (node != nullptr && !in_backward_)
      add(std::string(node->name()), "forward", *node, first_kernel_ < 0 ? now : first_kernel_, now);
    first_kernel_ = -1;
  }
  void backward_begins(const Node&) override {
    in_backward_ = true;
    backward_start_ = now_ms();
  }
  void backward_ended(const Node& node, const Variables&, const Variables&) override {
    add(std::string(node.name()), "backward", node, backward_start_, now_ms());
    in_backward_ = false;
    first_kernel_ = -1;
  }
  void scope_entered() override {
    scopes_.push_back(now_ms());
    first_kernel_ = -1;
  }
  void scope_left() override {
    first_kernel_ = -1;
    if (scopes_.empty()) return;  // it was entered before the profile began
    const double start = scopes_.back();
    scopes_.pop_back();
    profile_.events.push_back({current_scope(), "module", current_scope(), "", start, now_ms() - start, 0});
  }
  void kernel_begins(const char*) override {
    kernels_.push_back(now_ms());
    if (first_kernel_ < 0) first_kernel_ = kernels_.back();
  }
  void kernel_ended(const char* name) override {
    if (kernels_.empty()) return;
    const double start = kernels_.back();
    kernels_.pop_back();
    profile_.events.push_back({name, "kernel", current_scope(), "", start, now_ms() - start, 0});
  }

  Profile finish() {
    add_launches();
    profile_.total_ms = now_ms();
    profile_.peak_bytes = tensor::allocator_statistics().peak_bytes;
    std::map<std::string, Profile::Op> ops;
    for (const Profile::Event& event : profile_.events) {
      if (event.kind != "forward" && event.kind != "backward") continue;
      Profile::Op& op = ops[event.name];
      op.name = event.name;
      (event.kind == "forward" ? op.calls : op.backward_calls) += 1;
      (event.kind == "forward" ? op.forward_ms : op.backward_ms) += event.duration_ms;
      if (event.kind == "forward") op.bytes += event.bytes;
    }
    for (auto& [name, op] : ops) profile_.ops.push_back(std::move(op));
    std::stable_sort(profile_.ops.begin(), profile_.ops.end(),
                     [](const Profile::Op& a, const Profile::Op& b) {
                       return a.forward_ms + a.backward_ms > b.forward_ms + b.backward_ms;
                     });
    return std::move(profile_);
  }

 private:
  void add_launches() {
    if (devices_ == 0) return;
    tensor::cuda::Runtime& runtime = *tensor::cuda::linked_runtime();
    std::map<std::string, Profile::Launched> launched;
    for (const tensor::cuda::LaunchTime& launch : runtime.measured_launches()) {
      profile_.events.push_back(
          {launch.op, "launch", to_string(launch.device), "", launch.start_ms, launch.duration_ms, 0});
      Profile::Launched& all = launched[launch.op];
      all.name = launch.op;
      all.launches += 1;
      all.ms += launch.duration_ms;
    }
    for (auto& [name, all] : launched) profile_.launched.push_back(std::move(all));
    std::stable_sort(profile_.launched.begin(), profile_.launched.end(),
                     [](const auto& a, const auto& b) { return a.ms > b.ms; });
    for (int i = 0; i < devices_; ++i)
      profile_.device_peak_bytes.push_back(runtime.memory_statistics(i).peak_bytes);
  }

  double now_ms() const { return std::chrono::duration<double, std::milli>(Clock::now() - start_).count(); }

  void add(std::string name, const char* kind, const Node& node, double start, double end) {
    profile_.events.push_back({std::move(name), kind, node.scope(), shapes_of(node), start, end - start,
                               bytes_of(node.output_metas())});
  }

  tensor::KernelListener* outer_;
  const int devices_ = tensor::cuda::device_count();
  const Clock::time_point start_ = Clock::now();
  Profile profile_;
  double first_kernel_ = -1;  // since the last op ended or a module was entered or left; -1: none yet
  double backward_start_ = 0;
  bool in_backward_ = false;
  std::vector<double> scopes_, kernels_;  // starts of what is open
};

}  // namespace

Profile profile(const std::function<void()>& f) {
  Recorder recorder;
  f();
  return recorder.finish();
}

std::string Profile::table() const {
  std::string text = tensor::format("{:<28}{:>7}{:>12}{:>10}{:>12}{:>8}{:>11}\n", "op", "calls", "forward ms",
                                    "backward", "backward ms", "share", "MiB out");
  const auto share = [&](double ms) { return total_ms > 0 ? 100 * ms / total_ms : 0; };
  double in_ops = 0;
  for (const Op& op : ops) {
    const double ms = op.forward_ms + op.backward_ms;
    in_ops += ms;
    text += tensor::format("{:<28}{:>7}{:>12.3f}{:>10}{:>12.3f}{:>7.1f}%{:>11.2f}\n", op.name, op.calls,
                           op.forward_ms, op.backward_calls, op.backward_ms, share(ms),
                           static_cast<double>(op.bytes) / (1 << 20));
  }
  text += tensor::format("{:<28}{:>7}{:>12}{:>10}{:>12.3f}{:>7.1f}%\n", "(outside of ops)", "", "", "",
                         total_ms - in_ops, share(total_ms - in_ops));
  text += tensor::format("total {:.3f} ms, tensors at most {:.1f} MiB\n", total_ms,
                         static_cast<double>(peak_bytes) / (1 << 20));
  if (!launched.empty()) text += tensor::format("{:<28}{:>9}{:>12}\n", "on devices", "launches", "ms");
  for (const Launched& kernel : launched)
    text += tensor::format("{:<28}{:>9}{:>12.3f}\n", kernel.name, kernel.launches, kernel.ms);
  for (size_t i = 0; i < device_peak_bytes.size(); ++i)
    text += tensor::format("cuda:{}: tensors at most {:.1f} MiB\n", i,
                           static_cast<double>(device_peak_bytes[i]) / (1 << 20));
  return text;
}

std::string Profile::chrome_trace() const {
  Json list = Json::array();
  for (const Event& e : events) {
    Json args = Json::object({{"module", e.scope}});
    if (!e.shapes.empty()) args["inputs"] = e.shapes;
    if (e.bytes > 0) args["bytes"] = e.bytes;
    list.push_back(Json::object({{"name", e.kind == "backward" ? e.name + " backward" : e.name},
                                 {"cat", e.kind},
                                 {"ph", "X"},
                                 {"ts", 1000 * e.start_ms},
                                 {"dur", 1000 * e.duration_ms},
                                 {"pid", 1},
                                 {"tid", e.kind == "launch" ? 2 : 1},
                                 {"args", args}}));
  }
  return Json::object({{"traceEvents", list}, {"displayTimeUnit", "ms"}}).dump() + "\n";
}

}  // namespace autograd
