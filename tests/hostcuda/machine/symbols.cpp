// Names of kernels, from the executable's own symbol table: dladdr doesn't know functions of anonymous namespaces.

#include <cxxabi.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>

#include "grid.hpp"

namespace hostcuda {

namespace {

using Symbols = std::map<std::uintptr_t, const char*>;

std::uintptr_t load_address() {
  std::uintptr_t address = 0;
  dl_iterate_phdr([](dl_phdr_info* info, std::size_t, void* result) { return *static_cast<std::uintptr_t*>(result) = info->dlpi_addr, 1; }, &address);
  return address;
}

// The file stays mapped: names point into it.
Symbols read_symbols() {
  Symbols symbols;
  const int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  struct stat status {};
  if (file < 0 || fstat(file, &status) != 0) return symbols;
  void* const memory = mmap(nullptr, static_cast<std::size_t>(status.st_size), PROT_READ, MAP_PRIVATE, file, 0);
  close(file);
  if (memory == MAP_FAILED) return symbols;
  const auto* const bytes = static_cast<const char*>(memory);
  const auto& header = *reinterpret_cast<const Elf64_Ehdr*>(bytes);
  const auto* const sections = reinterpret_cast<const Elf64_Shdr*>(bytes + header.e_shoff);
  for (int i = 0; i < header.e_shnum; ++i) {
    if (sections[i].sh_type != SHT_SYMTAB) continue;
    const auto* const symbol = reinterpret_cast<const Elf64_Sym*>(bytes + sections[i].sh_offset);
    const char* const names = bytes + sections[sections[i].sh_link].sh_offset;
    for (std::size_t k = 0; k < sections[i].sh_size / sizeof(Elf64_Sym); ++k)
      if (ELF64_ST_TYPE(symbol[k].st_info) == STT_FUNC) symbols.emplace(symbol[k].st_value + load_address(), names + symbol[k].st_name);
  }
  return symbols;
}

}  // namespace

const char* symbol_of(const void* function) {
  static const Symbols symbols = read_symbols();
  const auto found = symbols.find(reinterpret_cast<std::uintptr_t>(function));
  return found == symbols.end() ? "?" : found->second;
}

std::string readable_name(const void* function) {
  const char* const symbol = symbol_of(function);
  const std::unique_ptr<char, void (*)(void*)> name(abi::__cxa_demangle(symbol, nullptr, nullptr, nullptr), std::free);
  std::string text = name == nullptr ? symbol : name.get();
  if (const auto parameters = text.rfind('('); parameters != text.npos && parameters > 0) text.erase(parameters);
  if (text.starts_with("void ")) text.erase(0, 5);
  return text;
}

const char* name_without_arguments(const void* function) {
  static auto* const names = new std::map<const void*, std::string>;
  std::string& name = (*names)[function];
  if (name.empty()) {
    name = readable_name(function);
    name.erase(std::min(name.find('<'), name.size()));
  }
  return name.c_str();
}

}  // namespace hostcuda
