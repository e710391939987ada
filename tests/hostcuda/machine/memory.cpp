#include "memory.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iterator>

#include "options.hpp"
#include "sanitizers.hpp"
#include "system.hpp"

namespace hostcuda {

namespace {

constexpr std::size_t granule = 256;                            // cudaMalloc: "suitably aligned", 256 bytes at least
constexpr std::size_t chunk_bytes = std::size_t{16} << 20;
constexpr std::size_t range_bytes = std::size_t{with_tsan ? 32 : 256} << 30;   // addresses, not memory: ThreadSanitizer leaves fewer
constexpr int most_devices = 4;


/// Reserved once: range 0 for page-locked memory, then one for each device.
struct Addresses {
  unsigned char* begin;
  unsigned char* next[most_devices + 1];   // the lowest never given, of each range

  Addresses() {
    void* const memory = mmap(nullptr, (most_devices + 1) * range_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      std::perror("hostcuda: addresses of device memory");
      std::abort();
    }
    begin = static_cast<unsigned char*>(memory);
    for (int i = 0; i <= most_devices; ++i) next[i] = begin + static_cast<std::size_t>(i) * range_bytes;
  }
};

Addresses& addresses() {
  static Addresses* const the_addresses = new Addresses;
  return *the_addresses;
}

/// A file full of poison. Mapped privately it is fresh memory that costs nothing until it is written: a plan of many GiB can be allocated.
int poison_file() {
  static const int file = [] {
    const int made = memfd_create("hostcuda", MFD_CLOEXEC);
    if (made < 0 || ftruncate(made, static_cast<off_t>(chunk_bytes)) != 0) std::abort();
    void* const memory = mmap(nullptr, chunk_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, made, 0);
    if (memory == MAP_FAILED) std::abort();
    fill(memory, poison, chunk_bytes);
    munmap(memory, chunk_bytes);
    return made;
  }();
  return file;
}

std::string overwritten(const Allocation& allocation, const unsigned char* from, const unsigned char* to) {
  const auto* const found = std::find_if(from, to, [](unsigned char byte) { return byte != poison; });
  if (found == to) return {};
  return "an allocation of " + std::to_string(allocation.bytes) + " bytes was overwritten at byte " + std::to_string(found - allocation.begin);
}

}  // namespace

void* Memory::allocate(int device, std::size_t bytes) {
  unsigned char*& next = addresses().next[device + 1];
  unsigned char* const end_of_range = addresses().begin + static_cast<std::size_t>(device + 2) * range_bytes;
  Allocation made{.bytes = bytes, .device = device};
  made.page_bytes = round_up(std::max(made.charged(), granule), page);
  if (made.page_bytes + 2 * page > static_cast<std::size_t>(end_of_range - next)) return nullptr;
  made.pages = next + page;
  next = made.pages + made.page_bytes;   // the page behind it is the one before the next
  for (std::size_t at = 0; at < made.page_bytes; at += chunk_bytes) {
    const std::size_t size = std::min(chunk_bytes, made.page_bytes - at);
    if (mmap(made.pages + at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, poison_file(), 0) == MAP_FAILED) return nullptr;
  }
  made.begin = made.pages + made.page_bytes - std::max(made.charged(), granule);
  forbid(made.pages, static_cast<std::size_t>(made.begin - made.pages));
  forbid(made.begin + bytes, static_cast<std::size_t>(made.pages + made.page_bytes - made.begin) - bytes);
  if (device != host && shown_ == 0 && options().hide_device_memory) mprotect(made.pages, made.page_bytes, PROT_NONE);
  const Allocation& kept = allocations_[made.begin] = made;
  if (device != host) on_devices_.insert(&kept);
  return made.begin;
}

std::string Memory::free(Allocation& allocation) {
  allow(allocation.pages, allocation.page_bytes);
  mprotect(allocation.pages, allocation.page_bytes, PROT_READ);
  std::string mistake = overwritten(allocation, allocation.begin + allocation.bytes, allocation.pages + allocation.page_bytes);
  if (mistake.empty()) mistake = overwritten(allocation, allocation.pages, allocation.begin);
  mmap(allocation.pages, allocation.page_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
  forbid(allocation.pages, allocation.page_bytes);
  allocation.live = false;
  on_devices_.erase(&allocation);
  return mistake;
}

Allocation* Memory::find(const void* address) {
  auto after = allocations_.upper_bound(static_cast<const unsigned char*>(address));
  if (after == allocations_.begin()) return nullptr;
  Allocation& found = std::prev(after)->second;
  return static_cast<const unsigned char*>(address) <= found.begin + found.bytes ? &found : nullptr;
}

void Memory::show() {
  if (shown_++ > 0 || !options().hide_device_memory) return;
  protect(PROT_READ | PROT_WRITE);
}

void Memory::hide() {
  if (--shown_ > 0 || !options().hide_device_memory) return;
  protect(PROT_NONE);
}

void Memory::protect(int access) {
  for (const Allocation* allocation : on_devices_) mprotect(allocation->pages, allocation->page_bytes, access);
}

int device_of(const void* address) {
  const auto* const byte = static_cast<const unsigned char*>(address);
  const unsigned char* const begin = addresses().begin;
  if (byte < begin || byte >= begin + (most_devices + 1) * range_bytes) return -2;
  return static_cast<int>(static_cast<std::size_t>(byte - begin) / range_bytes) - 1;
}

bool is_device_address(const void* address) { return device_of(address) >= 0; }

std::string describe_address(const void* address) {
  const int device = device_of(address);
  if (device == -2) return {};
  const std::string whose = device < 0 ? "the page-locked" : "device " + std::to_string(device) + "'s";
  return ", in " + whose + " memory: outside of any live allocation";
}

}  // namespace hostcuda
