#include "tensor/cpu/onednn_conv.h"

#if defined(IMGCAP_HAVE_ONEDNN)
#include <algorithm>
#include <dnnl.hpp>
#include <map>
#include <mutex>
#include <string_view>
#include <tuple>
#include <utility>

#include "tensor/cpu/onednn.h"
#include "tensor/cpu/onednn_weights.h"
#include "tensor/cpu/packed_gemm.h"
#include "tensor/thread_pool.h"
#include "tensor/window.h"
#endif

namespace tensor::cpu {

#if defined(IMGCAP_HAVE_ONEDNN)

namespace {

using Desc = dnnl::memory::desc;
using Type = dnnl::memory::data_type;
using Tag = dnnl::memory::format_tag;

const dnnl::engine& engine() {
  static const dnnl::engine& cpu =
      *new dnnl::engine(dnnl::engine::kind::cpu, 0);  // for products at the end, too
  return cpu;
}

dnnl::memory memory(const Desc& desc, const void* data) {
  return dnnl::memory(desc, engine(), const_cast<void*>(data));
}

// Multiplications and additions of one picture.
int64_t work_of(const Shape& weight, int64_t out_h, int64_t out_w) {
  return 2 * weight[0] * weight[1] * weight[2] * weight[3] * out_h * out_w;
}

// What code is made for, beside the weights: one picture's input and what happens to it.
struct Geometry {
  int64_t c, h, w, out_h, out_w;
  Conv2dOptions options;
  bool residual;
  Activation activation;

  auto key() const {
    const Conv2dOptions& o = options;
    return std::tuple(c, h, w, o.stride_h, o.stride_w, o.pad_top, o.pad_bottom, o.pad_left, o.pad_right,
                      o.dilation_h, o.dilation_w, residual, activation);
  }
};
using Key = decltype(std::declval<Geometry>().key());

Geometry geometry_of(const PackedConv2d& weight, const Shape& input, Conv2dOptions options, bool residual,
                     Activation activation) {
  options.groups = weight.groups;
  const Shape out = conv2d_output_shape(input, weight.weight_shape, options, "packed conv2d");
  return {input[1], input[2], input[3], out[2], out[3], options, residual, activation};
}

// Rows of a picture's result that one call makes. Work for several threads, and no strip so small that a call's
// few microseconds count; a depthwise convolution's operations take eight times as long.
int64_t rows_of_strip(const PackedConv2d& weight, const Geometry& g) {
  const int64_t work = work_of(weight.weight_shape, g.out_h, g.out_w) * (weight.depthwise() ? 8 : 1);
  const int64_t strips = work < 1 << 22 ? 1 : std::clamp<int64_t>(work >> 24, 2, 8);
  return (g.out_h + strips - 1) / strips;
}

// The rows of the input that a strip reads, and the zeros above and below them.
struct Strip {
  int64_t first, rows, in_first, in_rows, zeros_above, zeros_below;

