#include "fiber.hpp"

#include <boost/context/detail/fcontext.hpp>
#include <cstdlib>

#include "system.hpp"

namespace hostcuda {

namespace context = boost::context::detail;

namespace {

constexpr std::size_t stack_bytes = (with_asan ? 256u : 64u) << 10;

}  // namespace

Fiber::Fiber() : identity_(this_identity()) {}

Fiber::Fiber(Entry entry) : entry_(entry), bytes_(stack_bytes) {
  // Stack tops at the same place of each page would all fall into one set of the cache.
  static thread_local std::size_t made = 0;
  offset_ = made++ * 192 % page;
  base_ = map_between_guards(bytes_);
  remake();
}

Fiber::~Fiber() {
  if (entry_ == nullptr) return;
  if (identity_ != nullptr) end_identity(identity_);
  allow(base_, bytes_);
  unmap_between_guards(base_, bytes_);
}

void Fiber::remake() {
  allow(base_, bytes_);
  if (identity_ != nullptr) end_identity(identity_);
  identity_ = make_identity();
  thread = -1;
  fake_stack_ = nullptr;
  context_ = context::make_fcontext(base_ + bytes_ - offset_, bytes_ - offset_, [](context::transfer_t arrival) {
    auto* const pair = static_cast<Fiber**>(arrival.data);
    Fiber *const from = pair[0], *const self = pair[1];
    from->context_ = arrival.fctx;
#if defined(HOSTCUDA_ASAN)
    const void* bottom = nullptr;
    std::size_t size = 0;
    __sanitizer_finish_switch_fiber(nullptr, &bottom, &size);
    if (from->entry_ == nullptr) from->base_ = static_cast<unsigned char*>(const_cast<void*>(bottom)), from->bytes_ = size;
#endif
    self->entry_();
    std::abort();
  });
}

void Fiber::switch_to(Fiber& to) {
  Fiber* pair[2] = {this, &to};
#if defined(HOSTCUDA_ASAN)
  __sanitizer_start_switch_fiber(&fake_stack_, to.base_, to.bytes_);
#endif
  become(to.identity_);
  const context::transfer_t arrival = context::jump_fcontext(to.context_, pair);
  Fiber* const from = static_cast<Fiber**>(arrival.data)[0];
  from->context_ = arrival.fctx;
#if defined(HOSTCUDA_ASAN)
  const void* bottom = nullptr;
  std::size_t size = 0;
  __sanitizer_finish_switch_fiber(fake_stack_, &bottom, &size);
  if (from->entry_ == nullptr) from->base_ = static_cast<unsigned char*>(const_cast<void*>(bottom)), from->bytes_ = size;
#endif
}

bool Fiber::overflowed_at(const void* address) const {
  const auto* byte = static_cast<const unsigned char*>(address);
  return entry_ != nullptr && byte >= base_ - page && byte < base_;
}

}  // namespace hostcuda
