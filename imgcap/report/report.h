// What models say about photos, as one HTML page that needs no other file and no network.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "imgcap/data/image.h"
#include "imgcap/decoding/caption_search.h"
#include "imgcap/metrics/scores.h"
#include "imgcap/training/confidence.h"
#include "imgcap/training/training_log.h"

namespace imgcap {

struct ReportModel {
  std::string name;  // short and different from the others': stands before captions
  std::string file, kind, encoder;
  int64_t parameters = 0, encoder_parameters = 0, vocabulary = 0;  // of parameters 0: not known
  std::map<std::string, std::string> notes;                        // the checkpoint's
  Scores scores;  // of no images: the photos are shown without scores
  // Where it has one fitted: how well it holds on these photos.
  std::optional<Confidence> confidence{};
  ConfidenceMeasure measure{};
};

struct ReportCaption {
  size_t model = 0;  // of Report::models
  std::string text;
  double log_probability = 0;
  double milliseconds = 0;  // of the search
  AttentionMaps attention;
};

struct ReportPhoto {
  std::string name;
  Image image;          // empty where it cannot be read
  std::string problem;  // why not
  std::vector<std::string> references;
  std::vector<ReportCaption> captions;
};

struct Report {
  std::string title, version, made, list;  // made: when, as text; list: where the photos are from
  int64_t beam = 0, max_words = 0;
  double length_exponent = 1;
  std::string rules;                                          // of what captions say: sentences, or nothing
  int64_t listed = 0;                                         // photos of the list
  std::vector<std::pair<std::string, std::string>> left_out;  // those without a score: name, reason
  std::vector<ReportModel> models;
  std::optional<TrainingLog> log;
  std::string log_file;
  std::vector<ReportPhoto> photos;
};

// The page. Texts are escaped; photos are packed as JPEGs of at most kReportPhotoSide pixels a side. Errors:
// argument (a caption of no model, words and maps of different numbers), shape (a map that is no grid).
std::string render_report(const Report& report);

// For Report::made: "2024-05-31, 14:05 UTC".
std::string time_of_report();

inline constexpr int64_t kReportPhotoSide = 480;

}  // namespace imgcap
