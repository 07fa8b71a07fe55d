#include "http_client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace rondo::sim {

SimHttpClient::SimHttpClient(SimWorld& world, SimEngine& engine, std::string name,
                             const SocketAddress& address, ClientOptions options)
    : world_(world),
      engine_(engine),
      name_(std::move(name)),
      address_(address),
      options_(options) {}

SimHttpClient::~SimHttpClient() { *alive_ = false; }

void SimHttpClient::Add(ClientRequest request) {
  requests_.push_back(std::move(request));
  results_.emplace_back();
  results_.back().id = absl::StrCat(name_, "-", requests_.size() - 1);
}

void SimHttpClient::Start() {
  if (!requests_.empty()) Open();
}

bool SimHttpClient::done() const {
  if (reopens_ || (!connections_.empty() && connections_.back()->peer.fd() >= 0)) return false;
  return std::none_of(results_.begin(), results_.end(), [](const ClientResult& result) {
    return result.outcome == ClientOutcome::kPending;
  });
}

void SimHttpClient::Open() {
  reopens_ = false;
  connections_.push_back(std::make_unique<Connection>(world_, engine_));
  Connection& connection = *connections_.back();
  connection.first = next_;
  connection.reader.on_head = [this](const HttpHead& head) { OnHead(head); };
  connection.reader.on_body = [this](std::string_view bytes) { OnBody(bytes); };
  connection.reader.on_end = [this] { OnEnd(); };
  connection.reader.answers_head = [this, &connection] {
    return !connection.pending.empty() && requests_[connection.pending.front()].method == "HEAD";
  };
  SimPeer& peer = connection.peer;
  if (options_.read_bytes > 0) peer.ReadSlowly(options_.read_bytes, options_.read_pause);
  peer.on_connected = [this] { Proceed(); };
  peer.on_receive = [this, &connection](std::string_view bytes) {
    if (connection.over || connection.reader.Feed(bytes)) return;
    Wrong(connection.pending.empty() ? next_ : connection.pending.front(),
          connection.reader.error());
    Over(/*orderly=*/false);
  };
  // A reset that a send ran into looks like an ordinary end to the receive behind it.
  peer.on_end = [this, &peer] { Over(/*orderly=*/peer.send_error() == 0); };
  peer.on_error = [this](int) { Over(/*orderly=*/false); };
  peer.Connect(address_);
}

void SimHttpClient::Proceed() {
  Connection& connection = *connections_.back();
  while (!connection.over && !connection.no_more && !connection.sending &&
         next_ < requests_.size() && connection.pending.size() < options_.pipeline) {
    Begin();
  }
  if (connection.over || !connection.pending.empty() || connection.sending) return;
  if (next_ == requests_.size() || connection.no_more) Over(/*orderly=*/true);
}

void SimHttpClient::Begin() {
  Connection& connection = *connections_.back();
  const size_t index = next_++;
  const ClientRequest& request = requests_[index];
  ClientResult& result = results_[index];
  result.outcome = ClientOutcome::kPending;
  result.began = world_.now();
  connection.pending.push_back(index);
  connection.begins_at.push_back(connection.queued);
  connection.sending = true;
  connection.no_more = request.close;
  std::string wire = Head(index);
  std::string body = Body(index);
  result.request_bytes = wire.size() + body.size();
  After(request.timeout, [this, index, &connection] {
    if (results_[index].outcome != ClientOutcome::kPending) return;
    Decide(index, ClientOutcome::kTimeout);
    std::erase(connection.pending, index);
    connection.peer.Reset();
    Over(/*orderly=*/false);
  });
  waits_ = request.expect_continue && !body.empty();
  if (!waits_) {
    wire += body;
  } else {
    waiting_body_ = std::move(body);
    After(std::chrono::seconds(1), [this, index, &connection] {
      if (std::exchange(waits_, false) && !connection.over)
        Push(index, std::move(waiting_body_), 0);
    });
  }
  Push(index, std::move(wire), 0);
}

std::string SimHttpClient::Head(size_t index) const {
  const ClientRequest& request = requests_[index];
  std::string head =
      absl::StrCat(request.method, " ", request.target, " HTTP/1.1\r\nHost: ", request.host,
                   "\r\nX-Sim-Id: ", results_[index].id, "\r\n");
  for (const auto& [name, value] : request.fields)
    absl::StrAppend(&head, name, ": ", value, "\r\n");
  if (request.close) head += "Connection: close\r\n";
  if (request.expect_continue) head += "Expect: 100-continue\r\n";
  if (request.framing == BodyFraming::kLength) {
    absl::StrAppend(&head, "Content-Length: ", request.body_bytes, "\r\n");
  } else if (request.framing == BodyFraming::kChunked) {
    head += "Transfer-Encoding: chunked\r\n";
  }
  return head + "\r\n";
}

std::string SimHttpClient::Body(size_t index) const {
  const ClientRequest& request = requests_[index];
  switch (request.framing) {
    case BodyFraming::kLength:
      return BodyText(request.body_seed, 0, request.body_bytes);
    case BodyFraming::kChunked:
      return ChunkedBody(request.body_seed, request.body_bytes);
    case BodyFraming::kNone:
    case BodyFraming::kUntilClose:
      break;
  }
  return "";
}

