// NCCL between ranks that are threads of one process, or processes, a device each: NCCL User Guide, "Creating a Communicator", "Collective Operations",
// "Group Calls", "Fault Tolerance". Where NCCL would hang or mix data up, this says so.

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>

#include "call.hpp"
#include "collective.hpp"
#include "options.hpp"
#include "processes.hpp"

namespace hostcuda {

/// What all ranks of a communicator share. The machine's lock guards it.
struct Clique {
  std::vector<ncclComm_t> members;                            // null: not there yet, or gone
  std::vector<std::thread::id> threads;
  std::vector<int> devices;
  int joined = 0;                                             // of this process' ranks
  std::map<std::size_t, std::shared_ptr<Collective>> collectives;   // by number; those that some rank hasn't given yet
  bool aborted = false;
  ncclResult_t error = ncclSuccess;
  std::string mistake;                                        // its words
  Processes processes;                                        // all ranks; in use where they aren't threads of one process

  bool all_joined() const { return processes.joined() == static_cast<int>(members.size()); }
};

}  // namespace hostcuda

struct ncclComm {
  std::shared_ptr<hostcuda::Clique> clique;
  int rank = 0, device = 0;
  std::size_t calls = 0;                                      // collectives given so far
  std::shared_ptr<std::size_t> unfinished = std::make_shared<std::size_t>(0);   // of them, not yet run
};

using namespace hostcuda;

