#include "fibers.h"

#include <sys/mman.h>

#include <stdexcept>

namespace emulator {
namespace {

Fibers* entering = nullptr;

}  // namespace

void Fibers::grow(size_t count) {
  while (stacks_.size() < count) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    void* stack = mmap(nullptr, kStack, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (stack == MAP_FAILED) throw std::runtime_error("emulator: no memory for a stack");
    mprotect(stack, 4096, PROT_NONE);  // an overflow ends the process instead of another stack
    stacks_.push_back(static_cast<char*>(stack));
    places_.push_back(std::make_unique<Place>());
    started_.push_back(false);
  }
}

void Fibers::enter() {
  Fibers* self = entering;
  for (;;) {
    self->body_();
    self->yield();
  }
}

// Starting a fiber takes a system call; later switches are jumps, which take none.
void Fibers::resume(size_t fiber) {
  grow(fiber + 1);
  current_ = fiber;
  if (_setjmp(caller_) != 0) return;
  if (started_[fiber]) _longjmp(places_[fiber]->jump, 1);
  started_[fiber] = true;
  ucontext_t context;
  getcontext(&context);
  context.uc_stack.ss_sp = stacks_[fiber];
  context.uc_stack.ss_size = kStack;
  context.uc_link = nullptr;
  makecontext(&context, &Fibers::enter, 0);
  entering = this;
  setcontext(&context);
}

void Fibers::yield() {
  if (_setjmp(places_[current_]->jump) == 0) _longjmp(caller_, 1);
}

bool Fibers::on_stack(const void* address) const {
  const char* stack = stacks_[current_];
  return address >= stack && address < stack + kStack;
}

}  // namespace emulator
