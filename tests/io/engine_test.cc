#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <atomic>
#include <cstddef>
#include <thread>

#include "io/engine_suite.h"
#include "io/real_world.h"
#include "io/secure_world.h"
#include "io/stream_world.h"
#include "rondo/io/limits.h"

namespace rondo::io::testing {

const WorldMaker kRealWorlds[] = {
    {"io_uring", &RealWorld::MakeOf<EngineKind::kIoUring>},
    {"epoll", &RealWorld::MakeOf<EngineKind::kEpoll>},
};
INSTANTIATE_TEST_SUITE_P(Real, EngineSuite, ::testing::ValuesIn(kRealWorlds), NameOf);

// The same with all connections secured.
INSTANTIATE_TEST_SUITE_P(
    Secured, EngineSuite,
    ::testing::Values(
        WorldMaker{"io_uring", &MakeSecured<&RealWorld::MakeOf<EngineKind::kIoUring>, true>},
        WorldMaker{"epoll", &MakeSecured<&RealWorld::MakeOf<EngineKind::kEpoll>, true>}),
    NameOf);

// The same with each connection in a tunnel of HTTP/2.
INSTANTIATE_TEST_SUITE_P(
    Tunnels, EngineSuite,
    ::testing::Values(
        WorldMaker{"io_uring", &MakeStreams<&RealWorld::MakeOf<EngineKind::kIoUring>, true>},
        WorldMaker{"epoll", &MakeStreams<&RealWorld::MakeOf<EngineKind::kEpoll>, true>}),
    NameOf);

// What only the machine itself can show: threads, limits, other processes.
class RealEngine : public EngineSuite {};
INSTANTIATE_TEST_SUITE_P(Real, RealEngine, ::testing::ValuesIn(kRealWorlds), NameOf);

TEST_P(RealEngine, WakeFromAnotherThreadIsNeverLost) {
  constexpr int kMessages = 20'000;
  std::atomic<int> posted{0};
  std::atomic<int> seen{0};
  std::thread other([&] {
    for (int i = 0; i < kMessages; ++i) {
      posted.fetch_add(1);
      engine().Wake();
      // Sometimes waits for the engine to have slept and seen it.
      if (i % 16 == 0) {
        while (seen.load() <= i) std::this_thread::yield();
      }
    }
  });
  while (seen.load() < kMessages) {
    engine().Run(kNever);
    seen.store(posted.load());
  }
  other.join();
}

TEST_P(RealEngine, AcceptWithoutDescriptorsFailsAndRecovers) {
  const int listener = Keep(world().Listen(Loopback()));
  const SocketAddress at = world().AddressOf(listener);
  const int client = Keep(engine().OpenStream(at));
  ASSERT_EQ(Connect(client, at), 0);
  rlimit old{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
  const int lowest_free = dup(0);
  close(lowest_free);
  const rlimit none{static_cast<rlim_t>(lowest_free), old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  TestOp accept;
  Submit(accept, Op::Kind::kAccept, listener);
  RunUntilDone(accept);
  EXPECT_EQ(accept.last(), -EMFILE);
  EXPECT_FALSE(accept.more);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
  Submit(accept, Op::Kind::kAccept, listener);
  RunUntil([&] { return !accept.results.empty(); });
  EXPECT_GE(accept.last(), 0);
  Keep(accept.results[0]);
  Stop(accept);
}

TEST_P(RealEngine, UrgentDataDoesNotStallTheStream) {
  const Pair pair = MakePair();
  TestOp receive;
  Receive(receive, pair.server);
  RunFor(std::chrono::milliseconds(1));
  // One segment burst: the receive stops short at the urgent mark although more is there.
  ASSERT_EQ(send(pair.client, "before", 6, 0), 6);
  ASSERT_EQ(send(pair.client, "!", 1, MSG_OOB), 1);
  ASSERT_EQ(send(pair.client, "after", 5, 0), 5);
  RunUntilDone(receive);
  while (receive.bytes.size() < 11) {
    Receive(receive, pair.server);
    if (!RunUntilDone(receive) || receive.last() <= 0) break;
  }
  EXPECT_EQ(receive.bytes, "beforeafter");
}

TEST_P(RealEngine, ManyOpsAtOnceAreNeverLost) {
  // More than the rings of io_uring hold.
  std::vector<Pair> pairs;
  for (int i = 0; i < 300; ++i) pairs.push_back(MakePair());
  std::vector<TestOp> receives(pairs.size());
  std::vector<TestOp> sends(pairs.size());
  for (int round = 0; round < 5; ++round) {
    for (size_t i = 0; i < pairs.size(); ++i) Receive(receives[i], pairs[i].server);
    for (size_t i = 0; i < pairs.size(); ++i) Send(sends[i], pairs[i].client, "0123456789");
    RunUntil([&] {
      for (size_t i = 0; i < pairs.size(); ++i) {
        if (!receives[i].done() || !sends[i].done()) return false;
      }
      return true;
    });
    for (size_t i = 0; i < pairs.size(); ++i) {
      ASSERT_EQ(receives[i].last(), 10);
      ASSERT_EQ(sends[i].last(), 10);
    }
  }
  for (size_t i = 0; i < pairs.size(); ++i) Receive(receives[i], pairs[i].server);
  for (TestOp& op : receives) engine().Cancel(op);  // started and cancelled in one go
  for (TestOp& op : receives) {
    RunUntilDone(op);
    EXPECT_EQ(op.last(), -ECANCELED);
  }
}

TEST_P(RealEngine, MoreCompletionsThanAnyRingHoldsAllArrive) {
  if (RaiseDescriptorLimit() < 3000) GTEST_SKIP() << "too few descriptors";
  std::vector<int> fds;
  for (int i = 0; i < 1100; ++i) {
    const Pair pair = MakePair();
    fds.insert(fds.end(), {pair.client, pair.server});
  }
  for (const int fd : fds) ASSERT_EQ(send(fd, "x", 1, 0), 1);
  std::vector<TestOp> readable(fds.size());
  std::vector<TestOp> writable(fds.size());
  for (size_t i = 0; i < fds.size(); ++i) Submit(readable[i], Op::Kind::kWaitReadable, fds[i]);
  for (size_t i = 0; i < fds.size(); ++i) Submit(writable[i], Op::Kind::kWaitWritable, fds[i]);
  for (size_t i = 0; i < fds.size(); ++i) {
    ASSERT_TRUE(RunUntilDone(readable[i]));
    ASSERT_TRUE(RunUntilDone(writable[i]));
    ASSERT_EQ(readable[i].last() | writable[i].last(), 0);
  }
}

TEST_P(RealEngine, AProcessThatDiesEndsItsConnections) {
  const int listener = Keep(world().Listen(Loopback()));
  const RawAddress raw = ToRawAddress(world().AddressOf(listener));
  const pid_t child = fork();
  if (child == 0) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, &raw.any, raw.length) != 0 || send(fd, "bye", 3, 0) != 3) _exit(1);
    raise(SIGKILL);
  }
  TestOp accept;
  Submit(accept, Op::Kind::kAccept, listener);
  RunUntil([&] { return !accept.results.empty(); });
  const int server = Keep(accept.results[0]);
  TestOp receive;
  while (receive.last() != 0) {
    Receive(receive, server);
    ASSERT_TRUE(RunUntilDone(receive));
    ASSERT_GE(receive.last(), 0);
  }
  EXPECT_EQ(receive.bytes, "bye");
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  Stop(accept);
}

