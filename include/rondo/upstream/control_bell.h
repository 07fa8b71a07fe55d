// How any thread tells the control thread that there is something to look at: reports about
// backends, a drain that came to its end, an acknowledgement. Says only "look"; what there is to
// see stands elsewhere.
#pragma once

#include <atomic>

#include "rondo/io/engine.h"

namespace rondo::upstream {

class ControlBell {
 public:
  // Control: whose engine is woken from now on; null: nobody's. It must outlive all who ring.
  void Attach(io::Engine* engine) { engine_.store(engine, std::memory_order_release); }

  // Any thread. What it is about was stored before (with any order), and Take's caller sees it. A
  // bell that has not been heard yet costs no further wake-up.
  void Ring() {
    if (rung_.exchange(true, std::memory_order_seq_cst)) return;
    if (io::Engine* engine = engine_.load(std::memory_order_acquire)) engine->Wake();
  }

  // Control: whether it rang since the last Take. Then look at everything: what is rung for after
  // this returns rings again.
  bool Take() {
    return rung_.load(std::memory_order_relaxed) &&
           rung_.exchange(false, std::memory_order_seq_cst);
  }

 private:
  std::atomic<bool> rung_{false};
  std::atomic<io::Engine*> engine_{nullptr};
};

}  // namespace rondo::upstream
