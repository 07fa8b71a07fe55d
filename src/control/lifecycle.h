// The process's end, step by step, as a state machine over time: red, lame duck, drain, cut, done.
// Asks its hands to do what each step needs; knows no signal, thread or clock. Control thread.
#pragma once

#include <cstdint>

#include "rondo/base/time.h"

namespace rondo::control {

class Lifecycle {
 public:
  // What a step asks for.
  class Hands {
   public:
    // Traffic goes on, but nobody should send more: readyz is red.
    virtual void BeginLameDuck(Duration lame_duck) = 0;
    // Listeners close; requests in flight are finished, WebSockets closed by `until`.
    virtual void BeginDrain(Instant until) = 0;
    // What is left is cut.
    virtual void CutTheRest() = 0;

   protected:
    ~Hands() = default;
  };
  enum class Step : uint8_t { kServing, kLameDuck, kDraining, kCutting, kDone };

  explicit Lifecycle(Hands& hands) : hands_(hands) {}

  // Asked to stop. False where it was asked before: then the second time means at once.
  bool Stop(Duration lame_duck, Duration grace, Instant now);
  // All workers have finished, or the time of a step is over.
  void Look(bool finished, Instant now);
  // When Look has something to do by itself.
  Instant deadline() const { return deadline_; }
  Step step() const { return step_; }

  // How long workers may take to end once all is cut.
  static constexpr Duration kCutPatience = std::chrono::seconds(5);

 private:
  void Drain(Instant now);

  Hands& hands_;
  Step step_ = Step::kServing;
  Duration grace_{};
  Instant deadline_ = kNever;
};

}  // namespace rondo::control