// -- choosing --

// Runs `check` in a child in which the system calls from `first` to `last` answer `error`; returns
// its exit status.
int WithoutCalls(unsigned first, unsigned last, int error, int (*check)()) {
  const pid_t child = fork();
  if (child == 0) {
    const sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, first, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, last, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog filter{sizeof(program) / sizeof(program[0]),
                            const_cast<sock_filter*>(program)};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) _exit(100);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) _exit(101);
    _exit(check());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

int WithoutUring(int error, int (*check)()) {
  return WithoutCalls(425, 427, error, check);  // io_uring_setup, _enter, _register
}

TEST(EpollEngine, WaitsInMillisecondsWhereTheKernelKnowsNoShorterTime) {
  for (const int error : {ENOSYS, EPERM}) {
    EXPECT_EQ(WithoutCalls(441, 441, error,  // epoll_pwait2
                           [] {
                             auto engine = MakeEngine(EngineKind::kEpoll, EngineOptions{});
                             if (!engine.ok()) return 1;
                             Engine& epoll = **engine;
                             for (int i = 0; i < 3; ++i) {
                               const Instant deadline =
                                   epoll.Now() + std::chrono::microseconds(1500);
                               while (epoll.Now() < deadline) epoll.Run(deadline);
                               if (epoll.Now() > deadline + std::chrono::milliseconds(500))
                                 return 2;
                             }
                             epoll.Wake();
                             epoll.Run(kNever);
                             return 0;
                           }),
              0);
  }
}

