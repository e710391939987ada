#include "processes.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

namespace hostcuda {

SharedMemory::SharedMemory(const std::string& name, std::size_t bytes) {
  const int file = ::shm_open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return;
  if (const off_t now = ::lseek(file, 0, SEEK_END); now >= 0 && (static_cast<std::size_t>(now) >= bytes || ::ftruncate(file, static_cast<off_t>(bytes)) == 0))
    if (void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0); memory != MAP_FAILED) data_ = static_cast<unsigned char*>(memory), bytes_ = bytes;
  ::close(file);
}

SharedMemory::~SharedMemory() {
  if (data_ != nullptr) ::munmap(data_, bytes_);
}

namespace {

bool lives(int process) {
  const int handle = static_cast<int>(::syscall(SYS_pidfd_open, process, 0));
  if (handle < 0) return false;
  pollfd ended{handle, POLLIN, 0};
  const bool lives = ::poll(&ended, 1, 0) == 0;
  ::close(handle);
  return lives;
}

}  // namespace

std::string Processes::join(const std::string& name, int rank, int ranks, int device) {
  if (ranks > most_ranks) return "this machine knows " + std::to_string(most_ranks) + " ranks at most";
  name_ = name, rank_ = rank, ranks_ = ranks;
  board_ = SharedMemory(name, sizeof(Board));
  if (board_.data() == nullptr) return "no shared memory " + name;
  values_.resize(static_cast<std::size_t>(ranks));
  int nothing = 0;
  if (!board().ranks.compare_exchange_strong(nothing, ranks) && nothing != ranks) return "rank " + std::to_string(rank) + " says " + std::to_string(ranks) + " ranks, others " + std::to_string(nothing);
  for (int r = 0; r < ranks; ++r)
    if (r != rank && seat(r).process != 0 && seat(r).device == device) return "device " + std::to_string(device) + " has a rank already";
  seat(rank).device = device;
  nothing = 0;
  if (!seat(rank).process.compare_exchange_strong(nothing, ::getpid())) return "rank " + std::to_string(rank) + " twice";
  if (joined() == ranks) ::shm_unlink(name.c_str());
  return {};
}

int Processes::joined() const {
  int count = 0;
  for (int r = 0; r < ranks_; ++r) count += seat(r).process != 0;
  return count;
}

bool Processes::are_threads() const {
  for (int r = 0; r < ranks_; ++r)
    if (seat(r).process != 0 && seat(r).process != ::getpid()) return false;
  return true;
}

void Processes::reach(std::uint64_t number, const CollectivePart& part) {
  seat(rank_).said = {part.kind, part.type, part.operation, part.root, part.count};
  seat(rank_).reached = number + 1;
}

bool Processes::all_reached(std::uint64_t number) const {
  for (int r = 0; r < ranks_; ++r)
    if (seat(r).reached <= number) return false;
  return true;
}

std::string Processes::mismatch(std::uint64_t number) const {
  const auto part_of = [&](int r) {
    const Said& said = seat(r).said;
    return CollectivePart{.kind = said.kind, .type = said.type, .count = said.count, .operation = said.operation, .root = said.root};
  };
  const std::string mine = words_of(part_of(rank_));
  for (int r = 0; r < ranks_; ++r)
    if (const std::string theirs = words_of(part_of(r)); seat(r).reached == number + 1 && theirs != mine) return "rank " + std::to_string(rank_) + " calls " + mine + ", rank " + std::to_string(r) + " " + theirs;
  return {};
}

bool Processes::wait_for(std::atomic<std::uint64_t> Seat::*count, std::uint64_t least) const {
  for (int r = 0; r < ranks_; ++r)
    for (int asked = 0; seat(r).*count < least; ++asked) {
      if (aborted() || (asked % 64 == 63 && !lives(seat(r).process))) return false;
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  return true;
}

unsigned char* Processes::values_of(int rank) {
  SharedMemory& values = values_[static_cast<std::size_t>(rank)];
  if (values.data() == nullptr) values = SharedMemory(name_ + "-" + std::to_string(rank), most_bytes);
  return values.data();
}

void Processes::run(std::uint64_t number, const CollectivePart& part, std::uint64_t seed) {
  const auto ranks = static_cast<std::size_t>(ranks_);
  const std::size_t size = bytes_of(part.type);
  if (part.kind != CollectiveKind::broadcast || part.root == rank_) std::memcpy(values_of(rank_), part.from, read_count(part, ranks) * size);
  seat(rank_).shown = number + 1;
  if (!wait_for(&Seat::shown, number + 1)) return;
  std::vector<CollectivePart> parts(ranks, part);
  std::vector<unsigned char> unwanted(written_count(part, ranks) * size);
  for (int r = 0; r < ranks_; ++r) {
    parts[static_cast<std::size_t>(r)].from = values_of(r);
    if (r != rank_) parts[static_cast<std::size_t>(r)].to = unwanted.data();
  }
  compute(parts, seed == 0 ? 0 : mix(seed) % ranks);
  seat(rank_).read = number + 1;
  wait_for(&Seat::read, number + 1);   // before they are written again
  if (number == 0) ::shm_unlink((name_ + "-" + std::to_string(rank_)).c_str());
}

void Processes::abort() { board().aborted = 1; }
bool Processes::aborted() const { return board().aborted != 0; }

}  // namespace hostcuda
