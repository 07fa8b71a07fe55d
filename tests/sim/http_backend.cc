#include "http_backend.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "draw.h"

namespace rondo::sim {

BackendAnswer BackendAnswer::Draw(Rng& rng, double wrong) {
  BackendAnswer answer;
  answer.body_seed = rng.Next();
  answer.body_bytes = rng.Chance(0.2) ? 0 : static_cast<size_t>(DrawSkewed(rng, 1, 300'000));
  constexpr int kStatuses[] = {200, 200, 200, 201, 204, 304, 404, 500, 503};
  answer.status = kStatuses[rng.Below(std::size(kStatuses))];
  answer.framing = rng.Chance(0.5)   ? BodyFraming::kLength
                   : rng.Chance(0.7) ? BodyFraming::kChunked
                                     : BodyFraming::kUntilClose;
  if (rng.Chance(0.5)) answer.delay = std::chrono::microseconds(DrawSkewed(rng, 10, 200'000));
  if (rng.Chance(0.1)) answer.informational = static_cast<int>(rng.Between(1, 3));
  answer.early = rng.Chance(0.1);
  answer.close = rng.Chance(0.1);
  if (rng.Chance(0.1)) {
    answer.drip_bytes = static_cast<size_t>(DrawSkewed(rng, 1, 5000));
    answer.drip_pause = std::chrono::microseconds(DrawSkewed(rng, 10, 10'000));
    answer.body_bytes = std::min(answer.body_bytes, answer.drip_bytes * 50);
  }
  if (!rng.Chance(wrong)) return answer;
  constexpr Misbehaviour kWrong[] = {Misbehaviour::kClose, Misbehaviour::kReset,
                                     Misbehaviour::kStall};
  switch (rng.Below(5)) {
    case 0:
      answer.garbage = "HTTP/1.1 2000 What\r\n\r\n";
      break;
    case 1:
      answer.close_unsaid = true;
      break;
    default:
      answer.misbehaviour = kWrong[rng.Below(3)];
      // A body that ends with the connection cannot be seen to be cut.
      if (answer.framing == BodyFraming::kUntilClose) answer.framing = BodyFraming::kLength;
      answer.after_bytes = rng.Chance(0.4) ? 0 : static_cast<size_t>(DrawSkewed(rng, 1, 100'000));
      break;
  }
  return answer;
}

SimHttpBackend::SimHttpBackend(SimWorld& world, SimEngine& engine, const SocketAddress& address,
                               Handler handler)
    : world_(world),
      engine_(engine),
      handler_(std::move(handler)),
      acceptor_(world, engine, address, [this](int fd) { OnAccept(fd); }) {}

SimHttpBackend::~SimHttpBackend() { *alive_ = false; }

size_t SimHttpBackend::open_connections() const {
  return static_cast<size_t>(
      std::count_if(connections_.begin(), connections_.end(),
                    [](const auto& connection) { return connection->peer.open(); }));
}

void SimHttpBackend::CloseAll() {
  for (const auto& connection : connections_) connection->peer.Close();
}

void SimHttpBackend::ResetAll() {
  for (const auto& connection : connections_) connection->peer.Reset();
}

void SimHttpBackend::OnAccept(int fd) {
  connections_.push_back(std::make_unique<Connection>(world_, engine_));
  Connection& connection = *connections_.back();
  connection.number = connections_.size() - 1;
  connection.reader.on_head = [this, &connection](const HttpHead& head) {
    OnHead(connection, head);
  };
  connection.reader.on_body = [this, &connection](std::string_view bytes) {
    if (connection.raw) return connection.peer.Send(bytes);
    requests_[connection.exchanges.back().request].body_bytes += bytes.size();
    connection.hash.Add(bytes);
  };
  connection.reader.on_end = [this, &connection] { OnComplete(connection); };
  connection.peer.on_receive = [this, &connection](std::string_view bytes) {
    if (!connection.reader.error().empty() || connection.reader.Feed(bytes)) return;
    errors_.push_back(
        absl::StrCat("connection ", connection.number, ": ", connection.reader.error()));
    connection.peer.Close();
  };
  connection.peer.on_end = [&connection] {
    // A client that has ended its direction still gets its answers.
    if (connection.exchanges.empty() || connection.raw) connection.peer.CloseWhenSent();
  };
  connection.peer.Adopt(fd);
}

void SimHttpBackend::OnHead(Connection& connection, const HttpHead& head) {
  BackendRequest request;
  request.connection = connection.number;
  request.head = head;
  request.id = head.Get("x-sim-id");
  request.began = world_.now();
  requests_.push_back(std::move(request));
  connection.hash = BodyHash();
  Exchange exchange;
  exchange.request = requests_.size() - 1;
  exchange.answer = handler_(requests_.back());
  connection.exchanges.push_back(std::move(exchange));
  // Not into an earlier answer: then the client gives up waiting.
  if (head.Has("expect", "100-continue") && connection.exchanges.size() == 1) {
    connection.peer.Send("HTTP/1.1 100 Continue\r\n\r\n");
  }
  StartNext(connection);
}

void SimHttpBackend::OnComplete(Connection& connection) {
  BackendRequest& request = requests_[connection.exchanges.back().request];
  request.body_hash = connection.hash.value();
  request.complete = true;
  StartNext(connection);
  FinishFront(connection);
}

void SimHttpBackend::StartNext(Connection& connection) {
  if (connection.exchanges.empty()) return;
  Exchange& front = connection.exchanges.front();
  if (front.started) return;
  if (!front.answer.early && !requests_[front.request].complete) return;
  front.started = true;
  After(front.answer.delay, connection, [this, &connection] { Answer(connection); });
}

void SimHttpBackend::Answer(Connection& connection) {
  const Exchange& exchange = connection.exchanges.front();
  std::string wire = Wire(exchange);
  if (exchange.answer.upgrade) {
    connection.raw = true;
    connection.reader.GoRaw();
  }
  if (exchange.answer.misbehaviour != Misbehaviour::kNone) {
    wire.resize(std::min(wire.size(), exchange.answer.after_bytes));
  }
  Drip(connection, std::move(wire), 0);
}

std::string SimHttpBackend::Wire(const Exchange& exchange) const {
  const BackendAnswer& answer = exchange.answer;
  const BackendRequest& request = requests_[exchange.request];
  if (!answer.garbage.empty()) return answer.garbage;
  std::string wire;
  for (int i = 0; i < answer.informational && request.head.version == "HTTP/1.1"; ++i) {
    wire += "HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n";
  }
  if (answer.upgrade) {
    const std::string protocol(request.head.Get("upgrade"));
    return absl::StrCat(
        wire, "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: ", protocol,
        "\r\nx-sim-id: ", request.id, "\r\n\r\n");
  }
  absl::StrAppend(&wire, "HTTP/1.1 ", answer.status, " Some Reason\r\nx-sim-id: ", request.id,
                  "\r\nx-sim-seed: ", answer.body_seed, "\r\n");
  if (request.complete) absl::StrAppend(&wire, "x-sim-hash: ", request.body_hash, "\r\n");
  for (const auto& [name, value] : answer.fields) absl::StrAppend(&wire, name, ": ", value, "\r\n");
  const bool no_body = answer.status == 204 || answer.status == 304;
  const bool head = request.head.method == "HEAD";
  const size_t bytes = no_body ? 0 : answer.body_bytes;
  absl::StrAppend(&wire, "x-sim-bytes: ", bytes, "\r\n");
  const bool until_close = answer.framing == BodyFraming::kUntilClose && !no_body;
  const bool chunked = answer.framing == BodyFraming::kChunked && !no_body;
  if (answer.close || until_close) wire += "connection: close\r\n";
  if (chunked) wire += "transfer-encoding: chunked\r\n";
  if (!chunked && !until_close && !no_body)
    absl::StrAppend(&wire, "content-length: ", bytes, "\r\n");
  wire += "\r\n";
  if (head || no_body) return wire;
  if (!chunked) return wire + BodyText(answer.body_seed, 0, bytes);
  return wire + ChunkedBody(answer.body_seed, bytes);
}

void SimHttpBackend::Drip(Connection& connection, std::string wire, size_t from) {
  if (!connection.peer.open()) return;
  const BackendAnswer& answer = connection.exchanges.front().answer;
  const size_t step = answer.drip_bytes == 0 ? wire.size() : answer.drip_bytes;
  connection.peer.Send(std::string_view(wire).substr(from, step));
  from += step;
  if (from >= wire.size()) return Answered(connection);
  After(answer.drip_pause, connection,
        [this, &connection, wire = std::move(wire), from] { Drip(connection, wire, from); });
}

void SimHttpBackend::Answered(Connection& connection) {
  Exchange& front = connection.exchanges.front();
  const BackendAnswer& answer = front.answer;
  switch (answer.misbehaviour) {
    case Misbehaviour::kNone:
      break;
    case Misbehaviour::kClose:
      return connection.peer.CloseWhenSent();
    case Misbehaviour::kReset:
      // A moment later, so that what was sent before can be on its way.
      return After(std::chrono::milliseconds(1), connection,
                   [&connection] { connection.peer.Reset(); });
    case Misbehaviour::kStall:
      return;
  }
  const bool ends =
      answer.close || answer.close_unsaid || !answer.garbage.empty() ||
      (answer.framing == BodyFraming::kUntilClose && answer.status != 204 && answer.status != 304);
  // Not marked as answered: no request behind this one may be.
  if (ends && !answer.upgrade) return connection.peer.CloseWhenSent();
  front.answered = true;
  FinishFront(connection);
}

void SimHttpBackend::FinishFront(Connection& connection) {
  if (connection.raw || connection.exchanges.empty()) return;
  const Exchange& front = connection.exchanges.front();
  if (!front.answered || !requests_[front.request].complete) return;
  connection.exchanges.pop_front();
  if (connection.exchanges.empty() && connection.peer.ended()) connection.peer.CloseWhenSent();
  StartNext(connection);
}

void SimHttpBackend::After(Duration delay, Connection& connection, std::function<void()> then) {
  world_.After(delay, [alive = alive_, &connection, then = std::move(then)] {
    if (*alive && connection.peer.open()) then();
  });
}

}  // namespace rondo::sim
