// Zip archives of stored (not compressed) entries, as PyTorch writes them.
// Specification: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace tensor::io {

struct ZipEntry {
  int64_t offset = 0;  // of the content, from the start of the archive
  int64_t size = 0;
  uint32_t crc = 0;
  bool compressed = false;  // then it cannot be read
};

// The entries of an archive by name; zip64 too. Read from the central directory, with every position and size
// checked against the archive and against each local header. `file` is named in errors. A data error for
// anything damaged, compressed, encrypted, split, overlapping or repeated.
std::map<std::string, ZipEntry> read_zip_directory(std::span<const std::byte> archive,
                                                   const std::string& file);

// The content of an entry, after comparing its CRC-32; a data error when it differs or the entry is
// compressed.
std::span<const std::byte> zip_content(std::span<const std::byte> archive, const std::string& file,
                                       std::string_view name, const ZipEntry& entry);

uint32_t crc32(std::span<const std::byte> bytes);

}  // namespace tensor::io
