// Graphs of one captured stream: CUDA Runtime API, "Stream Management" (capture) and "Graph Management".

#include <algorithm>

#include "call.hpp"
#include "grid.hpp"
#include "hostcuda/kernel.hpp"

using namespace hostcuda;

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  Call call("cudaStreamBeginCapture");
  if (!call.knows(stream)) return call.end(cudaErrorInvalidResourceHandle, "no such stream (the default stream can't be captured)");
  if (stream->capture != nullptr) return call.end(cudaErrorInvalidValue, "the stream is being captured");
  stream->capture = std::make_unique<Capture>(Capture{.graph = {.device = stream->device, .nodes = {}}, .mode = mode, .thread = std::this_thread::get_id()});
  return call.end();
}

// "If the mode argument to cudaStreamBeginCapture() was not cudaStreamCaptureModeRelaxed, this call must be from the same thread"; of an invalidated
// capture "the returned graph will be NULL".
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  Call call("cudaStreamEndCapture");
  *graph = nullptr;
  if (!call.knows(stream)) return call.end(cudaErrorInvalidResourceHandle, "no such stream");
  if (stream->capture == nullptr) return call.end(cudaErrorInvalidValue, "the stream isn't being captured");
  if (stream->capture->mode != cudaStreamCaptureModeRelaxed && stream->capture->thread != std::this_thread::get_id())
    return call.end(cudaErrorStreamCaptureWrongThread, "another thread began it");
  const std::unique_ptr<Capture> capture = std::move(stream->capture);
  if (capture->invalidated) return call.end(cudaErrorStreamCaptureInvalidated, "something in between can't be captured");
  *graph = new CUgraph_st(std::move(capture->graph));
  return call.end();
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  Call call("cudaStreamIsCapturing");
  if (!call.knows(stream)) return call.end(cudaErrorInvalidResourceHandle, "no such stream");
  *status = stream->capture == nullptr ? cudaStreamCaptureStatusNone : stream->capture->invalidated ? cudaStreamCaptureStatusInvalidated : cudaStreamCaptureStatusActive;
  return call.end();
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  Call call("cudaGraphInstantiate");
  *executable = nullptr;
  if (graph == nullptr) return call.end(cudaErrorInvalidValue, "no graph");
  *executable = new CUgraphExec_st{*graph};
  return call.end();
}

cudaError_t cudaGraphUpload(cudaGraphExec_t executable, cudaStream_t stream) {
  Call call("cudaGraphUpload");
  if (executable == nullptr || !call.knows(stream)) return call.end(cudaErrorInvalidValue, "no graph, or no such stream");
  return call.end();
}

// The nodes of a captured stream depend on each other in the order of the stream. What they use must be alive then, and while they run.
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  Call call("cudaGraphLaunch");
  if (executable == nullptr) return call.end(cudaErrorInvalidValue, "no graph");
  if (!call.knows(stream)) return call.end(cudaErrorInvalidResourceHandle, "no such stream (the default stream isn't emulated)");
  if (stream->capture != nullptr) return call.spoil(*stream->capture, "a graph in a graph isn't emulated");
  if (stream->device != executable->device) return call.end(cudaErrorInvalidValue, "the graph is of device ", executable->device, ", the stream of device ", stream->device);
  for (const Work& node : executable->nodes)
    for (const Range& range : node.uses)
      if (const Allocation* const found = call.machine.memory.find(range.begin); found == nullptr || !found->live)
        return call.end(cudaErrorIllegalAddress, node.what, " uses ", range.begin, ", which was freed since it was captured");
  for (const Work& node : executable->nodes) call.machine.queue(stream, node);
  count_graph();
  return call.end();
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}
