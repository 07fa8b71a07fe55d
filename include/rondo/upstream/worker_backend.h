// A backend as one worker has it, and the two ways to hold on to one: a Lease counts a request in
// flight there, a BackendRef only keeps the record. All on the worker's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "rondo/base/intrusive_list.h"
#include "rondo/io/socket_address.h"
#include "rondo/upstream/shared.h"

namespace rondo::upstream {

class WorkerUpstream;
class BackendConnection;
class StreamWait;
class Trunk;

// Made and owned by its WorkerUpstream. One that is removed goes when no lease, connection or
// BackendRef is left.
struct WorkerBackend : ListHook<WorkerBackend> {
  static constexpr size_t kNoMember = SIZE_MAX;
  explicit WorkerBackend(WorkerUpstream& of, std::shared_ptr<BackendShared> what);
  ~WorkerBackend();

  WorkerUpstream* upstream;
  const std::shared_ptr<BackendShared> shared;
  const io::RawAddress address;
  // Its metrics cell of this worker, made at the first call.
  metrics::BackendCell& cell() { return cell_ != nullptr ? *cell_ : MakeCell(); }

  uint32_t weight = 1;
  uint32_t max_in_flight = 0;  // 0: no limit
  bool backup = false;
  // No longer in the configuration.
  bool retired = false;
  // What an end of a lease must look at: a limit, or its own removal.
  bool watched = false;
  // Whether requests that carry its cookie may go there.
  bool takes_sticky = false;
  // Where it sits in the policy of its tier; kNoMember: not eligible.
  struct Seat {
    size_t member = kNoMember;
    uint32_t weight = 0;  // hundredths of it, while anybody's slow start lasts
    uint32_t limit = 0;
    bool backup = false;
    friend bool operator==(const Seat&, const Seat&) = default;
  };
  Seat seat;
  size_t position = 0;  // in the configuration's list
  uint64_t id_hash = 0;
  uint64_t sticky_hash = 0;  // what its stickiness cookie carries; 0 without stickiness
  uint32_t uses = 0;         // leases, connections and BackendRefs
  IntrusiveList<BackendConnection> idle;  // most recently used first
  size_t idle_count = 0;
  // Over HTTP/2 instead: connections that requests share, the oldest first; how many more are being
  // made; and the requests that wait for one, in the order in which they came.
  IntrusiveList<Trunk> trunks;
  IntrusiveList<StreamWait, StreamWait> stream_waits;
  size_t trunks_coming = 0;
  // How many streams one takes, as far as is known: RFC 9113 §6.5.2 asks that it be no fewer than
  // so many as long as the backend has not said.
  size_t streams_assumed = 100;
  size_t stream_wait_count = 0;

 private:
  metrics::BackendCell& MakeCell();
  metrics::BackendCell* cell_ = nullptr;
};

// Frees it where it is retired and this was its last use. Called with `uses` at zero.
void FreeIfRetired(WorkerBackend& backend);

// Keeps the record, say for the log: its id stays readable after the lease has ended.
class BackendRef {
 public:
  BackendRef() = default;
  explicit BackendRef(WorkerBackend& backend) : backend_(&backend) { ++backend.uses; }
  BackendRef(BackendRef&& other) noexcept : backend_(std::exchange(other.backend_, nullptr)) {}
  BackendRef& operator=(BackendRef&& other) noexcept {
    if (this != &other) {
      Reset();
      backend_ = std::exchange(other.backend_, nullptr);
    }
    return *this;
  }
  ~BackendRef() { Reset(); }
  void Reset() {
    if (backend_ == nullptr) return;
    WorkerBackend& backend = *std::exchange(backend_, nullptr);
    if (--backend.uses == 0) FreeIfRetired(backend);
  }
  WorkerBackend* get() const { return backend_; }
  WorkerBackend& operator*() const { return *backend_; }
  WorkerBackend* operator->() const { return backend_; }
  explicit operator bool() const { return backend_ != nullptr; }

 private:
  WorkerBackend* backend_ = nullptr;
};

// A request's place at a backend: counted in flight from the pick to the end of the answer.
class Lease {
 public:
  Lease() = default;
  Lease(Lease&& other) noexcept : backend_(std::exchange(other.backend_, nullptr)) {}
  Lease& operator=(Lease&& other) noexcept {
    if (this != &other) {
      Reset();
      backend_ = std::exchange(other.backend_, nullptr);
    }
    return *this;
  }
  ~Lease() { Reset(); }
  // Takes a place; an empty lease where the backend is at its max_connections.
  static Lease Take(WorkerBackend& backend);
  void Reset() {
    if (backend_ == nullptr) return;
    WorkerBackend& backend = *std::exchange(backend_, nullptr);
    --backend.uses;
    // In one order with what others store and then look for here (wait_board.h,
    // BackendShared::in_flight).
    const uint32_t before = backend.shared->in_flight.fetch_sub(1, std::memory_order_seq_cst);
    const health::State state = backend.shared->state.load(std::memory_order_seq_cst);
    if (backend.watched || state != health::State::kUp) Ended(backend, before, state);
  }
  WorkerBackend* backend() const { return backend_; }
  explicit operator bool() const { return backend_ != nullptr; }

 private:
  explicit Lease(WorkerBackend& backend) : backend_(&backend) { ++backend.uses; }
  static void Ended(WorkerBackend& backend, uint32_t in_flight_before, health::State state);
  WorkerBackend* backend_ = nullptr;
};

}  // namespace rondo::upstream
