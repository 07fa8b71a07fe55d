// A backend that speaks HTTP/2 by prior knowledge, made of the real engine for streams in a
// simulated process of its own: it sees requests as text, and answers with what a handler says.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rondo/io/stream_engine.h"
#include "rondo/rt/loop.h"
#include "rondo/rt/receiver.h"
#include "rondo/rt/sender.h"
#include "rondo/rt/sleep.h"
#include "rondo/rt/task.h"
#include "sim_peer.h"
#include "sim_world.h"

namespace rondo::sim {

class SimH2Backend {
 public:
  struct Request {
    size_t connection = 0;  // its number, from 0
    std::string text;
    bool whole = false;    // else its client gave up
    bool gave_up = false;  // its client did not wait for the answer
  };
  struct Answer {
    std::string text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    Duration delay{};
    bool hold = false;   // until ReleaseAll
    bool early = false;  // as soon as the head is there
  };
  using Handler = std::function<Answer(const Request&)>;

  // `streams_max`: what it says that it takes at once.
  SimH2Backend(SimWorld& world, const SocketAddress& address, Handler handler,
               uint32_t streams_max = 128)
      : world_(world),
        engine_(world.AddEngine("h2 backend " + address.ToString())),
        loop_(engine_),
        handler_(std::move(handler)),
        acceptor_(world, engine_, address, [this](int fd) { Accept(fd); }) {
    options_.role = http2::Role::kServer;
    options_.streams_max = streams_max;
    actor_ = world.AddActor(
        engine_, [this] { loop_.Tick(); }, [this] { return loop_.wheel().NextDeadline(); });
  }
  SimH2Backend(const SimH2Backend&) = delete;
  SimH2Backend& operator=(const SimH2Backend&) = delete;
  // REQUIRES: stopped().
  ~SimH2Backend() { world_.RemoveActor(actor_); }

  const std::deque<Request>& requests() const { return requests_; }
  size_t accepted() const { return accepted_; }
  size_t open_connections() const { return open_; }
  // Requests that are not answered yet.
  size_t serving() const { return flows_.count(); }
  // How each connection that is over ended; "": in the ordinary way.
  const std::vector<std::string>& endings() const { return endings_; }

  // What is held is answered.
  void ReleaseAll() {
    for (rt::CancelToken* token : held_) token->Cancel(rt::CancelReason::kFinished);
    engine_.Wake();
  }
  // Says GOAWAY: streams that are open go on.
  void DrainAll() {
    for (auto& each : owners_) {
      if (each->connection != nullptr) each->connection->Drain();
    }
    engine_.Wake();
  }
  // Ends all connections with what is under way.
  void EndAll(http2::ErrorCode code = http2::ErrorCode::kNoError) {
    for (auto& each : owners_) {
      if (each->connection != nullptr) each->connection->End(code);
    }
    engine_.Wake();
  }
  void StopListening() { acceptor_.Stop(); }
  // As if it were stopped by a debugger.
  void Pause() { world_.Pause(actor_); }
  void Resume() { world_.Resume(actor_); }
  // Until stopped().
  void Stop() {
    acceptor_.Stop();
    EndAll();
  }
  bool stopped() const { return open_ == 0 && flows_.count() == 0 && !loop_.secure().busy(); }

  Freelist& frames() { return loop_.frames(); }

 private:
  struct Owner final : io::Http2Owner {
    Owner(SimH2Backend& of, size_t with_number) : backend(of), number(with_number) {}
    void OnStream(io::Http2Connection&, int fd) override {
      backend.flows_.Spawn(backend.Serve(number, fd));
    }
    void OnChange(io::Http2Connection&) override {}
    void OnEnded(io::Http2Connection&, const char* reason) override {
      connection = nullptr;
      --backend.open_;
      backend.endings_.push_back(reason == nullptr ? "" : reason);
    }
    SimH2Backend& backend;
    size_t number;
    io::Http2Connection* connection = nullptr;
  };

  void Accept(int fd) {
    owners_.push_back(std::make_unique<Owner>(*this, accepted_++));
    ++open_;
    owners_.back()->connection = &loop_.streams().Start(fd, options_, {}, *owners_.back());
  }

  static bool Whole(std::string_view text) {
    const size_t end = text.find("\r\n\r\n");
    if (end == std::string_view::npos) return false;
    const std::string_view head = text.substr(0, end + 2);
    const std::string_view body = text.substr(end + 4);
    if (FieldOf(head, "transfer-encoding") == "chunked") return body.ends_with("\r\n\r\n");
    const std::string_view length = FieldOf(head, "content-length");
    return length.empty() || body.size() >= std::stoul(std::string(length));
  }
  static std::string_view FieldOf(std::string_view head, std::string_view name) {
    for (size_t at = head.find("\r\n"); at + 2 < head.size(); at = head.find("\r\n", at + 2)) {
      const std::string_view line = head.substr(at + 2, head.find("\r\n", at + 2) - at - 2);
      if (line.size() <= name.size() + 2 || line[name.size()] != ':') continue;
      bool same = true;
      for (size_t i = 0; i < name.size(); ++i) same &= (line[i] | 0x20) == (name[i] | 0x20);
      if (same) return line.substr(name.size() + 2);
    }
    return {};
  }

  rt::Task<> Serve(size_t connection, int fd) {
    rt::CancelToken token(loop_.engine());
    rt::Receiver receiver(loop_.engine(), [](rt::Receiver&) {}, nullptr);
    rt::Sender sender(loop_.engine());
    receiver.Open(fd);
    sender.Open(fd);
    Request& request = requests_.emplace_back();
    request.connection = connection;
    bool head = false;
    while (!request.whole && !head) {
      const int32_t received = co_await receiver.Wait(token);
      if (received <= 0) break;
      const io::BufferRef bytes = receiver.TakeBuffer();
      request.text.append(bytes.data(), static_cast<size_t>(received));
      request.whole = Whole(request.text);
      head = request.text.find("\r\n\r\n") != std::string::npos && handler_(request).early;
    }
    request.gave_up = !request.whole && !head;
    if (!request.gave_up) {
      const Answer answer = handler_(request);
      if (answer.hold) {
        held_.push_back(&token);
        // Nothing more is to come, but that its client gives up.
        const int32_t received = co_await receiver.Wait(token);
        std::erase(held_, &token);
        request.gave_up = received < 0 && received != -ECANCELED;
        token.ClearPassing();
      }
      if (answer.delay > Duration::zero()) {
        const int32_t slept = co_await rt::SleepFor(loop_, answer.delay, token);
        RONDO_CHECK(slept == 0);
      }
      sender.Add(answer.text.data(), answer.text.size());
      const int32_t sent = co_await sender.Send(token);
      request.gave_up |= sent < 0;
    }
    co_await receiver.Settle();
    loop_.engine().Close(fd);
  }

  SimWorld& world_;
  SimEngine& engine_;
  rt::Loop loop_;
  Handler handler_;
  http2::SessionOptions options_;
  std::deque<Request> requests_;
  std::vector<std::unique_ptr<Owner>> owners_;
  std::vector<rt::CancelToken*> held_;
  std::vector<std::string> endings_;
  size_t accepted_ = 0;
  size_t open_ = 0;
  rt::Scope flows_;
  SimAcceptor acceptor_;
  int actor_ = -1;
};

}  // namespace rondo::sim
