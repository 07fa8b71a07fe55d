// Long on purpose: each way in which a stream or its connection can go is a few lines of its own.
//
// What a StreamEngine has to show beyond the contract of every engine: messages in streams, and
// what becomes of them when either end, or the connection, goes. Include in one file of a test
// program and instantiate over worlds that make no tunnels by themselves.
#pragma once

#include <cerrno>
#include <initializer_list>

#include "http2/wire.h"
#include "io/message_text.h"
#include "io/stream_world.h"
#include "rondo/base/rng.h"

namespace rondo::io::testing {

class StreamSuite : public EngineSuite {
 protected:
  StreamWorld& here() { return dynamic_cast<StreamWorld&>(world()); }
  StreamEngine& streams() { return here().streams(); }

  // A new connection, both of whose ends speak HTTP/2.
  void Join(http2::SessionOptions client = {}, http2::SessionOptions server = {}) {
    const Pair pair = MakePair();
    Forget(pair.client);
    Forget(pair.server);
    owners_ = &here().Join(pair.client, pair.server, client, server);
    RunUntil([&] { return client_end().settings_received() && server_end().settings_received(); });
  }
  Http2Connection& client_end() { return *owners_->client.connection; }
  Http2Connection& server_end() { return *owners_->server.connection; }
  TestOwner& client_owner() { return owners_->client; }
  TestOwner& server_owner() { return owners_->server; }

  int Open() { return Keep(client_end().OpenStream()); }
  int Ask(std::string_view text) {
    const int fd = Open();
    SendAll(fd, text);
    return fd;
  }
  // The next stream that the server is told of.
  int TakeStream() { return TakeStreamOf(server_owner()); }
  int TakeStreamOf(TestOwner& owner) {
    RunUntil([&] { return !owner.fresh.empty(); });
    if (owner.fresh.empty()) return -1;
    const int fd = owner.fresh.front();
    owner.fresh.pop_front();
    return Keep(fd);
  }
  // And what came with it.
  std::string ReceiveHead(int fd) {
    TestOp op;
    while (op.bytes.find("\r\n\r\n") == std::string::npos) {
      Receive(op, fd);
      if (!RunUntilDone(op) || op.last() <= 0) break;
    }
    return op.bytes;
  }
  MessageText ReceiveMessage(int fd, bool bodiless = false) {
    TestOp op;
    for (;;) {
      MessageText message = ReadMessage(op.bytes, bodiless);
      if (message.whole) {
        EXPECT_EQ(message.size, op.bytes.size());
        return message;
      }
      Receive(op, fd);
      if (!RunUntilDone(op) || op.last() <= 0) return message;
    }
  }
  int32_t ReceiveResult(int fd) {
    TestOp op;
    Receive(op, fd);
    RunUntilDone(op);
    return op.last();
  }
  int32_t SendResult(int fd, std::string_view text) {
    TestOp op;
    Send(op, fd, text);
    RunUntilDone(op);
    return op.last();
  }
  // Ends the test with nothing left.
  void Finish() {
    RunFor(std::chrono::milliseconds(2));
    world().Settle();
    EXPECT_EQ(streams().connections(), 0u);
    EXPECT_EQ(engine().buffers().buffers_out(), 0u);
    EXPECT_EQ(here().frames().blocks_out(), 0u);
  }
  static std::string Bytes(size_t count, uint64_t seed) {
    Rng rng(seed);
    std::string text(count, '\0');
    for (char& c : text) c = static_cast<char>(rng.Next());
    return text;
  }

