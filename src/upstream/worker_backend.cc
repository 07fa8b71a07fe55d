#include "rondo/upstream/worker_backend.h"

#include <utility>

#include "rondo/upstream/worker_upstream.h"
#include "upstream/trunk.h"

namespace rondo::upstream {

WorkerBackend::WorkerBackend(WorkerUpstream& of, std::shared_ptr<BackendShared> what)
    : upstream(&of), shared(std::move(what)), address(io::ToRawAddress(shared->address)) {}

WorkerBackend::~WorkerBackend() {
  RONDO_CHECK(uses == 0 && idle_count == 0 && trunks.empty() && stream_waits.empty());
}

metrics::BackendCell& WorkerBackend::MakeCell() {
  cell_ = &shared->CellOf(upstream->worker_);
  return *cell_;
}

void FreeIfRetired(WorkerBackend& backend) {
  if (!backend.retired) return;
  backend.Unlink();
  const std::unique_ptr<WorkerBackend> last(&backend);
}

Lease Lease::Take(WorkerBackend& backend) {
  std::atomic<uint32_t>& in_flight = backend.shared->in_flight;
  if (backend.max_in_flight == 0) {
    in_flight.fetch_add(1, std::memory_order_relaxed);
    return Lease(backend);
  }
  uint32_t seen = in_flight.load(std::memory_order_seq_cst);
  do {
    if (seen >= backend.max_in_flight) return Lease();
  } while (!in_flight.compare_exchange_weak(seen, seen + 1, std::memory_order_seq_cst));
  return Lease(backend);
}

void Lease::Ended(WorkerBackend& backend, uint32_t in_flight_before, health::State state) {
  backend.upstream->LeaseEnded(backend, in_flight_before, state);
}

}  // namespace rondo::upstream