namespace {

std::map<std::string, std::shared_ptr<Clique>> cliques;       // by unique id; under the machine's lock
std::set<ncclComm_t> communicators;

/// What a thread has said since ncclGroupStart, done at ncclGroupEnd.
struct Grouped {
  int depth = 0;
  std::vector<std::pair<ncclComm_t, CollectivePart>> collectives;
  std::vector<ncclComm_t> joining;
};
thread_local Grouped grouped;

template <class... Parts>
ncclResult_t refuse(Call& call, ncclResult_t result, const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  call.machine.last_report = std::move(text).str();
  return result;
}

ncclResult_t wait_for_members(Call& call, const std::shared_ptr<Clique>& clique) {
  const auto all_there = [&] { return clique->all_joined() || clique->aborted; };
  if (call.machine.run_until(call.guard, nullptr, all_there)) return ncclSuccess;
  return refuse(call, ncclSystemError, "ncclCommInitRank: ", clique->processes.joined(), " of ", clique->members.size(), " ranks came");
}

ncclResult_t join(ncclComm_t* comm, int ranks, const ncclUniqueId& id, int rank, bool blocking) {
  Call call("ncclCommInitRank");
  if (ranks < 1 || rank < 0 || rank >= ranks) return refuse(call, ncclInvalidArgument, "ncclCommInitRank: rank ", rank, " of ", ranks);
  std::shared_ptr<Clique>& clique = cliques[std::string(id.internal, sizeof id.internal)];
  if (clique == nullptr) {
    clique = std::make_shared<Clique>();
    clique->members.resize(static_cast<std::size_t>(ranks)), clique->threads.resize(static_cast<std::size_t>(ranks));
  }
  const auto size = clique->members.size(), place = static_cast<std::size_t>(rank);
  if (size != static_cast<std::size_t>(ranks)) return refuse(call, ncclInvalidArgument, "ncclCommInitRank: rank ", rank, " says ", ranks, " ranks, others ", size);
  if (clique->members[place] != nullptr) return refuse(call, ncclInvalidUsage, "ncclCommInitRank: rank ", rank, " twice");
  if (std::find(clique->devices.begin(), clique->devices.end(), current_device()) != clique->devices.end())
    return refuse(call, ncclInvalidUsage, "ncclCommInitRank: device ", current_device(), " has a rank already");
  if (const auto mistake = clique->processes.join(id.internal, rank, ranks, current_device()); !mistake.empty()) return refuse(call, ncclInvalidUsage, "ncclCommInitRank: ", mistake);
  *comm = new ncclComm{clique, rank, current_device()};
  communicators.insert(*comm);
  clique->members[place] = *comm, clique->threads[place] = std::this_thread::get_id();
  clique->devices.push_back(current_device());
  ++clique->joined;
  call.machine.wake();
  if (!blocking) return clique->all_joined() ? ncclSuccess : ncclInProgress;
  if (grouped.depth > 0) return grouped.joining.push_back(*comm), ncclSuccess;
  return wait_for_members(call, std::shared_ptr<Clique>(clique));
}

// ---- collectives

/// Addresses that the part reads or writes are memory of the communicator's device.
std::string wrong_memory(Memory& memory, const ncclComm& comm, const CollectivePart& part) {
  const std::size_t ranks = comm.clique->members.size(), size = bytes_of(part.type);
  const std::pair<const void*, std::size_t> ranges[] = {{part.from, read_count(part, ranks) * size}, {part.to, written_count(part, ranks) * size}};
  for (const auto& [address, bytes] : ranges) {
    if (address == part.from && part.kind == CollectiveKind::broadcast && comm.rank != part.root) continue;
    const Allocation* const found = device_of(address) == comm.device ? memory.find(address) : nullptr;
    if (found == nullptr || !found->live || static_cast<const unsigned char*>(address) + bytes > found->begin + found->bytes)
      return std::string(address == part.from ? "source" : "target") + ": " + std::to_string(bytes) + " bytes that aren't all memory of device " + std::to_string(comm.device);
  }
  return {};
}

/// "In-place" as NCCL defines it; any other overlap isn't allowed.
std::string wrong_overlap(const ncclComm& comm, const CollectivePart& part) {
  const std::size_t ranks = comm.clique->members.size(), size = bytes_of(part.type), own = static_cast<std::size_t>(comm.rank) * part.count * size;
  const auto *const from = static_cast<const unsigned char*>(part.from), *const to = static_cast<const unsigned char*>(part.to);
  const bool apart = from + read_count(part, ranks) * size <= to || to + written_count(part, ranks) * size <= from;
  const bool in_place = part.kind == CollectiveKind::reduce_scatter ? to == from + own : part.kind == CollectiveKind::all_gather ? from == to + own : from == to;
  return apart || in_place ? "" : "source and target overlap, but not as in-place collectives do";
}

/// Empty where all ranks that gave their part so far say the same.
std::string mismatch(const Collective& collective, int rank, const CollectivePart& part) {
  for (std::size_t other = 0; other < collective.parts.size(); ++other) {
    const CollectivePart& theirs = collective.parts[other];
    if (!theirs.given) continue;
    const bool same = theirs.kind == part.kind && theirs.type == part.type && theirs.count == part.count && theirs.operation == part.operation && theirs.root == part.root;
    if (!same) return "rank " + std::to_string(rank) + " calls " + words_of(part) + ", rank " + std::to_string(other) + " " + words_of(theirs);
  }
  return {};
}

ncclResult_t check(Call& call, const ncclComm& comm, const CollectivePart& part) {
  const std::string words = words_of(part);
  if (comm.clique->error != ncclSuccess) return refuse(call, comm.clique->error, words, ": the communicator has failed before");
  if (!comm.clique->all_joined()) return refuse(call, ncclInvalidUsage, words, ": not all ranks have joined");
  if (!call.knows(part.stream) || part.stream->device != comm.device) return refuse(call, ncclInvalidArgument, words, ": no such stream on the communicator's device ", comm.device);
  if (part.root < 0 || part.root >= static_cast<int>(comm.clique->members.size())) return refuse(call, ncclInvalidArgument, words, ": no such root");
  if (const auto mistake = wrong_memory(call.machine.memory, comm, part); !mistake.empty()) return refuse(call, ncclInvalidArgument, words, ": ", mistake);
  if (const auto mistake = wrong_overlap(comm, part); !mistake.empty()) return refuse(call, ncclInvalidArgument, words, ": ", mistake);
  return ncclSuccess;
}

/// The other ranks' collective of the same number, begun by whoever is first.
std::shared_ptr<Collective> collective_of(Clique& clique, std::size_t number) {
  std::shared_ptr<Collective>& collective = clique.collectives[number];
  if (collective == nullptr) {
    collective = std::make_shared<Collective>();
    collective->parts.resize(clique.members.size());
  }
  return collective;
}

/// A process knows what the others call when their streams have come to it, not before.
ncclResult_t enqueue_among_processes(Call& call, ncclComm_t comm, const CollectivePart& part) {
  const std::shared_ptr<Clique> clique = comm->clique;
  const std::size_t number = comm->calls++, ranks = clique->members.size(), size = bytes_of(part.type);
  ++*comm->unfinished;
  const auto ready = [=, reached = std::make_shared<bool>(false)] {
    Processes& processes = clique->processes;
    if (!std::exchange(*reached, true)) processes.reach(number, part);
    clique->aborted |= processes.aborted();
    if (clique->aborted || !processes.all_reached(number)) return clique->aborted;
    if (const auto mistake = processes.mismatch(number); !mistake.empty())
      clique->error = ncclInvalidUsage, clique->aborted = true, clique->mistake = "collective " + std::to_string(number) + ": " + mistake;
    return true;
  };
  const auto run = [=, seed = options().seed] {
    if (!clique->aborted) clique->processes.run(number, part, seed == 0 ? 0 : mix(seed) + number);
    return Failure{};
  };
  const auto after = [unfinished = comm->unfinished] { --*unfinished; };   // with the lock
  call.machine.queue(part.stream, {.what = words_of(part) + ", number " + std::to_string(number) + " of rank " + std::to_string(comm->rank), .run = run,
                                   .uses = {{part.from, read_count(part, ranks) * size}, {part.to, written_count(part, ranks) * size}}, .ready = ready, .after = after, .waits_for_processes = true});
  return ncclSuccess;
}

ncclResult_t enqueue(Call& call, ncclComm_t comm, CollectivePart part, bool in_group) {
  if (part.stream->capture != nullptr) {
    part.stream->capture->invalidated = true;
    return refuse(call, ncclInvalidUsage, words_of(part), ": on a stream that is captured, which isn't emulated");
  }
  const std::shared_ptr<Clique> clique = comm->clique;
  if (!clique->processes.are_threads()) return enqueue_among_processes(call, comm, part);
  const std::size_t number = comm->calls, place = static_cast<std::size_t>(comm->rank), ranks = clique->members.size();
  const std::shared_ptr<Collective> collective = collective_of(*clique, number);
  part.thread = std::this_thread::get_id();
  for (const CollectivePart& other : collective->parts)
    if (!in_group && other.given && other.thread == part.thread)
      return refuse(call, ncclInvalidUsage, words_of(part), ": one thread calls it for several ranks: ncclGroupStart and ncclGroupEnd must enclose that");
  if (const auto mistake = mismatch(*collective, comm->rank, part); !mistake.empty()) {
    clique->error = ncclInvalidUsage, clique->aborted = true;
    clique->mistake = "collective " + std::to_string(number) + ": " + mistake;
    call.machine.wake();
    return refuse(call, ncclInvalidUsage, clique->mistake);
  }
  part.given = true;
  collective->parts[place] = part;
  ++comm->calls, ++*comm->unfinished;
  if (std::all_of(collective->parts.begin(), collective->parts.end(), [](const CollectivePart& each) { return each.given; })) clique->collectives.erase(number);
  const std::string words = words_of(part) + ", number " + std::to_string(number) + " of rank " + std::to_string(comm->rank);
  const std::size_t size = bytes_of(part.type);
  const auto ready = [clique, collective, place] {
    CollectivePart& own = collective->parts[place];
    if (!own.reached) own.reached = true, Machine::get().wake();
    return collective->all_reached() || clique->aborted;
  };
  const auto run = [clique, collective, words, number, seed = options().seed] {
    if (collective->all_reached()) collective->run(seed == 0 ? 0 : mix(seed) + number);
    return Failure{};
  };
  const auto after = [unfinished = comm->unfinished] { --*unfinished; };   // with the lock
  call.machine.queue(part.stream, {.what = words, .run = run, .uses = {{part.from, read_count(part, ranks) * size}, {part.to, written_count(part, ranks) * size}}, .ready = ready, .after = after});
  return ncclSuccess;
}

ncclResult_t give(ncclComm_t comm, const CollectivePart& part) {
  Call call("NCCL");
  if (!communicators.contains(comm)) return refuse(call, ncclInvalidArgument, words_of(part), ": no such communicator");
  if (const auto result = check(call, *comm, part); result != ncclSuccess) return result;
  if (grouped.depth > 0) return grouped.collectives.emplace_back(comm, part), ncclSuccess;
  return part.count == 0 ? ncclSuccess : enqueue(call, comm, part, false);
}

void leave(Call& call, ncclComm_t comm) {
  comm->clique->members[static_cast<std::size_t>(comm->rank)] = nullptr;
  communicators.erase(comm);
  delete comm;
  call.machine.wake();
}

}  // namespace

