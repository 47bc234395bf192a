// A report to change one thing of.
#pragma once

#include <string>

#include "imgcap/report/report.h"

namespace tests {

// Two models, one of them with attention, and three photos, of which one cannot be read.
inline imgcap::Report example() {
  using namespace imgcap;
  Report report;
  report.title = "Two models";
  report.version = "1.2.3";
  report.made = "2026-01-02, 03:04 UTC";
  report.list = "test.txt";
  report.beam = 5;
  report.max_words = 30;
  report.listed = 3;
  for (const char* kind : {"attention", "plain"}) {
    ReportModel model;
    model.name = model.kind = kind;
    model.file = std::string(kind) + ".safetensors";
    model.encoder = "efficientnet_lite2";
    model.parameters = 1234567;
    model.encoder_parameters = 6092072;
    model.vocabulary = 243;
    model.notes = {{"epoch", "7"}, {"validation_cider", "0.5"}, {"options", "{\"lr\":1}"}, {"data", "here"}};
    model.scores.images = 3;
    model.scores.bleu = {0.61, 0.41, 0.21, 0.11};
    model.scores.rouge_l = 0.4;
    model.scores.cider = 0.5;
    model.scores.protocol = "standard";
    model.scores.tokenizer = "ptb";
    model.scores.split = "test.txt";
    model.scores.references_min = model.scores.references_max = 1;
    report.models.push_back(model);
  }
  report.models[1].scores.cider = 0.75;
  for (const char* name : {"wide.jpg", "high.jpg", "gone.jpg"}) {
    ReportPhoto photo;
    photo.name = name;
    photo.references = {"A dog runs ."};
    photo.captions = {
        {0, "a dog", -3.25, 12.5, {{"a", "dog"}, {{4, 1, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 1}}, 2, 3}},
        {1, "a cat", -4.5, 8, {}}};
    report.photos.push_back(photo);
  }
  report.photos[0].image = Image(300, 960);
  report.photos[1].image = Image(40, 20);
  report.photos[2].problem = "gone.jpg: cannot be opened";
  return report;
}

}  // namespace tests
