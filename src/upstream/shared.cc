#include "rondo/upstream/shared.h"

#include <chrono>
#include <utility>

#include "rondo/metrics/backend_cell.h"

namespace rondo::upstream {

std::string_view OutcomeName(Outcome outcome) {
  switch (outcome) {
    case Outcome::kSuccess:
      return "success";
    case Outcome::kRefused:
      return "connect_refused";
    case Outcome::kConnectTimeout:
      return "connect_timeout";
    case Outcome::kReset:
      return "backend_reset";
    case Outcome::kBadAnswer:
      return "bad_response";
    case Outcome::kResponseTimeout:
      return "response_timeout";
    case Outcome::kStatus:
      return "status";
    case Outcome::kTlsFailed:
      return "tls_failed";
  }
  return {};
}

namespace {
uint64_t SecondOf(Instant now) {
  const auto second = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch());
  return static_cast<uint32_t>(second.count());
}
}  // namespace

void RecentCount::Add(Instant now) {
  const uint64_t second = SecondOf(now);
  std::atomic<uint64_t>& slot = seconds_[second % kSeconds];
  uint64_t seen = slot.load(std::memory_order_relaxed);
  uint64_t next = 0;
  do {
    next = (seen >> 32) == second ? seen + 1 : (second << 32) + 1;
  } while (!slot.compare_exchange_weak(seen, next, std::memory_order_relaxed));
}

uint32_t RecentCount::Sum(Instant now) const {
  const uint64_t second = SecondOf(now);
  uint64_t sum = 0;
  for (const std::atomic<uint64_t>& slot : seconds_) {
    const uint64_t seen = slot.load(std::memory_order_relaxed);
    // Clocks of two threads may differ by a tick, so also what is counted for the second to come.
    if ((seen >> 32) + kSeconds > second) sum += seen & 0xffffffffu;
  }
  return static_cast<uint32_t>(sum);
}

BackendShared::BackendShared(std::string backend_id, const SocketAddress& where,
                             uint64_t serial_number, size_t workers)
    : id(std::move(backend_id)),
      address(where),
      serial(serial_number),
      workers_(workers),
      cells_(new std::atomic<metrics::BackendCell*>[workers]()) {}

BackendShared::~BackendShared() {
  for (size_t i = 0; i < workers_; ++i) delete cells_[i].load(std::memory_order_relaxed);
}

uint64_t BackendShared::NextSerial() {
  static std::atomic<uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

metrics::BackendCell& BackendShared::CellOf(size_t worker) {
  RONDO_CHECK(worker < workers_);
  metrics::BackendCell* cell = cells_[worker].load(std::memory_order_relaxed);
  if (cell == nullptr) {
    cell = std::make_unique<metrics::BackendCell>().release();
    cells_[worker].store(cell, std::memory_order_release);
  }
  return *cell;
}

UpstreamShared::UpstreamShared(std::string upstream_name, size_t workers, ControlBell* control_bell)
    : name(std::move(upstream_name)), board(workers), bell(control_bell) {}

void UpstreamShared::StatesChanged() {
  // First the new generation, then the look at who waits; see wait_board.h.
  generation.fetch_add(1, std::memory_order_seq_cst);
  board.PokeAll();
}

void UpstreamShared::CallControl() {
  attention.store(1, std::memory_order_seq_cst);
  if (bell != nullptr) bell->Ring();
}

}  // namespace rondo::upstream
