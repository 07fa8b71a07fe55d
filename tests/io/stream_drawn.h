// Drawn exchanges over one HTTP/2 connection with a middleman on the line, who passes bytes on in
// pieces of any size and sometimes cuts it. Clients and servers send and receive in pieces, cancel,
// give up, answer early, cut their answers, drain; buffers are few. Whatever happens, each side
// gets the beginning of what was meant for it, and all of it where it is told so. Include in one
// file of a test program and instantiate.
#pragma once

#include "io/stream_suite.h"

namespace rondo::io::testing {

class DrawnStreams : public StreamSuite {
 protected:
  // One side of one exchange.
  struct Side {
    int fd = -1;
    TestOp send, receive;
    std::string memory;  // of a receive into it
    std::string received;
    size_t sent = 0;
    int32_t ended = 1;  // the receive's last result, where it was no bytes
    bool send_failed = false;
    bool closed = false;
  };
  struct Exchange {
    std::string request, request_body;
    std::string answer, answer_body;
    Side client, server;
    bool head_method = false;
    bool cut = false;  // somebody made it fail
  };
  struct Half {  // of the middleman
    int fd = -1;
    TestOp from, to;
    std::string passing, piece;
    bool ended = false;
  };

  void Begin(uint64_t seed) {
    Make(EngineOptions{.buffers_max = seed % 3 == 0 ? size_t{6} : size_t{64}});
    rng_ = Rng(seed);
    exchanges_.clear();
    told_.clear();
    halves_ = std::make_unique<Half[]>(2);
    const Pair one = MakePair();
    const Pair two = MakePair();
    halves_[0].fd = one.client;
    halves_[1].fd = two.client;
    Forget(one.server);
    Forget(two.server);
    http2::SessionOptions client, server;
    server.streams_max = static_cast<uint32_t>(1 + rng_.Below(20));
    client.stream_window = rng_.Chance(0.5) ? 65535 : 300'000;
    server.connection_window = rng_.Chance(0.5) ? 65535 : 1 << 20;
    owners_ = &here().Join(one.server, two.server, client, server);
    cut_ = false;
  }

