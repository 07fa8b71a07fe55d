// The real proxy between clients and backends that speak HTTP/2, by seed: streams of several
// connections at once, bodies of any size both ways, clients that give up, backends that drain or
// drop their connections, and the faults of engine and network. Each answer is its request's and
// whole, or seen not to be; where nothing is broken, every request is answered; what may not be
// repeated reaches a backend once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "h2_backend.h"
#include "io/message_text.h"
#include "proxy_world.h"

namespace rondo::sim {
namespace {

using io::testing::Chunked;
using io::testing::MessageText;
using io::testing::ReadMessage;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

struct Asked {
  bool post = false;
  bool chunked = false;
  size_t up = 0;    // bytes of the request's body
  size_t down = 0;  // of the answer's
  bool chunked_answer = false;
  bool early = false;  // answered as soon as its head is there
  Duration delay{};
  Duration patience{};  // zero: waits for ever
  // What became of it.
  int seen = 0;
  bool decided = false;
  bool gave_up = false;
  bool whole = false;
  std::string received;
};

std::string BodyOf(size_t number, size_t bytes, bool up) {
  std::string body;
  AppendBody(2 * number + (up ? 1 : 0), 0, bytes, body);
  return body;
}

std::string Framed(const std::string& head, const std::string& body, bool chunked) {
  if (chunked) {
    return head + "Transfer-Encoding: chunked\r\n\r\n" + Chunked(body, 3000, "X-Last: 1\r\n");
  }
  return head + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

// One client's connections to the proxy, on a thread of its own.
class H2Client final : public io::Http2Owner {
 public:
  H2Client(SimWorld& world, std::deque<Asked>& all)
      : world_(world), all_(all), engine_(world.AddEngine("h2 client")), loop_(engine_) {
    actor_ = world.AddActor(
        engine_, [this] { loop_.Tick(); }, [this] { return loop_.wheel().NextDeadline(); });
  }
  ~H2Client() { world_.RemoveActor(actor_); }

  void Start(std::vector<size_t> numbers) {
    numbers_ = std::move(numbers);
    scope_.Spawn(Run());
  }
  bool done() const { return scope_.count() == 0 && !loop_.busy(); }
  void OnStream(io::Http2Connection&, int) override {}
  void OnChange(io::Http2Connection&) override {}
  void OnEnded(io::Http2Connection&, const char*) override { connection_ = nullptr; }
  Freelist& frames() { return loop_.frames(); }

 private:
  rt::Task<> Run() {
    rt::CancelToken token(loop_.engine());
    for (const size_t number : numbers_) {
      while (connection_ == nullptr || connection_->room() == 0 || connection_->streams() >= 8) {
        if (connection_ == nullptr) co_await Connect(token);
        const int32_t slept = co_await rt::SleepFor(loop_, milliseconds(1), token);
        RONDO_CHECK(slept == 0);
      }
      streams_.Spawn(Ask(number, connection_->OpenStream()));
      if (world_.rng().Chance(0.5)) {
        const int32_t slept =
            co_await rt::SleepFor(loop_, microseconds(world_.rng().Below(3000)), token);
        RONDO_CHECK(slept == 0);
      }
    }
    co_await streams_.Join();
    if (connection_ != nullptr) connection_->Drain();
  }
  rt::Task<> Connect(rt::CancelToken& token) {
    const SocketAddress address = *SocketAddress::Parse(ProxyWorld::kAddress);
    const int fd = loop_.engine().OpenStream(address);
    const io::RawAddress raw = io::ToRawAddress(address);
    rt::Sender sender(loop_.engine());
    sender.Open(fd);
    const int32_t connected = co_await sender.Connect(&raw.any, raw.length, token);
    if (connected < 0) {
      loop_.engine().Close(fd);
      co_return;
    }
    http2::SessionOptions options;
    options.role = http2::Role::kClient;
    connection_ = &loop_.streams().Start(fd, options, {}, *this);
  }
  rt::Task<> Ask(size_t number, int fd) {
    Asked& asked = all_[number];
    rt::CancelToken token(loop_.engine());
    rt::Deadline deadline(loop_.wheel(), token);
    rt::Receiver receiver(loop_.engine(), [](rt::Receiver&) {}, nullptr);
    rt::Sender sender(loop_.engine());
    receiver.Open(fd);
    sender.Open(fd);
    if (asked.patience > Duration::zero()) deadline.Set(loop_.Now() + asked.patience);
    const std::string head = std::string(asked.post ? "POST" : "GET") + " /a/" +
                             std::to_string(number) + "/ HTTP/1.1\r\nHost: h\r\n";
    const std::string text =
        asked.post ? Framed(head, BodyOf(number, asked.up, true), asked.chunked) : head + "\r\n";
    sender.Add(text.data(), text.size());
    const int32_t sent = co_await sender.Send(token);
    (void)sent;
    int32_t received = 1;
    while (received > 0) {
      received = co_await receiver.Wait(token);
      if (received <= 0) break;
      const io::BufferRef bytes = receiver.TakeBuffer();
      asked.received.append(bytes.data(), static_cast<size_t>(received));
    }
    asked.decided = true;
    asked.gave_up = received == -ECANCELED;
    asked.whole = received == 0;
    deadline.Clear();
    co_await receiver.Settle();
    loop_.engine().Close(fd);
  }

  SimWorld& world_;
  std::deque<Asked>& all_;
  SimEngine& engine_;
  rt::Loop loop_;
  std::vector<size_t> numbers_;
  io::Http2Connection* connection_ = nullptr;
  rt::Scope scope_;
  rt::Scope streams_;
  int actor_ = -1;
};

enum class Trouble : uint8_t { kNone, kGoaways, kAll };

class Run {
 public:
  Run(uint64_t seed, Trouble trouble) : rng_(seed), trouble_(trouble) {
    config::Config config = ProxyWorld::BaseConfig();
    const size_t count = 1 + rng_.Below(3);
    config.upstreams.push_back(ProxyWorld::MakeUpstream("a", count));
    config.upstreams.push_back(ProxyWorld::MakeUpstream("b", 1));
    config.upstreams[0].protocol = config::Protocol::kH2c;
    config.upstreams[0].timeouts = {seconds(5), seconds(30), seconds(30), seconds(60)};
    ProxyWorldOptions options;
    options.workers = 1 + rng_.Below(2);
    if (trouble == Trouble::kAll && rng_.Chance(0.7)) {
      options.worker_faults = FaultPlan::Draw(rng_);
    }
    world_ = std::make_unique<ProxyWorld>(seed, config, options);
    for (const config::Backend& backend : config.upstreams[0].backends) {
      backends_.push_back(std::make_unique<SimH2Backend>(
          world_->world(), backend.address,
          [this](const SimH2Backend::Request& request) { return Answer(request); },
          static_cast<uint32_t>(1 + rng_.Below(rng_.Chance(0.3) ? 3 : 100))));
    }
    Draw();
  }

  void Do() {
    SimWorld& world = world_->world();
    if (trouble_ != Trouble::kNone) Disturb();
    const auto done = [this] {
      return std::all_of(clients_.begin(), clients_.end(),
                         [](const auto& client) { return client->done(); });
    };
    const RunEnd served = world.RunUntil(done, seconds(600));
    EXPECT_TRUE(served.stop == Stop::kPredicate) << served.why;
    over_ = true;
    world_->Drain();
    const RunEnd drained =
        world.RunUntil([this] { return world_->workers_finished(); }, seconds(100));
    EXPECT_TRUE(drained.stop == Stop::kPredicate) << drained.why;
    for (auto& backend : backends_) backend->Stop();
    const RunEnd stopped = world.RunUntil(
        [this] {
          return std::all_of(backends_.begin(), backends_.end(),
                             [](const auto& backend) { return backend->stopped(); });
        },
        seconds(100));
    EXPECT_TRUE(stopped.stop == Stop::kPredicate) << stopped.why;
    for (const auto& backend : backends_) {
      for (const SimH2Backend::Request& request : backend->requests()) {
        if (!request.text.empty()) ++asked_[NumberOf(request.text)].seen;
      }
    }
    for (size_t i = 0; i < asked_.size(); ++i) Check(i);
    clients_.clear();
    backends_.clear();
    world_->Finish(seconds(10), seconds(10));
    EXPECT_EQ(world_->Findings(), "");
  }

 private:
  void Draw() {
    const size_t clients = 1 + rng_.Below(3);
    for (size_t i = 0; i < clients; ++i) {
      clients_.push_back(std::make_unique<H2Client>(world_->world(), asked_));
      std::vector<size_t> numbers;
      const size_t count = 1 + rng_.Below(12);
      for (size_t j = 0; j < count; ++j) {
        numbers.push_back(asked_.size());
        Asked& asked = asked_.emplace_back();
        const size_t most = rng_.Chance(0.2) ? 150'000 : 2000;
        asked.post = rng_.Chance(0.5);
        asked.chunked = rng_.Chance(0.5);
        asked.up = rng_.Below(most);
        asked.down = rng_.Below(rng_.Chance(0.2) ? 150'000 : 2000);
        asked.chunked_answer = rng_.Chance(0.5);
        asked.early = rng_.Chance(0.1);
        // Clients send all before they receive, so an early answer has to fit in their window.
        if (asked.early) asked.down = std::min<size_t>(asked.down, 60'000);
        // What was sent of a stream that is refused goes out again where it is still held.
        if (trouble_ != Trouble::kAll) asked.up = std::min<size_t>(asked.up, 60'000);
        if (rng_.Chance(0.4)) asked.delay = microseconds(rng_.Below(20'000));
        if (trouble_ == Trouble::kAll && rng_.Chance(0.1)) {
          asked.patience = microseconds(1 + rng_.Below(20'000));
        }
      }
      clients_.back()->Start(std::move(numbers));
    }
  }
  void Disturb() {
    world_->world().After(microseconds(rng_.Below(20'000)), [this] {
      if (over_) return;
      SimH2Backend& backend = *backends_[rng_.Below(backends_.size())];
      if (trouble_ == Trouble::kAll && rng_.Chance(0.3)) {
        backend.EndAll();
      } else {
        backend.DrainAll();
      }
      if (++disturbed_ < 8) Disturb();
    });
  }
  static size_t NumberOf(std::string_view text) {
    return std::stoul(std::string(text.substr(text.find("/a/") + 3, 8)));
  }
  SimH2Backend::Answer Answer(const SimH2Backend::Request& request) {
    const size_t number = NumberOf(request.text);
    const Asked& asked = asked_[number];
    if (!request.whole && !asked.early) return {};  // only asked whether it is early
    const MessageText message = ReadMessage(request.text);
    if (message.whole) {
      EXPECT_TRUE(message.body == (asked.post ? BodyOf(number, asked.up, true) : ""));
    }
    SimH2Backend::Answer answer;
    answer.text = Framed("HTTP/1.1 200 OK\r\nX-Number: " + std::to_string(number) + "\r\n",
                         BodyOf(number, asked.down, false), asked.chunked_answer);
    answer.delay = asked.delay;
    answer.early = asked.early;
    return answer;
  }
  void Check(size_t number) {
    const Asked& asked = asked_[number];
    SCOPED_TRACE("request " + std::to_string(number));
    EXPECT_TRUE(asked.decided);
    const MessageText answer = ReadMessage(asked.received);
    EXPECT_EQ(answer.whole, asked.whole) << asked.received.substr(0, 300);
    const bool ok = answer.head.starts_with("HTTP/1.1 200 ");
    if (ok) {
      EXPECT_NE(answer.head.find("x-number: " + std::to_string(number) + "\r\n"),
                std::string::npos);
      const std::string expected = BodyOf(number, asked.down, false);
      EXPECT_TRUE(expected.starts_with(answer.body));
      if (answer.whole) EXPECT_EQ(answer.body.size(), expected.size());
    }
    if (asked.post) EXPECT_LE(asked.seen, 1);
    if (trouble_ != Trouble::kAll) EXPECT_TRUE(ok && answer.whole) << asked.received.substr(0, 300);
  }

  Rng rng_;
  const Trouble trouble_;
  std::deque<Asked> asked_;
  std::unique_ptr<ProxyWorld> world_;
  std::vector<std::unique_ptr<SimH2Backend>> backends_;
  std::vector<std::unique_ptr<H2Client>> clients_;
  bool over_ = false;
  int disturbed_ = 0;
};

void RunSeeds(uint64_t first, uint64_t count, Trouble trouble) {
  for (uint64_t seed = first; seed < first + count && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Run run(seed, trouble);
    run.Do();
  }
}

TEST(ProxyHttp2Sim, EveryRequestIsAnsweredWhereNothingIsBroken) {
  RunSeeds(1, 200, Trouble::kNone);
}

TEST(ProxyHttp2Sim, EveryRequestIsAnsweredThoughBackendsDrainTheirConnections) {
  RunSeeds(10'001, 200, Trouble::kGoaways);
}

TEST(ProxyHttp2Sim, AnswersAreWholeOrSeenNotToBeWhateverBreaks) {
  RunSeeds(20'001, 200, Trouble::kAll);
}

}  // namespace
}  // namespace rondo::sim
