#pragma once
// Device memory and page-locked host memory.

#include <cstddef>
#include <map>
#include <set>
#include <string>

namespace hostcuda {

/// One cudaMalloc or cudaHostAlloc. Its end is the end of a page, up to a multiple of 256 bytes, and what lies around it can't be accessed.
struct Allocation {
  unsigned char *pages = nullptr, *begin = nullptr;   ///< begin: what the caller got
  std::size_t page_bytes = 0, bytes = 0;
  int device = 0;                                     ///< page-locked memory: -1
  bool live = true;
  std::size_t charged() const { return (bytes + 255) / 256 * 256; }
};

/// A range of addresses for each device, and one for the host's page-locked memory. An address is never given twice, so a use after free
/// faults. Not locked: the machine's lock guards it.
class Memory {
 public:
  static constexpr int host = -1;

  /// Filled with poison; nullptr: no more addresses.
  void* allocate(int device, std::size_t bytes);
  /// Empty, or what was wrong with it: bytes before or behind it were overwritten.
  std::string free(Allocation& allocation);

  /// The allocation that `address` lies in, or just behind; nullptr: none.
  Allocation* find(const void* address);
  /// Device memory is hidden from the host: kernels and copies run between show and hide, which nest.
  void show();
  void hide();

 private:
  /// Lets the host do that with what lives on devices.
  void protect(int access);

  std::map<const unsigned char*, Allocation> allocations_;   // by begin; those that were freed too
  std::set<const Allocation*> on_devices_;                   // those that live there: far fewer
  int shown_ = 0;
};

/// The device whose addresses these are, Memory::host for page-locked memory's, -2: neither. Needs no lock.
int device_of(const void* address);
bool is_device_address(const void* address);
/// ": in device 1's memory, freed", or nothing. For handlers of faults: takes no lock.
std::string describe_address(const void* address);

}  // namespace hostcuda
