// What makes up a message, by section of RFC 9113 §8, as far as it takes more than a head to see.
#include <gtest/gtest.h>

#include "http2/frame_peer.h"

namespace rondo::http2 {
namespace {

using namespace wire;

class ServerMessages : public ServerFrames {};
class ClientMessages : public ClientFrames {};

// -- §8.1: what follows what --

TEST_F(ServerMessages, S8_1_TrailersEndARequest) {
  Meet();
  TestStream& stream = Upload(1);
  Say(Data(1, "body") + Headers(1, Block({{"x-sum", "5"}})));
  EXPECT_TRUE(stream.ended);
  EXPECT_EQ(stream.data, "body");
  EXPECT_EQ(stream.trailers, "x-sum: 5\r\n");
}

TEST_F(ServerMessages, S8_1_ASecondHeadThatDoesNotEndIsMalformed) {
  Meet();
  TestStream& stream = Upload(1);
  EXPECT_EQ(Say(Headers(1, Block({{"x", "y"}}), kEndHeaders)), Session::State::kOpen);
  EXPECT_TRUE(SaidReset(1, ErrorCode::kProtocolError)) << Summary();
  EXPECT_TRUE(stream.closed && !stream.ended);
}

TEST_F(ServerMessages, S8_1_TrailersWithPseudoHeadersAreMalformed) {
  Meet();
  TestStream& stream = Upload(1);
  Say(Headers(1, Block({{":path", "/"}})));
  EXPECT_TRUE(SaidReset(1, ErrorCode::kProtocolError)) << Summary();
  EXPECT_TRUE(stream.closed && !stream.ended);
}

TEST_F(ClientMessages, S8_1_DataInFrontOfTheFinalHeadIsMalformed) {
  Meet();
  TestStream& stream = Ask();
  Answer(stream, {{":status", "103"}}, false);
  Say(Data(1, "early"));
  EXPECT_TRUE(SaidReset(1, ErrorCode::kProtocolError)) << Summary();
  EXPECT_TRUE(stream.closed && !stream.headed);
  EXPECT_FALSE(stream.closing.unprocessed);
}

TEST_F(ClientMessages, S8_1_AnEndInFrontOfTheFinalHeadIsMalformed) {
  Meet();
  TestStream& stream = Ask();
  Answer(stream, {{":status", "103"}}, false);
  Say(Data(1, "", kEndStream));
  EXPECT_TRUE(SaidReset(1, ErrorCode::kProtocolError)) << Summary();
  EXPECT_TRUE(stream.closed && !stream.ended);
}

TEST_F(ClientMessages, S8_1_DataWithoutAnyHeadEndsTheConnection) {
  Meet();
  Ask();
  EXPECT_EQ(Say(Data(1, "early")), Session::State::kFailed);
}

TEST_F(ClientMessages, S8_1_AnInterimHeadDoesNotEnd) {
  Meet();
  TestStream& stream = Ask();
  Answer(stream, {{":status", "100"}}, true);
  EXPECT_TRUE(SaidReset(1, ErrorCode::kProtocolError)) << Summary();
  EXPECT_EQ(stream.refusal, "502 bad_response: interim_response_ends");
  EXPECT_TRUE(stream.closed);
}

TEST_F(ClientMessages, S8_1_AWholeAnswerStandsThoughTheRequestIsResetBehindIt) {
  Meet();
  TestStream& stream = Ask(false);
  Answer(stream, Ok(), false);
  Say(Data(1, "done", kEndStream) + RstStream(1, ErrorCode::kNoError));
  EXPECT_TRUE(stream.ended && stream.closed);
  EXPECT_EQ(stream.data, "done");
  EXPECT_EQ(stream.closing.code, ErrorCode::kNoError);
}

TEST_F(ClientMessages, S8_1_AnAnswerThatIsResetIsNotWhole) {
  Meet();
  TestStream& stream = Ask(false);
  Answer(stream, Ok(), false);
  Say(Data(1, "half") + RstStream(1, ErrorCode::kNoError));
  EXPECT_TRUE(!stream.ended && stream.closed && stream.closing.by_peer);
}

// -- §8.1.1: Content-Length against DATA --

struct Length {
  const char* said;
  std::vector<std::string> data;
  bool fits;
  std::string told;
};

const std::vector<Length>& Lengths() {
  static const std::vector<Length> lengths = {
      {"5", {"12345"}, true, "12345"}, {"5", {"12", "", "345"}, true, "12345"},
      {"0", {""}, true, ""},           {"5", {"1234"}, false, "1234"},
      {"5", {"123456"}, false, ""},    {"5", {"12345", "6"}, false, "12345"},
      {"0", {"1"}, false, ""},         {"9223372036854775807", {"1"}, false, "1"},
  };
  return lengths;
}

TEST_F(ServerMessages, S8_1_1_ARequestsBytesAreAsManyAsItsHeadSays) {
  Meet();
  uint32_t number = 1;
  for (const Length& length : Lengths()) {
    for (const bool trailers : {false, true}) {
      TestStream& stream = Upload(number, {{"content-length", length.said}});
      std::string bytes;
      for (size_t i = 0; i < length.data.size(); ++i) {
        const bool last = i + 1 == length.data.size() && !trailers;
        bytes += Data(number, length.data[i], last ? kEndStream : 0);
      }
      if (trailers) bytes += Headers(number, Block({{"x", "y"}}));
      EXPECT_EQ(Say(bytes), Session::State::kOpen);
      EXPECT_EQ(stream.ended, length.fits) << length.said;
      EXPECT_EQ(stream.data, length.told);
      EXPECT_EQ(SaidReset(number, ErrorCode::kProtocolError), !length.fits) << Summary();
      EXPECT_EQ(stream.closed, !length.fits);
      number += 2;
    }
  }
}

TEST_F(ClientMessages, S8_1_1_AnAnswersBytesAreAsManyAsItsHeadSays) {
  Meet();
  for (const Length& length : Lengths()) {
    TestStream& stream = Ask();
    const auto number = static_cast<uint32_t>(stream.id());
    std::string bytes = Headers(number, Block(Ok({{"content-length", length.said}})), kEndHeaders);
    for (size_t i = 0; i < length.data.size(); ++i) {
      bytes += Data(number, length.data[i], i + 1 == length.data.size() ? kEndStream : 0);
    }
    EXPECT_EQ(Say(bytes), Session::State::kOpen);
    EXPECT_EQ(stream.ended, length.fits) << length.said;
    EXPECT_EQ(stream.data, length.told);
    EXPECT_TRUE(stream.closed || stream.ended);
  }
}

TEST_F(ClientMessages, S8_1_1_AnAnswerToHeadHasALengthAndNoBytes) {
  Meet();
  for (const char* body : {"", "x"}) {
    std::vector<OutgoingField> fields = GetFields();
    fields[0].value = "HEAD";
    OutgoingHead head;
    head.fields = fields;
    head.ends = true;
    head.head_method = true;
    TestStream* stream = end.Open(head);
    Listen();
    const auto number = static_cast<uint32_t>(stream->id());
    Say(Headers(number, Block(Ok({{"content-length", "1000"}})), kEndHeaders) +
        Data(number, body, kEndStream));
    EXPECT_EQ(stream->ended, *body == '\0');
    EXPECT_EQ(stream->data, "");
    EXPECT_TRUE(stream->closed);
  }
}

TEST_F(ClientMessages, S8_1_1_AnAnswerWithoutABodyHasNone) {
  Meet();
  for (const char* status : {"204", "304"}) {
    for (const char* body : {"", "x"}) {
      TestStream& stream = Ask();
      const auto number = static_cast<uint32_t>(stream.id());
      Say(Headers(number, Block({{":status", status}}), kEndHeaders) +
          Data(number, body, kEndStream));
      EXPECT_EQ(stream.ended, *body == '\0') << status;
    }
  }
}

// -- §8.1.1: malformed messages --

TEST_F(ServerMessages, S8_1_1_AMalformedRequestIsToldWithItsReasonAndItsBodyDropped) {
  Meet();
  TestStream& stream = Upload(1, {{"Upper", "case"}});
  EXPECT_EQ(stream.refusal, "400 header_name");
  Say(Data(1, std::string(1000, 'x')) + Data(1, "x", kEndStream));
  EXPECT_EQ(stream.data, "");
  EXPECT_FALSE(stream.ended);
  end.Answer(stream, {}, true, false, "400");
  Listen();
  EXPECT_TRUE(stream.closed);
  EXPECT_EQ(stream.closing.code, ErrorCode::kNoError);
}

TEST_F(ServerMessages, S8_1_1_ARefusedRequestThatGoesOnIsResetBehindItsAnswer) {
  Meet();
  TestStream& stream = Upload(1, {{"connection", "close"}});
  EXPECT_EQ(stream.refusal, "400 connection_header");
  end.Answer(stream, {}, true, false, "400");
  end.session->Reset(stream, ErrorCode::kNoError);
  Listen();
  ASSERT_EQ(seen.size(), 2u) << Summary();
  EXPECT_EQ(seen[0].type, kHeaders);
  EXPECT_TRUE(SaidReset(1, ErrorCode::kNoError));
  EXPECT_TRUE(stream.closed);
}

TEST_F(ClientMessages, S8_1_1_AMalformedAnswerIsToldAndReset) {
  Meet();
  TestStream& stream = Ask();
  Answer(stream, Ok({{"transfer-encoding", "chunked"}}), false);
  EXPECT_EQ(stream.refusal, "502 bad_response: connection_header");
  EXPECT_TRUE(SaidReset(1, ErrorCode::kProtocolError)) << Summary();
  EXPECT_TRUE(stream.closed && !stream.closing.by_peer && !stream.closing.unprocessed);
}

TEST_F(ServerMessages, S10_5_1_AHeadThatIsTooLargeIsRefusedAndTheConnectionGoesOn) {
  Meet();
  const TestStream& large =
      Upload(1, {{"x", std::string(16'000, 'x')}, {"y", std::string(100, 'x')}});
  EXPECT_EQ(large.refusal, "");
  const std::string block = Block(Get("/", {{"x", std::string(40'000, 'x')}}));
  std::string frames = Headers(3, block.substr(0, 16'000), kEndStream);
  frames += Frame(kContinuation, 0, 3, block.substr(16'000, 16'000));
  frames += Frame(kContinuation, kEndHeaders, 3, block.substr(32'000));
  EXPECT_EQ(Say(frames), Session::State::kOpen);
  EXPECT_EQ(end.all.back().refusal, "431 headers_too_large");
  Ask(5);
  EXPECT_EQ(end.all.back().refusal, "");
}

TEST_F(ServerMessages, HeadsAreCountedAsTheyBegin) {
  Meet();
  EXPECT_EQ(end.session->heads(), 0u);
  const std::string block = Block(Get());
  Say(Headers(1, block.substr(0, 20), kEndStream));
  EXPECT_EQ(end.session->heads(), 1u);
  const std::string rest = Frame(kContinuation, kEndHeaders, 1, block.substr(20));
  Say(rest + Headers(3, block, kEndStream));  // one ends, the next begins
  EXPECT_TRUE(end.session->in_head());
  EXPECT_EQ(end.session->heads(), 2u);
}

TEST_F(ServerMessages, AHeadMayBeOnItsWayWhenTheLastStreamWithALargeOneEnds) {
  Meet();
  TestStream& large = Upload(1, {{"x", std::string(16'000, 'x')}});
  const std::string block = Block(Get("/next"));
  Say(Headers(3, block.substr(0, 20), kEndStream));
  EXPECT_TRUE(end.session->in_head());
  end.session->Reset(large, ErrorCode::kCancel);
  Listen();
  EXPECT_TRUE(large.closed);
  Say(Frame(kContinuation, kEndHeaders, 3, block.substr(20)));
  EXPECT_FALSE(end.session->in_head());
  EXPECT_EQ(end.all.back().text, "GET /next HTTP/1.1\r\nHost: example.com\r\n\r\n");
  end.Answer(end.all.back());
  Listen();
  EXPECT_EQ(end.session->streams(), 0u);
  Ask(5);
  EXPECT_EQ(end.all.back().text, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
}

// -- §8.5, RFC 8441 --

TEST_F(ServerMessages, S8_5_WhatFollowsAPlainConnectIsForNobody) {
  Meet();
  Say(Headers(1, Block({{":method", "CONNECT"}, {":authority", "example.com:443"}}), kEndHeaders) +
      Data(1, "bytes"));
  ASSERT_EQ(end.all.size(), 1u);
  EXPECT_EQ(end.all[0].data, "");
}

TEST_F(ServerMessages, Rfc8441_ATunnelHasBytesAndNoTrailers) {
  Meet();
  const Fields fields = {{":method", "CONNECT"}, {":protocol", "websocket"},
                         {":scheme", "https"},   {":authority", "example.com"},
                         {":path", "/chat"},     {"sec-websocket-version", "13"}};
  Say(Headers(1, Block(fields), kEndHeaders));
  ASSERT_EQ(end.all.size(), 1u);
  TestStream& stream = end.all[0];
  EXPECT_EQ(stream.framing, http::Framing::kUntilClose);
  stream.body_ends = false;
  end.Answer(stream, {}, false);
  Say(Data(1, "bytes"));
  EXPECT_EQ(stream.data, "bytes");
  Say(Headers(1, Block({{"x", "y"}})));
  EXPECT_TRUE(SaidReset(1, ErrorCode::kProtocolError)) << Summary();
}

TEST_F(ServerMessages, Rfc8441_EachTunnelHasAKeyOfItsOwn) {
  Meet();
  const Fields fields = {{":method", "CONNECT"},
                         {":protocol", "websocket"},
                         {":scheme", "https"},
                         {":authority", "example.com"},
                         {":path", "/chat"}};
  Say(Headers(1, Block(fields), kEndHeaders) + Headers(3, Block(fields), kEndHeaders));
  ASSERT_EQ(end.all.size(), 2u);
  EXPECT_NE(end.all[0].text, end.all[1].text);
}

// -- heads that cannot be sent --

TEST_F(ServerMessages, AHeadThatIsTooLargeToBeSentResetsItsStream) {
  Meet();
  TestStream& stream = Ask(1);
  const std::string large(8 * 1024 * 1024, 'x');
  end.Answer(stream, {{"x", large}});
  Listen();
  EXPECT_TRUE(SaidReset(1, ErrorCode::kInternalError)) << Summary();
  EXPECT_TRUE(stream.closed);
}

}  // namespace
}  // namespace rondo::http2
