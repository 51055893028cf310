// Fibers: functions with their own stacks, which run one at a time until they yield.
#pragma once
#include <setjmp.h>
#include <ucontext.h>

#include <cstddef>
#include <memory>
#include <vector>

namespace emulator {

class Fibers {
 public:
  using Body = void (*)();

  explicit Fibers(Body body) : body_(body) {}

  // Run the body of a fiber, from its start or from where it yielded, until it yields.
  void resume(size_t fiber);
  // Called in a fiber: return to the caller of `resume`.
  void yield();
  // Forget where all fibers are. Each starts its body again.
  void reset() { started_.assign(started_.size(), false); }
  bool on_stack(const void* address) const;

 private:
  static constexpr size_t kStack = 64 << 10;
  struct Place {
    jmp_buf jump;
  };

  static void enter();
  void grow(size_t count);

  Body body_;
  size_t current_ = 0;
  std::vector<char*> stacks_;
  std::vector<std::unique_ptr<Place>> places_;
  std::vector<bool> started_;
  jmp_buf caller_;
};

}  // namespace emulator
