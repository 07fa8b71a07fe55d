// What the simulated engine and network promise to those who are tested on them.
// Long on purpose: one list of promises, each a few lines.
#include "sim/sim_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "sim/draw.h"
#include "sim/sim_peer.h"
#include "sim/sim_world.h"

namespace rondo::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::IsEmpty;

SocketAddress At(std::string_view text) { return *SocketAddress::Parse(text, /*allow_any=*/true); }

// Two threads, a listener, and the first connection made to it.
struct Pair {
  explicit Pair(uint64_t seed, std::string_view listen = "10.0.0.1:80",
                std::string_view connect = "10.0.0.1:80")
      : world(seed),
        server_engine(world.AddThread("server")),
        client_engine(world.AddThread("client")) {
    acceptor = std::make_unique<SimAcceptor>(world, server_engine, At(listen), [this](int fd) {
      server = std::make_unique<SimPeer>(world, server_engine);
      server->on_receive = [this](std::string_view bytes) { server_got += bytes; };
      server->on_end = [] {};
      server->on_error = [](int) {};
      server->Adopt(fd);
    });
    client = std::make_unique<SimPeer>(world, client_engine);
    client->on_receive = [this](std::string_view bytes) { client_got += bytes; };
    client->on_end = [] {};
    client->on_error = [](int) {};
    client->Connect(At(connect));
  }
  void Meet() {
    const RunEnd end =
        world.RunUntil([this] { return client->connected() && server != nullptr; }, seconds(5));
    ASSERT_EQ(end.stop, Stop::kPredicate) << end.why;
  }
  void Quiet() {
    const RunEnd end = world.RunUntilQuiet(seconds(600));
    ASSERT_EQ(end.stop, Stop::kQuiet) << end.why;
  }
  void CloseAll() {
    if (client) client->Close();
    if (server) server->Close();
    acceptor->Stop();
    Quiet();
    EXPECT_THAT(world.Leaks(), IsEmpty());
  }

  SimWorld world;
  SimEngine& server_engine;
  SimEngine& client_engine;
  std::unique_ptr<SimAcceptor> acceptor;
  std::unique_ptr<SimPeer> server, client;
  std::string server_got, client_got;
};

TEST(SimNetwork, BytesArriveInOrderAndTheEndBehindThem) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Pair pair(seed);
    pair.Meet();
    std::string sent;
    for (int i = 0; i < 3000; ++i) sent += std::to_string(i * 7919) + ' ';
    pair.client->Send(sent);
    pair.client->FinishSending();
    pair.Quiet();
    EXPECT_EQ(pair.server_got, sent);
    EXPECT_TRUE(pair.server->ended());
    EXPECT_FALSE(pair.client->ended());
    pair.server->Send("the other direction is still open");
    pair.Quiet();
    EXPECT_EQ(pair.client_got, "the other direction is still open");
    pair.CloseAll();
  }
}

TEST(SimNetwork, AddressesAreKnownOnBothSides) {
  struct Case {
    const char* listen;
    const char* connect;
    const char* client_ip;
  };
  const Case cases[] = {
      {"10.0.0.1:80", "10.0.0.1:80", "127.0.0.1"},
      {"0.0.0.0:81", "127.0.0.1:81", "127.0.0.1"},
      {":82", "127.0.0.1:82", "127.0.0.1"},
      {":83", "[::1]:83", "::1"},
      {"[::1]:84", "[::1]:84", "::1"},
  };
  for (const Case& c : cases) {
    Pair pair(1, c.listen, c.connect);
    pair.Meet();
    EXPECT_EQ(pair.client_engine.PeerAddress(pair.client->fd()), At(c.connect));
    const SocketAddress seen = pair.server_engine.PeerAddress(pair.server->fd());
    EXPECT_EQ(seen.ip.ToString(), c.client_ip);
    EXPECT_EQ(seen, pair.client_engine.LocalAddress(pair.client->fd()));
    EXPECT_EQ(pair.server_engine.LocalAddress(pair.server->fd()), At(c.connect));
    pair.CloseAll();
  }
}

