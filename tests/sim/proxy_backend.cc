#include "proxy_backend.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace rondo::sim {

// What was sent before may still arrive.
constexpr Duration kOnItsWay = std::chrono::milliseconds(100);

ProxyBackend::ProxyBackend(Scene& scene, SimEngine& engine, const SocketAddress& address,
                           const BackendOptions& options)
    : scene_(scene),
      engine_(engine),
      address_(address),
      options_(options),
      acceptor_(scene.world, engine, address, [this](int fd) {
        ++accepted_;
        connections_.push_back(std::make_unique<Connection>(*this, fd));
      }) {}

ProxyBackend::~ProxyBackend() {
  for (auto& connection : connections_) *connection->alive = false;
}

size_t ProxyBackend::open() const {
  size_t count = 0;
  for (const auto& connection : connections_) count += connection->closed ? 0 : 1;
  return count;
}

void ProxyBackend::Stop() {
  acceptor_.Stop();
  for (auto& connection : connections_) connection->peer.Close();
}

ProxyBackend::Connection::Connection(ProxyBackend& owner, int fd)
    : backend(owner),
      peer(owner.scene_.world, owner.engine_),
      script(owner.scene_.world, peer),
      idle_since(owner.scene_.world.now()) {
  reader.on_head = [this](const WireHead& head) { return TakeHead(head); };
  reader.on_body = [this](std::string_view bytes) { TakeBody(bytes); };
  reader.on_message = [this](std::string_view trailers) { TakeMessage(trailers); };
  reader.on_raw = [this](std::string_view bytes) { TakeTunnel(bytes); };
  peer.on_receive = [this](std::string_view bytes) {
    if (!reader.inside()) head_began = backend.scene_.world.now();
    reader.Feed(bytes);
    if (!reader.broken().empty()) {
      Report(reader.broken());
      peer.Close();
    }
  };
  peer.on_sent = [this] { script.Run(); };
  peer.on_end = [this] { TakeEnd(); };
  peer.on_error = [this](int) { peer.Close(); };
  peer.on_send_error = [this](int) { script.Drop(); };
  peer.on_closed = [this] { closed = true; };
  if (owner.secures_.connected) {
    const uint16_t port = owner.engine_.PeerAddress(fd).port;
    peer.SecureWith(TestChannelOf(port, true, owner.secures_.chatter));
  }
  peer.Adopt(fd);
  WatchIdle();
}

WireReader::Then ProxyBackend::Connection::TakeHead(const WireHead& head) {
  if (request != nullptr) Report("another request before the answer to the one before");
  if (said_close) Report("a request behind an answer that said close");
  request = backend.scene_.Find(head.Get("x-sim"));
  if (request == nullptr && head.start[1] == "/a") {
    // What is wrong with this one shows only behind its head: nothing to answer.
    ignoring = true;
    return WireReader::Then::kRaw;
  }
  if (request == nullptr) {
    Report("a request that nobody sent: " + head.start[1]);
    peer.Close();
    return WireReader::Then::kNoBody;
  }
  attempt = request->heads_at_backends++;
  const std::string here = backend.address_.ToString();
  request->backends.push_back(here);
  // Its first byte tells when it was sent: the rest of a head may crawl through a buffer of one
  // byte.
  if (const auto let_go = backend.scene_.closed_backends.find(here);
      let_go != backend.scene_.closed_backends.end() && !backend.scene_.storms &&
      head_began > let_go->second + kOnItsWay) {
    Report("sent to a backend that had been let go, as all workers knew");
  }
  backend.scene_.Note(absl::StrCat("backend ", backend.address_.ToString(), ": request ",
                                   request->number, " attempt ", attempt));
  body_bytes = 0;
  read_whole = false;
  answered = false;
  CheckHead(head);
  const AnswerPlan& answer = request->Answer(attempt);
  if (answer.kind == AnswerKind::kCloseAtOnce) {
    peer.Close();
  } else if (answer.kind == AnswerKind::kResetAtOnce) {
    peer.Reset();
  } else if (request->kind == RequestKind::kUpgrade) {
    AnswerUpgrade(answer);
    return tunnel ? WireReader::Then::kRaw : WireReader::Then::kNoBody;
  } else if (answer.early) {
    Answer();
  } else if (request->expects_continue) {
    script.Send("HTTP/1.1 100 Continue\r\n\r\n");
    script.Run();
  }
  return WireReader::Then::kBody;
}

