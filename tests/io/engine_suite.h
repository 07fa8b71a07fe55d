// The behaviour that every engine has to show. Include in one file of a test program and
// instantiate:
//   INSTANTIATE_TEST_SUITE_P(Real, EngineSuite, ::testing::Values(WorldMaker{...}), NameOf);
#pragma once

#include <cerrno>

#include "io/engine_world.h"
#include "rondo/base/rng.h"

namespace rondo::io::testing {

TEST_P(EngineSuite, ConnectsAcceptsAndCarriesBytesBothWays) {
  const Pair pair = MakePair();
  SendAll(pair.client, "ping");
  EXPECT_EQ(ReceiveAtLeast(pair.server, 4), "ping");
  SendAll(pair.server, "pong!");
  EXPECT_EQ(ReceiveAtLeast(pair.client, 5), "pong!");
  EXPECT_EQ(engine().PeerAddress(pair.client), engine().LocalAddress(pair.server));
  EXPECT_EQ(engine().PeerAddress(pair.server), engine().LocalAddress(pair.client));
}

TEST_P(EngineSuite, AcceptsManyConnectionsWithOneOp) {
  const int listener = Keep(world().Listen(Loopback()));
  const SocketAddress at = world().AddressOf(listener);
  TestOp accept;
  Submit(accept, Op::Kind::kAccept, listener);
  constexpr size_t kCount = 150;  // more than an engine takes in one tick
  for (size_t i = 0; i < kCount; ++i) {
    const int fd = Keep(engine().OpenStream(at));
    ASSERT_EQ(Connect(fd, at), 0);
  }
  RunUntil([&] { return accept.results.size() == kCount; });
  EXPECT_TRUE(accept.more);
  EXPECT_TRUE(accept.in_flight());
  Stop(accept);
  EXPECT_EQ(accept.last(), -ECANCELED);
  EXPECT_FALSE(accept.more);
  accept.results.pop_back();
  for (const int32_t fd : accept.results) Keep(fd);
}

TEST_P(EngineSuite, AcceptTakesConnectionsThatCameBeforeIt) {
  const int listener = Keep(world().Listen(Loopback()));
  const SocketAddress at = world().AddressOf(listener);
  const int client = Keep(engine().OpenStream(at));
  ASSERT_EQ(Connect(client, at), 0);
  for (int round = 0; round < 3; ++round) {
    TestOp accept;
    Submit(accept, Op::Kind::kAccept, listener);
    if (round == 0) {
      RunUntil([&] { return !accept.results.empty(); });
      Keep(accept.results[0]);
    }
    Stop(accept);
  }
}

TEST_P(EngineSuite, ConnectToNobodyIsRefused) {
  const SocketAddress nobody = world().UnusedAddress(SocketAddress::Kind::kIp);
  const int fd = Keep(engine().OpenStream(nobody));
  EXPECT_EQ(Connect(fd, nobody), -ECONNREFUSED);
}

TEST_P(EngineSuite, SubmitCancelAndPostNeverDeliverInline) {
  const Pair pair = MakePair();
  TestOp send, receive, posted;
  SendAll(pair.client, "there");
  Receive(receive, pair.server, false);
  Send(send, pair.client, "more");
  engine().Post(posted, 7);
  engine().Cancel(send);
  EXPECT_TRUE(send.results.empty() && receive.results.empty() && posted.results.empty());
  RunUntil([&] { return send.done() && receive.done() && posted.done(); });
  EXPECT_EQ(posted.last(), 7);
  EXPECT_GT(receive.last(), 0);
}

TEST_P(EngineSuite, PostedOpsAreDeliveredInOrder) {
  std::vector<TestOp> ops(2000);
  std::vector<int32_t> order;
  for (size_t i = 0; i < ops.size(); ++i) {
    ops[i].then = [&](TestOp& op) { order.push_back(op.result); };
    engine().Post(ops[i], static_cast<int32_t>(i));
  }
  engine().Run(kNever);
  EXPECT_EQ(order.size(), Engine::kDeliveriesMax);  // and no more in one tick
  RunUntil([&] { return order.size() == ops.size(); });
  for (size_t i = 0; i < order.size(); ++i) ASSERT_EQ(order[i], static_cast<int32_t>(i));
}

TEST_P(EngineSuite, ReceivesIntoTheCallersMemory) {
  const Pair pair = MakePair();
  TestOp op;
  char room[4];
  op.data = room;
  op.size = sizeof(room);
  Submit(op, Op::Kind::kReceive, pair.server);
  RunFor(std::chrono::milliseconds(5));
  EXPECT_TRUE(op.in_flight());
  SendAll(pair.client, "abcdefgh");
  RunUntilDone(op);
  EXPECT_EQ(std::string_view(room, 4), "abcd");
  op.data = room;
  op.size = sizeof(room);
  Submit(op, Op::Kind::kReceive, pair.server);
  RunUntilDone(op);
  EXPECT_EQ(std::string_view(room, 4), "efgh");
}

TEST_P(EngineSuite, EndOfStreamComesAfterAllBytesAndAgainEachTime) {
  const Pair pair = MakePair();
  SendAll(pair.client, "last words");
  EXPECT_EQ(engine().Shutdown(pair.client, ShutdownHow::kWrite), 0);
  EXPECT_EQ(ReceiveAtLeast(pair.server, 10), "last words");
  TestOp op;
  for (int i = 0; i < 3; ++i) {
    Receive(op, pair.server, i % 2 == 0);
    RunUntilDone(op);
    EXPECT_EQ(op.last(), 0);
  }
}

TEST_P(EngineSuite, HalfClosedPeerStillReceives) {
  const Pair pair = MakePair();
  EXPECT_EQ(engine().Shutdown(pair.client, ShutdownHow::kWrite), 0);
  TestOp op;
  Receive(op, pair.server);
  RunUntilDone(op);
  EXPECT_EQ(op.last(), 0);
  SendAll(pair.server, "still here");
  EXPECT_EQ(ReceiveAtLeast(pair.client, 10), "still here");
}

TEST_P(EngineSuite, CloseOfThePeerEndsAWaitingReceive) {
  const Pair pair = MakePair();
  TestOp op;
  Receive(op, pair.server);
  RunFor(std::chrono::milliseconds(2));
  CloseNow(pair.client);
  RunUntilDone(op);
  EXPECT_EQ(op.last(), 0);
}

TEST_P(EngineSuite, ResetOfThePeerEndsAReceiveAndLaterSends) {
  const Pair pair = MakePair();
  TestOp receive, send;
  Receive(receive, pair.server);
  RunFor(std::chrono::milliseconds(2));
  engine().ResetOnClose(pair.client);
  CloseNow(pair.client);
  RunUntilDone(receive);
  EXPECT_EQ(receive.last(), -ECONNRESET);
  Send(send, pair.server, "anybody?");
  RunUntilDone(send);
  EXPECT_TRUE(send.last() == -EPIPE || send.last() == -ECONNRESET) << send.last();
}

TEST_P(EngineSuite, ShutdownOfBothEndsOurOwnWaitingReceive) {
  const Pair pair = MakePair();
  TestOp op;
  Receive(op, pair.server);
  RunFor(std::chrono::milliseconds(2));
  EXPECT_EQ(engine().Shutdown(pair.server, ShutdownHow::kBoth), 0);
  RunUntilDone(op);
  EXPECT_EQ(op.last(), 0);
}

TEST_P(EngineSuite, VectorSendsArriveWholeThroughPartialResults) {
  const Pair pair = MakePair();
  std::string data(16 << 20, '\0');
  Rng rng(5);
  for (char& c : data) c = static_cast<char>(rng.Next());
  TestOp send, receive;
  size_t sent = 0;
  size_t sends = 0;
  iovec parts[Op::kVectorMax];
  const auto submit = [&] {
    const size_t step = (data.size() - sent + Op::kVectorMax - 1) / Op::kVectorMax;
    size_t count = 0;
    for (size_t at = sent; at < data.size(); at += step) {
      parts[count++] = iovec{data.data() + at, std::min(step, data.size() - at)};
    }
    send.vector = parts;
    send.size = count;
    Submit(send, Op::Kind::kSendVector, pair.client);
    ++sends;
  };
  send.then = [&](TestOp& op) {
    ASSERT_GT(op.result, 0);
    sent += static_cast<size_t>(op.result);
    if (sent < data.size()) submit();
  };
  submit();
  RunFor(std::chrono::milliseconds(5));  // nobody reads: the first send cannot take all
  EXPECT_LT(sent, data.size());
  while (receive.bytes.size() < data.size()) {
    Receive(receive, pair.server);
    if (!RunUntilDone(receive) || receive.last() <= 0) break;
  }
  EXPECT_TRUE(receive.bytes == data);
  EXPECT_GT(sends, 1u);
  RunUntil([&] { return !send.in_flight(); });
}

TEST_P(EngineSuite, WaitsForReadinessWithoutTakingBytes) {
  const Pair pair = MakePair();
  TestOp readable, writable;
  Submit(readable, Op::Kind::kWaitReadable, pair.server);
  Submit(writable, Op::Kind::kWaitWritable, pair.server);
  RunUntilDone(writable);
  EXPECT_EQ(writable.last(), 0);
  RunFor(std::chrono::milliseconds(3));
  EXPECT_TRUE(readable.in_flight());
  SendAll(pair.client, "x");
  RunUntilDone(readable);
  EXPECT_EQ(readable.last(), 0);
  Submit(readable, Op::Kind::kWaitReadable, pair.server);  // it is still there
  RunUntilDone(readable);
  EXPECT_EQ(ReceiveAtLeast(pair.server, 1), "x");
  Submit(readable, Op::Kind::kWaitReadable, pair.server);  // and now it is not
  RunFor(std::chrono::milliseconds(3));
  EXPECT_TRUE(readable.in_flight());
  CloseNow(pair.client);
  RunUntilDone(readable);
  EXPECT_EQ(readable.last(), 0);
}

TEST_P(EngineSuite, WaitWritableEndsWhenThePeerHasReadOrIsGone) {
  const Pair pair = MakePair();
  const std::string block(1 << 16, 'z');
  TestOp send, writable, receive;
  size_t sent = 0;
  for (;;) {  // until the connection is full
    Send(send, pair.client, block);
    RunFor(std::chrono::milliseconds(10));
    if (send.in_flight()) break;
    sent += static_cast<size_t>(send.last());
  }
  Stop(send);
  if (send.last() > 0) sent += static_cast<size_t>(send.last());
  Submit(writable, Op::Kind::kWaitWritable, pair.client);
  RunFor(std::chrono::milliseconds(3));
  EXPECT_TRUE(writable.in_flight());
  while (receive.bytes.size() < sent) {
    Receive(receive, pair.server);
    if (!RunUntilDone(receive) || receive.last() <= 0) break;
  }
  RunUntilDone(writable);
  EXPECT_EQ(writable.last(), 0);
}

TEST_P(EngineSuite, CancelEndsEveryKindOfWaitingOp) {
  const Pair pair = MakePair();
  char room[8];
  for (const Op::Kind kind :
       {Op::Kind::kReceive, Op::Kind::kReceiveProvided, Op::Kind::kWaitReadable}) {
    for (const bool let_it_start : {false, true}) {
      TestOp op;
      op.data = room;
      op.size = sizeof(room);
      Submit(op, kind, pair.server);
      if (let_it_start) RunFor(std::chrono::milliseconds(1));
      engine().Cancel(op);
      engine().Cancel(op);
      RunUntilDone(op);
      EXPECT_EQ(op.last(), -ECANCELED);
      EXPECT_EQ(op.results.size(), 1u);
      engine().Cancel(op);  // idle: no effect
    }
  }
  SendAll(pair.client, "after");
  EXPECT_EQ(ReceiveAtLeast(pair.server, 5), "after");
}

TEST_P(EngineSuite, CancelLosesNoByteThatRacesWithIt) {
  const Pair pair = MakePair();
  std::string sent, received;
  TestOp send, receive;
  for (int i = 0; i < 300; ++i) {
    const std::string part = std::to_string(i) + ",";
    sent += part;
    Receive(receive, pair.server, i % 3 == 0);
    if (i % 2 == 0) engine().Run(engine().Now());
    Send(send, pair.client, part);
    if (i % 5 == 0) engine().Run(engine().Now());
    engine().Cancel(receive);
    RunUntil([&] { return send.done() && receive.done(); });
    ASSERT_EQ(send.last(), static_cast<int32_t>(part.size()));
    ASSERT_TRUE(receive.last() > 0 || receive.last() == -ECANCELED) << receive.last();
  }
  received = receive.bytes;
  if (received.size() < sent.size()) {
    received += ReceiveAtLeast(pair.server, sent.size() - received.size());
  }
  EXPECT_EQ(received, sent);
}

TEST_P(EngineSuite, ReceivesThatFindNoBufferWaitInOrder) {
  Make(EngineOptions{.buffers_max = 2});
  std::vector<Pair> pairs;
  std::vector<TestOp> ops(5);
  std::vector<size_t> order;
  for (size_t i = 0; i < ops.size(); ++i) {
    pairs.push_back(MakePair());
    ops[i].keep_buffer = true;
    ops[i].then = [&order, i](TestOp&) { order.push_back(i); };
  }
  for (size_t i = 0; i < ops.size(); ++i) {
    Receive(ops[i], pairs[i].server);
    SendAll(pairs[i].client, "data");
    RunFor(std::chrono::milliseconds(2));
  }
  EXPECT_EQ(order, (std::vector<size_t>{0, 1}));
  EXPECT_EQ(engine().buffers().buffers_out(), 2u);
  ops[1].buffer.Reset();
  RunFor(std::chrono::milliseconds(2));
  EXPECT_EQ(order, (std::vector<size_t>{0, 1, 2}));
  Stop(ops[3]);  // gives up its place, and loses nothing
  EXPECT_EQ(ops[3].last(), -ECANCELED);
  ops[0].buffer.Reset();
  RunUntilDone(ops[4]);
  EXPECT_EQ(order, (std::vector<size_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(ops[4].bytes, "data");
  ops[2].buffer.Reset();
  EXPECT_EQ(ReceiveAtLeast(pairs[3].server, 4), "data");
  ops[4].buffer.Reset();
}

TEST_P(EngineSuite, AWaitingReceiveHoldsNoBuffer) {
  Make(EngineOptions{.buffers_max = 1});
  const Pair idle = MakePair();
  const Pair busy = MakePair();
  TestOp waiting;
  Receive(waiting, idle.server);
  RunFor(std::chrono::milliseconds(1));
  EXPECT_EQ(engine().buffers().buffers_out(), 0u);
  SendAll(busy.client, "through");
  EXPECT_EQ(ReceiveAtLeast(busy.server, 7), "through");
  Stop(waiting);
}

TEST_P(EngineSuite, ADescriptorsSuccessorSeesNothingOfIt) {
  for (int i = 0; i < 50; ++i) {
    const Pair pair = MakePair();
    TestOp op;
    Receive(op, pair.server);
    if (i % 2 == 0) SendAll(pair.client, "old");
    Stop(op);
    EXPECT_TRUE(op.last() == -ECANCELED || op.last() == 3) << op.last();
    CloseNow(pair.server);
    CloseNow(pair.client);
    const Pair next = MakePair();  // mostly the same numbers
    TestOp fresh;
    Receive(fresh, next.server);
    RunFor(std::chrono::microseconds(200));
    EXPECT_TRUE(fresh.in_flight());
    SendAll(next.client, "new");
    RunUntilDone(fresh);
    EXPECT_EQ(fresh.bytes, "new");
    CloseNow(next.server);
    CloseNow(next.client);
  }
}

TEST_P(EngineSuite, AnOpMayBeSubmittedAgainFromItsOwnDelivery) {
  const Pair pair = MakePair();
  TestOp receive;
  receive.then = [&](TestOp& op) {
    if (op.result > 0) engine().Submit(op);
  };
  Receive(receive, pair.server);
  std::string sent;
  for (int i = 0; i < 100; ++i) {
    sent += "message";
    SendAll(pair.client, "message");
  }
  CloseNow(pair.client);
  RunUntil([&] { return !receive.in_flight(); });
  EXPECT_EQ(receive.bytes, sent);
  EXPECT_EQ(receive.last(), 0);
}

TEST_P(EngineSuite, RunReturnsAtItsDeadlineAndNotBefore) {
  for (const int ms : {1, 3, 20}) {
    const Instant begin = engine().Now();
    engine().Run(begin);  // brings Now() up to date
    const Instant start = engine().Now();
    const Instant deadline = start + std::chrono::milliseconds(ms);
    while (engine().Now() < deadline) engine().Run(deadline);
    const Duration late = engine().Now() - deadline;
    EXPECT_LT(late, world().is_real() ? Duration(std::chrono::milliseconds(200))
                                      : Duration(std::chrono::milliseconds(1)));
  }
}

TEST_P(EngineSuite, WakeEndsOneRun) {
  engine().Wake();
  engine().Wake();
  engine().Run(kNever);
  // Used up: now only the deadline ends it.
  engine().Run(engine().Now());
  const Instant deadline = engine().Now() + std::chrono::milliseconds(5);
  engine().Run(deadline);
  engine().Run(deadline);
  EXPECT_GE(engine().Now(), deadline);
  engine().Wake();
  engine().Run(kNever);
}

TEST_P(EngineSuite, UnixSocketsWorkAlike) {
  const SocketAddress at = world().UnusedAddress(SocketAddress::Kind::kUnix);
  const Pair pair = MakePair(at);
  EXPECT_EQ(engine().LocalAddress(pair.server), at);
  EXPECT_EQ(engine().PeerAddress(pair.server).kind, SocketAddress::Kind::kUnix);
  SendAll(pair.client, "hello");
  EXPECT_EQ(ReceiveAtLeast(pair.server, 5), "hello");
  CloseNow(pair.client);
  TestOp op;
  Receive(op, pair.server);
  RunUntilDone(op);
  EXPECT_EQ(op.last(), 0);
}

TEST_P(EngineSuite, Ipv6WorksAlike) {
  const Pair pair = MakePair(*SocketAddress::Parse("[::1]:0"));
  EXPECT_EQ(engine().PeerAddress(pair.server).ip, *IpAddress::Parse("::1"));
  SendAll(pair.client, "six");
  EXPECT_EQ(ReceiveAtLeast(pair.server, 3), "six");
}

// Ten thousand random steps over several connections: what arrives is what was sent, in order,
// through sends of all sizes, cancels at any moment and buffers that are held back.
TEST_P(EngineSuite, BytesAreEqualAfterManyRandomSteps) {
  Make(EngineOptions{.buffers_max = 6});
  constexpr size_t kPairs = 8;
  struct Side {
    TestOp send, receive;
    std::string block;
    std::string sent;
    int from = -1, to = -1;
  };
  Rng rng(42);
  std::vector<Side> sides(2 * kPairs);
  for (size_t i = 0; i < kPairs; ++i) {
    const Pair pair = MakePair();
    sides[2 * i].from = sides[2 * i + 1].to = pair.client;
    sides[2 * i].to = sides[2 * i + 1].from = pair.server;
  }
  for (Side& side : sides) {
    side.send.then = [&side](TestOp& op) {
      if (op.result > 0) side.sent.append(side.block, 0, static_cast<size_t>(op.result));
    };
    side.receive.keep_buffer = true;
  }
  for (int step = 0; step < 10'000; ++step) {
    Side& side = sides[rng.Below(sides.size())];
    switch (rng.Below(8)) {
      case 0:
      case 1:
        if (side.send.in_flight() || side.sent.size() > side.receive.bytes.size() + 300'000) break;
        side.block.assign(1 + rng.Below(rng.Chance(0.1) ? 100'000 : 3000), '\0');
        for (char& c : side.block) c = static_cast<char>(rng.Next());
        Send(side.send, side.from, side.block);
        break;
      case 2:
      case 3:
        if (!side.receive.in_flight()) Receive(side.receive, side.to, rng.Chance(0.7));
        break;
      case 4:
        engine().Cancel(rng.Chance(0.5) ? side.receive : side.send);
        break;
      case 5:
        if (!side.receive.in_flight()) side.receive.buffer.Reset();
        break;
      default:
        engine().Run(engine().Now());
    }
  }
  for (Side& side : sides) {
    if (!side.receive.in_flight()) side.receive.buffer.Reset();
    side.receive.keep_buffer = false;
  }
  for (Side& side : sides) {
    engine().Cancel(side.send);
    RunUntil([&] {
      for (Side& other : sides) {
        if (!other.receive.in_flight()) other.receive.buffer.Reset();
      }
      if (!side.send.in_flight() && side.receive.bytes.size() >= side.sent.size()) return true;
      if (!side.receive.in_flight()) Receive(side.receive, side.to);
      return false;
    });
    EXPECT_TRUE(side.receive.bytes == side.sent);
    Stop(side.receive);
  }
}

}  // namespace rondo::io::testing