  Strip(const Geometry& g, int64_t kernel_h, int64_t first_row, int64_t row_count)
      : first(first_row), rows(row_count) {
    const Conv2dOptions& o = g.options;
    const int64_t begin = first * o.stride_h - o.pad_top;
    const int64_t end = begin + (rows - 1) * o.stride_h + (kernel_h - 1) * o.dilation_h + 1;
    in_first = std::clamp<int64_t>(begin, 0, g.h);
    in_rows = std::clamp<int64_t>(end, in_first, g.h) - in_first;
    zeros_above = in_first - begin;
    zeros_below = end - in_first - in_rows;
  }
  auto key() const { return std::tuple(rows, in_rows, zeros_above, zeros_below); }
};

dnnl::primitive_attr attributes(const Geometry& g) {
  dnnl::primitive_attr attributes;
  dnnl::post_ops after;
  if (g.residual) after.append_sum(1);
  if (g.activation == Activation::relu) after.append_eltwise(1, dnnl::algorithm::eltwise_relu, 0, 0);
  if (g.activation == Activation::relu6) after.append_eltwise(1, dnnl::algorithm::eltwise_clip, 0, 6);
  attributes.set_post_ops(after);
  // A scratchpad of the library's own would be one for all threads.
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

using Description = dnnl::convolution_forward::primitive_desc;

Description describe_strip(const PackedConv2d& weight, const Geometry& g, const Strip& strip,
                           const Desc& laid_out) {
  const int64_t channels = weight.weight_shape[0];
  const Conv2dOptions& o = g.options;
  return Description({dnnl::prop_kind::forward_inference,
                      dnnl::algorithm::convolution_direct,
                      Desc({1, g.c, strip.in_rows, g.w}, Type::bf16, Tag::nhwc),
                      laid_out,
                      Desc({channels}, Type::f32, Tag::x),
                      Desc({1, channels, strip.rows, g.out_w}, Type::bf16, Tag::nhwc),
                      {o.stride_h, o.stride_w},
                      {o.dilation_h - 1, o.dilation_w - 1},
                      {strip.zeros_above, o.pad_left},
                      {strip.zeros_below, o.pad_right}},
                     attributes(g), engine());
}

// One picture's convolution: the strips and the code that they share.
struct Plan {
  struct Part {
    Strip strip;
    dnnl::convolution_forward primitive;
    Desc in, out, scratchpad;
  };
  std::vector<Part> parts;
  dnnl::memory weights;
};

}  // namespace

class OneDnnConv {
 public:
  std::shared_ptr<const Plan> plan(const PackedConv2d& weight, const Geometry& g) {
    const std::lock_guard lock(mutex_);
    if (plans_.size() >= kMostPlans && !plans_.contains(g.key())) plans_.clear();
    std::shared_ptr<const Plan>& plan = plans_[g.key()];
    try {
      if (!plan) plan = make_plan(weight, g);
    } catch (const dnnl::error&) {  // it knows no way
      plan = std::make_shared<Plan>();
    }
    return plan;
  }

 private:
  // Without parts where oneDNN has nothing but its reference for it.
  std::shared_ptr<const Plan> make_plan(const PackedConv2d& weight, const Geometry& g) {
    auto plan = std::make_shared<Plan>();
    const int64_t rows = rows_of_strip(weight, g);
    std::map<decltype(std::declval<Strip>().key()), size_t> made;  // equal strips share their code
    for (int64_t first = 0; first < g.out_h; first += rows) {
      const Strip strip(g, weight.weight_shape[2], first, std::min(rows, g.out_h - first));
      const auto [found, is_new] = made.emplace(strip.key(), plan->parts.size());
      if (!is_new) {
        Plan::Part same = plan->parts[found->second];
        same.strip = strip;
        plan->parts.push_back(std::move(same));
        continue;
      }
      // All strips read the weights as the first wants them.
      const Desc wanted =
          first == 0 ? Desc(weight_dims(weight), Type::bf16, Tag::any) : plan->weights.get_desc();
      const Description description = describe_strip(weight, g, strip, wanted);
      if (std::string_view(description.impl_info_str()).starts_with("ref")) return std::make_shared<Plan>();
      if (first == 0) plan->weights = laid_out(weight, description.weights_desc());
      plan->parts.push_back({strip, dnnl::convolution_forward(description), description.src_desc(),
                             description.dst_desc(), description.scratchpad_desc()});
    }
    return plan;
  }

  // Pictures of most sizes want them laid out in the same way.
  dnnl::memory laid_out(const PackedConv2d& weight, const Desc& desc) {
    for (const dnnl::memory& there : laid_out_)
      if (there.get_desc() == desc) return there;
    dnnl::memory result(desc, engine());
    lay_out_weights(static_cast<bf16*>(result.get_data_handle()), desc, weight);
    laid_out_.push_back(result);
    return result;
  }

  static constexpr size_t kMostPlans = 16;  // sizes of pictures; making one takes tens of milliseconds

