// Devices, errors, functions: CUDA Runtime API, "Device Management", "Error Handling", "Execution Control".

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "call.hpp"
#include "grid.hpp"
#include "hostcuda/control.hpp"
#include "options.hpp"

namespace hostcuda {

namespace {

// The last one that wasn't success, until cudaGetLastError; and the words of the last one, which cudaGetErrorString adds.
thread_local cudaError_t last_status = cudaSuccess;
struct Words {
  cudaError_t status = cudaSuccess;
  std::string text, shown;
};
thread_local Words words;

struct ErrorName {
  cudaError_t status;
  const char *name, *text;
};
constexpr ErrorName error_names[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorInvalidMemcpyDirection, "cudaErrorInvalidMemcpyDirection", "invalid copy direction for memcpy"},
    {cudaErrorInvalidDeviceFunction, "cudaErrorInvalidDeviceFunction", "invalid device function"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
    {cudaErrorLaunchTimeout, "cudaErrorLaunchTimeout", "the launch timed out and was terminated"},
    {cudaErrorMisalignedAddress, "cudaErrorMisalignedAddress", "misaligned address"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorNotPermitted, "cudaErrorNotPermitted", "operation not permitted"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported", "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated", "operation failed due to a previous error during capture"},
    {cudaErrorStreamCaptureUnmatched, "cudaErrorStreamCaptureUnmatched", "capture was not ended in the same stream as it began"},
    {cudaErrorStreamCaptureUnjoined, "cudaErrorStreamCaptureUnjoined", "capturing stream has unjoined work"},
    {cudaErrorStreamCaptureIsolation, "cudaErrorStreamCaptureIsolation", "dependency created on uncaptured work in another stream"},
    {cudaErrorStreamCaptureImplicit, "cudaErrorStreamCaptureImplicit", "operation would make the legacy stream depend on a capturing blocking stream"},
    {cudaErrorCapturedEvent, "cudaErrorCapturedEvent", "operation not permitted on an event last recorded in a capturing stream"},
    {cudaErrorStreamCaptureWrongThread, "cudaErrorStreamCaptureWrongThread", "attempt to terminate a thread-local capture sequence from another thread"},
};

const ErrorName& found(cudaError_t status) {
  static constexpr ErrorName unknown{cudaSuccess, "cudaErrorUnknown", "unrecognized error code"};
  const auto* const entry = std::find_if(std::begin(error_names), std::end(error_names), [&](const ErrorName& name) { return name.status == status; });
  return entry == std::end(error_names) ? unknown : *entry;
}

}  // namespace

cudaError_t note_status(cudaError_t status, std::string text) {
  last_status = status;
  words.status = status, words.text = std::move(text);
  return status;
}

std::size_t memory_used(int device) {
  const std::lock_guard guard(Machine::get().lock);
  return Machine::get().devices.at(static_cast<std::size_t>(device)).used;
}
std::size_t peak_memory_used(int device) {
  const std::lock_guard guard(Machine::get().lock);
  return Machine::get().devices.at(static_cast<std::size_t>(device)).peak;
}
std::string last_report() {
  const std::lock_guard guard(Machine::get().lock);
  return Machine::get().last_report;
}
void reset() {
  const std::lock_guard guard(Machine::get().lock);
  Machine::get().reset(current_device());
  last_status = cudaSuccess, words = {};
}

}  // namespace hostcuda

using namespace hostcuda;

// ---- errors

const char* cudaGetErrorName(cudaError_t status) { return found(status).name; }

const char* cudaGetErrorString(cudaError_t status) {
  if (status == cudaSuccess || status != words.status || words.text.empty()) return found(status).text;
  words.shown = std::string(found(status).text) + " (" + words.text + ")";
  return words.shown.c_str();
}

cudaError_t cudaPeekAtLastError() {
  const std::lock_guard guard(Machine::get().lock);
  const Failure& failure = Machine::get().devices[static_cast<std::size_t>(current_device())].failure;
  return failure ? note_status(failure.status, failure.text) : last_status;
}

// A failure of a kernel or copy isn't reset by asking for it.
cudaError_t cudaGetLastError() {
  const cudaError_t status = cudaPeekAtLastError();
  last_status = cudaSuccess;
  return status;
}

// ---- devices

cudaError_t cudaGetDeviceCount(int* count) {
  *count = options().devices;
  return *count > 0 ? cudaSuccess : note_status(cudaErrorNoDevice);
}

cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= options().devices) return note_status(cudaErrorInvalidDevice, "cudaSetDevice: device " + std::to_string(device));
  current_device() = device;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) { return *device = current_device(), cudaSuccess; }

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  cudaDeviceProp properties;
  if (const auto status = cudaGetDeviceProperties(&properties, device); status != cudaSuccess) return status;
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock: *value = properties.maxThreadsPerBlock; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = static_cast<int>(properties.sharedMemPerBlock); break;
    case cudaDevAttrWarpSize: *value = properties.warpSize; break;
    case cudaDevAttrClockRate: *value = capability() < 80 ? 1590000 : 1410000; break;          // kHz
    case cudaDevAttrMultiProcessorCount: *value = properties.multiProcessorCount; break;
    case cudaDevAttrMemoryClockRate: *value = capability() < 80 ? 5001000 : 1215000; break;
    case cudaDevAttrGlobalMemoryBusWidth: *value = properties.memoryBusWidth; break;
    case cudaDevAttrL2CacheSize: *value = properties.l2CacheSize; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = properties.maxThreadsPerMultiProcessor; break;
    case cudaDevAttrComputeCapabilityMajor: *value = properties.major; break;
    case cudaDevAttrComputeCapabilityMinor: *value = properties.minor; break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: *value = static_cast<int>(properties.sharedMemPerMultiprocessor); break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = static_cast<int>(properties.sharedMemPerBlockOptin); break;
    default: return note_status(cudaErrorInvalidValue, "cudaDeviceGetAttribute: attribute " + std::to_string(attribute) + " isn't emulated");
  }
  return cudaSuccess;
}