TEST(SimNetwork, UnixPathsAreAddressesToo) {
  Pair pair(2, "unix:/run/a.sock", "unix:/run/a.sock");
  pair.Meet();
  EXPECT_EQ(pair.client_engine.PeerAddress(pair.client->fd()).path, "/run/a.sock");
  EXPECT_EQ(pair.server_engine.PeerAddress(pair.server->fd()).kind, SocketAddress::Kind::kUnix);
  pair.CloseAll();
}

TEST(SimNetwork, ConnectsFailAsTheyDoInLife) {
  struct Case {
    const char* address;
    int error;
    bool refuse, black_hole;
  };
  const Case cases[] = {
      {"10.0.0.1:81", ECONNREFUSED, false, false},  // nobody listens
      {"unix:/run/none", ENOENT, false, false},     //
      {"10.0.0.1:80", ECONNREFUSED, true, false},   //
      {"10.0.0.1:80", ETIMEDOUT, false, true},      //
  };
  for (const Case& c : cases) {
    Pair pair(3, "10.0.0.1:80", c.address);
    if (c.refuse) pair.world.network().Refuse(At(c.address));
    if (c.black_hole) pair.world.network().BlackHole(At(c.address));
    const Instant began = pair.world.now();
    pair.Quiet();
    EXPECT_EQ(pair.client->error(), -c.error) << c.address;
    const Duration took = pair.world.now() - began;
    EXPECT_EQ(took > seconds(126), c.black_hole);
    pair.CloseAll();
  }
}

TEST(SimNetwork, AFullBacklogMakesConnectsWait) {
  SimWorld world(4);
  SimEngine& server = world.AddThread("server");
  SimEngine& engine = world.AddThread("client");
  const int fd = server.Listen(At("10.0.0.1:80"), io::ListenMode::kAlone, /*backlog=*/1);
  SimPeer first(world, engine), second(world, engine);
  first.Connect(At("10.0.0.1:80"));
  world.RunFor(seconds(1));
  second.Connect(At("10.0.0.1:80"));
  world.RunFor(seconds(10));
  EXPECT_TRUE(first.connected());
  EXPECT_FALSE(second.connected());
  server.Close(fd);  // resets whom nobody accepted
  world.RunUntilQuiet(seconds(200));
  EXPECT_EQ(first.error(), -ECONNRESET);
  EXPECT_EQ(second.error(), -ECONNREFUSED);
  EXPECT_THAT(world.Leaks(), IsEmpty());
}

TEST(SimNetwork, AResetReachesTheReaderBehindWhatWasReceived) {
  Pair pair(5);
  pair.Meet();
  pair.server->PauseReading();
  pair.client->Send("last words");
  pair.Quiet();
  pair.client->Reset();
  pair.Quiet();
  pair.server->ResumeReading();
  pair.Quiet();
  EXPECT_EQ(pair.server_got, "last words");
  EXPECT_EQ(pair.server->error(), -ECONNRESET);
  pair.CloseAll();
}

TEST(SimNetwork, ClosingWithUnreadBytesSendsAReset) {
  Pair pair(6);
  pair.Meet();
  pair.server->PauseReading();
  // What the paused receive still takes, and what stays unread.
  for (int i = 0; i < 2; ++i) {
    pair.client->Send("nobody reads this");
    pair.Quiet();
  }
  pair.server->Close();
  pair.Quiet();
  EXPECT_EQ(pair.client->error(), -ECONNRESET);
  pair.CloseAll();
}

TEST(SimNetwork, SendingToAClosedPeerBreaks) {
  Pair pair(7);
  pair.Meet();
  int send_error = 0;
  pair.client->on_send_error = [&](int error) { send_error = error; };
  pair.server->Close();
  pair.Quiet();
  EXPECT_TRUE(pair.client->ended());
  pair.client->Send("the first is taken, and answered by a reset");
  pair.Quiet();
  EXPECT_EQ(send_error, 0);
  pair.client->Send("the second is not");
  pair.Quiet();
  EXPECT_EQ(send_error, -EPIPE);
  pair.CloseAll();
}

TEST(SimNetwork, ASlowReaderHoldsTheSenderBack) {
  Pair pair(8);
  pair.Meet();
  pair.server->PauseReading();
  pair.client->Send(std::string(1 << 20, 'x'));
  pair.Quiet();
  EXPECT_GT(pair.client->unsent(), 1u << 18);
  pair.server->ResumeReading();
  pair.Quiet();
  EXPECT_EQ(pair.server_got.size(), 1u << 20);
  pair.CloseAll();
}

