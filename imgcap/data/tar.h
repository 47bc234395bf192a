// The index of an uncompressed tar archive: POSIX ustar, GNU long names and large sizes, pax headers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace imgcap {

struct TarMember {
  std::string name;
  int64_t offset = 0, size = 0;  // of its bytes in the archive
};

// Reads headers only. Regular files in archive order; folders, links and devices are left out. `descriptor`
// is an open regular file, `name` stands in front of every error text. Errors: io (unreadable), data with the
// offset (wrong checksum, impossible number, member beyond the end, sparse member, no end mark: the archive
// is cut short).
std::vector<TarMember> read_tar_index(int descriptor, const std::string& name);

// Fills `out` from `offset`. Errors: io, data (the file ends before).
void read_at(int descriptor, int64_t offset, uint8_t* out, int64_t size, const std::string& name);

}  // namespace imgcap