  void Pass(Half& from, Half& to) {
    if (cut_) return;
    if (!from.from.in_flight() && !from.ended && from.passing.size() < 200'000) {
      from.passing += std::exchange(from.from.bytes, {});
      if (!from.from.results.empty() && from.from.last() <= 0) {
        from.ended = true;
      } else {
        Receive(from.from, from.fd);
      }
    }
    if (to.to.in_flight()) return;
    if (!to.to.results.empty() && to.to.last() > 0) {
      from.passing.erase(0, static_cast<size_t>(to.to.last()));
    }
    to.to.results.clear();
    if (from.passing.empty()) {
      if (from.ended) engine().Shutdown(to.fd, ShutdownHow::kWrite);
      return;
    }
    to.piece = from.passing.substr(0, 1 + rng_.Below(rng_.Chance(0.3) ? 40 : 30'000));
    Send(to.to, to.fd, to.piece);
  }
  void PassBothWays() {
    Pass(halves_[0], halves_[1]);
    Pass(halves_[1], halves_[0]);
  }

  static std::string Framed(Rng& rng, const std::string& body, bool chunked) {
    if (chunked) {
      return "Transfer-Encoding: chunked\r\n\r\n" +
             Chunked(body, 1 + rng.Below(5000), rng.Chance(0.3) ? "X-Trailer: t\r\n" : "");
    }
    return "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  void Ask() {
    const int fd = client_owner().ended() ? -EAGAIN : client_end().OpenStream();
    if (fd < 0) return;
    Exchange& exchange = *exchanges_.emplace_back(std::make_unique<Exchange>());
    const std::string number = std::to_string(exchanges_.size() - 1);
    const size_t most = rng_.Chance(0.2) ? 200'000 : 3000;
    exchange.client.fd = Keep(fd);
    exchange.answer_body = Bytes(rng_.Below(most), rng_.Next());
    exchange.answer = rng_.Chance(0.2) ? "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" : "";
    exchange.answer += "HTTP/1.1 200 OK\r\n" + Framed(rng_, exchange.answer_body, rng_.Chance(0.5));
    if (rng_.Chance(0.5)) {
      exchange.request_body = Bytes(rng_.Below(most), rng_.Next());
      exchange.request = "POST /" + number + " HTTP/1.1\r\nHost: h\r\n" +
                         Framed(rng_, exchange.request_body, rng_.Chance(0.5));
    } else {
      exchange.request = "GET /" + number + " HTTP/1.1\r\nHost: h\r\n\r\n";
    }
    Watch(exchange.client);
  }
  void Watch(Side& side) {
    side.send.then = [&side](TestOp& op) {
      if (op.result > 0) side.sent += static_cast<size_t>(op.result);
      // An answer that is there interrupts once; the rest can be sent all the same.
      const bool goes_on = op.result == -ECANCELED || op.result == -EAGAIN;
      if (op.result < 0 && !goes_on) side.send_failed = true;
    };
    side.receive.then = [&side](TestOp& op) {
      if (op.result > 0 && op.kind == Op::Kind::kReceive) {
        side.received.append(side.memory, 0, static_cast<size_t>(op.result));
      }
      side.received += std::exchange(op.bytes, {});
      if (op.result <= 0 && op.result != -ECANCELED && op.kind != Op::Kind::kWaitReadable) {
        side.ended = op.result;
      }
    };
  }

  // Streams that the server was told of receive until they know whose they are.
  void TakeTold() {
    while (!server_owner().fresh.empty()) {
      Side& side = *told_.emplace_back(std::make_unique<Side>());
      side.fd = Keep(server_owner().fresh.front());
      server_owner().fresh.pop_front();
      Watch(side);
    }
    for (auto& side : told_) {
      if (side == nullptr || side->receive.in_flight()) continue;
      const size_t end = side->received.find("\r\n\r\n");
      if (end != std::string::npos) {
        const size_t slash = side->received.find('/');
        Side& known = exchanges_[std::stoul(side->received.substr(slash + 1))]->server;
        known.fd = side->fd;
        known.received = side->received;
        known.ended = side->ended;
        Watch(known);
        side = nullptr;
      } else if (side->ended != 1) {
        CloseNow(side->fd);
        side = nullptr;
      } else {
        ReceiveSomehow(*side);
      }
    }
    std::erase(told_, nullptr);
  }

  void ReceiveSomehow(Side& side) {
    if (rng_.Chance(0.5)) return Receive(side.receive, side.fd);
    if (rng_.Chance(0.1)) return Submit(side.receive, Op::Kind::kWaitReadable, side.fd);
    side.memory.resize(1 + rng_.Below(rng_.Chance(0.5) ? 100'000 : 50));
    side.receive.data = side.memory.data();
    side.receive.size = side.memory.size();
    Submit(side.receive, Op::Kind::kReceive, side.fd);
  }
  // Goes on with one side, somehow.
  void Step(Side& side, const std::string& text, bool eager) {
    if (side.fd < 0 || side.closed) return;
    if (!side.send.in_flight() && !side.send_failed && side.sent < text.size()) {
      const size_t most = eager ? text.size() : 1 + rng_.Below(text.size());
      Send(side.send, side.fd, std::string_view(text).substr(side.sent, most));
    }
    if (!side.receive.in_flight() && side.ended == 1) ReceiveSomehow(side);
  }
  void Close(Side& side) {
    Stop(side.send);
    Stop(side.receive);
    if (side.closed) return;
    side.closed = true;
    CloseNow(side.fd);
  }
  void CloseWhereDone(Exchange& exchange) {
    Side& server = exchange.server;
    // An answer that is out is all a server has to say; sometimes before it has read the request.
    if (server.fd >= 0 && !server.closed && server.sent == exchange.answer.size() &&
        (rng_.Chance(0.1) || ReadMessage(server.received).whole)) {
      Close(server);
    }
    if (server.fd >= 0 && !server.closed && server.ended != 1) Close(server);
    Side& client = exchange.client;
    if (!client.closed && client.ended != 1) Close(client);
  }

  void Act() {
    if (exchanges_.empty() || rng_.Chance(0.1)) return Ask();
    Exchange& exchange = *exchanges_[rng_.Below(exchanges_.size())];
    switch (rng_.Below(12)) {
      case 0:
      case 1:
      case 2:
        return Step(exchange.client, exchange.request, false);
      case 3:
      case 4:
      case 5:
        return Step(exchange.server, exchange.answer, false);
      case 6:
        engine().Cancel(exchange.client.send);
        return engine().Cancel(exchange.server.receive);
      case 7:
        engine().Cancel(exchange.server.send);
        return engine().Cancel(exchange.client.receive);
      case 8:
        if (!rng_.Chance(0.1)) return;
        exchange.cut = true;
        return Close(exchange.client);
      case 9:
        if (!rng_.Chance(0.1) || exchange.server.fd < 0) return;
        exchange.cut = true;
        return Close(exchange.server);
      default:
        engine().Run(engine().Now());
    }
  }

  void Check(const Exchange& exchange) {
    std::string_view answer = exchange.client.received;
    if (answer.starts_with("HTTP/1.1 103")) answer.remove_prefix(answer.find("\r\n\r\n") + 4);
    const MessageText got = ReadMessage(answer);
    EXPECT_TRUE(exchange.answer_body.starts_with(got.body));
    if (got.whole) EXPECT_TRUE(got.body == exchange.answer_body);
    if (exchange.client.ended == 0) EXPECT_TRUE(got.whole);
    const MessageText asked = ReadMessage(exchange.server.received);
    EXPECT_TRUE(exchange.request_body.starts_with(asked.body));
    if (asked.whole) EXPECT_TRUE(asked.body == exchange.request_body);
    if (exchange.client.ended == -ECONNREFUSED) {
      // Drained, or more than the settings allow that were not here yet; it did nothing, as it
      // says.
      EXPECT_LT(exchange.server.fd, 0);
    } else if (!exchange.cut && !cut_) {
      EXPECT_TRUE(got.whole);
      EXPECT_EQ(exchange.client.ended, 0);
    }
  }

  // Where it stands, for who has to find out why it does not go on.
  std::string Describe() const {
    std::string text = "buffers out " + std::to_string(world_buffers_out()) + ", told " +
                       std::to_string(told_.size());
    for (size_t i = 0; i < exchanges_.size(); ++i) {
      const Exchange& exchange = *exchanges_[i];
      for (const Side* side : {&exchange.client, &exchange.server}) {
        if (side->closed || side->fd < 0) continue;
        const bool client = side == &exchange.client;
        text += "\n  " + std::to_string(i) + (client ? " client" : " server") + ": sent " +
                std::to_string(side->sent) + " of " +
                std::to_string((client ? exchange.request : exchange.answer).size()) +
                (side->send.in_flight() ? " sending" : "") + ", received " +
                std::to_string(side->received.size()) +
                (side->receive.in_flight() ? " receiving" : "") + ", ended " +
                std::to_string(side->ended);
      }
    }
    for (int i = 0; i < 2; ++i) {
      const Half& half = halves_[i];
      text += "\n  line " + std::to_string(i) + ": passing " + std::to_string(half.passing.size()) +
              (half.from.in_flight() ? " receiving" : "") +
              (half.to.in_flight() ? " sending" : "") + (half.ended ? " ended" : "");
    }
    return text;
  }
  size_t world_buffers_out() const {
    return const_cast<DrawnStreams*>(this)->engine().buffers().buffers_out();
  }

  bool AllClosed() const {
    for (const auto& exchange : exchanges_) {
      if (!exchange->client.closed) return false;
      if (exchange->server.fd >= 0 && !exchange->server.closed) return false;
    }
    return told_.empty() && owners_->server.fresh.empty();
  }
  void GoOn() {
    PassBothWays();
    TakeTold();
    for (auto& exchange : exchanges_) {
      Step(exchange->client, exchange->request, true);
      Step(exchange->server, exchange->answer, true);
      CloseWhereDone(*exchange);
    }
  }
  void Finish(bool cut) {
    if (cut) {
      cut_ = true;
      for (int i = 0; i < 2; ++i) {
        Stop(halves_[i].from);
        Stop(halves_[i].to);
        if (rng_.Chance(0.5)) engine().ResetOnClose(halves_[i].fd);
        CloseNow(halves_[i].fd);
      }
    } else if (rng_.Chance(0.7) && !client_owner().ended() && !server_owner().ended()) {
      (rng_.Chance(0.5) ? server_end() : client_end()).Drain();
    }
    RunUntil([&] {
      GoOn();
      return AllClosed();
    });
    if (!AllClosed()) ADD_FAILURE() << Describe();
    if (!client_owner().ended()) client_end().End(http2::ErrorCode::kNoError);
    RunUntil([&] {
      GoOn();  // streams may still come of clients that gave up
      return client_owner().ended() && server_owner().ended();
    });
    if (!cut) {
      for (int i = 0; i < 2; ++i) {
        Stop(halves_[i].from);
        Stop(halves_[i].to);
        CloseNow(halves_[i].fd);
      }
    }
    for (const auto& exchange : exchanges_) Check(*exchange);
    if (!cut) EXPECT_EQ(client_owner().reason + server_owner().reason, "");
    StreamSuite::Finish();
  }

  Rng rng_{0};
  std::unique_ptr<Half[]> halves_;
  std::vector<std::unique_ptr<Exchange>> exchanges_;
  std::vector<std::unique_ptr<Side>> told_;
  bool cut_ = false;
};

TEST_P(DrawnStreams, EachSideGetsWhatWasMeantForItWhateverHappens) {
  for (uint64_t seed = 1; seed <= 40 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Begin(seed);
    const uint64_t steps = 200 + rng_.Below(2500);
    for (uint64_t i = 0; i < steps; ++i) {
      Act();
      TakeTold();
      for (auto& exchange : exchanges_) CloseWhereDone(*exchange);
      PassBothWays();
    }
    Finish(rng_.Chance(0.3));
  }
}

}  // namespace rondo::io::testing