TEST(SimNetwork, TestsCanSlowSilenceAndResetAnAddress) {
  Pair pair(9);
  pair.Meet();
  SimNetwork& network = pair.world.network();
  network.Slow(At("10.0.0.1:80"), 1000);
  const Instant began = pair.world.now();
  pair.client->Send(std::string(5000, 'x'));
  pair.Quiet();
  EXPECT_GE(pair.world.now() - began, seconds(5));
  network.Restore(At("10.0.0.1:80"));
  network.BlackHole(At("10.0.0.1:80"));
  pair.client->Send("stuck");
  pair.Quiet();
  EXPECT_EQ(pair.server_got.size(), 5000u);
  network.Restore(At("10.0.0.1:80"));
  pair.Quiet();
  EXPECT_EQ(pair.server_got.size(), 5005u);
  EXPECT_EQ(network.ResetConnections(At("10.0.0.1:80")), 1u);
  pair.Quiet();
  EXPECT_EQ(pair.client->error(), -ECONNRESET);
  EXPECT_EQ(pair.server->error(), -ECONNRESET);
  pair.CloseAll();
}

TEST(SimNetwork, AGroupOfListenersSharesTheConnections) {
  SimWorld world(10);
  SimEngine& a = world.AddThread("a");
  SimEngine& b = world.AddThread("b");
  SimEngine& engine = world.AddThread("client");
  int counts[2] = {0, 0};
  std::vector<std::unique_ptr<SimPeer>> peers;
  auto accepted = [&](SimEngine& by, int& count) {
    return [&](int fd) {
      ++count;
      peers.push_back(std::make_unique<SimPeer>(world, by));
      peers.back()->Adopt(fd);
    };
  };
  SimAcceptor first(world, a, At("10.0.0.1:80"), accepted(a, counts[0]), io::ListenMode::kFirst);
  SimAcceptor further(world, b, At("10.0.0.1:80"), accepted(b, counts[1]),
                      io::ListenMode::kFurther);
  EXPECT_EQ(engine.Listen(At("10.0.0.1:80")), -EADDRINUSE);
  for (int i = 0; i < 100; ++i) {
    peers.push_back(std::make_unique<SimPeer>(world, engine));
    peers.back()->Connect(At("10.0.0.1:80"));
  }
  world.RunUntilQuiet(seconds(10));
  EXPECT_EQ(counts[0] + counts[1], 100);
  EXPECT_GT(counts[0], 25);
  EXPECT_GT(counts[1], 25);
}

// -- the engine --

// An op that counts.
struct CountedOp : io::Op {
  CountedOp() : Op([](Op& op) { ++static_cast<CountedOp&>(op).deliveries; }) {}
  int deliveries = 0;
};

TEST(SimEngine, ACancelledReceiveEndsAndKeepsItsBytes) {
  int cancelled = 0, carried = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Pair pair(seed);
    pair.Meet();
    pair.server->PauseReading();
    pair.client->Send("a");  // taken by the receive that is already in flight
    pair.Quiet();
    CountedOp op;
    char bytes[16];
    op.kind = io::Op::Kind::kReceive;
    op.fd = pair.server->fd();
    op.data = bytes;
    op.size = sizeof bytes;
    pair.server_engine.Submit(op);
    pair.client->Send("b");
    pair.world.RunFor(std::chrono::microseconds(seed * 10));
    pair.server_engine.Cancel(op);
    pair.server_engine.Cancel(op);
    pair.Quiet();
    ASSERT_EQ(op.deliveries, 1);
    if (op.result == -ECANCELED) {
      ++cancelled;
      pair.server->ResumeReading();
      pair.Quiet();
      EXPECT_EQ(pair.server_got, "ab");
    } else {
      ++carried;
      EXPECT_EQ(op.result, 1);
      EXPECT_EQ(bytes[0], 'b');
    }
    pair.CloseAll();
  }
  EXPECT_GT(cancelled, 20);
  EXPECT_GT(carried, 20);
}

