// What a SecureEngine has to show beyond the contract of every engine: what becomes of records,
// whole, cut, forged and missing. Include in one file of a test program and instantiate over worlds
// that secure nothing by themselves.
#pragma once

#include "io/secure_world.h"

namespace rondo::io::testing {

class SecureSuite : public EngineSuite {
 protected:
  // A connection secured at one end; the test speaks for the other one itself.
  struct Half {
    int raw;
    int fd;
    std::unique_ptr<TestChannel> peer;
  };

  SecureEngine& secure() { return dynamic_cast<SecureWorld&>(world()).secure(); }
  const Freelist& frames() { return dynamic_cast<SecureWorld&>(world()).frames(); }

  Half MakeHalf(bool truncation_ends = false, std::string_view early = {}, uint64_t key = 1) {
    const Pair pair = MakePair();
    auto [peer, channel] = MakeTestChannels(key);
    channel_ = channel.get();
    const int fd = SecureKept(pair.server, std::move(channel), early, truncation_ends);
    return Half{pair.client, fd, std::move(peer)};
  }
  int SecureKept(int fd, std::unique_ptr<tls::Channel> channel, std::string_view early = {},
                 bool truncation_ends = false) {
    Forget(fd);
    return Keep(secure().Secure(fd, std::move(channel), early, truncation_ends));
  }

  static std::string Sealed(TestChannel& channel, std::string_view plain) {
    const iovec part{const_cast<char*>(plain.data()), plain.size()};
    std::string record(channel.SealedSize(plain.size()), '\0');
    record.resize(channel.Seal(std::span<const iovec>(&part, 1), 0, plain.size(), record.data()));
    return record;
  }
  static std::string Pending(TestChannel& channel) {
    std::string bytes(channel.pending(), '\0');
    channel.TakePending(bytes);
    return bytes;
  }
  // The next receive's result; its bytes are added to `bytes`.
  int32_t ReceiveOnce(int fd, std::string* bytes, bool provided = true, size_t room = 4096) {
    TestOp op;
    std::string memory(room, '\0');
    if (provided) {
      Receive(op, fd);
    } else {
      op.data = memory.data();
      op.size = memory.size();
      Submit(op, Op::Kind::kReceive, fd);
    }
    RunUntilDone(op);
    *bytes += op.bytes;
    if (!provided && op.last() > 0) bytes->append(memory, 0, static_cast<size_t>(op.last()));
    return op.last();
  }
  // Receives until the stream ends or fails; what with.
  int32_t ReceiveAll(int fd, std::string* bytes) {
    for (;;) {
      const int32_t result = ReceiveOnce(fd, bytes);
      if (result <= 0) return result;
    }
  }
  static std::string Text(size_t count, uint64_t seed) {
    Rng rng(seed);
    std::string text(count, '\0');
    for (char& c : text) c = static_cast<char>('a' + rng.Below(26));
    return text;
  }