  std::mutex mutex_;
  std::map<Key, std::shared_ptr<const Plan>> plans_;
  std::vector<dnnl::memory> laid_out_;
};

bool convolves_with_onednn(const PackedConv2d& weight, const Conv2dOptions& options) {
  const Shape& kernel = weight.weight_shape;
  if (!weight.onednn || kernel[1] == 0) return false;
  // Each window sees a row of the picture.
  if (std::max(options.pad_top, options.pad_bottom) > (kernel[2] - 1) * options.dilation_h) return false;
  return weight.dtype == DType::bf16 && has_packed_gemm<bf16>();
}

void prepare_onednn_conv(const PackedConv2d& weight, const Shape& input, const Conv2dOptions& options,
                         bool residual, Activation activation) {
  if (!convolves_with_onednn(weight, options)) return;
  const OneDnnProduct use;
  if (!use.allowed()) return;
  keep_onednn_on_this_thread();
  weight.onednn->plan(weight, geometry_of(weight, input, options, residual, activation));
}

bool conv2d_onednn(NhwcBatch& out, const NhwcBatch& x, const PackedConv2d& weight,
                   const Conv2dOptions& options, const NhwcBatch* residual, Activation activation) {
  const Border none;
  if (out.border() != none || x.border() != none || (residual != nullptr && residual->border() != none))
    return false;
  if (!convolves_with_onednn(weight, options)) return false;
  const OneDnnProduct use;
  if (!use.allowed()) return false;
  keep_onednn_on_this_thread();
  const auto plan = weight.onednn->plan(
      weight, geometry_of(weight, x.nchw_shape(), options, residual != nullptr, activation));
  if (plan->parts.empty()) return false;
  const dnnl::memory bias =
      memory({{weight.weight_shape[0]}, Type::f32, Tag::x}, weight.bias.device_data<float>());
  const auto strips = static_cast<int64_t>(plan->parts.size());
  parallel_each(out.n() * strips, 1, [&](int64_t job) {
    keep_onednn_on_this_thread();
    const int64_t image = job / strips;
    const Plan::Part& part = plan->parts[static_cast<size_t>(job % strips)];
    const Strip& strip = part.strip;
    // The sum is made in place.
    bf16* to = out.pixel<bf16>(image, strip.first, 0);
    if (residual != nullptr && !residual->shares_memory(out))
      std::copy_n(residual->pixel<bf16>(image, strip.first, 0), strip.rows * out.row_stride(), to);
    Tensor room = Tensor::empty({static_cast<int64_t>(part.scratchpad.get_size())}, DType::u8);
    thread_local const dnnl::stream stream(engine());
    try {
      part.primitive.execute(stream,
                             {{DNNL_ARG_SRC, memory(part.in, x.pixel<bf16>(image, strip.in_first, 0))},
                              {DNNL_ARG_WEIGHTS, plan->weights},
                              {DNNL_ARG_BIAS, bias},
                              {DNNL_ARG_DST, memory(part.out, to)},
                              {DNNL_ARG_SCRATCHPAD, memory(part.scratchpad, room.mutable_raw())}});
    } catch (const dnnl::error& e) {
      fail(ErrorKind::internal, "packed conv2d: oneDNN: {}", e.what());
    }
  });
  return true;
}

std::shared_ptr<OneDnnConv> make_onednn_conv() { return std::make_shared<OneDnnConv>(); }

#else

bool convolves_with_onednn(const PackedConv2d&, const Conv2dOptions&) { return false; }
void prepare_onednn_conv(const PackedConv2d&, const Shape&, const Conv2dOptions&, bool, Activation) {}
bool conv2d_onednn(NhwcBatch&, const NhwcBatch&, const PackedConv2d&, const Conv2dOptions&, const NhwcBatch*,
                   Activation) {
  return false;
}
std::shared_ptr<OneDnnConv> make_onednn_conv() { return nullptr; }

#endif

}  // namespace tensor::cpu