TEST(SimEngine, ReceivesWaitForBuffersInOrder) {
  SimWorld world(11);
  SimEngineOptions options;
  options.buffers_max = 1;
  SimEngine& engine = world.AddThread("server", options);
  SimEngine& other = world.AddThread("client");
  std::vector<int> fds;
  SimAcceptor acceptor(world, engine, At("10.0.0.1:80"), [&](int fd) { fds.push_back(fd); });
  SimPeer clients[3] = {{world, other}, {world, other}, {world, other}};
  for (SimPeer& client : clients) {
    client.Connect(At("10.0.0.1:80"));
    client.Send("hello");
  }
  world.RunUntilQuiet(seconds(5));
  ASSERT_EQ(fds.size(), 3u);
  CountedOp ops[3];
  for (int i = 0; i < 3; ++i) {
    ops[i].kind = io::Op::Kind::kReceiveProvided;
    ops[i].fd = fds[static_cast<size_t>(i)];
    engine.Submit(ops[i]);
    world.RunFor(milliseconds(1));
  }
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ops[i].deliveries, 1);
    if (i < 2) EXPECT_EQ(ops[i + 1].deliveries, 0);
    ops[i].buffer.Reset();
    world.RunFor(milliseconds(1));
  }
  for (int fd : fds) engine.Close(fd);
}

TEST(SimEngine, TheLowestDescriptorIsReused) {
  SimWorld world(12);
  SimEngine& engine = world.AddThread("one");
  SimEngine& elsewhere = world.AddThread("two");
  const int a = engine.OpenStream(At("10.0.0.1:80"));
  const int b = engine.OpenStream(At("10.0.0.1:80"));
  EXPECT_EQ(b, a + 1);
  engine.Close(a);
  EXPECT_EQ(engine.OpenStream(At("10.0.0.1:80")), a);
  const int c = elsewhere.OpenStream(At("10.0.0.1:80"));
  EXPECT_NE(c, a);
  EXPECT_NE(c, b);
  EXPECT_EQ(world.Leaks().size(), 3u);
  for (int fd : {a, b}) engine.Close(fd);
  elsewhere.Close(c);
  EXPECT_THAT(world.Leaks(), IsEmpty());
}

TEST(SimEngine, AcceptReportsFullTablesAndGoesOnLater) {
  Pair pair(13);
  pair.Meet();
  pair.server_engine.process().set_descriptors_max(2);  // the listener and the first
  SimPeer second(pair.world, pair.client_engine);
  second.Connect(At("10.0.0.1:80"));
  pair.world.RunFor(milliseconds(50));
  const SimPeer* first = pair.server.get();
  EXPECT_TRUE(second.connected());
  EXPECT_TRUE(first->open());
  pair.server->Close();
  pair.world.RunFor(milliseconds(50));
  EXPECT_TRUE(pair.server->open());  // the second one
  pair.client->Close();
  second.Close();
  pair.CloseAll();
}

TEST(SimWorld, TicksAnActorAtItsDeadlineAndNotBefore) {
  SimWorld world(14);
  SimEngine& engine = world.AddEngine("worker");
  std::vector<Duration> ticks;
  const Instant began = world.now();
  Instant next = began + milliseconds(10);
  world.AddActor(engine, [&] {
    engine.Run(next);
    if (engine.Now() < next) return;
    ticks.push_back(engine.Now() - began);
    next = ticks.size() < 3 ? next + milliseconds(10) : kNever;
    engine.Run(next);
  });
  const RunEnd end = world.RunUntilQuiet(seconds(1));
  EXPECT_EQ(end.stop, Stop::kQuiet);
  ASSERT_EQ(ticks.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_GE(ticks[i], milliseconds(10 * (i + 1)));
    EXPECT_LT(ticks[i], milliseconds(10 * (i + 1) + 1));
  }
}

TEST(SimWorld, SaysWhatKeepsItBusy) {
  SimWorld world(15);
  SimEngine& engine = world.AddEngine("clockwork");
  world.AddActor(engine, [&] { engine.Run(world.now() + seconds(1)); });
  const RunEnd end = world.RunUntilQuiet(seconds(10));
  EXPECT_EQ(end.stop, Stop::kTime);
  EXPECT_THAT(end.why, ::testing::HasSubstr("clockwork"));
}

