#include "imgcap/training/finetune.h"

#include "autograd/ops.h"
#include "tensor/error.h"

namespace imgcap {

using tensor::check;
using tensor::ErrorKind;
using tensor::Tensor;

namespace {

void unfreeze(Encoder& encoder, int stages) {
  encoder.finetune(stages);
  encoder.eval();
}

// Frozen for this object's lifetime: encoded by the FrozenCnn, as it will be when training is over.
class Frozen {
 public:
  Frozen(Encoder& encoder, int stages) : encoder_(encoder), stages_(stages) { encoder_.freeze(); }
  ~Frozen() { unfreeze(encoder_, stages_); }
  Frozen(const Frozen&) = delete;
  Frozen& operator=(const Frozen&) = delete;

 private:
  Encoder& encoder_;
  int stages_;
};

}  // namespace

bool keeps_stage_inputs(const LoadedEncoder& loaded, int stages) {
  const Encoder& encoder = *loaded.encoder;
  const auto numbers = [&](int before) {
    const Encoder::Grid grid = Encoder::grid(loaded.preprocessing.height, loaded.preprocessing.width, before);
    return grid.rows * grid.columns * encoder.channels_before(before);
  };
  return stages < encoder.stage_count() && numbers(stages) <= 4 * numbers(0);
}

TrainedEncoder::TrainedEncoder(LoadedEncoder& encoder, const ImageSource& source, int stages)
    : encoder_(encoder), source_(source), stages_(stages) {
  check(stages >= 1, ErrorKind::argument, "finetune: {} stages to train; at least one is needed", stages);
  unfreeze(*encoder_.encoder, stages_);
}

int64_t TrainedEncoder::index_of(const std::string& name) const {
  const auto index = source_.find(name);
  check(index.has_value(), ErrorKind::data, "finetune: the photo '{}' is not there", name);
  return *index;
}

void TrainedEncoder::expect_photos(const Dataset& data) const {
  for (const Dataset::Photo& photo : data.photos) index_of(photo.name);
}

Tensor TrainedEncoder::read(const std::vector<std::string>& names) const {
  const Preprocessing& p = encoder_.preprocessing;
  Tensor pictures = Tensor::empty({static_cast<int64_t>(names.size()), 3, p.height, p.width});
  float* to = pictures.mutable_data<float>();
  for (const std::string& name : names) {
    to_chw(source_.read_image(index_of(name)), p, to);
    to += 3 * p.height * p.width;
  }
  return pictures;
}

Variable TrainedEncoder::as_rows(const Variable& map) const {
  return autograd::reshape(autograd::permute(map, {0, 2, 3, 1}),
                           {map.size(0), map.size(2) * map.size(3), map.size(1)});
}

Variable TrainedEncoder::forward(const Tensor& pictures) {
  return as_rows(encoder_.encoder->forward_features(pictures));
}

Variable TrainedEncoder::forward_cached(const Variable& rows) {
  const Preprocessing& p = encoder_.preprocessing;
  const Encoder::Grid grid = Encoder::grid(p.height, p.width, stages_);
  const Variable map = autograd::reshape(rows, {rows.size(0), grid.rows, grid.columns, rows.size(2)});
  return as_rows(encoder_.encoder->forward_last(stages_, autograd::permute(map, {0, 3, 1, 2})));
}

FeatureCache TrainedEncoder::encode(const std::vector<std::string>& names) {
  const Frozen frozen(*encoder_.encoder, stages_);
  check(!names.empty(), ErrorKind::argument, "finetune: no photos to encode");
  std::vector<int64_t> which;
  for (const std::string& name : names) which.push_back(index_of(name));
  EncodeReport report;
  FeatureCache features = encode_photos(encoder_, source_, which, report);
  // The rows would no longer be those of the names.
  check(report.skipped.empty(), ErrorKind::data, "finetune: {}",
        report.skipped.empty() ? "" : report.skipped.front().second);
  return features;
}

optim::NamedParameters TrainedEncoder::parameters() const {
  optim::NamedParameters trained;
  for (const auto& [name, parameter] : encoder_.encoder->named_parameters())
    if (parameter.requires_grad()) trained.emplace_back("encoder." + name, parameter);
  return trained;
}

}  // namespace imgcap