void ProxyBackend::Connection::CheckHead(const WireHead& head) {
  if (head.start[0] != request->method) Report("another method: " + head.start[0]);
  if (head.start[1] != request->target) Report("another target: " + head.start[1]);
  if (head.start[2] != "HTTP/1.1") Report("a request in version " + head.start[2]);
  for (const char* name : {"host", "x-request-id", "x-forwarded-proto", "x-sim"}) {
    if (head.Count(name) != 1) Report(absl::StrCat("not one field ", name));
  }
  const bool upgrade = head.Count("upgrade") > 0;
  if (upgrade != (request->kind == RequestKind::kUpgrade)) Report("wrong Upgrade");
  if ((head.Get("connection") == "Upgrade") != upgrade) Report("wrong Connection");
  if (head.Get("x-pad").size() != request->padding) Report("wrong padding");
  const bool expects = head.Count("expect") > 0;
  if (expects != request->expects_continue) Report("wrong Expect");
}

void ProxyBackend::Connection::TakeBody(std::string_view bytes) {
  if (body_bytes + bytes.size() > request->body.bytes ||
      !IsBody(request->body.seed, body_bytes, bytes)) {
    Report(absl::StrCat("wrong bytes in the body behind ", body_bytes));
  }
  body_bytes += bytes.size();
}

void ProxyBackend::Connection::TakeMessage(std::string_view trailers) {
  if (request == nullptr || request->kind == RequestKind::kUpgrade) return;
  ++request->wholes_at_backends;
  if (body_bytes != request->body.bytes) {
    Report(absl::StrCat("the body looks whole with ", body_bytes, " of ", request->body.bytes));
  }
  if (trailers != TrailerOf(request->body)) Report("wrong trailers");
  read_whole = true;
  if (!request->Answer(attempt).early) {
    Answer();
  } else if (answered) {
    request = nullptr;
    WatchIdle();
  }
}

void ProxyBackend::Connection::Answer() {
  const AnswerPlan& answer = request->Answer(attempt);
  script.Pause(answer.delay);
  for (const int status : answer.interims) {
    script.Send(absl::StrCat("HTTP/1.1 ", status, " Wait\r\nX-Sim: ", request->number,
                             "\r\nLink: </style.css>\r\n\r\n"));
  }
  SendAnswer(answer);
  script.Run();
}

void ProxyBackend::Connection::SendAnswer(const AnswerPlan& answer) {
  const std::string text = WriteAnswer(answer);
  const size_t cut = answer.cut % text.size();
  switch (answer.kind) {
    case AnswerKind::kCloseAtOnce:
    case AnswerKind::kResetAtOnce:
    case AnswerKind::kNever:
      return;
    case AnswerKind::kGarbage:
      script.Send("HTP/1.1 200 OK\r\n\r\n", answer.piece, answer.pause);
      return;
    case AnswerKind::kUnasked101:
      script.Send(
          "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
          "Upgrade: websocket\r\n\r\n");
      return;
    case AnswerKind::kTruncated:
      script.Send(text.substr(0, cut), answer.piece, answer.pause);
      script.Add(Script::Act::kClose);
      return;
    case AnswerKind::kResetInside:
      script.Send(text.substr(0, cut), answer.piece, answer.pause);
      script.Add(Script::Act::kReset);
      return;
    case AnswerKind::kStallInside:
      script.Send(text.substr(0, cut), answer.piece, answer.pause);
      return;
    case AnswerKind::kWhole:
      break;
  }
  script.Send(text, answer.piece, answer.pause);
  if (answer.extra_bytes) script.Send("HTTP/1.1 200 OK\r\nX-Sim: 999999\r\n\r\n");
  answered = true;
  said_close =
      answer.says_close || answer.minor_version == 0 || answer.body.mode == BodyMode::kUntilClose;
  if (said_close || answer.closes_silently) script.Add(Script::Act::kClose);
  if (read_whole) {
    request = nullptr;
    WatchIdle();
  }
}

