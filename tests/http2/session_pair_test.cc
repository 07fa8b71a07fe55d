// A server's and a client's session, wired together through memory.
#include <gtest/gtest.h>

#include "http2/session_end.h"

namespace rondo::http2 {
namespace {

class Pair : public ::testing::Test {
 protected:
  Pair() : Pair(ServerOptions(), ClientOptions()) {}
  Pair(const SessionOptions& s, const SessionOptions& c) : server(s), client(c) {}

  // Until neither has anything to say.
  void Exchange(size_t cut = SIZE_MAX) {
    while (true) {
      const std::string up = client.Drain();
      const std::string down = server.Drain();
      if (up.empty() && down.empty()) return;
      FeedCut(server, up, cut);
      FeedCut(client, down, cut);
    }
  }
  static void FeedCut(SessionEnd& end, std::string_view bytes, size_t cut) {
    for (size_t at = 0; at < bytes.size(); at += std::min(cut, bytes.size() - at)) {
      ASSERT_NE(end.Feed(bytes.substr(at, cut)), Session::State::kFailed) << end.session->failure();
    }
  }

  SessionEnd server;
  SessionEnd client;
};

TEST_F(Pair, AnswersARequestWithoutBodies) {
  TestStream* asked = client.Open(GetFields());
  ASSERT_NE(asked, nullptr);
  Exchange();
  ASSERT_EQ(server.all.size(), 1u);
  TestStream& got = server.all[0];
  EXPECT_TRUE(got.ended);
  EXPECT_EQ(got.text, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
  EXPECT_EQ(server.Answer(got), 0);
  Exchange();
  EXPECT_TRUE(asked->ended && asked->closed && got.closed);
  EXPECT_EQ(asked->closing.code, ErrorCode::kNoError);
  EXPECT_EQ(asked->text, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(server.session->streams(), 0u);
  EXPECT_EQ(client.session->streams(), 0u);
  EXPECT_EQ(client.settings, 1);
  EXPECT_TRUE(client.session->takes_tunnels());
}

TEST_F(Pair, CarriesBodiesAndTrailersBothWaysHoweverTheBytesAreCut) {
  for (const size_t cut : {size_t{1}, size_t{7}, size_t{1000}, SIZE_MAX}) {
    const size_t sizes[] = {0, 1, 100, 16384, 16385, 65535, 65536, 300'000};
    for (const size_t size : sizes) {
      if (cut == 1 && size > 100'000) continue;
      TestStream* asked = client.Open(PostFields(), false);
      asked->body = std::string(size, 'q');
      asked->trailing = {{"x-sum", "1"}};
      Exchange(cut);
      TestStream& got = server.all.back();
      ASSERT_TRUE(got.ended) << size;
      EXPECT_EQ(got.data, std::string(size, 'q'));
      EXPECT_EQ(got.trailers, "x-sum: 1\r\n");
      got.body = std::string(size, 'a');
      got.trailing = {{"grpc-status", "0"}};
      server.Answer(got, {}, false);
      Exchange(cut);
      EXPECT_TRUE(asked->ended && asked->closed && got.closed);
      EXPECT_EQ(asked->data, std::string(size, 'a'));
      EXPECT_EQ(asked->trailers, "grpc-status: 0\r\n");
    }
  }
}

TEST_F(Pair, ServesManyStreamsInTurns) {
  std::vector<TestStream*> asked;
  for (int i = 0; i < 10; ++i) asked.push_back(client.Open(GetFields()));
  Exchange();
  for (TestStream& got : server.all) {
    got.body = std::string(60'000, 'x');
    server.Answer(got, {}, false);
  }
  // One buffer's worth is shared by all, each frame by another.
  FeedCut(client, server.Drain(200'000).substr(0, 170'000), SIZE_MAX);
  for (TestStream* stream : asked) EXPECT_GT(stream->data.size(), 10'000u);
}

TEST_F(Pair, SendsManyUploadsInTurns) {
  Exchange();
  for (int i = 0; i < 10; ++i) client.Open(PostFields(), false)->body = std::string(60'000, 'x');
  FeedCut(server, client.Drain(200'000).substr(0, 170'000), SIZE_MAX);
  ASSERT_EQ(server.all.size(), 10u);
  for (TestStream& stream : server.all) EXPECT_GT(stream.data.size(), 10'000u);
}

TEST_F(Pair, GoesOnWithABodyWhenItIsResumed) {
  TestStream* asked = client.Open(PostFields(), false);
  asked->body_ends = false;
  asked->body = "one";
  Exchange();
  TestStream& got = server.all[0];
  EXPECT_EQ(got.data, "one");
  EXPECT_FALSE(client.session->wants_fill());
  asked->body = "two";
  EXPECT_FALSE(client.session->wants_fill());
  client.session->Resume(*asked);
  EXPECT_TRUE(client.session->wants_fill());
  Exchange();
  EXPECT_EQ(got.data, "onetwo");
  asked->body_ends = true;
  client.session->Resume(*asked);
  Exchange();
  EXPECT_TRUE(got.ended);
}

TEST_F(Pair, TakesNoMoreThanItsWindowsAllow) {
  server.consume = false;
  TestStream* asked = client.Open(PostFields(), false);
  asked->body = std::string(400'000, 'x');
  Exchange();
  TestStream& got = server.all[0];
  EXPECT_EQ(got.data.size(), 65535u);
  server.Take(got, 65535);
  Exchange();
  EXPECT_EQ(got.data.size(), 2 * 65535u);
}

TEST_F(Pair, ASlowStreamHoldsUpNoOther) {
  server.consume = false;
  client.Open(PostFields(), false)->body = std::string(400'000, 'x');
  Exchange();
  server.consume = true;
  TestStream* other = client.Open(PostFields(), false);
  other->body = std::string(3'000'000, 'y');
  Exchange();
  EXPECT_TRUE(server.all[1].ended);
  EXPECT_EQ(server.all[1].data.size(), 3'000'000u);
}

TEST_F(Pair, WhatAClosedStreamDidNotTakeComesBackToTheConnection) {
  server.consume = false;
  for (int i = 0; i < 100; ++i) {
    TestStream* asked = client.Open(PostFields(), false);
    asked->body = std::string(60'000, 'x');
    Exchange();
    TestStream& got = server.all.back();
    ASSERT_EQ(got.data.size(), 60'000u) << i;
    client.session->Reset(*asked, ErrorCode::kCancel);
    Exchange();
    EXPECT_TRUE(got.closed && got.closing.by_peer);
    EXPECT_EQ(got.closing.code, ErrorCode::kCancel);
  }
}

TEST_F(Pair, AWholeAnswerIsHeardEvenIfTheRequestIsNotRead) {
  for (const bool with_body : {false, true}) {
    for (const bool with_trailers : {false, true}) {
      if (with_trailers && !with_body) continue;
      TestStream* asked = client.Open(PostFields(), false);
      asked->body = "unread";
      asked->body_ends = false;
      Exchange();
      TestStream& got = server.all.back();
      got.body = "whole";
      if (with_trailers) got.trailing = {{"x", "y"}};
      server.Answer(got, {}, !with_body);
      std::string framed;
      if (with_body) framed = server.Drain();
      server.session->Reset(got, ErrorCode::kNoError);
      FeedCut(client, framed, SIZE_MAX);
      Exchange();
      EXPECT_TRUE(asked->ended);
      EXPECT_EQ(asked->data, with_body ? "whole" : "");
      EXPECT_EQ(asked->trailers, with_trailers ? "x: y\r\n" : "");
      EXPECT_TRUE(asked->closed && got.closed);
      EXPECT_EQ(asked->closing.code, ErrorCode::kNoError);
      EXPECT_TRUE(asked->closing.by_peer);
    }
  }
}

TEST_F(Pair, ABodyThatFailsResetsItsStream) {
  TestStream* asked = client.Open(GetFields());
  Exchange();
  TestStream& got = server.all[0];
  got.fails = true;
  server.Answer(got, {}, false);
  Exchange();
  EXPECT_TRUE(asked->closed && !asked->ended && got.closed);
  EXPECT_EQ(asked->closing.code, ErrorCode::kInternalError);
  EXPECT_FALSE(asked->closing.unprocessed);
}

TEST_F(Pair, InterimAnswersComeInFrontOfTheFinalOne) {
  TestStream* asked = client.Open(PostFields(), false);
  asked->body_ends = false;
  Exchange();
  TestStream& got = server.all[0];
  server.Answer(got, {}, false, true, "100");
  Exchange();
  EXPECT_TRUE(asked->interim.starts_with("HTTP/1.1 100 ")) << asked->interim;
  server.Answer(got, {{"link", "</a>"}}, false, true, "103");
  server.Answer(got);
  Exchange();
  EXPECT_NE(asked->interim.find("103"), std::string::npos);
  EXPECT_TRUE(asked->headed && asked->ended && !asked->closed);
}

TEST_F(Pair, ARefusedStreamIsSaidToBeUnprocessed) {
  server.refuse_streams = true;
  TestStream* asked = client.Open(GetFields());
  Exchange();
  EXPECT_TRUE(asked->closed && asked->closing.unprocessed && asked->closing.by_peer);
  EXPECT_EQ(asked->closing.code, ErrorCode::kRefusedStream);
}

TEST_F(Pair, AnAnswerThatBeganWasNotUnprocessed) {
  TestStream* asked = client.Open(GetFields());
  Exchange();
  server.Answer(server.all[0], {}, false);
  server.all[0].body_ends = false;
  Exchange();
  server.session->Reset(server.all[0], ErrorCode::kRefusedStream);
  Exchange();
  EXPECT_TRUE(asked->closed);
  EXPECT_FALSE(asked->closing.unprocessed);
}

TEST_F(Pair, GoawayInTwoStepsLosesNoRequest) {
  TestStream* first = client.Open(GetFields());
  Exchange();
  server.session->BeginGoaway();
  EXPECT_EQ(server.session->state(), Session::State::kOpen);
  // On its way while GOAWAY is on its own.
  TestStream* crossing = client.Open(GetFields());
  Exchange();
  EXPECT_EQ(client.goaways.size(), 1u);
  EXPECT_EQ(client.session->room(), 0u);
  EXPECT_EQ(client.Open(GetFields()), nullptr);
  EXPECT_EQ(client.session->state(), Session::State::kEnding);
  ASSERT_EQ(server.all.size(), 2u);
  server.session->FinishGoaway(ErrorCode::kNoError);
  EXPECT_EQ(server.session->state(), Session::State::kEnding);
  Exchange();
  EXPECT_EQ(client.goaways.size(), 2u);
  for (TestStream& stream : server.all) server.Answer(stream);
  Exchange();
  EXPECT_TRUE(first->ended && first->closed && crossing->ended && crossing->closed);
  EXPECT_EQ(server.session->streams(), 0u);
}

TEST_F(Pair, ARequestBehindTheLastOneIsRefusedAndNothingIsDoneWithIt) {
  Exchange();
  server.session->FinishGoaway(ErrorCode::kNoError);
  TestStream* late = client.Open(GetFields());
  // It arrives before GOAWAY has gone out.
  FeedCut(server, client.Drain(), SIZE_MAX);
  EXPECT_TRUE(server.all.empty());
  Exchange();
  EXPECT_TRUE(late->closed && late->closing.unprocessed);
  EXPECT_TRUE(server.all.empty());
}

TEST_F(Pair, PingsAreAnswered) {
  Exchange();
  EXPECT_EQ(client.session->pongs(), 0u);
  client.session->Ping();
  Exchange();
  EXPECT_EQ(client.session->pongs(), 1u);
  server.session->Ping();
  Exchange();
  EXPECT_EQ(server.session->pongs(), 1u);
}

TEST_F(Pair, ATunnelCarriesBytesBothWays) {
  Exchange();
  const std::vector<OutgoingField> fields = {
      {":method", "CONNECT"},  {":protocol", "websocket"}, {":scheme", "https"},
      {":authority", "e.com"}, {":path", "/chat"},         {"sec-websocket-version", "13"}};
  OutgoingHead head;
  head.fields = fields;
  head.tunnel = true;
  head.websocket_key = "dGhlIHNhbXBsZSBub25jZQ==";
  TestStream* asked = client.Open(head);
  asked->body_ends = false;
  Exchange();
  TestStream& got = server.all[0];
  EXPECT_EQ(got.framing, http::Framing::kUntilClose);
  EXPECT_NE(got.text.find("GET /chat HTTP/1.1\r\n"), std::string::npos) << got.text;
  EXPECT_NE(got.text.find("Sec-WebSocket-Key: "), std::string::npos) << got.text;
  got.body_ends = false;
  got.body = "pong";
  server.Answer(got, {}, false);
  asked->body = "ping";
  client.session->Resume(*asked);
  Exchange();
  EXPECT_NE(asked->text.find("HTTP/1.1 101 "), std::string::npos) << asked->text;
  EXPECT_NE(asked->text.find("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), std::string::npos) << asked->text;
  EXPECT_EQ(asked->data, "pong");
  EXPECT_EQ(got.data, "ping");
  got.body_ends = true;
  server.session->Resume(got);
  Exchange();
  EXPECT_TRUE(asked->ended && !asked->closed);
  asked->body_ends = true;
  client.session->Resume(*asked);
  Exchange();
  EXPECT_TRUE(got.ended && got.closed && asked->closed);
}

TEST_F(Pair, AllocatesNothingOnceItRuns) {
  const auto run = [this] {
    TestStream* asked = client.Open(PostFields(), false);
    asked->body = "hello";
    Exchange();
    TestStream& got = server.all.back();
    got.body = std::string(1000, 'x');
    server.Answer(got, {{"content-type", "text/plain"}}, false);
    Exchange();
    ASSERT_TRUE(asked->ended);
  };
  for (int i = 0; i < 50; ++i) run();
  const uint64_t before = server.memory.allocations() + client.memory.allocations();
  const size_t out = server.memory.blocks_out() + client.memory.blocks_out();
  for (int i = 0; i < 50; ++i) run();
  EXPECT_EQ(server.memory.allocations() + client.memory.allocations(), before);
  EXPECT_EQ(server.memory.blocks_out() + client.memory.blocks_out(), out);
}

TEST_F(Pair, TheNumberOfStreamsIsBoundedByBothSides) {
  EXPECT_EQ(client.session->room(), 100u);  // before the server has said how many
  Exchange();
  EXPECT_EQ(client.session->room(), 128u);
  for (size_t i = 0; i < 128; ++i) ASSERT_NE(client.Open(GetFields()), nullptr);
  EXPECT_EQ(client.Open(GetFields()), nullptr);
  Exchange();
  EXPECT_EQ(server.all.size(), 128u);
  server.Answer(server.all[0]);
  Exchange();
  EXPECT_EQ(client.session->room(), 1u);
}

TEST_F(Pair, FillsABufferOfAnySize) {
  TestStream* asked = client.Open(GetFields());
  Exchange();
  TestStream& got = server.all[0];
  got.body = std::string(50'000, 'x');
  server.Answer(got, {{"x-long", std::string(30'000, 'h')}}, false);
  const std::string out = server.Drain(Session::kFillMin);
  FeedCut(client, out, SIZE_MAX);
  Exchange();
  EXPECT_EQ(asked->data.size(), 50'000u);
  EXPECT_TRUE(asked->ended);
}

}  // namespace
}  // namespace rondo::http2
