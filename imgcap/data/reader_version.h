// Versions of the readers of pictures: a feature cache remembers them, so that photos which today's readers
// see otherwise are encoded again.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "imgcap/data/picture_format.h"

namespace imgcap {

// Raised by whoever changes the pixels that some files of the format give, or which files can be read; 0 for
// a format that this build cannot read. Caches without versions were made by readers of version 0.
int reader_version(PictureFormat format);

using ReaderVersions = std::map<std::string, int>;  // by name_of; what is missing is 0
ReaderVersions reader_versions();

// Whether no format has a higher version in `now` than in `then`.
bool none_newer(const ReaderVersions& now, const ReaderVersions& then);

enum class Reading { same, changed, undecided };

// Whether today's reader gives the pixels that those of `then` gave for a file that they could read. `head`
// is its beginning; undecided: only more of the file tells. `whole`: there is no more.
Reading compare_readings(std::span<const uint8_t> head, bool whole, const ReaderVersions& then);

}  // namespace imgcap