std::string ProxyBackend::Connection::WriteAnswer(const AnswerPlan& answer) const {
  std::string text =
      absl::StrCat("HTTP/1.", answer.minor_version, " ", answer.status,
                   " Some Phrase\r\nX-Sim: ", request->number, "\r\nX-Attempt: ", attempt, "\r\n");
  if (answer.says_close) text += "Connection: close\r\n";
  if (answer.padding > 0) {
    absl::StrAppend(&text, "X-Pad: ", std::string(answer.padding, 'p'), "\r\n");
  }
  if (answer.keepalive_hint >= 0) {
    absl::StrAppend(&text, "Keep-Alive: timeout=", answer.keepalive_hint, "\r\n");
  }
  const bool no_body = request->method == "HEAD" || answer.status == 204 || answer.status == 304;
  if (answer.status != 204) text += WriteFraming(answer.body);
  text += "\r\n";
  if (!no_body) text += WriteBody(answer.body);
  return text;
}

void ProxyBackend::Connection::AnswerUpgrade(const AnswerPlan& answer) {
  if (answer.kind != AnswerKind::kWhole || answer.status != 200) {
    read_whole = true;
    Answer();
    return;
  }
  tunnel = true;
  script.Pause(answer.delay);
  script.Send(absl::StrCat("HTTP/1.1 101 Switching Protocols\r\nX-Sim: ", request->number,
                           "\r\nX-Attempt: ", attempt,
                           "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nDate: today\r\n\r\n"),
              answer.piece, answer.pause);
  script.Run();
}

void ProxyBackend::Connection::TakeTunnel(std::string_view bytes) {
  if (ignoring) return;
  const AnswerPlan& answer = request->Answer(attempt);
  if (received + bytes.size() > request->tunnel_bytes ||
      !IsBody(static_cast<uint64_t>(request->number), received, bytes)) {
    Report(absl::StrCat("wrong bytes in the tunnel behind ", received));
  }
  received += bytes.size();
  if (echoed >= answer.tunnel_cut) return;
  bytes = bytes.substr(0, answer.tunnel_cut - echoed);
  echoed += bytes.size();
  script.Send(std::string(bytes), answer.piece, answer.pause);
  if (echoed == answer.tunnel_cut && !answer.tunnel_holds) {
    script.Add(answer.tunnel_reset ? Script::Act::kReset : Script::Act::kClose);
  }
  script.Run();
}

void ProxyBackend::Connection::TakeEnd() {
  if (!tunnel) {
    peer.Close();
    return;
  }
  // All is echoed before this side ends as well.
  script.Add(Script::Act::kClose);
  script.Run();
}

void ProxyBackend::Connection::WatchIdle() {
  const Duration limit = backend.options_.idle_close;
  idle_since = backend.scene_.world.now();
  if (limit == Duration::zero()) return;
  backend.scene_.world.After(limit, [this, limit, still = alive] {
    if (!*still || closed || request != nullptr) return;
    if (backend.scene_.world.now() - idle_since >= limit && script.done()) peer.CloseWhenSent();
  });
}

void ProxyBackend::Connection::Report(const std::string& what) {
  backend.scene_.Report(absl::StrCat("backend, request ",
                                     request == nullptr ? "none" : std::to_string(request->number),
                                     " attempt ", attempt, ": ", what));
}

}  // namespace rondo::sim
