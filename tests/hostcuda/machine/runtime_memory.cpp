// Allocations and copies: CUDA Runtime API, "Memory Management", "API synchronization behavior".

#include <algorithm>
#include <cstring>
#include <memory>

#include "call.hpp"
#include "grid.hpp"
#include "options.hpp"

using namespace hostcuda;

namespace {

enum class Place { pageable, pinned, device };

/// Where `bytes` from `address` on lie. Of the machine's own memory they must lie in one live allocation.
struct Located {
  Place place = Place::pageable;
  int device = -1;
  std::string mistake;
};

Located locate(Memory& memory, const void* address, std::size_t bytes) {
  const int device = device_of(address);
  if (device == -2) return {};
  const Located result{device == Memory::host ? Place::pinned : Place::device, device, {}};
  const Allocation* const found = memory.find(address);
  if (found == nullptr || !found->live) return {result.place, device, "the address lies in no live allocation"};
  const auto left = static_cast<std::size_t>(found->begin + found->bytes - static_cast<const unsigned char*>(address));
  if (bytes > left) return {result.place, device, std::to_string(bytes) + " bytes, but the allocation has " + std::to_string(left) + " from there on"};
  return result;
}

const char* words_of(cudaMemcpyKind kind) {
  constexpr const char* names[] = {"host to host", "host to device", "device to host", "device to device", "default"};
  return names[kind];
}

/// Which of source and target must be device memory: an address of the other kind is a mistake.
std::string wrong_direction(cudaMemcpyKind kind, const Located& to, const Located& from) {
  if (kind == cudaMemcpyDefault) return {};
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (to_device != (to.place == Place::device)) return std::string("the target is ") + (to_device ? "host" : "device") + " memory in a copy " + words_of(kind);
  if (from_device != (from.place == Place::device)) return std::string("the source is ") + (from_device ? "host" : "device") + " memory in a copy " + words_of(kind);
  return {};
}

// Touched byte by byte in the machine, the copy would be unseen by ThreadSanitizer; memcpy is seen wherever it is called from.
Failure copy(void* to, const void* from, std::size_t bytes) {
  const Seen seen;
  std::memcpy(to, from, bytes);
  return {};
}
Work copy_work(void* to, const void* from, std::size_t bytes, std::string what) {
  return {.what = std::move(what), .run = [=] { return copy(to, from, bytes); }, .uses = {{to, bytes}, {from, bytes}}};
}

Failure set(void* address, int value, std::size_t bytes) {
  const Seen seen;
  std::memset(address, value, bytes);
  return {};
}
Work set_work(void* address, int value, std::size_t bytes) {
  return {.what = "memset", .run = [=] { return set(address, value, bytes); }, .uses = {{address, bytes}}};
}

cudaError_t take(Call& call, void** address, std::size_t bytes, int device) {
  *address = nullptr;
  if (Capture* const capture = call.forbidding()) return call.spoil(*capture, "a stream is captured");
  if (bytes == 0) return call.end();
  const std::size_t charged = (bytes + 255) / 256 * 256;
  if (device != Memory::host && charged > options().memory - std::min(options().memory, call.device().used))
    return call.end(cudaErrorMemoryAllocation, bytes, " bytes asked, ", options().memory - std::min(options().memory, call.device().used), " free on device ", device);
  if (call.device().failure) return call.end();
  catch_faults(), give_thread_a_signal_stack();   // the host's own mistakes are named too
  *address = call.machine.memory.allocate(device, bytes);
  if (*address == nullptr) return call.end(cudaErrorMemoryAllocation, "the emulated device has no more addresses");
  if (device != Memory::host) {
    call.device().used += charged;
    call.device().peak = std::max(call.device().peak, call.device().used);
  }
  return call.end();
}

// Freeing what queued work uses: CUDA waits for the device there, which hangs where that work waits for another rank's thread (NCCL User
// Guide, "Using multiple NCCL communicators concurrently", "CUDA calls that synchronise"). So it is an error here: wait first.
cudaError_t give_back(Call& call, void* address, bool device) {
  if (Capture* const capture = call.forbidding()) return call.spoil(*capture, "a stream is captured");
  if (address == nullptr) return call.end();
  Allocation* const found = call.machine.memory.find(address);
  if (found == nullptr || found->begin != address || (found->device == Memory::host) == device) return call.end(cudaErrorInvalidValue, address, " wasn't allocated by it");
  if (!found->live) return call.end(cudaErrorInvalidValue, address, " was freed before");
  const std::string user = call.machine.user_of(found->begin, found->bytes);
  const std::string mistake = call.machine.memory.free(*found);
  if (device) call.machine.devices[static_cast<std::size_t>(found->device)].used -= found->charged();
  const std::string text = !user.empty() ? "memory is freed that queued work uses: " + user : mistake;
  Device& owner = call.machine.devices[static_cast<std::size_t>(device ? found->device : current_device())];
  if (!text.empty() && !owner.failure) owner.failure = {cudaErrorIllegalAddress, text}, call.machine.last_report = text;
  return call.end();
}

/// Queues a copy. Pageable host memory is read before the call returns, and written before it returns (Runtime API, "API synchronization
/// behavior"); page-locked memory whenever the stream comes to it.
cudaError_t queue_copy(Call& call, void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  if (bytes == 0) return call.end();
  const Located target = locate(call.machine.memory, to, bytes), source = locate(call.machine.memory, from, bytes);
  if (const auto mistake = wrong_direction(kind, target, source); !mistake.empty()) return call.end(cudaErrorInvalidValue, mistake);
  if (!target.mistake.empty()) return call.end(cudaErrorInvalidValue, "target: ", target.mistake);
  if (!source.mistake.empty()) return call.end(cudaErrorInvalidValue, "source: ", source.mistake);
  if (stream->capture != nullptr && (source.place == Place::pageable || target.place == Place::pageable))
    return call.spoil(*stream->capture, "a copy from or to pageable memory, which can't wait for a graph's launch");
  const std::string what = "copy of " + std::to_string(bytes) + " bytes, " + words_of(kind);
  if (source.place == Place::pageable) {
    const std::shared_ptr<unsigned char[]> staged(new unsigned char[bytes]);
    std::memcpy(staged.get(), from, bytes);
    Work work = copy_work(to, nullptr, bytes, what);
    work.run = [=] { return copy(to, staged.get(), bytes); };
    work.uses = {{to, bytes}};
    call.machine.queue(stream, std::move(work));
  } else {
    call.machine.queue(stream, copy_work(to, from, bytes, what));
  }
  if (target.place != Place::pageable) return call.end();
  const cudaError_t status = call.wait(stream, [=] { return stream->queue.empty() && !stream->busy; });
  acquire(&stream->done);
  return status;
}

}  // namespace

