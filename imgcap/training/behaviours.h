// What a run, a search and its scores do that no flag of its own says, each by a name of its own. The
// defaults are this program's ways; one switch of a verb sets all of them together (original.cc).
#pragma once

#include <functional>

#include "imgcap/decoding/hypothesis.h"
#include "imgcap/metrics/scores.h"
#include "imgcap/models/decoder_config.h"

namespace imgcap {

struct TrainOptions;

struct Behaviours {
  // Of a run's data, where its flags leave them open.
  bool split_by_caption = false;     // not by photo
  bool words_of_both_parts = false;  // in the vocabulary: the validation's, too
  bool batch_statistics = false;     // EncodeOptions::batch_statistics
  bool change_validation = false;    // its photos, too, are changed as those to train on
  // Of its steps.
  bool count_start = false;          // the loss counts the slot of <sos>
  bool coins_in_validation = false;  // its loss throws the coins of teacher forcing, too
  bool plateau_on_loss = false;      // a plateau waits for a lower loss, not for a better CIDEr
  int plateau_patience = 1;          // validations
  // Of captions.
  SearchKind search = SearchKind::standard;
  Protocol protocol = Protocol::standard;
  bool swap_red_and_blue = false;  // in a photo that is captioned
};

Behaviours behaviours_of(const TrainOptions& options);
// What goes with scores of a protocol.
Behaviours behaviours_of(Protocol protocol);

// Sets a run's settings that are not given where its behaviours go with other ones than the defaults; `given`
// says of a flag whether it is.
void set_unsaid(TrainOptions& options, DecoderKind kind, const std::function<bool(const char*)>& given);

}  // namespace imgcap