// ---- communicators

ncclResult_t ncclGetVersion(int* version) { return *version = NCCL_VERSION_CODE, ncclSuccess; }

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  const Call call("ncclGetUniqueId");
  static std::uint64_t made = 0;
  *id = {};
  const std::string name = "/hostcuda-nccl-" + std::to_string(::getpid()) + "-" + std::to_string(++made);   // of the board where the ranks meet
  std::memcpy(id->internal, name.c_str(), name.size() + 1);
  return ncclSuccess;
}

ncclResult_t ncclCommInitRank(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank) { return join(comm, ranks, id, rank, true); }

// blocking = 0: the call returns at once; ncclCommGetAsyncError tells when all ranks have joined.
ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank, ncclConfig_t* config) {
  return join(comm, ranks, id, rank, config == nullptr || config->blocking != 0);
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* error) {
  Call call("ncclCommGetAsyncError");
  if (!communicators.contains(comm)) return refuse(call, ncclInvalidArgument, "ncclCommGetAsyncError: no such communicator");
  const Clique& clique = *comm->clique;
  *error = clique.error != ncclSuccess ? clique.error : clique.aborted ? ncclRemoteError : !clique.all_joined() ? ncclInProgress : ncclSuccess;
  return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  Call call("ncclCommFinalize");
  if (!communicators.contains(comm)) return refuse(call, ncclInvalidArgument, "ncclCommFinalize: no such communicator");
  if (call.machine.run_until(call.guard, nullptr, [=] { return *comm->unfinished == 0; })) return ncclSuccess;
  return refuse(call, ncclSystemError, "ncclCommFinalize: ", std::string(call.machine.last_report));
}