  TestChannel* channel_ = nullptr;  // the latest one given to the engine
};

TEST_P(SecureSuite, RecordsAreTheSameWhereverTheyAreCut) {
  const std::string texts[] = {"first", "and the second one", Text(300, 7)};
  std::string whole;
  for (const std::string& text : texts) whole += text;
  const size_t length = whole.size() + 3 * (tls::kRecordHeader + 4);
  for (size_t cut = 1; cut < length; cut += cut < 40 ? 1 : 17) {
    const Half half = MakeHalf();
    std::string records;
    for (const std::string& text : texts) records += Sealed(*half.peer, text);
    ASSERT_EQ(records.size(), length);
    std::string received;
    TestOp first;
    Receive(first, half.fd);
    SendAll(half.raw, std::string_view(records).substr(0, cut));
    RunFor(std::chrono::microseconds(500));
    SendAll(half.raw, std::string_view(records).substr(cut));
    RunUntilDone(first);
    received = first.bytes;
    const bool provided = cut % 2 == 0;
    while (received.size() < whole.size()) {
      ASSERT_GT(ReceiveOnce(half.fd, &received, provided, 7), 0);
    }
    ASSERT_EQ(received, whole) << "cut at " << cut;
    engine().ResetOnClose(half.fd);
    CloseNow(half.fd);
    CloseNow(half.raw);
  }
}

TEST_P(SecureSuite, LongRecordsComeThroughBuffersOfTheirOwnSize) {
  for (const size_t room : {size_t{1000}, size_t{16384}, size_t{100'000}, size_t{0}}) {
    const Half half = MakeHalf();
    const std::string text = Text(500'000, room);
    std::string records;
    for (size_t at = 0; at < text.size(); at += tls::kRecordPlainMax) {
      records += Sealed(*half.peer, std::string_view(text).substr(at, tls::kRecordPlainMax));
    }
    TestOp send;
    std::string_view left = records;
    send.then = [&](TestOp& op) {
      ASSERT_GT(op.result, 0);
      left.remove_prefix(static_cast<size_t>(op.result));
      if (!left.empty()) Send(send, half.raw, left);
    };
    Send(send, half.raw, left);
    std::string received;
    while (received.size() < text.size()) {
      ASSERT_GT(ReceiveOnce(half.fd, &received, room == 0, room), 0);
    }
    EXPECT_TRUE(received == text) << room;
    RunUntil([&] { return !send.in_flight(); });
  }
}

TEST_P(SecureSuite, BytesThatCameBehindTheHandshakeComeFirst) {
  for (const size_t cut : {size_t{3}, size_t{20}, size_t{50}}) {
    const Pair pair = MakePair();
    auto [peer, channel] = MakeTestChannels(9);
    const std::string records = Sealed(*peer, "early bytes") + Sealed(*peer, Text(100, 1));
    const int fd = SecureKept(pair.server, std::move(channel), records.substr(0, cut));
    std::string received;
    if (cut == 20) EXPECT_EQ(ReceiveOnce(fd, &received), 11);
    SendAll(pair.client, std::string_view(records).substr(cut));
    while (received.size() < 111) ASSERT_GT(ReceiveOnce(fd, &received), 0);
    EXPECT_EQ(received, "early bytes" + Text(100, 1));
  }
}

TEST_P(SecureSuite, AForgedRecordEndsTheStreamAfterTheBytesBeforeIt) {
  for (const size_t at : {size_t{0}, size_t{1}, size_t{3}, size_t{8}, size_t{12}}) {
    const Half half = MakeHalf();
    const std::string good = Sealed(*half.peer, "good");
    std::string forged = Sealed(*half.peer, "to be forged");
    forged[at] = static_cast<char>(forged[at] ^ 0x40);
    SendAll(half.raw, good + forged + Sealed(*half.peer, "never to be read"));
    std::string received;
    EXPECT_EQ(ReceiveAll(half.fd, &received), -EPROTO) << at;
    EXPECT_EQ(received, "good");
    EXPECT_EQ(ReceiveAll(half.fd, &received), -EPROTO);
    // The peer is told.
    EXPECT_EQ(ReceiveAtLeast(half.raw, 9)[0], 5) << at;
    TestOp send;
    Send(send, half.fd, "more");
    RunUntilDone(send);
    EXPECT_EQ(send.last(), -EPIPE);
  }
}

TEST_P(SecureSuite, APeerThatGoesAwayAtAnyByteIsATruncationUnlessEndsAreFramedAbove) {
  for (const bool truncation_ends : {false, true}) {
    for (size_t cut = 0; cut < 40; ++cut) {
      const Half half = MakeHalf(truncation_ends);
      const std::string first = Sealed(*half.peer, "0123456789");
      const std::string records = first + Sealed(*half.peer, "abcdefghijklmnop");
      SendAll(half.raw, std::string_view(records).substr(0, cut));
      CloseNow(half.raw);
      std::string received;
      EXPECT_EQ(ReceiveAll(half.fd, &received), truncation_ends ? 0 : -ECONNRESET) << cut;
      EXPECT_EQ(received, cut < first.size() ? "" : "0123456789") << cut;
    }
  }
}

TEST_P(SecureSuite, WhatComesBehindTheCloseIsNotRead) {
  const Half half = MakeHalf();
  const std::string said = Sealed(*half.peer, "said");
  half.peer->Close();
  SendAll(half.raw, said + Pending(*half.peer) + "anything");
  std::string received;
  EXPECT_EQ(ReceiveAll(half.fd, &received), 0);
  EXPECT_EQ(received, "said");
  SendAll(half.fd, "answer");  // the other direction is still there
  EXPECT_EQ(ReceiveAtLeast(half.raw, 15).size(), 15u);
}

TEST_P(SecureSuite, TheProtocolsOwnAnswersGoOutThoughNobodySends) {
  const Pair pair = MakePair();
  auto [peer, channel] = MakeTestChannels(4, 1.0);  // each record is followed by a question
  const int fd = SecureKept(pair.server, std::move(channel));
  TestOp receive;
  Receive(receive, fd);
  SendAll(pair.client, Sealed(*peer, "hello"));
  const std::string question = ReceiveAtLeast(pair.client, 9);
  EXPECT_EQ(question.size(), 9u);
  EXPECT_EQ(receive.bytes, "hello");
}

TEST_P(SecureSuite, ACancelledSendLeavesAWholeStream) {
  const Half half = MakeHalf();
  const std::string block = Text(1 << 17, 3);
  TestOp send;
  std::string sent;
  for (;;) {
    Send(send, half.fd, block);
    RunFor(std::chrono::milliseconds(10));
    if (send.in_flight()) break;
    sent.append(block, 0, static_cast<size_t>(send.last()));
  }
  Stop(send);
  ASSERT_TRUE(send.last() > 0 || send.last() == -ECANCELED);
  if (send.last() > 0) sent.append(block, 0, static_cast<size_t>(send.last()));
  // One that waits behind what was sealed takes nothing.
  Send(send, half.fd, block);
  RunFor(std::chrono::milliseconds(1));
  Stop(send);
  EXPECT_EQ(send.last(), -ECANCELED);
  Send(send, half.fd, "the last words");
  sent += "the last words";
  std::string wire, received;
  while (received.size() < sent.size()) {
    ASSERT_GT(ReceiveOnce(half.raw, &wire), 0);
    std::string plain(wire.size(), '\0');
    const tls::Channel::Opened opened = half.peer->Open(wire, plain);
    ASSERT_EQ(opened.incoming, tls::Incoming::kOpen);
    wire.erase(0, opened.consumed);
    received.append(plain, 0, opened.produced);
  }
  EXPECT_TRUE(received == sent);
  RunUntilDone(send);
  EXPECT_EQ(send.last(), 14);
}

TEST_P(SecureSuite, ClosingDoesNotWaitForAPeerThatDoesNotRead) {
  const Half half = MakeHalf();
  const std::string block = Text(1 << 17, 3);
  TestOp send;
  do {
    Send(send, half.fd, block);
    RunFor(std::chrono::milliseconds(10));
  } while (!send.in_flight());
  Stop(send);
  const Instant before = engine().Now();
  CloseNow(half.fd);
  EXPECT_TRUE(secure().busy());
  world().Settle();
  if (!world().is_real()) EXPECT_LE(engine().Now() - before, 2 * SecureEngine::kCloseGrace);
  std::string wire;
  EXPECT_EQ(ReceiveAll(half.raw, &wire), 0);
}

TEST_P(SecureSuite, ClosingSaysSoUnlessItResets) {
  for (const bool reset : {false, true}) {
    const Half half = MakeHalf();
    if (reset) engine().ResetOnClose(half.fd);
    CloseNow(half.fd);
    std::string wire;
    EXPECT_EQ(ReceiveAll(half.raw, &wire), reset ? -ECONNRESET : 0);
    EXPECT_EQ(wire.size(), reset ? 0u : 9u);
    world().Settle();
  }
}

TEST_P(SecureSuite, NothingIsSentAfterTheWritingSideIsShut) {
  const Half half = MakeHalf();
  TestOp send;
  Send(send, half.fd, "before");
  EXPECT_EQ(engine().Shutdown(half.fd, ShutdownHow::kWrite), 0);
  EXPECT_EQ(engine().Shutdown(half.fd, ShutdownHow::kWrite), 0);
  RunUntilDone(send);
  EXPECT_EQ(send.last(), 6);
  Send(send, half.fd, "after");
  RunUntilDone(send);
  EXPECT_EQ(send.last(), -EPIPE);
  std::string wire;
  EXPECT_EQ(ReceiveAll(half.raw, &wire), 0);
  EXPECT_EQ(wire.size(), 15u + 9u);
  SendAll(half.raw, Sealed(*half.peer, "still heard"));
  std::string received;
  EXPECT_EQ(ReceiveOnce(half.fd, &received), 11);
}

TEST_P(SecureSuite, AnIdleConnectionHoldsNothingAndTalkAllocatesNothing) {
  const Half half = MakeHalf();
  const size_t idle_blocks = frames().blocks_out();
  TestOp receive;
  uint64_t allocations = 0;
  for (int round = 0; round < 50; ++round) {
    if (round == 10) allocations = frames().allocations();
    Receive(receive, half.fd);
    const std::string record = Sealed(*half.peer, Text(200, 5));
    SendAll(half.raw, record.substr(0, 100));
    RunFor(std::chrono::microseconds(300));
    SendAll(half.raw, record.substr(100));
    RunUntilDone(receive);
    SendAll(half.fd, "answer");
    ReceiveAtLeast(half.raw, 15);
  }
  EXPECT_EQ(frames().allocations(), allocations);
  Receive(receive, half.fd);
  RunFor(std::chrono::milliseconds(1));
  EXPECT_EQ(engine().buffers().buffers_out(), 0u);
  EXPECT_EQ(frames().blocks_out(), idle_blocks);
  Stop(receive);
}

TEST_P(SecureSuite, ChannelsThatWereNotUsedAreShrunkOnce) {
  const Half half = MakeHalf();
  EXPECT_TRUE(secure().may_shrink());
  secure().ShrinkIdle();  // it is fresh
  EXPECT_EQ(channel_->shrinks, 0);
  for (int i = 0; i < 3; ++i) secure().ShrinkIdle();
  EXPECT_EQ(channel_->shrinks, 1);
  EXPECT_FALSE(secure().may_shrink());
  SendAll(half.fd, "used");
  EXPECT_TRUE(secure().may_shrink());
  for (int i = 0; i < 3; ++i) secure().ShrinkIdle();
  EXPECT_EQ(channel_->shrinks, 2);
}

// Two secured ends with a middleman between them, who passes the bytes on in pieces of any size.
// Both ends talk at once, cancel, hold buffers back and wait for readiness; the channels put in
// what the protocol says itself. Sometimes the middleman cuts the line.
class DrawnLine : public SecureSuite {
 protected:
  struct End {
    int fd = -1;
    int middle = -1;
    TestOp send, receive;  // at fd
    TestOp from, to;       // the middleman's, at `middle`
    std::string block, sent, memory, received, passing, piece;
    bool ended = false;
  };

  void Begin(uint64_t seed) {
    Make(EngineOptions{.buffers_max = seed % 3 == 0 ? size_t{5} : size_t{64}});
    rng_ = Rng(seed);
    auto [one, two] = MakeTestChannels(seed, rng_.Chance(0.5) ? 0.2 : 0);
    ends_ = std::make_unique<End[]>(2);
    for (int i = 0; i < 2; ++i) {
      End& end = ends_[i];
      const Pair pair = MakePair();
      end.middle = pair.client;
      end.fd = SecureKept(pair.server, std::move(i == 0 ? one : two));
      end.send.then = [&end](TestOp& op) {
        if (op.result > 0) end.sent.append(end.block, 0, static_cast<size_t>(op.result));
      };
      end.receive.then = [&end](TestOp& op) { Received(end, op); };
    }
  }

  static void Received(End& end, TestOp& op) {
    if (op.result > 0 && op.kind == Op::Kind::kReceive) {
      end.received.append(end.memory, 0, static_cast<size_t>(op.result));
    }
    end.received += std::exchange(op.bytes, {});
    if (op.result <= 0 && op.result != -ECANCELED && op.kind != Op::Kind::kWaitReadable) {
      end.ended = true;
    }
  }

  // From this end's socket towards the other one's.
  void Pass(End& from, End& to) {
    if (!from.from.in_flight() && from.passing.size() < 200'000) {
      from.passing += std::exchange(from.from.bytes, {});
      Receive(from.from, from.middle);
    }
    if (to.to.in_flight()) return;
    if (!to.to.results.empty() && to.to.last() > 0) {
      from.passing.erase(0, static_cast<size_t>(to.to.last()));
    }
    to.to.results.clear();
    if (from.passing.empty()) return;
    to.piece = from.passing.substr(0, 1 + rng_.Below(rng_.Chance(0.5) ? 40 : 30'000));
    Send(to.to, to.middle, to.piece);
  }
  void PassBothWays() {
    Pass(ends_[0], ends_[1]);
    Pass(ends_[1], ends_[0]);
  }

  void Step(End& end) {
    switch (rng_.Below(7)) {
      case 0:
        if (end.send.in_flight() || end.sent.size() > 400'000) break;
        end.block = Text(1 + rng_.Below(rng_.Chance(0.2) ? 100'000 : 2000), rng_.Next());
        Send(end.send, end.fd, end.block);
        break;
      case 1:
      case 2:
        if (!end.receive.in_flight() && !end.ended) ReceiveSomehow(end);
        break;
      case 3:
        engine().Cancel(rng_.Chance(0.5) ? end.receive : end.send);
        break;
      default:
        engine().Run(engine().Now());
    }
  }
  void ReceiveSomehow(End& end) {
    if (rng_.Chance(0.5)) return Receive(end.receive, end.fd, rng_.Chance(0.7));
    if (rng_.Chance(0.2)) return Submit(end.receive, Op::Kind::kWaitReadable, end.fd);
    end.memory.resize(1 + rng_.Below(rng_.Chance(0.3) ? 100'000 : 500));
    end.receive.data = end.memory.data();
    end.receive.size = end.memory.size();
    Submit(end.receive, Op::Kind::kReceive, end.fd);
  }

  // All that was taken from `end` arrives at `other`.
  void Drain(End& end, End& other) {
    engine().Cancel(end.send);
    RunUntil([&] {
      PassBothWays();
      if (!end.send.in_flight() && other.received.size() >= end.sent.size()) return true;
      for (End* each : {&end, &other}) {
        if (!each->receive.in_flight() && !each->ended) Receive(each->receive, each->fd);
      }
      return false;
    });
    EXPECT_TRUE(other.received == end.sent);
  }

  void Finish(bool drained) {
    if (drained) {
      Drain(ends_[0], ends_[1]);
      Drain(ends_[1], ends_[0]);
    }
    for (int i = 0; i < 2; ++i) {
      Stop(ends_[i].from);
      Stop(ends_[i].to);
      if (rng_.Chance(0.5)) engine().ResetOnClose(ends_[i].middle);
      CloseNow(ends_[i].middle);
    }
    for (int i = 0; i < 2; ++i) {
      End& end = ends_[i];
      while (!end.ended) {
        RunUntil([&] { return !end.receive.in_flight(); });
        if (!end.ended) Receive(end.receive, end.fd);
      }
      Stop(end.send);
    }
    for (int i = 0; i < 2; ++i) {
      const std::string& received = ends_[1 - i].received;
      EXPECT_TRUE(received == ends_[i].sent.substr(0, received.size()));
      CloseNow(ends_[i].fd);
    }
    world().Settle();
    EXPECT_EQ(engine().buffers().buffers_out(), 0u);
    EXPECT_EQ(frames().blocks_out(), 0u);
  }

  Rng rng_{0};
  std::unique_ptr<End[]> ends_;
};

TEST_P(DrawnLine, BytesAreEqualThroughAnyPiecesCancelsAndCuts) {
  for (uint64_t seed = 1; seed <= 60 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Begin(seed);
    for (int i = 0; i < 1500; ++i) {
      Step(ends_[rng_.Below(2)]);
      PassBothWays();
    }
    Finish(!rng_.Chance(0.3));
  }
}

}  // namespace rondo::io::testing
