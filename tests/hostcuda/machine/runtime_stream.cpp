// Streams, events, launches: CUDA Runtime API, "Stream Management", "Event Management", "Execution Control".

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "call.hpp"
#include "grid.hpp"
#include "hostcuda/work.hpp"
#include "options.hpp"

using namespace hostcuda;

namespace hostcuda {

namespace {

bool is_host_memory(std::uintptr_t word) {
  unsigned char resident;
  return word >= 0x10000 && word >> 47 == 0 && mincore(reinterpret_cast<void*>(word & ~std::uintptr_t{4095}), 1, &resident) == 0;
}

/// Words of an argument that are addresses. A pointer is taken at its word; in a struct only what looks like an address of heap, stack or
/// mapped memory: two packed ints may look like a lower one.
template <class Visit>
void each_address(const Argument& argument, Visit visit) {
  for (std::size_t at = 0; at + sizeof(std::uintptr_t) <= argument.bytes; at += sizeof(std::uintptr_t)) {
    std::uintptr_t word;
    std::memcpy(&word, static_cast<const unsigned char*>(argument.value) + at, sizeof word);
    const auto* const address = reinterpret_cast<const void*>(word);
    if (device_of(address) != -2 || ((argument.bytes == sizeof word || word >= 0x500000000000u) && is_host_memory(word))) visit(address);
  }
}

/// What a kernel may be given: memory of its own device (there is no peer access), and page-locked memory; and what of it it uses.
std::string check_arguments(Memory& memory, int device, std::initializer_list<Argument> arguments, std::vector<Range>& uses) {
  std::string mistake;
  int number = 0;
  for (const Argument& argument : arguments) {
    ++number;
    each_address(argument, [&](const void* address) {
      const int owner = device_of(address);
      const Allocation* const found = owner == -2 ? nullptr : memory.find(address);
      std::ostringstream text;
      if (owner == -2) text << "is the host's address " << address;
      else if (owner >= 0 && owner != device) text << "is an address of device " << owner << ", the kernel runs on device " << device;
      else if (found == nullptr || !found->live) text << "is the address " << address << " of no live allocation";
      else uses.push_back({address, 1});
      if (mistake.empty() && !text.str().empty()) mistake = "argument " + std::to_string(number) + " " + text.str();
    });
  }
  return mistake;
}

// CUDA C++ Programming Guide, "Technical Specifications per Compute Capability".
std::string wrong_shape(dim3 grid, dim3 block) {
  const std::uint64_t threads = std::uint64_t{block.x} * block.y * block.z;
  if (threads == 0 || threads > 1024 || block.z > 64) return "a block of " + std::to_string(threads) + " threads; 1 to 1024 are possible, z up to 64";
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7FFFFFFFu || grid.y > 65535 || grid.z > 65535)
    return "a grid of (" + std::to_string(grid.x) + "," + std::to_string(grid.y) + "," + std::to_string(grid.z) + ") blocks; x up to 2^31 - 1, y and z up to 65535";
  return {};
}

}  // namespace

cudaError_t launch(const cudaLaunchConfig_t& config, Kernel kernel, std::initializer_list<Argument> arguments) {
  Call call("cudaLaunchKernelEx");
  Machine& machine = call.machine;
  const std::string name = readable_name(kernel.function);
  const char* const short_name = name_without_arguments(kernel.function);
  const cudaStream_t stream = config.stream;
  if (!call.knows(stream)) return call.end(cudaErrorInvalidResourceHandle, name, ": no such stream (the default stream isn't emulated)");
  // "A kernel launch will fail if it is issued to a stream that is not associated to the current device" (Programming Guide, "Stream and
  // Event Behavior").
  if (stream->device != current_device()) return call.end(cudaErrorInvalidResourceHandle, name, ": a stream of device ", stream->device, ", but the current device is ", current_device());
  if (const auto mistake = wrong_shape(config.gridDim, config.blockDim); !mistake.empty()) return call.end(cudaErrorInvalidConfiguration, name, ": ", mistake);
  const auto asked = machine.shared_asked.find({kernel.function, current_device()});
  const std::size_t most = std::max(shared_limits().without_asking, asked == machine.shared_asked.end() ? 0 : asked->second);
  if (config.dynamicSmemBytes > most) return call.end(cudaErrorInvalidValue, name, ": ", config.dynamicSmemBytes, " bytes of dynamic shared memory, ", most, " are allowed");
  std::vector<Range> uses;
  if (const auto mistake = check_arguments(machine.memory, stream->device, arguments, uses); !mistake.empty()) return call.end(cudaErrorInvalidValue, name, ": ", mistake);
  const GridShape grid{std::move(kernel), short_name, config.gridDim, config.blockDim, config.dynamicSmemBytes};
  static std::uint64_t launches = 0;
  const std::uint64_t seed = options().seed == 0 ? 0 : mix(mix(options().seed) + launches++) | 1;
  machine.queue(stream, {.what = "kernel " + name,
                         .run =
                             [=] {
                               give_thread_a_signal_stack();
                               std::string mistake = run_grid(grid, seed, stream);
                               return mistake.empty() ? Failure{} : Failure{cudaErrorIllegalAddress, std::move(mistake)};
                             },
                         .uses = std::move(uses)});
  return call.end();
}

}  // namespace hostcuda

