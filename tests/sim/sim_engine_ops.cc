// How each kind of op proceeds on its stream or listener.
#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "draw.h"
#include "sim_engine.h"
#include "sim_world.h"

namespace rondo::sim {
namespace {

const char* NameOf(io::Op::Kind kind) {
  switch (kind) {
    case io::Op::Kind::kNone:
      return "posted op";
    case io::Op::Kind::kAccept:
      return "accept";
    case io::Op::Kind::kConnect:
      return "connect";
    case io::Op::Kind::kReceive:
      return "receive";
    case io::Op::Kind::kReceiveProvided:
      return "receive into a pooled buffer";
    case io::Op::Kind::kSend:
      return "send";
    case io::Op::Kind::kSendVector:
      return "vector send";
    case io::Op::Kind::kWaitReadable:
      return "wait for reading";
    case io::Op::Kind::kWaitWritable:
      return "wait for writing";
  }
  return "unknown op";
}

}  // namespace

void SimEngine::TrySoon(uint64_t id) {
  const Duration delay = std::chrono::nanoseconds(world_.rng().Between(0, 10'000));
  world_.events().After(delay, [this, alive = alive_, id] {
    if (*alive) Try(id);
  });
}

void SimEngine::Try(uint64_t id) {
  Flight* flight = FindFlight(id);
  if (flight == nullptr || flight->decided) return;
  const io::Op& op = *flight->op;
  Descriptor& descriptor = *process_->Find(op.fd);
  if (op.kind == io::Op::Kind::kAccept) return TryAccept(id, *flight, descriptor.listener.get());
  if (!descriptor.stream) {
    // A listener: it can be waited for, and nothing else.
    if (op.kind != io::Op::Kind::kWaitReadable) return Decide(id, *flight, -ENOTCONN);
    if (!descriptor.listener->pending.empty()) Decide(id, *flight, 0);
    return;
  }
  SimStream& stream = *descriptor.stream;
  switch (op.kind) {
    case io::Op::Kind::kConnect:
      return TryConnect(id, *flight, stream);
    case io::Op::Kind::kReceiveProvided:
      return TryReceiveProvided(id, *flight, stream);
    case io::Op::Kind::kReceive:
      if (stream.readable()) Decide(id, *flight, stream.Receive(op.data, op.size));
      return;
    case io::Op::Kind::kSend:
    case io::Op::Kind::kSendVector:
      return TrySend(id, *flight, stream);
    case io::Op::Kind::kWaitReadable:
      if (stream.readable()) Decide(id, *flight, 0);
      return;
    case io::Op::Kind::kWaitWritable:
      if (stream.writable()) Decide(id, *flight, 0);
      return;
    case io::Op::Kind::kNone:
    case io::Op::Kind::kAccept:
      return;
  }
}

void SimEngine::TryAccept(uint64_t id, Flight& flight, SimListener* listener) {
  if (listener == nullptr || listener->closed) return Decide(id, flight, -EINVAL);
  if (listener->pending.empty()) return;
  Rng& rng = world_.rng();
  if (rng.Chance(faults_->accept_fails)) {
    constexpr int kErrors[] = {EMFILE, ENFILE, ECONNABORTED, ENOSPC};
    const int error = kErrors[rng.Below(4)];
    if (error == ECONNABORTED) {
      listener->pending.front()->ResetOnClose();
      listener->pending.front()->Close();
      listener->pending.pop_front();
    }
    return Decide(id, flight, -error);
  }
  const int fd = AddAccepted(*listener);
  if (fd < 0 || rng.Chance(faults_->accept_ends)) return Decide(id, flight, fd);
  Decide(id, flight, fd, /*more=*/true);
  if (!listener->pending.empty()) TrySoon(id);
}

int SimEngine::AddAccepted(SimListener& listener) {
  Descriptor descriptor;
  descriptor.stream = listener.pending.front();
  descriptor.opened_by = "accept by " + name_ + " on " + listener.address.ToString();
  descriptor.opened_at = world_.now();
  const int fd = process_->Add(std::move(descriptor));
  if (fd >= 0) listener.pending.pop_front();
  return fd;
}

void SimEngine::TryConnect(uint64_t id, Flight& flight, SimStream& stream) {
  const int result = stream.ConnectResult();
  if (result != -EINPROGRESS) Decide(id, flight, result);
}

void SimEngine::TryReceiveProvided(uint64_t id, Flight& flight, SimStream& stream) {
  if (!stream.readable() || world_.now() < flight.spared_until) return;
  if (stream.unread_bytes() == 0) return Decide(id, flight, stream.Receive(nullptr, 0));
  Rng& rng = world_.rng();
  if (rng.Chance(faults_->starvation)) {
    flight.spared_until = world_.now() + std::chrono::microseconds(DrawSkewed(rng, 50, 20'000));
    world_.events().At(flight.spared_until, [this, alive = alive_, id] {
      if (*alive) Try(id);
    });
    return;
  }
  // First come, first served: nobody takes a buffer past those who wait for one.
  if (!starved_.empty() && starved_.front() != id) return Starve(id, flight);
  char* bytes = buffers_.Take();
  if (bytes == nullptr) return Starve(id, flight);
  const int received = stream.Receive(bytes, io::BufferPool::kBufferBytes);
  flight.buffer = io::BufferRef(&buffers_, bytes, static_cast<uint32_t>(received));
  Decide(id, flight, received);
}

void SimEngine::TrySend(uint64_t id, Flight& flight, SimStream& stream) {
  const io::Op& op = *flight.op;
  if (!stream.writable()) return;
  if (op.kind == io::Op::Kind::kSend) {
    return Decide(id, flight, stream.Send(op.data, op.size));
  }
  RONDO_CHECK(op.size <= io::Op::kVectorMax);
  const size_t wanted = std::max<size_t>(stream.room(), 1);
  std::string bytes;
  for (size_t part = 0; part < op.size && bytes.size() < wanted; ++part) {
    const iovec& from = op.vector[part];
    bytes.append(static_cast<const char*>(from.iov_base), std::min(from.iov_len, wanted));
  }
  RONDO_CHECK(!bytes.empty());
  Decide(id, flight, stream.Send(bytes.data(), bytes.size()));
}

void SimEngine::Starve(uint64_t id, Flight& flight) {
  if (flight.starved) return;
  flight.starved = true;
  starved_.push_back(id);
}

void SimEngine::FeedStarved() {
  while (!starved_.empty() && buffers_.buffers_out() < buffers_.buffers_max()) {
    const uint64_t id = starved_.front();
    Try(id);
    if (starved_.empty() || starved_.front() != id) continue;
    // It drew another lack of buffers: it is tried again by itself.
    starved_.pop_front();
    FindFlight(id)->starved = false;
  }
}

void SimEngine::ListLeaks(std::vector<std::string>& lines) const {
  for (const auto& [id, flight] : flights_) {
    const auto age =
        std::chrono::duration_cast<std::chrono::milliseconds>(world_.now() - flight.submitted_at);
    lines.push_back(absl::StrCat(name_, ": ", NameOf(flight.op->kind), " on descriptor ",
                                 flight.op->fd, " is in flight, since ", age.count(), " ms",
                                 flight.starved ? ", waiting for a buffer" : ""));
  }
  if (buffers_.buffers_out() > 0) {
    lines.push_back(absl::StrCat(name_, ": ", buffers_.buffers_out(), " buffers are out"));
  }
}

}  // namespace rondo::sim
