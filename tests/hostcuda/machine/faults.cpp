// A wild access in a kernel ends its launch, not the program. Sanitizers have handlers of their own, which say more; there ours isn't set.

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "grid.hpp"
#include "memory.hpp"

namespace hostcuda {

namespace {

[[noreturn]] void leave_block() { Block::current()->fail_with_noted_text(); }

// Whoever had the signal before: a test framework, or nobody.
struct sigaction previous[2];
struct sigaction& previous_of(int signal) { return previous[signal == SIGSEGV ? 0 : 1]; }

void on_fault(int signal, siginfo_t* info, void* machine_state) {
  Block* const block = Block::current();
  if (block == nullptr || !block->in_kernel()) {
    if (is_device_address(info->si_addr)) {
      char text[160];
      const int size = std::snprintf(text, sizeof text, "hostcuda: the host accesses device memory at %p: copy it by cudaMemcpyAsync\n", info->si_addr);
      static_cast<void>(!write(STDERR_FILENO, text, static_cast<std::size_t>(size)));
    }
    sigaction(signal, &previous_of(signal), nullptr);   // and the access is tried again
    return;
  }
  const bool overflow = block->running().overflowed_at(info->si_addr);
  char text[160];
  // A misaligned vector access raises a general protection fault, which has no address.
  if (overflow) std::snprintf(text, sizeof text, ": the CUDA thread's stack is full");
  else if (info->si_code == SI_KERNEL) std::snprintf(text, sizeof text, ": misaligned vector access, or an address that none can have");
  else std::snprintf(text, sizeof text, ": illegal address %p%s", info->si_addr, describe_address(info->si_addr).c_str());
  block->note(block->place_of_running() + text);
  auto& registers = static_cast<ucontext_t*>(machine_state)->uc_mcontext.gregs;
  const auto stack = overflow ? reinterpret_cast<greg_t>(block->running().middle()) : registers[REG_RSP];
  registers[REG_RSP] = ((stack - 512) & ~greg_t{15}) - 8;
  registers[REG_RIP] = reinterpret_cast<greg_t>(&leave_block);
}

}  // namespace

void catch_faults() {
  if constexpr (with_asan || with_tsan) return;
  for (const int signal : {SIGSEGV, SIGBUS}) {
    struct sigaction now {};
    sigaction(signal, nullptr, &now);
    if (now.sa_sigaction == on_fault) continue;
    previous_of(signal) = now;
    struct sigaction ours {};
    ours.sa_sigaction = on_fault;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigaction(signal, &ours, nullptr);
  }
}

void give_thread_a_signal_stack() {
  if constexpr (with_asan || with_tsan) return;
  static thread_local bool done = false;
  if (done) return;
  done = true;
  stack_t stack{};
  stack.ss_size = 64u << 10;
  stack.ss_sp = mmap(nullptr, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  sigaltstack(&stack, nullptr);
}

}  // namespace hostcuda