// ---- streams

cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithFlags(stream, cudaStreamDefault); }

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  Call call("cudaStreamCreateWithFlags");
  if (call.device().failure) return call.end();
  *stream = new CUstream_st;
  (*stream)->device = current_device(), (*stream)->blocking = flags != cudaStreamNonBlocking;
  call.machine.streams.insert(*stream);
  return call.end();
}

// "In case the device is still doing work in the stream when cudaStreamDestroy() is called, the function will return immediately and the
// resources … will be released automatically once the device has completed all work."
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  Call call("cudaStreamDestroy");
  if (!call.knows(stream)) return call.end(cudaErrorInvalidResourceHandle, "no such stream");
  if (stream->queue.empty() && !stream->busy) {
    if (stream->identity != nullptr) end_identity(stream->identity);
    call.machine.streams.erase(stream);
    delete stream;
  } else {
    stream->destroyed = true;
  }
  return call.end();
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream, Where where) {
  if (omitted(where, "cudaStreamSynchronize")) return cudaSuccess;
  Call call("cudaStreamSynchronize");
  if (!call.knows(stream)) return call.end(cudaErrorInvalidResourceHandle, "no such stream (the default stream isn't emulated)");
  if (Capture* const capture = stream->capture != nullptr ? stream->capture.get() : call.forbidding()) return call.spoil(*capture, "while a stream is captured");
  const cudaError_t status = call.wait(stream, [=] { return stream->queue.empty() && !stream->busy; });
  acquire(&stream->done);
  return status;
}

cudaError_t cudaDeviceSynchronize(Where where) {
  if (omitted(where, "cudaDeviceSynchronize")) return cudaSuccess;
  Call call("cudaDeviceSynchronize");
  if (Capture* const capture = call.forbidding()) return call.spoil(*capture, "a stream is captured");
  const int device = current_device();
  const cudaError_t status = call.wait(nullptr, [&] { return call.machine.idle(device); });
  for (const cudaStream_t stream : call.machine.streams)
    if (stream->device == device) acquire(&stream->done);
  acquire(&call.machine.devices[static_cast<std::size_t>(device)].ended_streams);
  return status;
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  Call call("cudaStreamQuery");
  if (!call.knows(stream)) return call.end(cudaErrorInvalidResourceHandle, "no such stream (the default stream isn't emulated)");
  if (Capture* const capture = stream->capture != nullptr ? stream->capture.get() : call.forbidding()) return call.spoil(*capture, "while a stream is captured");
  call.machine.run_one(call.guard);
  if (call.device().failure) return call.end();
  if (stream->busy || !stream->queue.empty()) return cudaErrorNotReady;
  acquire(&stream->done);
  return call.end();
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned, Where where) {
  if (omitted(where, "cudaStreamWaitEvent")) return cudaSuccess;
  Call call("cudaStreamWaitEvent");
  if (!call.knows(stream) || !call.knows(event)) return call.end(cudaErrorInvalidResourceHandle, "no such stream or event");
  if (stream->capture != nullptr) return call.spoil(*stream->capture, "events between captured streams aren't emulated");
  const std::shared_ptr<EventState> state = event->state;
  const std::uint64_t record = state->recorded;   // the most recent one; none: "the call acts as if the record has already completed"
  call.machine.queue(stream, {.what = "an event", .ready = [=] { return state->done >= record; }, .event = state});
  return call.end();
}

