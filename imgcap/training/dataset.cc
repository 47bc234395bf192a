#include "imgcap/training/dataset.h"

#include <algorithm>
#include <numeric>

#include "imgcap/training/fingerprint.h"
#include "tensor/error.h"

namespace imgcap {

using tensor::check;
using tensor::ErrorKind;

std::string Dataset::fingerprint() const {
  Fingerprint all;
  const auto add_count = [&](size_t n) { all.add(&n, sizeof n); };
  for (const Photo& photo : photos) {
    add_count(photo.name.size());
    all.add(photo.name.data(), photo.name.size());
    add_count(photo.captions.size());
    for (const std::string& caption : photo.captions) {
      add_count(caption.size());
      all.add(caption.data(), caption.size());
    }
  }
  return all.text();
}

int64_t Dataset::caption_count() const {
  int64_t count = 0;
  for (const Photo& photo : photos) count += static_cast<int64_t>(photo.captions.size());
  return count;
}

double Dataset::weight_of(int64_t photo) const {
  return sets.empty() ? 1 : sets[photos.at(static_cast<size_t>(photo)).set].weight;
}

const Language& Dataset::language_of(int64_t photo) const {
  return sets.empty() ? language : sets[photos.at(static_cast<size_t>(photo)).set].language;
}

std::map<std::string, std::vector<std::string>> Dataset::references() const {
  std::map<std::string, std::vector<std::string>> all;
  for (const Photo& photo : photos) all[photo.name] = photo.captions;
  return all;
}

Dataset make_dataset(const std::vector<CaptionsByPhoto>& captions, const std::vector<std::string>& names,
                     const FeatureCache& features, const Vocabulary& vocabulary, int64_t max_tokens,
                     std::string_view language) {
  std::vector<Dataset::Photo> photos;
  std::vector<std::string> keys;
  NamesOfFile rows(features.photos(), "data set");
  for (const std::string& name : names) {
    const auto row = rows.find(name);
    if (!row) continue;
    photos.push_back({name, *row, {}, {}});
    keys.push_back(features.names()[static_cast<size_t>(*row)]);
  }
  const PhotoNames listed(std::move(keys));
  for (const CaptionsByPhoto& file : captions) {
    NamesOfFile images(listed, "captions");
    for (const auto& [name, texts] : file)
      if (const auto photo = images.find(name)) {
        std::vector<std::string>& all = photos[static_cast<size_t>(*photo)].captions;
        all.insert(all.end(), texts.begin(), texts.end());
      }
  }
  Dataset data;
  data.language = vocabulary.language(language);
  for (Dataset::Photo& photo : photos) {
    if (photo.captions.empty()) {
      data.without_captions.push_back(photo.name);
      continue;
    }
    for (const std::string& text : photo.captions) {
      std::vector<int32_t> ids = vocabulary.encode(text, language);
      if (max_tokens > 0 && static_cast<int64_t>(ids.size()) > max_tokens) {
        ids.resize(static_cast<size_t>(std::max<int64_t>(max_tokens, 2)));
        ids.back() = kEos;
      }
      photo.encoded.push_back(std::move(ids));
    }
    data.photos.push_back(std::move(photo));
  }
  check(!data.photos.empty(), ErrorKind::data,
        "data set: none of {} photos has captions and features (first: '{}')", names.size(),
        names.empty() ? "" : names.front());
  return data;
}

Dataset join_sets(std::vector<Dataset> parts, const std::vector<Dataset::Set>& sets) {
  check(!parts.empty() && parts.size() == sets.size(), ErrorKind::argument,
        "data sets: {} parts of {} sets cannot be joined", parts.size(), sets.size());
  if (parts.size() == 1 && sets.front().name.empty()) return std::move(parts.front());
  Dataset all;
  all.sets = sets;
  for (size_t s = 0; s < parts.size(); ++s) {
    check(parts[s].sets.empty(), ErrorKind::argument, "data sets: {} is made of sets itself", sets[s].name);
    all.sets[s].split = parts[s].split;
    all.sets[s].language = parts[s].language;
    for (Dataset::Photo& photo : parts[s].photos) {
      photo.set = s;
      all.photos.push_back(std::move(photo));
    }
    for (std::string& name : parts[s].without_captions) all.without_captions.push_back(std::move(name));
  }
  return all;
}

std::vector<Dataset> parts_of(const Dataset& data) {
  if (data.sets.empty()) return {data};
  std::vector<Dataset> parts(data.sets.size());
  for (size_t s = 0; s < parts.size(); ++s) {
    parts[s].split = data.sets[s].split;
    parts[s].language = data.sets[s].language;
  }
  for (const Dataset::Photo& photo : data.photos) {
    parts[photo.set].photos.push_back(photo);
    parts[photo.set].photos.back().set = 0;
  }
  return parts;
}

Dataset with_captions(int64_t least, Dataset data) {
  std::erase_if(data.photos, [&](const Dataset::Photo& photo) { return std::ssize(photo.captions) < least; });
  check(!data.photos.empty(), ErrorKind::data, "data set: no photo has {} captions", least);
  for (size_t s = 0; s < data.sets.size(); ++s)
    check(std::any_of(data.photos.begin(), data.photos.end(),
                      [&](const Dataset::Photo& photo) { return photo.set == s; }),
          ErrorKind::data, "data set: no photo of the set {} has {} captions", data.sets[s].name, least);
  return data;
}

Dataset with_rows_of(const FeatureCache& features, Dataset data) {
  for (Dataset::Photo& photo : data.photos) {
    const auto row = features.find(photo.name);
    check(row.has_value(), ErrorKind::data, "data set: the photo '{}' is missing among augmented photos",
          photo.name);
    photo.row = *row;
  }
  return data;
}

namespace {

std::vector<CaptionRow> captions_of(const Dataset& data, const std::vector<int64_t>& photos) {
  std::vector<CaptionRow> rows;
  int64_t images = 0;
  for (const int64_t p : photos) {
    const Dataset::Photo& photo = data.photos.at(static_cast<size_t>(p));
    for (const std::vector<int32_t>& ids : photo.encoded)
      rows.push_back({images, {ids.begin(), ids.end()}, data.weight_of(p)});
    ++images;
  }
  return rows;
}

}  // namespace

CaptionBatch make_batch(const Dataset& data, const std::vector<int64_t>& photos, const Device& device) {
  std::vector<CaptionRow> captions = captions_of(data, photos);
  return pack({}, captions, device);
}

CaptionBatch make_batch(const Dataset& data, const std::vector<int64_t>& photos, const FeatureCache& features,
                        const FeaturesAs& as) {
  std::vector<CaptionRow> captions = captions_of(data, photos);
  std::vector<int64_t> rows;
  for (const int64_t p : photos) rows.push_back(data.photos[static_cast<size_t>(p)].row);
  return pack(features.rows(rows, as), captions);
}

CaptionBatch make_batch(const Dataset& data, const std::vector<int64_t>& photos,
                        const std::vector<const FeatureCache*>& views, int64_t epoch, const FeaturesAs& as) {
  check(!views.empty(), ErrorKind::argument, "batch: no views of the photos");
  std::vector<CaptionRow> captions = captions_of(data, photos);
  std::vector<Tensor> features;
  for (const int64_t p : photos) {
    const std::string& name = data.photos[static_cast<size_t>(p)].name;
    const FeatureCache& view = *views[static_cast<size_t>(p + epoch) % views.size()];
    const auto row = view.find(name);
    check(row.has_value(), ErrorKind::data, "batch: the photo '{}' is missing among augmented photos", name);
    features.push_back(view.stored_row(*row));
  }
  return pack(as.together(features, views[0]->places(), views[0]->channels()), captions);
}

std::vector<std::vector<int64_t>> epoch_batches(int64_t photos, int64_t batch_photos, uint64_t seed,
                                                int64_t epoch) {
  check(batch_photos > 0, ErrorKind::argument, "batch: {} photos per batch; at least one is needed",
        batch_photos);
  std::vector<int64_t> order(static_cast<size_t>(photos));
  std::iota(order.begin(), order.end(), 0);
  // A stream of its own for each epoch.
  tensor::Generator generator(seed);
  generator.set_state(seed ^ 0x9e3779b97f4a7c15u, static_cast<uint64_t>(epoch) << 40);
  generator.shuffle(order);
  std::vector<std::vector<int64_t>> batches;
  for (size_t begin = 0; begin < order.size(); begin += static_cast<size_t>(batch_photos))
    batches.emplace_back(order.begin() + static_cast<int64_t>(begin),
                         order.begin() + static_cast<int64_t>(std::min(
                                             order.size(), begin + static_cast<size_t>(batch_photos))));
  return batches;
}

}  // namespace imgcap