// Random echo traffic under drawn faults: what comes back is a prefix of what was sent, all of it
// where nothing failed, and nothing is left over.
struct EchoRun {
  explicit EchoRun(uint64_t seed) : world(seed) {
    Rng draw(seed);
    options.faults = FaultPlan::Draw(draw);
    options.buffers_max = static_cast<size_t>(DrawSkewed(draw, 1, 32));
    options.descriptors_max = static_cast<size_t>(DrawSkewed(draw, 3, 40));
    SimEngine& server = world.AddThread("server", options);
    SimEngineOptions client_options;
    client_options.faults = FaultPlan::Draw(draw);
    SimEngine& client = world.AddThread("client", client_options);
    acceptor =
        std::make_unique<SimAcceptor>(world, server, At("10.0.0.1:80"), [this, &server](int fd) {
          peers.push_back(std::make_unique<SimPeer>(world, server));
          SimPeer* peer = peers.back().get();
          peer->on_receive = [peer](std::string_view bytes) { peer->Send(bytes); };
          peer->Adopt(fd);
        });
    resets = draw.Chance(0.5);
    for (int i = 0; i < 8; ++i) AddClient(draw, client);
  }

  void AddClient(Rng& draw, SimEngine& engine) {
    peers.push_back(std::make_unique<SimPeer>(world, engine));
    SimPeer* peer = peers.back().get();
    sent.emplace_back();
    got.emplace_back();
    const size_t index = sent.size() - 1;
    peer->on_receive = [this, index](std::string_view bytes) { got[index] += bytes; };
    const int64_t length = DrawSkewed(draw, 1, 100'000);
    for (int64_t i = 0; i < length; ++i) sent[index] += static_cast<char>(draw.Next());
    peer->Connect(At("10.0.0.1:80"));
    peer->Send(sent[index]);
    peer->FinishSending();
    if (draw.Chance(0.2)) peer->ReadSlowly(200, milliseconds(1));
    if (resets && draw.Chance(0.2)) {
      disturbed = true;
      world.After(std::chrono::microseconds(draw.Between(1, 100'000)), [peer] { peer->Reset(); });
    }
  }

  void Run() {
    const RunEnd end = world.RunUntilQuiet(seconds(3600));
    ASSERT_EQ(end.stop, Stop::kQuiet) << end.why;
    acceptor->Stop();
    world.RunUntilQuiet(seconds(3600));
    EXPECT_THAT(world.Leaks(), IsEmpty());
    whole = !disturbed && Mild();
    for (size_t i = 0; i < sent.size(); ++i) {
      EXPECT_EQ(got[i], sent[i].substr(0, got[i].size()));
      if (whole) EXPECT_EQ(got[i].size(), sent[i].size());
    }
  }
  // Nothing in this run may lose bytes.
  bool Mild() const {
    for (const auto& peer : peers) {
      if (peer->error() != 0 || peer->send_error() != 0) return false;
    }
    return true;
  }

  SimWorld world;
  SimEngineOptions options;
  std::unique_ptr<SimAcceptor> acceptor;
  std::vector<std::unique_ptr<SimPeer>> peers;
  std::vector<std::string> sent, got;
  bool resets = false;  // some clients give up in the middle
  bool disturbed = false;
  bool whole = false;  // every byte came back
};

TEST(SimWorld, EchoesUnderFaultsLoseNothingAndLeaveNothing) {
  int whole = 0;
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    EchoRun run(seed);
    run.Run();
    whole += run.whole ? 1 : 0;
    if (HasFailure()) FAIL() << run.options.faults.ToString();
  }
  EXPECT_GT(whole, 100);
}

TEST(SimWorld, EqualSeedsGiveEqualRuns) {
  uint64_t before = 0;
  for (uint64_t seed = 2000; seed < 2050; ++seed) {
    EchoRun a(seed), b(seed);
    a.Run();
    b.Run();
    EXPECT_EQ(a.world.fingerprint(), b.world.fingerprint());
    EXPECT_EQ(a.world.now(), b.world.now());
    EXPECT_EQ(a.got, b.got);
    EXPECT_NE(a.world.fingerprint(), before);
    before = a.world.fingerprint();
  }
}

}  // namespace
}  // namespace rondo::sim