// ---- events

cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  Call call("cudaEventCreateWithFlags");
  if (call.device().failure) return call.end();
  *event = new CUevent_st;
  (*event)->device = current_device(), (*event)->timing = (flags & cudaEventDisableTiming) == 0;
  call.machine.events.insert(*event);
  return call.end();
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  Call call("cudaEventDestroy");
  if (!call.knows(event)) return call.end(cudaErrorInvalidResourceHandle, "no such event");
  call.machine.events.erase(event);
  delete event;
  return call.end();
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream, Where where) {
  if (omitted(where, "cudaEventRecord")) return cudaSuccess;
  Call call("cudaEventRecord");
  if (!call.knows(stream) || !call.knows(event)) return call.end(cudaErrorInvalidResourceHandle, "no such stream or event (the default stream isn't emulated)");
  if (stream->capture != nullptr) return call.spoil(*stream->capture, "events between captured streams aren't emulated");
  if (event->device != stream->device) return call.end(cudaErrorInvalidResourceHandle, "an event of device ", event->device, " on a stream of device ", stream->device);
  call.machine.queue(stream, {.what = "record of an event", .event = event->state, .records = true, .record = ++event->state->recorded});
  return call.end();
}

cudaError_t cudaEventSynchronize(cudaEvent_t event, Where where) {
  if (omitted(where, "cudaEventSynchronize")) return cudaSuccess;
  Call call("cudaEventSynchronize");
  if (!call.knows(event)) return call.end(cudaErrorInvalidResourceHandle, "no such event");
  if (Capture* const capture = call.forbidding()) return call.spoil(*capture, "while a stream is captured");
  const std::shared_ptr<EventState> state = event->state;
  const std::uint64_t record = state->recorded;
  const cudaError_t status = call.wait(nullptr, [=] { return state->done >= record; });
  acquire(&state->sync);
  return status;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  Call call("cudaEventQuery");
  if (!call.knows(event)) return call.end(cudaErrorInvalidResourceHandle, "no such event");
  if (Capture* const capture = call.forbidding()) return call.spoil(*capture, "while a stream is captured");
  call.machine.run_one(call.guard);
  if (call.device().failure) return call.end();
  if (event->state->done < event->state->recorded) return call.machine.is_stuck() ? call.end(cudaErrorLaunchTimeout, call.machine.last_report) : cudaErrorNotReady;
  acquire(&event->state->sync);
  return call.end();
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  Call call("cudaEventElapsedTime");
  if (!call.knows(from) || !call.knows(to) || !from->timing || !to->timing || from->state->recorded == 0 || to->state->recorded == 0)
    return call.end(cudaErrorInvalidResourceHandle, "both events must take times and have been recorded");
  if (from->state->done < from->state->recorded || to->state->done < to->state->recorded) return cudaErrorNotReady;
  *milliseconds = std::chrono::duration<float, std::milli>(to->state->at - from->state->at).count();
  return call.end();
}

// ---- work of other libraries

cudaError_t hostcuda::queue_work(cudaStream_t stream, std::string what, std::initializer_list<Use> uses, std::function<void()> run) {
  Call call("queued work");
  if (!call.knows(stream)) return call.end(cudaErrorInvalidResourceHandle, what, ": no such stream (the default stream isn't emulated)");
  std::vector<Range> ranges;
  for (const Use& use : uses) {
    const Allocation* const found = device_of(use.begin) == stream->device ? call.machine.memory.find(use.begin) : nullptr;
    if (found == nullptr || !found->live || static_cast<const unsigned char*>(use.begin) + use.bytes > found->begin + found->bytes)
      return call.end(cudaErrorIllegalAddress, what, ": ", use.bytes, " bytes from ", use.begin, " on aren't all memory of device ", stream->device);
    ranges.push_back({use.begin, use.bytes});
  }
  call.machine.queue(stream, {.what = std::move(what),
                              .run =
                                  [run = std::move(run), uses = std::vector<Use>(uses)] {
                                    for (const Use& use : uses) use.written ? tell_write(use.begin, use.bytes) : tell_read(use.begin, use.bytes);
                                    run();
                                    return Failure{};
                                  },
                              .uses = std::move(ranges)});
  return call.end();
}
