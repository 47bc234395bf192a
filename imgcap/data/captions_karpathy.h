// Karpathy's dataset_flickr8k.json, dataset_flickr30k.json, dataset_coco.json.
#pragma once

#include "imgcap/data/captions_json.h"

namespace imgcap::formats {

class Karpathy {
 public:
  // An image with its sentences.
  void add(const JsonEntry& entry, Reading& reading);
  size_t images() const { return images_; }

 private:
  size_t images_ = 0;
};

}  // namespace imgcap::formats