// A T4's numbers at 7.5, an A100's at 8.0, but for the memory, which is a T4's.
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device < 0 || device >= options().devices) return note_status(cudaErrorInvalidDevice, "device " + std::to_string(device));
  *properties = {};
  const bool turing = capability() < 80;
  std::snprintf(properties->name, sizeof properties->name, "hostcuda %d.%d", capability() / 10, capability() % 10);
  properties->totalGlobalMem = options().memory;
  properties->sharedMemPerBlock = shared_limits().without_asking;
  properties->sharedMemPerBlockOptin = shared_limits().opt_in;
  properties->sharedMemPerMultiprocessor = shared_limits().per_multiprocessor;
  properties->warpSize = 32, properties->maxThreadsPerBlock = 1024;
  properties->major = capability() / 10, properties->minor = capability() % 10;
  properties->multiProcessorCount = turing ? 40 : 108;
  properties->maxThreadsPerMultiProcessor = turing ? 1024 : 2048;
  properties->memoryBusWidth = turing ? 256 : 5120;
  properties->l2CacheSize = (turing ? 4 : 40) << 20;
  properties->pciBusID = device + 1;
  return cudaSuccess;
}

// Two T4s of one machine can't see each other's memory; neither can these.
cudaError_t cudaDeviceCanAccessPeer(int* can, int device, int peer) {
  if (std::min(device, peer) < 0 || std::max(device, peer) >= options().devices) return note_status(cudaErrorInvalidDevice);
  return *can = 0, cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) { return *version = CUDART_VERSION, cudaSuccess; }
cudaError_t cudaDriverGetVersion(int* version) { return *version = CUDART_VERSION, cudaSuccess; }

// ---- functions

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  Call call("cudaFuncSetAttribute");
  if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) return call.end();
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return call.end(cudaErrorInvalidValue, "attribute ", static_cast<int>(attribute), " isn't emulated");
  if (value < 0 || static_cast<std::size_t>(value) > shared_limits().opt_in)
    return call.end(cudaErrorInvalidValue, value, " bytes of dynamic shared memory; compute capability ", capability() / 10, ".", capability() % 10, " has at most ", shared_limits().opt_in);
  call.machine.shared_asked[{function, current_device()}] = static_cast<std::size_t>(value);
  return call.end();
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* function) {
  Call call("cudaFuncGetAttributes");
  *attributes = {};
  attributes->maxThreadsPerBlock = 1024, attributes->ptxVersion = attributes->binaryVersion = capability();
  const auto asked = call.machine.shared_asked.find({function, current_device()});
  attributes->maxDynamicSharedSizeBytes = static_cast<int>(asked == call.machine.shared_asked.end() ? shared_limits().without_asking : asked->second);
  return call.end();
}

cudaError_t cudaFuncGetName(const char** name, const void* function) { return *name = symbol_of(function), cudaSuccess; }
