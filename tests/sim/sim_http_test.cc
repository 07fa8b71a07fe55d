// The scripted HTTP clients and backends, on each other: what they see, and what they notice.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/draw.h"
#include "sim/http_backend.h"
#include "sim/http_client.h"
#include "sim/http_reader.h"

namespace rondo::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::IsEmpty;

const SocketAddress kAddress = *SocketAddress::Parse("10.0.0.1:80");

std::string ReadAll(HttpReader& reader, std::string_view text, size_t step) {
  std::string seen;
  reader.on_head = [&](const HttpHead& head) {
    seen += "[" + head.method + head.target + std::to_string(head.status) + "]";
  };
  reader.on_body = [&](std::string_view bytes) { seen += bytes; };
  reader.on_end = [&] { seen += "."; };
  for (size_t at = 0; at < text.size(); at += step) reader.Feed(text.substr(at, step));
  if (!reader.Finish() && reader.error().empty()) seen += "...";
  return seen;
}

TEST(HttpReader, ReadsMessagesInPiecesOfAnySize) {
  struct Case {
    HttpReader::Kind kind;
    const char* text;
    const char* seen;
  };
  constexpr auto kRequest = HttpReader::Kind::kRequest;
  constexpr auto kResponse = HttpReader::Kind::kResponse;
  const Case cases[] = {
      {kRequest, "GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.0\r\n\r\n", "[GET/a0].[GET/b0]."},
      {kRequest, "PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "[PUT/a0]abc."},
      {kRequest,
       "PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
       "chunked\r\n\r\n2;x\r\nab\r\n1\r\nc\r\n0\r\nT: 1\r\n\r\n",
       "[PUT/a0]abc."},
      {kResponse, "HTTP/1.1 103 E\r\n\r\nHTTP/1.1 200 OK\r\n\r\nabc", "[103][200]abc."},
      {kResponse, "HTTP/1.1 204 No\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
       "[204].[200]."},
      {kResponse, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "[200]abc..."},
  };
  for (const Case& c : cases) {
    for (size_t step = 1; step < 20; ++step) {
      HttpReader reader(c.kind);
      EXPECT_EQ(ReadAll(reader, c.text, step), c.seen) << c.text;
      EXPECT_EQ(reader.error(), "");
    }
  }
}

TEST(HttpReader, RefusesWhatIsNotHttp) {
  struct Case {
    HttpReader::Kind kind;
    std::string text;
  };
  constexpr auto kRequest = HttpReader::Kind::kRequest;
  constexpr auto kResponse = HttpReader::Kind::kResponse;
  const std::string get = "GET / HTTP/1.1\r\n";
  const std::string put = "PUT / HTTP/1.1\r\nHost: a\r\n";
  const Case cases[] = {
      {kRequest, get + "\r\n"},
      {kRequest, get + "Host: a\r\nHost: b\r\n\r\n"},
      {kRequest, "GET / HTTP/1.1\nHost: a\r\n\r\n"},
      {kRequest, "GET  / HTTP/1.1\r\n"},
      {kRequest, "GET / HTTP/2.0\r\n"},
      {kRequest, put + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n"},
      {kRequest, put + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {kRequest, put + "Content-Length: +1\r\n\r\n"},
      {kRequest, put + "Transfer-Encoding: gzip\r\n\r\n"},
      {kRequest, put + "Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n"},
      {kRequest, put + "Transfer-Encoding: chunked\r\n\r\n0\r\nHost: b\r\n\r\n"},
      {kRequest, put + " folded\r\n\r\n"},
      {kRequest, put + "Name : v\r\n\r\n"},
      {kResponse, "HTTP/1.1 2000 OK\r\n"},
      {kResponse, "HTTP/1.1 099 OK\r\n"},
      {kResponse, "HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n"},
  };
  for (const Case& c : cases) {
    HttpReader reader(c.kind);
    ReadAll(reader, c.text, 7);
    EXPECT_NE(reader.error(), "") << c.text;
  }
}

// A client, a backend, and nothing between.
struct Direct {
  explicit Direct(BackendAnswer answer, ClientOptions options = {}, uint64_t seed = 1)
      : world(seed),
        backend(world, world.AddThread("backend"), kAddress,
                [answer](const BackendRequest&) { return answer; }),
        client(world, world.AddThread("client"), "c", kAddress, options) {}
  const ClientResult& Run() {
    client.Start();
    const RunEnd end = world.RunUntil([this] { return client.done(); }, seconds(400));
    EXPECT_EQ(end.stop, Stop::kPredicate) << end.why;
    backend.CloseAll();
    backend.StopListening();
    EXPECT_EQ(world.RunUntilQuiet(seconds(600)).stop, Stop::kQuiet);
    EXPECT_THAT(world.Leaks(), IsEmpty());
    EXPECT_THAT(backend.errors(), IsEmpty());
    return client.results()[0];
  }

  SimWorld world;
  SimHttpBackend backend;
  SimHttpClient client;
};

TEST(SimHttp, EveryFramingCarriesItsBody) {
  for (const BodyFraming framing :
       {BodyFraming::kLength, BodyFraming::kChunked, BodyFraming::kUntilClose}) {
    for (const size_t bytes : {0, 1, 50'000}) {
      SCOPED_TRACE("framing " + std::to_string(static_cast<int>(framing)) + ", bytes " +
                   std::to_string(bytes));
      BackendAnswer answer;
      answer.framing = framing;
      answer.body_bytes = bytes;
      answer.informational = 2;
      Direct direct(answer);
      ClientRequest request;
      request.method = "POST";
      request.framing = framing == BodyFraming::kUntilClose ? BodyFraming::kLength : framing;
      request.body_bytes = bytes;
      request.expect_continue = bytes > 1;
      for (int i = 0; i < 3; ++i) direct.client.Add(request);
      direct.Run();
      EXPECT_THAT(direct.client.errors(), IsEmpty());
      for (const ClientResult& result : direct.client.results()) {
        EXPECT_EQ(result.outcome, ClientOutcome::kAnswered);
        EXPECT_EQ(result.answer_bytes, bytes);
        EXPECT_EQ(result.sent_bytes, result.request_bytes);
        EXPECT_EQ(result.informational, bytes > 1 ? 3 : 2);
      }
      EXPECT_EQ(direct.backend.requests().size(), 3u);
      EXPECT_EQ(direct.backend.requests()[2].body_bytes, bytes);
      EXPECT_EQ(direct.backend.connections(), framing == BodyFraming::kUntilClose ? 3u : 1u);
    }
  }
}

TEST(SimHttp, WrongAnswersAreSeenAsWhatTheyAre) {
  struct Case {
    Misbehaviour misbehaviour;
    size_t after_bytes;
    const char* garbage;
    ClientOutcome outcome;
    size_t errors;
  };
  const Case cases[] = {
      {Misbehaviour::kClose, 0, "", ClientOutcome::kClosed, 0},
      {Misbehaviour::kClose, 600, "", ClientOutcome::kTruncated, 0},
      {Misbehaviour::kReset, 0, "", ClientOutcome::kClosed, 0},
      {Misbehaviour::kStall, 600, "", ClientOutcome::kTimeout, 0},
      {Misbehaviour::kNone, 0, "HTTP/1.1 99 What\r\n\r\n", ClientOutcome::kClosed, 1},
  };
  for (const Case& c : cases) {
    BackendAnswer answer;
    answer.body_bytes = 1000;
    answer.misbehaviour = c.misbehaviour;
    answer.after_bytes = c.after_bytes;
    answer.garbage = c.garbage;
    Direct direct(answer);
    direct.client.Add(ClientRequest{});
    EXPECT_EQ(direct.Run().outcome, c.outcome);
    EXPECT_EQ(direct.client.errors().size(), c.errors);
  }
}

TEST(SimHttp, AnUpgradeEchoesWhatFollows) {
  BackendAnswer answer;
  answer.upgrade = true;
  Direct direct(answer);
  SimPeer peer(direct.world, direct.world.AddThread("websocket"));
  std::string got;
  peer.on_receive = [&](std::string_view bytes) { got += bytes; };
  peer.Connect(kAddress);
  peer.Send(
      "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nearly");
  direct.world.RunFor(seconds(1));
  peer.Send(" and late");
  direct.world.RunFor(seconds(1));
  EXPECT_THAT(got, ::testing::StartsWith("HTTP/1.1 101 "));
  EXPECT_THAT(got, ::testing::EndsWith("\r\n\r\nearly and late"));
  peer.Close();
  direct.backend.StopListening();
  direct.world.RunUntilQuiet(seconds(10));
  EXPECT_THAT(direct.world.Leaks(), IsEmpty());
}

// Thousands of requests of all shapes straight to a backend that answers in all shapes, with
// faults: no client ever sees a wrong answer, all is decided, nothing is left over.
TEST(SimHttp, NothingIsMixedUpUnderFaults) {
  size_t answered = 0, others = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SimWorld world(seed);
    Rng draw(seed);
    SimEngineOptions options;
    if (seed % 3 != 0) options.faults = FaultPlan::Draw(draw);
    const double wrong = seed % 3 == 0 ? 0 : 0.1;
    SimHttpBackend backend(world, world.AddThread("backend", options), kAddress,
                           [&](const BackendRequest&) { return BackendAnswer::Draw(draw, wrong); });
    SimEngine& engine = world.AddThread("client", options);
    std::vector<std::unique_ptr<SimHttpClient>> clients;
    for (int i = 0; i < 4; ++i) {
      ClientOptions client_options;
      client_options.pipeline = static_cast<size_t>(draw.Between(1, 3));
      clients.push_back(std::make_unique<SimHttpClient>(world, engine, "c" + std::to_string(i),
                                                        kAddress, client_options));
      for (int j = 0; j < 5; ++j) {
        ClientRequest request;
        request.method = draw.Chance(0.5) ? "GET" : draw.Chance(0.5) ? "POST" : "HEAD";
        if (request.method == "POST") {
          request.framing = draw.Chance(0.5) ? BodyFraming::kLength : BodyFraming::kChunked;
          request.body_bytes = static_cast<size_t>(DrawSkewed(draw, 1, 100'000));
          request.body_seed = draw.Next();
          request.expect_continue = draw.Chance(0.2);
        }
        if (wrong > 0 && draw.Chance(0.1)) {
          request.stop = static_cast<ClientStop>(draw.Between(1, 3));
          request.after_bytes = static_cast<size_t>(DrawSkewed(draw, 1, 50'000));
        }
        clients.back()->Add(request);
      }
      clients.back()->Start();
    }
    const RunEnd end = world.RunUntilQuiet(seconds(4000));
    ASSERT_EQ(end.stop, Stop::kQuiet) << end.why;
    backend.CloseAll();
    backend.StopListening();
    world.RunUntilQuiet(seconds(4000));
    EXPECT_THAT(world.Leaks(), IsEmpty());
    EXPECT_THAT(backend.errors(), IsEmpty());
    for (const auto& client : clients) {
      EXPECT_TRUE(client->done());
      for (const ClientResult& result : client->results()) {
        ++(result.outcome == ClientOutcome::kAnswered ? answered : others);
      }
      // The only wrong answer that a backend gives is the garbage that it was told to give.
      for (const std::string& error : client->errors()) {
        EXPECT_THAT(error, ::testing::HasSubstr("HTTP/1.1 2000 What"));
      }
    }
    if (HasFailure()) FAIL() << options.faults.ToString();
  }
  EXPECT_GT(answered, 3000u);
  EXPECT_GT(others, 300u);
}

}  // namespace
}  // namespace rondo::sim
