#include "tensor/cuda/emulation/places.h"

#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <vector>

namespace tensor::cuda::emulation {
namespace {

struct Segment {
  uintptr_t start, end;
};
struct Program {
  uintptr_t base = 0;
  std::vector<Segment> constants;
};

// The first object is the program itself.
int look_at(dl_phdr_info* info, size_t, void* program) {
  auto& it = *static_cast<Program*>(program);
  it.base = info->dlpi_addr;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& header = info->dlpi_phdr[i];
    const bool loaded = header.p_type == PT_LOAD && (header.p_flags & PF_W) == 0;
    if (loaded || header.p_type == PT_GNU_RELRO) {
      const uintptr_t start = it.base + header.p_vaddr;
      it.constants.push_back({start, start + header.p_memsz});
    }
  }
  return 1;
}

const Program& program() {
  static const Program* const it = [] {
    auto* made = new Program;
    ::dl_iterate_phdr(look_at, made);
    return made;
  }();
  return *it;
}

// Without the folders above the project.
std::string in_project(const std::string& line) {
  const std::string path = std::filesystem::path(line).lexically_normal();
  size_t start = 0;
  for (const char* folder : {"/tensor/", "/tests/emulation/", "/examples/"})
    if (const size_t at = path.rfind(folder); at != std::string::npos) start = std::max(start, at + 1);
  return path.substr(start);
}

// All lines that a command prints.
std::vector<std::string> output_of(const std::string& command) {
  std::vector<std::string> lines;
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
  std::array<char, 4096> text;
  while (pipe != nullptr && std::fgets(text.data(), text.size(), pipe.get()) != nullptr) {
    std::string line = text.data();
    while (!line.empty() && line.back() == '\n') line.pop_back();
    lines.push_back(std::move(line));
  }
  return lines;
}

std::string looked_up(uint32_t place) {
  std::array<char, 4096> path{};
  if (::readlink("/proc/self/exe", path.data(), path.size() - 1) < 0) return "?";
  std::array<char, 32> address;
  std::snprintf(address.data(), address.size(), " 0x%x", place);
  // From the innermost function to that which has it as a part of its code.
  std::vector<std::string> lines =
      output_of("addr2line -i -e '" + std::string(path.data()) + "'" + address.data() + " 2>/dev/null");
  for (std::string& line : lines) {
    line = in_project(line);
    line = line.substr(0, line.find(" ("));  // " (discriminator 3)"
  }
  std::erase_if(lines, [](const std::string& line) { return line.starts_with("tensor/cuda/emulation/"); });
  if (lines.empty() || lines[0].starts_with("??")) return "an unknown line";
  const auto in_kernel_file = std::ranges::find_if(
      lines, [](const std::string& line) { return line.find(".cu:") != std::string::npos; });
  if (in_kernel_file == lines.begin() || in_kernel_file == lines.end()) return lines[0];
  return lines[0] + " in " + *in_kernel_file;
}

}  // namespace

uint32_t place_of(const void* return_address) {
  return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(return_address) - 1 - program().base);
}

std::string line_of(uint32_t place) {
  static auto* const known = new std::map<uint32_t, std::string>;
  const auto [found, is_new] = known->try_emplace(place);
  if (is_new) found->second = looked_up(place);
  return found->second;
}

bool are_constants(const void* address, size_t bytes) {
  const auto start = reinterpret_cast<uintptr_t>(address);
  for (const Segment& segment : program().constants)
    if (start >= segment.start && start + bytes <= segment.end) return true;
  return false;
}

}  // namespace tensor::cuda::emulation
