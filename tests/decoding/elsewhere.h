// A decoder of the CPU that says it is on a device: each call's tensors come from there and go back.
#pragma once

#include "imgcap/models/decoder.h"

namespace tests {

class Elsewhere final : public imgcap::Decoder {
 public:
  Elsewhere(imgcap::Decoder& here, const tensor::Device& device)
      : Decoder(here.config()), here_(here), device_(device) {
    eval();
  }
  tensor::Device device() const override { return device_; }

  imgcap::CaptionLoss loss(const imgcap::CaptionBatch&, const imgcap::LossOptions&) override { return {}; }
  imgcap::DecodingState start(const tensor::Tensor& features) override {
    imgcap::DecodingState state = here_.start(features.to(tensor::Device::cpu()));
    move(state, device_);
    return state;
  }
  tensor::Tensor step(imgcap::DecodingState& state, const tensor::Tensor& words) override {
    move(state, tensor::Device::cpu());
    const tensor::Tensor logits = here_.step(state, words.to(tensor::Device::cpu()));
    move(state, device_);
    return logits.to(device_);
  }

 private:
  static void move(imgcap::DecodingState& state, const tensor::Device& to) {
    for (auto* layers : {&state.h, &state.c})
      for (tensor::Tensor& layer : *layers) layer = layer.to(to);
    for (tensor::Tensor* t : {&state.keys, &state.values, &state.image, &state.alpha})
      if (t->defined()) *t = t->to(to);
  }

  imgcap::Decoder& here_;
  tensor::Device device_;
};

}  // namespace tests