// NCCL waits in it for what is unfinished, which hangs where another rank doesn't come.
ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  Call call("ncclCommDestroy");
  if (!communicators.contains(comm)) return refuse(call, ncclInvalidArgument, "ncclCommDestroy: no such communicator");
  if (*comm->unfinished > 0) return refuse(call, ncclInvalidUsage, "ncclCommDestroy: ", *comm->unfinished, " collectives of rank ", comm->rank, " aren't finished");
  return leave(call, comm), ncclSuccess;
}

// What is queued ends without a result, on all ranks.
ncclResult_t ncclCommAbort(ncclComm_t comm) {
  Call call("ncclCommAbort");
  if (!communicators.contains(comm)) return refuse(call, ncclInvalidArgument, "ncclCommAbort: no such communicator");
  comm->clique->aborted = true;
  comm->clique->processes.abort();
  return leave(call, comm), ncclSuccess;
}

ncclResult_t ncclCommCount(ncclComm_t comm, int* count) { return *count = static_cast<int>(comm->clique->members.size()), ncclSuccess; }
ncclResult_t ncclCommUserRank(ncclComm_t comm, int* rank) { return *rank = comm->rank, ncclSuccess; }
ncclResult_t ncclCommCuDevice(ncclComm_t comm, int* device) { return *device = comm->device, ncclSuccess; }

const char* ncclGetErrorString(ncclResult_t result) {
  constexpr const char* texts[] = {"no error", "unhandled cuda error", "unhandled system error", "internal error", "invalid argument", "invalid usage",
                                   "remote process exited or there was a network error", "NCCL operation in progress"};
  return texts[result];
}

const char* ncclGetLastError(ncclComm_t comm) {
  static thread_local std::string text;
  const Call call("ncclGetLastError");
  const bool known = communicators.contains(comm) && !comm->clique->mistake.empty();
  return (text = known ? comm->clique->mistake : call.machine.last_report).c_str();
}

// ---- groups

ncclResult_t ncclGroupStart() { return ++grouped.depth, ncclSuccess; }

ncclResult_t ncclGroupEnd() {
  Call call("ncclGroupEnd");
  if (grouped.depth == 0) return refuse(call, ncclInvalidUsage, "ncclGroupEnd without ncclGroupStart");
  if (--grouped.depth > 0) return ncclSuccess;
  const auto joining = std::exchange(grouped.joining, {});
  const auto collectives = std::exchange(grouped.collectives, {});
  for (const ncclComm_t comm : joining)
    if (const auto result = wait_for_members(call, comm->clique); result != ncclSuccess) return result;
  for (const auto& [comm, part] : collectives)
    if (part.count > 0)
      if (const auto result = enqueue(call, comm, part, true); result != ncclSuccess) return result;
  return ncclSuccess;
}

// ---- collectives

ncclResult_t ncclAllReduce(const void* from, void* to, std::size_t count, ncclDataType_t type, ncclRedOp_t operation, ncclComm_t comm, cudaStream_t stream) {
  return give(comm, {.kind = CollectiveKind::all_reduce, .type = type, .count = count, .operation = operation, .from = from, .to = to, .stream = stream});
}
ncclResult_t ncclReduceScatter(const void* from, void* to, std::size_t count, ncclDataType_t type, ncclRedOp_t operation, ncclComm_t comm, cudaStream_t stream) {
  return give(comm, {.kind = CollectiveKind::reduce_scatter, .type = type, .count = count, .operation = operation, .from = from, .to = to, .stream = stream});
}
ncclResult_t ncclAllGather(const void* from, void* to, std::size_t count, ncclDataType_t type, ncclComm_t comm, cudaStream_t stream) {
  return give(comm, {.kind = CollectiveKind::all_gather, .type = type, .count = count, .from = from, .to = to, .stream = stream});
}
ncclResult_t ncclBroadcast(const void* from, void* to, std::size_t count, ncclDataType_t type, int root, ncclComm_t comm, cudaStream_t stream) {
  return give(comm, {.kind = CollectiveKind::broadcast, .type = type, .count = count, .root = root, .from = from, .to = to, .stream = stream});
}