void SimHttpClient::Push(size_t index, std::string wire, size_t from) {
  Connection& connection = *connections_.back();
  if (connection.over) return;
  const ClientRequest& request = requests_[index];
  const uint64_t position = connection.queued - connection.begins_at[index - connection.first];
  size_t step = wire.size() - from;
  if (request.drip_bytes > 0) step = std::min(step, request.drip_bytes);
  const bool stops = request.stop != ClientStop::kNone && position + step >= request.after_bytes;
  if (stops) step = request.after_bytes - std::min<size_t>(request.after_bytes, position);
  Queue(std::string_view(wire).substr(from, step));
  if (stops) return StopAs(index);
  from += step;
  if (from < wire.size()) {
    return After(request.drip_pause, [this, index, wire = std::move(wire), from, &connection] {
      if (!connection.over) Push(index, wire, from);
    });
  }
  if (waits_) return;
  connection.sending = false;
  Proceed();
}

void SimHttpClient::Queue(std::string_view bytes) {
  connections_.back()->queued += bytes.size();
  connections_.back()->peer.Send(bytes);
}

void SimHttpClient::StopAs(size_t index) {
  Connection& connection = *connections_.back();
  connection.no_more = true;
  connection.sending = false;
  if (requests_[index].stop == ClientStop::kHalfClose) return connection.peer.FinishSending();
  // A moment later, so that what was queued before can be on its way.
  After(std::chrono::milliseconds(1), [this, index, &connection] {
    if (connection.over) return;
    Decide(index, ClientOutcome::kStopped);
    std::erase(connection.pending, index);
    if (requests_[index].stop == ClientStop::kReset) connection.peer.Reset();
    Over(/*orderly=*/false);
  });
}

void SimHttpClient::OnHead(const HttpHead& head) {
  Connection& connection = *connections_.back();
  if (connection.pending.empty()) return Wrong(next_, "an answer without a request");
  const size_t index = connection.pending.front();
  ClientResult& result = results_[index];
  if (head.status < 200) {
    ++result.informational;
    if (head.status == 100 && std::exchange(waits_, false))
      Push(index, std::move(waiting_body_), 0);
    return;
  }
  head_seen_ = true;
  result.status = head.status;
  result.head = head;
  result.from_backend = head.Count("x-sim-id") > 0;
  if (result.from_backend && head.Get("x-sim-id") != result.id) {
    Wrong(index, absl::StrCat("got the answer of ", std::string(head.Get("x-sim-id"))));
  }
  if (head.Count("x-sim-hash") > 0) {
    BodyHash hash;
    hash.Add(
        BodyText(requests_[index].body_seed, 0,
                 requests_[index].framing == BodyFraming::kNone ? 0 : requests_[index].body_bytes));
    if (head.Get("x-sim-hash") != absl::StrCat(hash.value())) {
      Wrong(index, "the backend received another body");
    }
  }
  if (head.Has("connection", "close")) connection.no_more = true;
}

void SimHttpClient::OnBody(std::string_view bytes) {
  Connection& connection = *connections_.back();
  if (connection.pending.empty()) return;
  const size_t index = connection.pending.front();
  ClientResult& result = results_[index];
  if (result.from_backend) {
    const uint64_t seed = std::stoull("0" + std::string(result.head.Get("x-sim-seed")));
    if (BodyText(seed, result.answer_bytes, bytes.size()) != bytes) {
      Wrong(index, absl::StrCat("wrong body bytes from ", result.answer_bytes, " on"));
    }
  }
  result.answer_bytes += bytes.size();
}

void SimHttpClient::OnEnd() {
  Connection& connection = *connections_.back();
  if (connection.pending.empty()) return;
  const size_t index = connection.pending.front();
  const ClientResult& result = results_[index];
  connection.pending.pop_front();
  head_seen_ = false;
  if (result.from_backend && requests_[index].method != "HEAD" &&
      result.head.Get("x-sim-bytes") != absl::StrCat(result.answer_bytes)) {
    Wrong(index, absl::StrCat("a body of ", result.answer_bytes, " bytes came as a whole one"));
  }
  Decide(index, ClientOutcome::kAnswered);
  if (std::exchange(waits_, false)) connection.no_more = true;  // its body is not wanted
  if (connection.no_more && connection.pending.empty()) return Over(/*orderly=*/true);
  Proceed();
}

void SimHttpClient::Over(bool orderly) {
  Connection& connection = *connections_.back();
  if (std::exchange(connection.over, true)) return;
  // Only an orderly end completes a body that goes until the end.
  if (orderly) connection.reader.Finish();
  for (const size_t index : std::exchange(connection.pending, {})) {
    Decide(index,
           std::exchange(head_seen_, false) ? ClientOutcome::kTruncated : ClientOutcome::kClosed);
  }
  waits_ = head_seen_ = false;
  reopens_ = options_.reconnect && next_ < requests_.size() && next_ > connection.first;
  connection.peer.on_closed = [this] {
    if (reopens_) After(Duration(0), [this] { Open(); });
  };
  connection.peer.Close();
}

void SimHttpClient::Decide(size_t index, ClientOutcome outcome) {
  const Connection& connection = *connections_.back();
  ClientResult& result = results_[index];
  if (result.outcome != ClientOutcome::kPending) return;
  result.outcome = outcome;
  result.ended = world_.now();
  const uint64_t begin = connection.begins_at[index - connection.first];
  const uint64_t sent = std::max(connection.peer.bytes_sent(), begin) - begin;
  result.sent_bytes = std::min<size_t>(sent, result.request_bytes);
}

void SimHttpClient::Wrong(size_t index, const std::string& what) {
  errors_.push_back(absl::StrCat(name_, "-", index, ": ", what));
}

void SimHttpClient::After(Duration delay, std::function<void()> then) {
  world_.After(delay, [alive = alive_, then = std::move(then)] {
    if (*alive) then();
  });
}

}  // namespace rondo::sim