cudaError_t cudaMalloc(void** address, std::size_t bytes) {
  Call call("cudaMalloc");
  return take(call, address, bytes, current_device());
}

cudaError_t cudaFree(void* address) {
  Call call("cudaFree");
  return give_back(call, address, true);
}

cudaError_t cudaHostAlloc(void** address, std::size_t bytes, unsigned) {
  Call call("cudaHostAlloc");
  return take(call, address, bytes, Memory::host);
}

cudaError_t cudaMallocHost(void** address, std::size_t bytes, unsigned flags) { return cudaHostAlloc(address, bytes, flags); }

cudaError_t cudaFreeHost(void* address) {
  Call call("cudaFreeHost");
  return give_back(call, address, false);
}

cudaError_t cudaMemGetInfo(std::size_t* free_bytes, std::size_t* total) {
  Call call("cudaMemGetInfo");
  *total = options().memory;
  *free_bytes = options().memory - std::min(options().memory, call.device().used);
  return call.end();
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* address) {
  Call call("cudaPointerGetAttributes");
  const Allocation* const found = device_of(address) == -2 ? nullptr : call.machine.memory.find(address);
  *attributes = {cudaMemoryTypeUnregistered, -2, nullptr, nullptr};
  if (found == nullptr || !found->live) return call.end();
  auto* const same = const_cast<void*>(address);
  const bool host = found->device == Memory::host;
  *attributes = {host ? cudaMemoryTypeHost : cudaMemoryTypeDevice, host ? current_device() : found->device, same, host ? same : nullptr};
  return call.end();
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  Call call("cudaMemcpyAsync");
  if (!call.knows(stream)) return call.end(cudaErrorInvalidResourceHandle, "no such stream (the default stream isn't emulated)");
  return queue_copy(call, to, from, bytes, kind, stream);
}

cudaError_t cudaMemcpyPeerAsync(void* to, int, const void* from, int, std::size_t bytes, cudaStream_t stream) {
  return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream);
}

cudaError_t cudaMemsetAsync(void* address, int value, std::size_t bytes, cudaStream_t stream) {
  Call call("cudaMemsetAsync");
  if (!call.knows(stream)) return call.end(cudaErrorInvalidResourceHandle, "no such stream (the default stream isn't emulated)");
  const Located target = locate(call.machine.memory, address, bytes);
  if (target.place != Place::device) return call.end(cudaErrorInvalidValue, "the address isn't device memory");
  if (!target.mistake.empty()) return call.end(cudaErrorInvalidValue, target.mistake);
  call.machine.queue(stream, set_work(address, value, bytes));
  return call.end();
}

// On the legacy default stream: they wait for the device's blocking streams, not for those that are cudaStreamNonBlocking (Runtime API,
// "Stream synchronization behavior").
namespace {

cudaError_t on_default_stream(Call& call, const std::function<cudaError_t(cudaStream_t)>& queue_on) {
  if (Capture* const capture = call.forbidding()) return call.spoil(*capture, "a stream is captured");
  const int device = current_device();
  if (const auto status = call.wait(nullptr, [&] { return call.machine.idle(device, true); }); status != cudaSuccess) return status;
  auto* const stream = new CUstream_st;
  stream->device = device;
  call.machine.streams.insert(stream);
  const cudaError_t status = queue_on(stream);
  const cudaError_t waited = call.wait(stream, [=] { return stream->queue.empty() && !stream->busy; });
  acquire(&stream->done);
  if (stream->identity != nullptr) end_identity(stream->identity);
  call.machine.streams.erase(stream);
  delete stream;
  return status != cudaSuccess ? status : waited;
}

}  // namespace

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  Call call("cudaMemcpy");
  return on_default_stream(call, [&](cudaStream_t stream) { return queue_copy(call, to, from, bytes, kind, stream); });
}

cudaError_t cudaMemset(void* address, int value, std::size_t bytes) {
  Call call("cudaMemset");
  return on_default_stream(call, [&](cudaStream_t stream) {
    const Located target = locate(call.machine.memory, address, bytes);
    if (target.place != Place::device || !target.mistake.empty()) return call.end(cudaErrorInvalidValue, "the address isn't device memory, or not so much of it");
    call.machine.queue(stream, set_work(address, value, bytes));
    return cudaSuccess;
  });
}
