#pragma once
#include <memory>
#include <span>
#include <type_traits>

#if defined(TERSE_WITH_NCCL)
#include <nccl.h>
#endif

#include <terse/core/error.hpp>
#include <terse/device/cuda.cuh>
#include <terse/dist/collective.hpp>

namespace terse::dist {

#if defined(TERSE_WITH_NCCL)

namespace detail {

inline void check(ncclResult_t result, const char* what) {
  if (result != ncclSuccess) fail(Failure::device, what, ": NCCL: ", ncclGetErrorString(result), "; run with NCCL_DEBUG=WARN to see why");
}

template <class T>
constexpr ncclDataType_t nccl_type() {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>, "terse: ranks add up floats and doubles");
  return std::is_same_v<T, float> ? ncclFloat32 : ncclFloat64;
}

}  // namespace detail

/// NCCL between GPUs, one a rank, on the stream of their ops. The communicator brings the ranks together, and keeps ranks that are threads of one process in step: a
/// thread that ran ahead could fill the queue of launches and block the one it waits for.
///
/// Errors     Failure::device: NCCL's own text, e.g. that two ranks have the same GPU
template <>
class Collective<Cuda> {
 public:
  Collective(Cuda& cuda, Communicator& communicator) : cuda_(&cuda), communicator_(&communicator) {
    if (communicator.size() == 1) return;
    ncclUniqueId id{};
    if (communicator.is_first()) detail::check(ncclGetUniqueId(&id), "ncclGetUniqueId");
    communicator.broadcast(std::as_writable_bytes(std::span(&id, 1)), 0);
    ncclComm_t comm = nullptr;
    detail::check(ncclCommInitRank(&comm, communicator.size(), id, communicator.rank()), "ncclCommInitRank");
    comm_.reset(comm);
  }

  /// values[i] becomes its sum over ranks; only queued.
  template <class T>
  void all_reduce(T* values, Index n) {
    together([&] { return ncclAllReduce(values, values, static_cast<std::size_t>(n), detail::nccl_type<T>(), ncclSum, comm_.get(), cuda_->stream()); }, "ncclAllReduce");
  }
  /// Every rank takes rank 0's; only queued.
  template <class T>
  void broadcast(T* values, Index n) {
    together([&] { return ncclBroadcast(values, values, static_cast<std::size_t>(n) * sizeof(T), ncclChar, 0, comm_.get(), cuda_->stream()); }, "ncclBroadcast");
  }

 private:
  struct Destroy {
    void operator()(ncclComm_t comm) const { static_cast<void>(ncclCommDestroy(comm)); }
  };

  template <class Call>
  void together(Call&& call, const char* what) {
    if (comm_ == nullptr) return;
    communicator_->barrier();
    detail::check(call(), what);
    communicator_->barrier();
  }

  Cuda* cuda_;
  Communicator* communicator_;
  std::unique_ptr<std::remove_pointer_t<ncclComm_t>, Destroy> comm_;
};

#else

/// Without NCCL: one rank, which has nobody to talk to.
///
/// Errors     Failure::device: more ranks
template <>
class Collective<Cuda> {
 public:
  Collective(Cuda&, Communicator& communicator) {
    if (communicator.size() > 1) fail(Failure::device, communicator.size(), " GPUs need NCCL, which this program was built without; install it (libnccl-dev) and build again, or use one GPU");
  }
  template <class T>
  void all_reduce(T*, Index) {}
  template <class T>
  void broadcast(T*, Index) {}
};

#endif

}  // namespace terse::dist
