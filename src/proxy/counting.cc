// What an exchange counts for the metrics: plain stores into cells of this worker's own.
#include "proxy/exchange.h"
#include "rondo/metrics/backend_cell.h"

namespace rondo::proxy {

void Exchange::CountReceived(uint64_t bytes) {
  received_bytes_ += bytes;
  traffic_->received_bytes.Add(bytes);
}

// What the client's sender has just sent.
void Exchange::CountSent() {
  sent_bytes_ += client_sender_.sent();
  traffic_->sent_bytes.Add(client_sender_.sent());
}

// A backend has answered; the client may be told something else.
void Exchange::CountHead(int status) {
  const Instant now = worker_.loop().Now();
  metrics::CountHead(lease_.backend()->cell(), status, now - sent_at_, now);
}

void Exchange::Report(upstream::Outcome outcome) {
  upstream::WorkerBackend& backend = *lease_.backend();
  upstream_->Report(backend, outcome);
  if (outcome == upstream::Outcome::kSuccess) return;
  // A status is reported before it is decided whether it is a failure of the request as well.
  const bool status = outcome == upstream::Outcome::kStatus;
  backend.cell().failures.Add(status ? "backend_status" : failure_.reason);
}

// The request is over, or goes on as a tunnel.
void Exchange::CountEnd() {
  if (response_began_) worker_.CountAnswer(*traffic_, method_, status_, began_);
  if (failure_) traffic_->rejected.Add(failure_.reason);
}

}  // namespace rondo::proxy