  static constexpr char kGet[] = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
  static constexpr char kOk[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

  StreamWorld::Owners* owners_ = nullptr;
};

TEST_P(StreamSuite, ARequestAndItsAnswerAreTextAtBothEnds) {
  Join();
  const int asked =
      Ask("POST /p?q=1 HTTP/1.1\r\nHost: h:81\r\nX-One: two\r\nContent-Length: 5\r\n\r\nhello");
  const int told = TakeStream();
  EXPECT_FALSE(streams().RefusalOf(told));
  EXPECT_FALSE(streams().IsTunnelRequest(told));
  const MessageText request = ReceiveMessage(told);
  EXPECT_TRUE(request.head.starts_with("POST /p?q=1 HTTP/1.1\r\n")) << request.head;
  EXPECT_NE(request.head.find("h:81\r\n"), std::string::npos);
  EXPECT_NE(request.head.find("x-one: two\r\n"), std::string::npos);
  EXPECT_EQ(request.body, "hello");
  SendAll(told, "HTTP/1.1 201 Created\r\nX-Three: four\r\nContent-Length: 3\r\n\r\nyes");
  const MessageText answer = ReceiveMessage(asked);
  EXPECT_TRUE(answer.head.starts_with("HTTP/1.1 201 ")) << answer.head;
  EXPECT_NE(answer.head.find("x-three: four\r\n"), std::string::npos);
  EXPECT_EQ(answer.body, "yes");
  EXPECT_EQ(ReceiveResult(asked), 0);
  EXPECT_EQ(ReceiveResult(asked), 0);
  EXPECT_EQ(engine().PeerAddress(asked), engine().LocalAddress(told));
  EXPECT_EQ(engine().Unacknowledged(asked), 0u);
  CloseNow(asked);
  CloseNow(told);
  EXPECT_EQ(client_end().streams(), 0u);
  EXPECT_EQ(server_end().streams(), 0u);
  Finish();
}

TEST_P(StreamSuite, BodiesWithoutALengthAreChunksAndKeepTheirTrailers) {
  Join();
  const std::string up = Bytes(300'000, 1);
  const std::string down = Bytes(200'000, 2);
  const int asked = Open();
  const std::string head = "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string request_text = head + Chunked(up, 7000, "X-Sum: 1\r\n");
  TestOp send;
  std::string_view left = request_text;
  send.then = [&](TestOp& op) {
    ASSERT_GT(op.result, 0);
    left.remove_prefix(static_cast<size_t>(op.result));
    if (!left.empty()) Send(send, asked, left);
  };
  Send(send, asked, left);
  const int told = TakeStream();
  const MessageText request = ReceiveMessage(told);
  EXPECT_TRUE(request.body == up);
  EXPECT_EQ(request.trailers, "x-sum: 1\r\n");
  RunUntil([&] { return left.empty(); });
  const std::string answer_text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
                                  Chunked(down, 100'000, "X-End: 2\r\n");
  TestOp reply;
  std::string_view rest = answer_text;
  reply.then = [&](TestOp& op) {
    ASSERT_GT(op.result, 0);
    rest.remove_prefix(static_cast<size_t>(op.result));
    if (!rest.empty()) Send(reply, told, rest);
  };
  Send(reply, told, rest);
  const MessageText answer = ReceiveMessage(asked);
  EXPECT_TRUE(answer.body == down);
  EXPECT_EQ(answer.trailers, "x-end: 2\r\n");
  RunUntil([&] { return rest.empty(); });
  EXPECT_EQ(ReceiveResult(asked), 0);
  CloseNow(asked);
  CloseNow(told);
  Finish();
}

TEST_P(StreamSuite, TextIsTheSameInReceivesOfAnySize) {
  for (const size_t room : {1, 2, 7, 8, 9, 10, 100, 5000, 200'000}) {
    Join();
    const std::string body = Bytes(room < 100 ? 300 : 100'000, room);
    const int asked = Open();
    const std::string text = "PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" +
                             Chunked(body, 50, "A: b\r\n");
    TestOp send;
    std::string_view left = text;
    send.then = [&](TestOp& op) {
      left.remove_prefix(static_cast<size_t>(op.result));
      if (!left.empty()) Send(send, asked, left);
    };
    Send(send, asked, left);
    const int told = TakeStream();
    std::string received;
    std::string memory(room, '\0');
    while (!ReadMessage(received).whole) {
      TestOp op;
      op.data = memory.data();
      op.size = memory.size();
      Submit(op, Op::Kind::kReceive, told);
      if (!RunUntilDone(op) || op.last() <= 0) break;
      received.append(memory, 0, static_cast<size_t>(op.last()));
      if (room >= 100 && received.size() < body.size()) RunFor(std::chrono::microseconds(50));
    }
    EXPECT_TRUE(ReadMessage(received).body == body) << room;
    EXPECT_EQ(ReadMessage(received).trailers, "a: b\r\n");
    RunUntil([&] { return !send.in_flight(); });
    CloseNow(told);
    EXPECT_EQ(ReceiveResult(asked), -ECONNRESET);  // no answer came
    CloseNow(asked);
    Finish();
  }
}

TEST_P(StreamSuite, InterimAnswersComeBeforeTheAnswer) {
  Join();
  const int asked = Open();
  SendAll(asked, "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  const int told = TakeStream();
  ReceiveHead(told);
  SendAll(told, "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_TRUE(ReceiveHead(asked).starts_with("HTTP/1.1 100 "));
  SendAll(asked, "body");
  EXPECT_EQ(ReceiveAtLeast(told, 4), "body");
  SendAll(told,
          "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: "
          "2\r\n\r\nok");
  const std::string text = ReceiveAtLeast(asked, 70);
  EXPECT_TRUE(text.starts_with("HTTP/1.1 103 ")) << text;
  EXPECT_TRUE(text.ends_with("\r\n\r\nok")) << text;
  EXPECT_EQ(ReceiveResult(asked), 0);
  CloseNow(asked);
  CloseNow(told);
  Finish();
}

TEST_P(StreamSuite, StreamsAreAnsweredInAnyOrder) {
  Join();
  constexpr int kCount = 50;
  std::vector<int> asked;
  for (int i = 0; i < kCount; ++i) {
    asked.push_back(Open());
    SendAll(asked.back(), "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: h\r\n\r\n");
  }
  EXPECT_EQ(client_end().streams(), 50u);
  EXPECT_EQ(client_end().room(), 78u);
  std::vector<std::pair<int, std::string>> told;
  for (int i = 0; i < kCount; ++i) {
    const int fd = TakeStream();
    const std::string head = ReceiveHead(fd);
    told.emplace_back(fd, head.substr(5, head.find(' ', 5) - 5));
  }
  for (int i = kCount - 1; i >= 0; --i) {
    const std::string& name = told[static_cast<size_t>(i)].second;
    SendAll(
        told[static_cast<size_t>(i)].first,
        "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(name.size()) + "\r\n\r\n" + name);
    CloseNow(told[static_cast<size_t>(i)].first);
  }
  for (int i = 0; i < kCount; ++i) {
    EXPECT_EQ(ReceiveMessage(asked[static_cast<size_t>(i)]).body, std::to_string(i));
    CloseNow(asked[static_cast<size_t>(i)]);
  }
  RunUntil([&] { return client_end().room() == 128u; });
  Finish();
}

TEST_P(StreamSuite, AnswersThatAreReadyOneBehindTheOtherLeaveTogether) {
  namespace wire = http2::wire;
  const Pair pair = MakePair();
  Forget(pair.server);
  TestOwner owner;
  owner.connection = &streams().Start(pair.server, {}, {}, owner);
  const std::string block = wire::Block(wire::Get());
  SendAll(pair.client, wire::kHello + wire::Settings() + wire::Headers(1, block) +
                           wire::Headers(3, block));
  const int one = TakeStreamOf(owner);
  const int other = TakeStreamOf(owner);
  TestOp receive;
  RunFor(std::chrono::milliseconds(5));
  Receive(receive, pair.client);  // the server's settings
  RunUntilDone(receive);
  receive.bytes.clear();
  Receive(receive, pair.client);
  TestOp first;
  TestOp second;
  TestOp turn;
  turn.then = [&](TestOp&) { Send(second, other, kOk); };
  Send(first, one, kOk);
  engine().Post(turn, 0);
  RunUntilDone(receive);
  EXPECT_NE(receive.bytes.find("ok"), receive.bytes.rfind("ok"));
  RunUntil([&] { return first.done() && second.done(); });
  CloseNow(one);
  CloseNow(other);
  CloseNow(pair.client);
  RunUntil([&] { return owner.ended(); });
  Finish();
}

TEST_P(StreamSuite, AClientThatGivesUpEndsTheServersReceive) {
  Join();
  const int asked = Ask(kGet);
  const int told = TakeStream();
  ReceiveHead(told);
  TestOp waits;
  Receive(waits, told);
  RunFor(std::chrono::milliseconds(2));
  EXPECT_TRUE(waits.in_flight());
  CloseNow(asked);
  RunUntilDone(waits);
  EXPECT_EQ(waits.last(), -ECONNRESET);
  EXPECT_EQ(ReceiveResult(told), -ECONNRESET);
  EXPECT_EQ(SendResult(told, kOk), -EPIPE);
  CloseNow(told);
  Finish();
}

// What came is held, so that no receive is there that could say so.
TEST_P(StreamSuite, WhoHoldsWhatCameIsToldThatItsClientIsGone) {
  int times = 0;
  const StreamEngine::TellGone tell = [](void* counter) { ++*static_cast<int*>(counter); };
  for (const bool loses_all : {false, true}) {
    for (const bool later : {false, true}) {
      Join();
      const int asked = Ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf");
      const int told = TakeStream();
      ReceiveHead(told);
      if (!later) streams().WhenGone(told, tell, &times);
      RunFor(std::chrono::milliseconds(2));
      EXPECT_EQ(times, 0);
      if (loses_all) {
        client_end().End(http2::ErrorCode::kNoError);
      } else {
        CloseNow(asked);
      }
      RunFor(std::chrono::milliseconds(2));
      if (later) {
        EXPECT_EQ(times, 0);
        streams().WhenGone(told, tell, &times);
        EXPECT_EQ(times, 0);
      }
      RunUntil([&] { return times > 0; });
      EXPECT_EQ(ReceiveResult(told), -ECONNRESET);
      EXPECT_EQ(std::exchange(times, 0), 1);
      if (loses_all) CloseNow(asked);
      CloseNow(told);
      Finish();
      EXPECT_EQ(times, 0);
    }
  }
}

TEST_P(StreamSuite, WhoHasAnsweredIsNotToldThatItsClientIsGone) {
  Join();
  int times = 0;
  const StreamEngine::TellGone tell = [](void* counter) { ++*static_cast<int*>(counter); };
  const int asked = Ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf");
  const int told = TakeStream();
  streams().WhenGone(told, tell, &times);
  ReceiveHead(told);
  SendAll(told, kOk);
  EXPECT_EQ(ReceiveMessage(asked).body, "ok");
  CloseNow(asked);
  RunFor(std::chrono::milliseconds(2));
  EXPECT_EQ(times, 0);
  CloseNow(told);
  Finish();
}

TEST_P(StreamSuite, AServerThatClosesWithoutAnAnswerCutsTheStream) {
  Join();
  for (const std::string_view part : {"", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"}) {
    const int asked = Ask(kGet);
    const int told = TakeStream();
    ReceiveHead(told);
    if (!part.empty()) SendAll(told, part);
    CloseNow(told);
    if (!part.empty()) EXPECT_TRUE(ReceiveHead(asked).starts_with("HTTP/1.1 200"));
    std::string rest;
    int32_t result;
    TestOp op;
    do {
      Receive(op, asked);
      RunUntilDone(op);
      result = op.last();
    } while (result > 0);
    EXPECT_EQ(result, -ECONNRESET);
    EXPECT_LT(op.bytes.size(), 10u);
    CloseNow(asked);
  }
  Finish();
}

TEST_P(StreamSuite, AnAnswerBeforeTheEndOfItsRequestArrivesWhole) {
  Join();
  const std::string body = Bytes(1 << 20, 3);
  const int asked = Open();
  TestOp send;
  const std::string text = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1048576\r\n\r\n" + body;
  std::string_view left = text;
  int32_t last = 0;
  int interrupted = 0;
  send.then = [&](TestOp& op) {
    last = op.result;
    if (op.result == -EAGAIN) ++interrupted;
    if (op.result <= 0 && op.result != -EAGAIN) return;
    if (op.result > 0) left.remove_prefix(static_cast<size_t>(op.result));
    if (!left.empty()) Send(send, asked, left);
  };
  Send(send, asked, left);
  const int told = TakeStream();
  ReceiveHead(told);
  RunFor(std::chrono::milliseconds(3));
  EXPECT_TRUE(send.in_flight());
  const std::string reason = Bytes(30'000, 4);
  SendAll(told, "HTTP/1.1 413 No\r\nContent-Length: 30000\r\n\r\n" + reason);
  CloseNow(told);
  const MessageText answer = ReceiveMessage(asked);
  EXPECT_TRUE(answer.body == reason);
  EXPECT_EQ(ReceiveResult(asked), 0);
  RunUntil([&] { return !send.in_flight(); });
  EXPECT_EQ(last, -EPIPE);
  EXPECT_EQ(interrupted, 1);
  CloseNow(asked);
  Finish();
}

TEST_P(StreamSuite, AnAnswerInterruptsOnceTheSendThatBeganItsRequest) {
  Join();
  const std::string body = Bytes(200'000, 3);
  const std::string text = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n" + body;
  // Whether the head leaves with some of the body, or by itself.
  for (const bool together : {true, false}) {
    SCOPED_TRACE(together);
    const int asked = Open();
    std::string_view left = text;
    std::vector<int32_t> failures;
    TestOp send;
    send.then = [&](TestOp& op) {
      if (op.result < 0) failures.push_back(op.result);
      if (op.result > 0) left.remove_prefix(static_cast<size_t>(op.result));
      if (!left.empty()) Send(send, asked, left);
    };
    Send(send, asked, together ? left : left.substr(0, text.size() - body.size()));
    const int told = TakeStream();
    ReceiveHead(told);
    RunFor(std::chrono::milliseconds(3));
    EXPECT_TRUE(send.in_flight());
    EXPECT_TRUE(failures.empty());
    // It does not depend on the rest, and the rest goes on behind it.
    SendAll(told, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
    EXPECT_TRUE(ReceiveHead(asked).starts_with("HTTP/1.1 200"));
    RunFor(std::chrono::milliseconds(3));
    EXPECT_EQ(failures, together ? std::vector<int32_t>{-EAGAIN} : std::vector<int32_t>{});
    EXPECT_TRUE(send.in_flight());
    TestOp receive;
    size_t got = 0;
    while (!left.empty() && got < text.size()) {
      Receive(receive, told);
      if (!RunUntilDone(receive) || receive.last() <= 0) break;
      got = receive.bytes.size();
    }
    EXPECT_TRUE(left.empty());
    EXPECT_EQ(failures.size(), together ? 1u : 0u);
    CloseNow(asked);
    CloseNow(told);
  }
  Finish();
}

TEST_P(StreamSuite, ASlowStreamHoldsUpNoOtherAndOnlyAsMuchAsItsWindow) {
  Join();
  const std::string body = Bytes(400'000, 5);
  const int slow = Open();
  const std::string text =
      "POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 400000\r\n\r\n" + body;
  TestOp send;
  std::string_view left = text;
  send.then = [&](TestOp& op) {
    ASSERT_GT(op.result, 0);
    left.remove_prefix(static_cast<size_t>(op.result));
    if (!left.empty()) Send(send, slow, left);
  };
  Send(send, slow, left);
  const int told = TakeStream();
  RunFor(std::chrono::milliseconds(5));
  EXPECT_GE(text.size() - left.size(), 65535u);
  EXPECT_LE(text.size() - left.size(), 65535u + text.size() - body.size());
  TestOp room;
  Submit(room, Op::Kind::kWaitReadable, told);
  RunUntilDone(room);
  EXPECT_EQ(room.last(), 0);
  for (int i = 0; i < 3; ++i) {
    const int asked = Ask(kGet);
    const int other = TakeStream();
    ReceiveHead(other);
    SendAll(other, kOk);
    EXPECT_EQ(ReceiveMessage(asked).body, "ok");
    CloseNow(asked);
    CloseNow(other);
  }
  EXPECT_TRUE(ReceiveMessage(told).body == body);
  EXPECT_TRUE(left.empty());
  SendAll(told, kOk);
  EXPECT_EQ(ReceiveMessage(slow).body, "ok");
  CloseNow(slow);
  CloseNow(told);
  Finish();
}

TEST_P(StreamSuite, CancelledSendsSayWhatTheyTook) {
  Join();
  const std::string body = Bytes(200'000, 6);
  const int asked = Open();
  std::string text = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n" + body;
  size_t sent = 0;
  TestOp send;
  send.then = [&](TestOp& op) {
    if (op.result > 0) sent += static_cast<size_t>(op.result);
  };
  Send(send, asked, text);
  engine().Cancel(send);  // the head is with the session
  EXPECT_TRUE(send.results.empty());
  RunUntilDone(send);
  EXPECT_EQ(sent, text.size() - body.size());
  for (int i = 0; i < 20; ++i) {
    Send(send, asked, std::string_view(text).substr(sent));
    if (i % 3 == 0) engine().Run(engine().Now());
    engine().Cancel(send);
    RunUntilDone(send);
    if (send.last() < 0) EXPECT_EQ(send.last(), -ECANCELED);
  }
  const int told = TakeStream();
  TestOp receive;
  while (!ReadMessage(receive.bytes).whole) {
    if (!receive.in_flight()) Receive(receive, told);
    if (!send.in_flight() && sent < text.size()) {
      Send(send, asked, std::string_view(text).substr(sent));
    }
    engine().Run(engine().Now() + std::chrono::milliseconds(1));
  }
  EXPECT_TRUE(ReadMessage(receive.bytes).body == body);
  RunUntil([&] { return !send.in_flight(); });
  EXPECT_EQ(sent, text.size());
  Stop(receive);
  CloseNow(told);
  CloseNow(asked);
  Finish();
}

TEST_P(StreamSuite, TextThatIsNoMessageFails) {
  Join();
  const int asked = Open();
  EXPECT_EQ(SendResult(asked, "this is no request\r\n\r\n"), -EPROTO);
  EXPECT_LT(SendResult(asked, "GET"), 0);
  CloseNow(asked);
  const int other = Ask(kGet);
  const int told = TakeStream();
  ReceiveHead(told);
  EXPECT_EQ(SendResult(told, "HTTP/1.1 what\r\n\r\n"), -EPROTO);
  EXPECT_EQ(ReceiveResult(other), -ECONNRESET);
  CloseNow(told);
  CloseNow(other);
  Finish();
}

TEST_P(StreamSuite, MoreStreamsThanThePeerTakesWaitForRoom) {
  http2::SessionOptions server;
  server.streams_max = 3;
  Join({}, server);
  EXPECT_EQ(client_end().room(), 3u);
  std::vector<int> asked;
  for (int i = 0; i < 3; ++i) asked.push_back(Open());
  EXPECT_EQ(client_end().room(), 0u);
  EXPECT_EQ(client_end().OpenStream(), -EAGAIN);
  CloseNow(asked.back());  // it had not begun
  EXPECT_EQ(client_end().room(), 1u);
  asked.back() = Open();
  for (const int fd : asked) SendAll(fd, kGet);
  EXPECT_EQ(client_end().OpenStream(), -EAGAIN);
  const int told = TakeStream();
  ReceiveHead(told);
  SendAll(told, kOk);
  EXPECT_EQ(ReceiveMessage(asked[0]).body, "ok");
  CloseNow(asked[0]);
  RunUntil([&] { return client_end().room() == 1u; });
  CloseNow(told);
  CloseNow(TakeStream());
  CloseNow(TakeStream());
  CloseNow(asked[1]);
  CloseNow(asked[2]);
  Finish();
}

TEST_P(StreamSuite, ADrainedServerLetsItsStreamsEndAndThenCloses) {
  Join();
  const int asked = Ask(kGet);
  const int told = TakeStream();
  server_end().Drain();
  RunUntil([&] { return client_end().ending() && server_end().ending(); });
  EXPECT_EQ(client_end().room(), 0u);
  EXPECT_EQ(client_end().OpenStream(), -EAGAIN);
  ReceiveHead(told);
  SendAll(told, kOk);
  CloseNow(told);
  EXPECT_EQ(ReceiveMessage(asked).body, "ok");
  EXPECT_EQ(ReceiveResult(asked), 0);
  CloseNow(asked);
  const Instant before = engine().Now();
  RunUntil([&] { return client_owner().ended() && server_owner().ended(); });
  EXPECT_LT(engine().Now() - before, std::chrono::milliseconds(500));
  EXPECT_EQ(client_owner().reason, "");
  EXPECT_EQ(server_owner().reason, "");
  Finish();
}

TEST_P(StreamSuite, ADrainedServerWithoutStreamsCloses) {
  Join();
  server_end().Drain();
  RunUntil([&] { return client_owner().ended() && server_owner().ended(); });
  EXPECT_EQ(client_owner().reason, "");
  EXPECT_EQ(server_owner().reason, "");
  Finish();
}

TEST_P(StreamSuite, ADrainedClientLetsItsStreamsEndAndThenCloses) {
  Join();
  const int asked = Ask(kGet);
  client_end().Drain();
  EXPECT_TRUE(client_end().ending());
  EXPECT_EQ(client_end().OpenStream(), -EAGAIN);
  const int told = TakeStream();
  ReceiveHead(told);
  SendAll(told, kOk);
  CloseNow(told);
  EXPECT_EQ(ReceiveMessage(asked).body, "ok");
  CloseNow(asked);
  RunUntil([&] { return client_owner().ended() && server_owner().ended(); });
  EXPECT_EQ(client_owner().reason, "");
  EXPECT_EQ(server_owner().reason, "");
  Finish();
}

TEST_P(StreamSuite, AnEndedConnectionFailsItsStreams) {
  for (const bool server : {false, true}) {
    Join();
    const int asked = Ask(kGet);
    const int told = TakeStream();
    ReceiveHead(told);
    TestOp at_client, at_server;
    Receive(at_client, asked);
    Receive(at_server, told);
    (server ? server_end() : client_end()).End(http2::ErrorCode::kEnhanceYourCalm);
    EXPECT_TRUE(at_client.results.empty() && at_server.results.empty());
    RunUntil([&] { return at_client.done() && at_server.done(); });
    EXPECT_EQ(at_client.last(), -ECONNRESET);
    EXPECT_EQ(at_server.last(), -ECONNRESET);
    EXPECT_EQ(SendResult(told, kOk), -EPIPE);
    EXPECT_FALSE(client_owner().ended() || server_owner().ended());
    CloseNow(asked);
    CloseNow(told);
    RunUntil([&] { return client_owner().ended() && server_owner().ended(); });
    Finish();
  }
}

TEST_P(StreamSuite, AStreamThatWasNotBegunWhenItsConnectionWentIsRefused) {
  Join();
  const int fresh = Open();
  server_end().End(http2::ErrorCode::kNoError);
  RunUntil([&] { return client_end().ending(); });
  EXPECT_EQ(SendResult(fresh, kGet), -EPIPE);
  EXPECT_EQ(ReceiveResult(fresh), -ECONNREFUSED);
  CloseNow(fresh);
  Finish();
}

TEST_P(StreamSuite, StreamsBehindTheLastOneOfAGoawayAreRefused) {
  Join();
  const int first = Ask(kGet);
  const int told = TakeStream();
  ReceiveHead(told);
  server_end().Drain();
  // The first GOAWAY still takes what is on its way; behind the second one nothing is.
  RunUntil([&] { return server_end().ending(); });
  EXPECT_TRUE(client_end().ending() || client_end().room() > 0);
  if (!client_end().ending()) {
    const int late = Ask(kGet);
    EXPECT_EQ(ReceiveResult(late), -ECONNREFUSED);
    CloseNow(late);
  }
  SendAll(told, kOk);
  EXPECT_EQ(ReceiveMessage(first).body, "ok");
  CloseNow(first);
  CloseNow(told);
  Finish();
}

TEST_P(StreamSuite, APeerThatSpeaksNoHttp2IsToldSo) {
  const Pair pair = MakePair();
  Forget(pair.server);
  TestOwner owner;
  owner.connection = &streams().Start(pair.server, {}, {}, owner);
  SendAll(pair.client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  TestOp receive;
  int32_t result = 1;
  while (result > 0) {
    Receive(receive, pair.client);
    RunUntilDone(receive);
    result = receive.last();
  }
  CloseNow(pair.client);
  RunUntil([&] { return owner.ended(); });
  EXPECT_EQ(owner.reason, "h2_not_http2");
  Finish();
}

TEST_P(StreamSuite, EachUnfinishedHeadHasItsOwnTime) {
  namespace wire = http2::wire;
  const Pair pair = MakePair();
  Forget(pair.server);
  TestOwner owner;
  owner.connection = &streams().Start(pair.server, {}, {}, owner);
  const std::string block = wire::Block(wire::Get());
  SendAll(pair.client, wire::kHello + wire::Settings() + wire::Headers(1, block, wire::kEndStream));
  RunUntil([&] { return owner.connection->in_head_since() != kNever; });
  for (uint32_t stream = 1; stream < 7; stream += 2) {
    const Instant since = owner.connection->in_head_since();
    RunFor(std::chrono::milliseconds(5));
    EXPECT_EQ(owner.connection->in_head_since(), since);
    SendAll(pair.client, wire::Frame(wire::kContinuation, wire::kEndHeaders, stream, "") +
                             wire::Headers(stream + 2, block, wire::kEndStream));
    CloseNow(TakeStreamOf(owner));
    EXPECT_GE(owner.connection->in_head_since() - since, std::chrono::milliseconds(5));
  }
  CloseNow(pair.client);
  RunUntil([&] { return owner.ended(); });
  Finish();
}

TEST_P(StreamSuite, APeerThatNeverClosesIsCutAfterASecond) {
  const Pair pair = MakePair();
  Forget(pair.server);
  TestOwner owner;
  owner.connection = &streams().Start(pair.server, {}, {}, owner);
  owner.connection->End(http2::ErrorCode::kNoError);
  const Instant before = engine().Now();
  RunUntil([&] { return owner.ended(); });
  EXPECT_GE(engine().Now() - before, StreamEngine::kCloseGrace);
  EXPECT_LT(engine().Now() - before, 2 * StreamEngine::kCloseGrace);
  CloseNow(pair.client);
  Finish();
}

TEST_P(StreamSuite, AConnectionOfWhichNobodyReadsIsSeenToStall) {
  const Pair pair = MakePair();
  Forget(pair.client);
  TestOwner owner;
  http2::SessionOptions options;
  options.role = http2::Role::kClient;
  owner.connection = &streams().Start(pair.client, options, {}, owner);
  // A server's settings that open all windows; then it falls silent.
  const char kSettings[] =
      "\0\0\x06\x04\0\0\0\0\0\0\x04\x7f\xff\xff\xff\0\0\x04\x08\0\0\0\0\0\x7f\xfe\0\0";
  SendAll(pair.server, std::string_view(kSettings, sizeof(kSettings) - 1));
  RunUntil([&] { return owner.connection->settings_received(); });
  RunUntil([&] { return owner.connection->stalled_since() == kNever; });
  const int fd = Keep(owner.connection->OpenStream());
  const std::string text = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n" +
                           std::string(1 << 20, 'x');
  TestOp send;
  send.then = [&](TestOp& op) {
    if (op.result > 0) Send(send, fd, std::string_view(text).substr(text.size() - (1 << 19)));
  };
  Send(send, fd, text);
  RunFor(std::chrono::milliseconds(200));
  EXPECT_LT(owner.connection->stalled_since(), engine().Now() - std::chrono::milliseconds(20));
  EXPECT_TRUE(send.in_flight());
  owner.connection->End(http2::ErrorCode::kCancel);
  RunUntil([&] { return !send.in_flight(); });
  CloseNow(fd);
  RunUntil([&] { return owner.ended(); });
  CloseNow(pair.server);
  Finish();
}

TEST_P(StreamSuite, ReceivesOfStreamsWaitForBuffers) {
  Make(EngineOptions{.buffers_max = 3});
  Join();
  const int asked = Ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody");
  const int told = TakeStream();
  std::vector<BufferRef> held;
  while (char* buffer = engine().buffers().Take()) {
    held.emplace_back(&engine().buffers(), buffer, 0);
  }
  EXPECT_EQ(ReceiveMessage(told).body, "body");  // by the engine's reserve
  held.clear();
  SendAll(told, kOk);
  EXPECT_EQ(ReceiveMessage(asked).body, "ok");
  CloseNow(asked);
  CloseNow(told);
  Finish();
}

}  // namespace rondo::io::testing
