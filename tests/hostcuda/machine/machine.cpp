#include "machine.hpp"

#include <algorithm>
#include <cstdio>
#include <optional>

#include "grid.hpp"
#include "options.hpp"

namespace hostcuda {

Machine& Machine::get() {
  static Machine* const machine = new Machine;   // never destroyed: static objects of tests may hold streams
  return *machine;
}

// Made before there is a second thread: in code that isn't watched ThreadSanitizer doesn't see that the others wait for a static variable's first use.
[[maybe_unused]] static Machine& made_at_the_start = Machine::get();

Machine::Machine() : devices(static_cast<std::size_t>(options().devices)) {}

void Machine::queue(cudaStream_t stream, Work work) {
  if (stream->capture != nullptr) return stream->capture->graph.nodes.push_back(std::move(work));
  work.number = queued_++;
  stream->queue.push_back(std::move(work));
  release(&stream->queued);
  went_on_ = Clock::now();
  changed_.notify_all();
}

// Seed 0: as queued. Else one of three ways, by seed: any; what is waited for first, all else as late as it can be; what is waited for last.
cudaStream_t Machine::choose(cudaStream_t wanted) {
  std::vector<cudaStream_t> able;
  for (const cudaStream_t stream : streams)
    if (!stream->busy && !stream->queue.empty() && (stream->queue.front().ready == nullptr || stream->queue.front().ready())) able.push_back(stream);
  if (able.empty()) return nullptr;
  // Not by address, which differs from run to run.
  std::sort(able.begin(), able.end(), [](cudaStream_t a, cudaStream_t b) { return a->queue.front().number < b->queue.front().number; });
  const std::uint64_t seed = options().seed;
  if (seed == 0) return able.front();
  if (random_seed_ != seed) random_seed_ = seed, random_ = Random(mix(seed));
  const auto place = std::find(able.begin(), able.end(), wanted);
  if (seed % 3 == 1 && place != able.end()) return wanted;
  if (seed % 3 == 2 && place != able.end() && able.size() > 1) able.erase(place);
  return able[random_.below(able.size())];
}

void Machine::run_head(Guard& guard, cudaStream_t stream) {
  Work work = std::move(stream->queue.front());
  stream->queue.pop_front();
  stream->busy = true;
  Failure failure;
  if (work.run != nullptr && !devices[static_cast<std::size_t>(stream->device)].failure) {
    guard.unlock();
    void* const host = this_identity();
    if (with_tsan && stream->identity == nullptr) stream->identity = make_identity();
    become(stream->identity);
    acquire(&stream->queued);
    {
      const Unseen unseen;   // the machine's own strings and counts of owners, on a stack that is the host's too
      failure = work.run();
      work.run = nullptr;
    }
    release(&stream->done);
    become(host);
    guard.lock();
  }
  // Events carry the order between streams, whether or not there was something to run; and a stream's end is waited for by its device.
  if (with_tsan && (work.event != nullptr || stream->destroyed)) {
    void* const host = this_identity();
    if (stream->identity == nullptr) stream->identity = make_identity();
    become(stream->identity);
    if (stream->destroyed) release(&devices[static_cast<std::size_t>(stream->device)].ended_streams);
    if (work.records) release(&work.event->sync);
    else if (work.event != nullptr) acquire(&work.event->sync), release(&stream->done);   // what waits for this stream, a collective of another's, comes behind the event too
    become(host);
  }
  stream->busy = false;
  finish(stream, work, std::move(failure));
  went_on_ = Clock::now();
  changed_.notify_all();
}

void Machine::finish(cudaStream_t stream, const Work& work, Failure failure) {
  if (work.after != nullptr) work.after();
  if (work.records) work.event->done = std::max(work.event->done, work.record), work.event->at = Clock::now();
  Device& device = devices[static_cast<std::size_t>(stream->device)];
  if (failure && !device.failure) {
    last_report = failure.text;
    device.failure = std::move(failure);
  }
  if (stream->destroyed && stream->queue.empty()) {
    if (stream->identity != nullptr) end_identity(stream->identity);
    streams.erase(stream);
    delete stream;
  }
}

bool Machine::run_one(Guard& guard) {
  memory.show();
  const cudaStream_t stream = choose(nullptr);
  if (stream != nullptr) run_head(guard, stream);
  memory.hide();
  return stream != nullptr;
}

bool Machine::is_stuck() {
  if (std::chrono::duration<double>(Clock::now() - went_on_).count() < options().patience || choose(nullptr) != nullptr) return false;
  const auto may_go_on = [](cudaStream_t stream) { return stream->busy || (!stream->queue.empty() && stream->queue.front().waits_for_processes); };
  if (std::any_of(streams.begin(), streams.end(), may_go_on)) return false;
  last_report = what_waits();
  return true;
}

bool Machine::run_until(Guard& guard, cudaStream_t wanted, const std::function<bool()>& done) {
  memory.show();
  bool finished = true;
  while (!done()) {
    if (const cudaStream_t stream = choose(wanted); stream != nullptr) {
      run_head(guard, stream);
    } else if (changed_.wait_for(guard, std::chrono::duration<double>(options().patience)) == std::cv_status::timeout && !done() && choose(wanted) == nullptr) {
      // Another thread may yet queue what is waited for; after so long it won't.
      const bool others_run = std::any_of(streams.begin(), streams.end(), [](cudaStream_t stream) { return stream->busy; });
      if (others_run) continue;
      last_report = what_waits();
      finished = false;
      break;
    }
  }
  memory.hide();
  return finished;
}

std::string Machine::what_waits() const {
  std::string text = "nothing can go on:";
  for (const cudaStream_t stream : streams)
    if (!stream->queue.empty()) text += " a stream of device " + std::to_string(stream->device) + " waits at " + stream->queue.front().what + ";";
  return text;
}

bool Machine::idle(int device, bool only_blocking) const {
  return std::none_of(streams.begin(), streams.end(), [&](cudaStream_t stream) {
    return (device < 0 || stream->device == device) && (!only_blocking || stream->blocking) && (stream->busy || !stream->queue.empty());
  });
}

std::string Machine::user_of(const void* begin, std::size_t bytes) const {
  const auto* const from = static_cast<const unsigned char*>(begin);
  for (const cudaStream_t stream : streams)
    for (const Work& work : stream->queue)
      for (const Range& range : work.uses) {
        const auto* const used = static_cast<const unsigned char*>(range.begin);
        if (used < from + std::max<std::size_t>(bytes, 1) && used + std::max<std::size_t>(range.bytes, 1) > from) return work.what;
      }
  return {};
}

void Machine::reset(int device) {
  for (const cudaStream_t stream : streams) {
    if (stream->device != device) continue;
    for (const Work& work : stream->queue)
      if (work.after != nullptr) work.after();
    stream->queue.clear();
  }
  for (const cudaEvent_t event : events)
    if (event->device == device) event->state->done = event->state->recorded;
  Device& its = devices[static_cast<std::size_t>(device)];
  its.failure = {}, its.peak = its.used;
  last_report.clear();
  reset_counts();
}

int& current_device() {
  static thread_local int device = 0;
  return device;
}

}  // namespace hostcuda