TEST(ChooseEngine, TakesUringWhereTheKernelOffersIt) {
  for (const char* requested : {"auto", "io_uring"}) {
    const auto choice = ChooseEngine(requested);
    ASSERT_TRUE(choice.ok());
    EXPECT_EQ(choice->kind, EngineKind::kIoUring);
    EXPECT_NE(choice->reason.find("io_uring"), std::string::npos);
  }
}

TEST(ChooseEngine, RefusesANameItDoesNotKnow) { EXPECT_FALSE(ChooseEngine("kqueue").ok()); }

TEST(ChooseEngine, FallsBackToEpollWhereUringIsRefused) {
  for (const int error : {EPERM, ENOSYS, EACCES, EOPNOTSUPP, EINVAL}) {
    EXPECT_EQ(WithoutUring(error,
                           [] {
                             const auto choice = ChooseEngine("auto");
                             if (!choice.ok()) return 1;
                             if (choice->kind != EngineKind::kEpoll) return 2;
                             if (choice->reason.find("io_uring was refused") == std::string::npos)
                               return 3;
                             const auto engine = MakeEngine(choice->kind, EngineOptions{});
                             if (!engine.ok()) return 4;
                             (*engine)->Wake();
                             (*engine)->Run(kNever);
                             return 0;
                           }),
              0)
        << error;
  }
}

TEST(ChooseEngine, SaysWhatToDoWhereUringWasAskedForAndIsRefused) {
  EXPECT_EQ(WithoutUring(EPERM,
                         [] {
                           const auto choice = ChooseEngine("io_uring");
                           if (choice.ok()) return 1;
                           const std::string text(choice.status().message());
                           return text.find("seccomp") != std::string::npos &&
                                          text.find("process.engine") != std::string::npos
                                      ? 0
                                      : 2;
                         }),
            0);
}

TEST(ChooseEngine, ALackOfDescriptorsIsAnErrorAndNoReasonToFallBack) {
  EXPECT_EQ(WithoutUring(EMFILE, [] { return ChooseEngine("auto").ok() ? 1 : 0; }), 0);
  EXPECT_EQ(WithoutUring(ENOMEM, [] { return ChooseEngine("auto").ok() ? 1 : 0; }), 0);
}

TEST(ChooseEngine, EpollTouchesNoUringCall) {
  // Any other answer than EPERM would be told by the engine's name: here the name is epoll's own.
  EXPECT_EQ(WithoutUring(ENOMEM,
                         [] {
                           const auto choice = ChooseEngine("epoll");
                           return choice.ok() && choice->kind == EngineKind::kEpoll ? 0 : 1;
                         }),
            0);
}

}  // namespace rondo::io::testing
