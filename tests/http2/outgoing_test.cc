#include "rondo/http2/outgoing.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace rondo::http2 {
namespace {

using Kind = MessageReader::Kind;
using What = MessageReader::What;

// How a message is read.
struct How {
  Kind kind = Kind::kRequest;
  bool to_head = false;
  bool to_tunnel = false;
  size_t data_max = SIZE_MAX;
};

// "name: value" lines; a star behind those that are never to be indexed.
std::string Lines(std::span<const OutgoingField> fields) {
  std::string text;
  for (const OutgoingField& field : fields) {
    text.append(field.name).append(": ").append(field.value);
    text += field.sensitive ? "*\n" : "\n";
  }
  return text;
}

std::string Flags(const OutgoingHead& head) {
  std::string text;
  if (head.interim) text += " interim";
  if (head.ends) text += " ends";
  if (head.tunnel) text += " tunnel";
  if (head.head_method) text += " head";
  if (!head.websocket_key.empty()) text.append(" key=").append(head.websocket_key);
  return text;
}

// Reads a message that arrives in these pieces, and says what came of it: heads with their flags,
// the body, the trailers.
std::string ReadPieces(const std::vector<std::string>& pieces, const How& how) {
  ReaderScratch scratch;
  MessageReader reader(scratch);
  reader.Begin(how.kind, how.to_head, how.to_tunnel, "https");
  std::string heads;
  std::string data;
  std::string ending;
  for (const std::string& piece : pieces) {
    std::string_view rest = piece;
    for (;;) {
      const MessageReader::Step step = reader.Read(rest, how.data_max);
      EXPECT_LE(step.consumed, rest.size());
      rest.remove_prefix(step.consumed);
      if (step.what == What::kBad) {
        EXPECT_EQ(reader.Read("x", 1).what, What::kBad);
        return "bad";
      }
      if (step.what == What::kHead) {
        heads += "[" + Flags(reader.head()) + "]\n" + Lines(reader.head().fields);
      } else if (step.what == What::kData) {
        EXPECT_LE(step.data.size(), how.data_max);
        EXPECT_EQ(step.data.data() + step.data.size(), rest.data());
        data += step.data;
      } else if (step.what == What::kEnd) {
        if (ending.empty()) ending = "end\n" + Lines(reader.trailers());
        if (rest.empty()) break;
      } else {
        EXPECT_TRUE(rest.empty());
        break;
      }
    }
  }
  return heads + (data.empty() ? "" : "data: " + data + "\n") + ending;
}

// Whole, byte by byte, in two pieces split at each place, with bodies handed out in small portions.
std::string ReadEveryWay(const std::string& text, How how) {
  const std::string whole = ReadPieces({text}, how);
  std::vector<std::string> bytes;
  for (char c : text) bytes.push_back(std::string(1, c));
  EXPECT_EQ(ReadPieces(bytes, how), whole) << "byte by byte: " << text;
  for (size_t at = 1; at < text.size(); ++at) {
    EXPECT_EQ(ReadPieces({text.substr(0, at), text.substr(at)}, how), whole)
        << "split at " << at << ": " << text;
  }
  for (size_t data_max : {1u, 3u}) {
    how.data_max = data_max;
    EXPECT_EQ(ReadPieces({text}, how), whole) << "portions of " << data_max << ": " << text;
  }
  return whole;
}

struct Case {
  const char* what;
  std::string text;
  std::string read;
};

void Check(const std::vector<Case>& cases, const How& how) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    EXPECT_EQ(ReadEveryWay(c.text, how), c.read);
  }
}

const std::string kPseudo = ":method: GET\n:scheme: https\n:authority: a.example\n:path: /x?y\n";
const std::string kPost = ":method: POST\n:scheme: https\n:authority: a.example\n:path: /x?y\n";

TEST(MessageReader, ReadsRequestHeads) {
  const std::string get = "GET /x?y HTTP/1.1\r\nHost: a.example\r\n";
  Check(
      {
          {"a plain one", get + "\r\n", "[ ends]\n" + kPseudo + "end\n"},
          {"names are put into lower case, values stay",
           get + "X-CustoM: VaLue  x\r\nUser-Agent: A B\r\nlow: \xc3\xa9\r\n\r\n",
           "[ ends]\n" + kPseudo + "x-custom: VaLue  x\nuser-agent: A B\nlow: \xc3\xa9\nend\n"},
          {"the host stands anywhere", "GET /x?y HTTP/1.1\r\nA: 1\r\nhost:a.example \r\nB:\r\n\r\n",
           "[ ends]\n" + kPseudo + "a: 1\nb: \nend\n"},
          {"what is for one connection goes",
           get + "Connection: close\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nHTTP2-Settings: "
                 "x\r\nUpgrade: foo\r\n\r\n",
           "[ ends]\n" + kPseudo + "end\n"},
          {"TE: trailers stays", get + "Connection: TE\r\nTE: trailers\r\n\r\n",
           "[ ends]\n" + kPseudo + "te: trailers\nend\n"},
          {"other TE goes", get + "TE: gzip\r\n\r\n", "[ ends]\n" + kPseudo + "end\n"},
          {"Expect stays", get + "Expect: 100-continue\r\n\r\n",
           "[ ends]\n" + kPseudo + "expect: 100-continue\nend\n"},
          {"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
           "[ ends]\n:method: OPTIONS\n:scheme: https\n:authority: h\n:path: *\nend\n"},
          {"HEAD", "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
           "[ ends head]\n:method: HEAD\n:scheme: https\n:authority: h\n:path: /\nend\n"},
          {"what nobody may guess by its size, and what never comes twice",
           get + "Authorization: x\r\nCookie: a=1; b=2\r\nX-Api-Key: k\r\nX-Csrf-Token: "
                 "t\r\nIdempotency-Key: i\r\nX-Request-Id: r\r\nTraceparent: t\r\nKey: k\r\n\r\n",
           "[ ends]\n" + kPseudo +
               "authorization: x*\ncookie: a=1; b=2*\nx-api-key: k*\nx-csrf-token: "
               "t*\nidempotency-key: i*\nx-request-id: r*\ntraceparent: t*\nkey: k\nend\n"},
      },
      {});
}

TEST(MessageReader, ReadsBodies) {
  const std::string post = "POST /x?y HTTP/1.1\r\nHost: a.example\r\n";
  const std::string chunked = post + "Transfer-Encoding: chunked\r\n\r\n";
  Check(
      {
          {"with a length", post + "Content-Length: 5\r\n\r\nhello",
           "[]\n" + kPost + "content-length: 5\ndata: hello\nend\n"},
          {"of no bytes", post + "Content-Length: 0\r\n\r\n",
           "[ ends]\n" + kPost + "content-length: 0\nend\n"},
          {"in chunks", chunked + "5\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n",
           "[]\n" + kPost + "data: hello0123456789abcdef\nend\n"},
          {"that looks like framing", chunked + "7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n",
           "[]\n" + kPost + "data: \r\n0\r\n\r\n\nend\n"},
          {"of no chunks", chunked + "0\r\n\r\n", "[]\n" + kPost + "end\n"},
          {"that goes on", chunked + "5\r\nhello\r\n", "[]\n" + kPost + "data: hello\n"},
          {"with trailers", chunked + "1\r\nx\r\n0\r\nGrpc-Status: 0\r\nx-sum:  a b \r\n\r\n",
           "[]\n" + kPost + "data: x\nend\ngrpc-status: 0\nx-sum: a b\n"},
          {"with what is no trailer", chunked + "0\r\nHost: x\r\nConnection: a\r\nA: b\r\n\r\n",
           "[]\n" + kPost + "end\na: b\n"},
      },
      {});
}

TEST(MessageReader, ReadsAnswers) {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  Check(
      {
          {"with a length", ok + "Server: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
           "[]\n:status: 200\nserver: x\ncontent-length: 2\ndata: hi\nend\n"},
          {"in chunks, with trailers",
           ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\ngrpc-status: 0\r\n\r\n",
           "[]\n:status: 200\ndata: hi\nend\ngrpc-status: 0\n"},
          {"cookies, which are as secret as what they answer to",
           ok + "Set-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
           "[ ends]\n:status: 200\nset-cookie: a*\nset-cookie: b*\ncontent-length: 0\nend\n"},
          {"behind interim ones",
           "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok +
               "Content-Length: 0\r\n\r\n",
           "[ interim]\n:status: 100\n[ interim]\n:status: 103\nlink: x\n[ ends]\n:status: "
           "200\ncontent-length: 0\nend\n"},
          {"without a phrase", "HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n",
           "[ ends]\n:status: 404\ncontent-length: 0\nend\n"},
          {"with what only requests need",
           ok + "Host: a\r\nHost: b\r\nTE: trailers\r\nContent-Length: 0\r\n\r\n",
           "[ ends]\n:status: 200\nhost: a\nhost: b\ncontent-length: 0\nend\n"},
          {"204", "HTTP/1.1 204 No Content\r\nA: b\r\n\r\n", "[ ends]\n:status: 204\na: b\nend\n"},
          {"304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
           "[ ends]\n:status: 304\ncontent-length: 9\nend\n"},
      },
      {.kind = Kind::kResponse});
  Check({{"to HEAD", ok + "Content-Length: 9\r\n\r\n",
          "[ ends]\n:status: 200\ncontent-length: 9\nend\n"},
         {"to HEAD, of no known length", ok + "\r\n", "[ ends]\n:status: 200\nend\n"},
         {"to HEAD, which would be chunked", ok + "Transfer-Encoding: chunked\r\n\r\n",
          "[ ends]\n:status: 200\nend\n"}},
        {.kind = Kind::kResponse, .to_head = true});
}

TEST(MessageReader, MakesAnExtendedConnectOfAnUpgrade) {
  const std::string get = "GET /x?y HTTP/1.1\r\nHost: a.example\r\n";
  const std::string upgrade = "Connection: Upgrade, TE\r\nUpgrade: WebSocket\r\n";
  const std::string connect =
      ":protocol: websocket\n:method: CONNECT\n:scheme: https\n:authority: a.example\n:path: "
      "/x?y\n";
  Check(
      {
          {"for WebSocket",
           get + upgrade + "Sec-WebSocket-Key: k==\r\nSec-WebSocket-Version: 13\r\n\r\n\x81\x80",
           "[ tunnel key=k==]\n" + connect + "sec-websocket-version: 13\ndata: \x81\x80\n"},
          {"for something else it is a plain GET",
           get + "Connection: Upgrade\r\nUpgrade: foo\r\n\r\n", "[ ends]\n" + kPseudo + "end\n"},
          {"not named by Connection", get + "Upgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n",
           "[ ends key=k]\n" + kPseudo + "sec-websocket-key: k*\nend\n"},
          {"without a key", get + upgrade + "\r\n", "[ ends]\n" + kPseudo + "end\n"},
          {"of a POST",
           "POST /x?y HTTP/1.1\r\nHost: a.example\r\n" + upgrade + "Sec-WebSocket-Key: k\r\n\r\n",
           "[ ends key=k]\n" + kPost + "sec-websocket-key: k*\nend\n"},
          {"with a body", get + upgrade + "Sec-WebSocket-Key: k\r\nContent-Length: 1\r\n\r\nx",
           "[ key=k]\n" + kPseudo + "sec-websocket-key: k*\ncontent-length: 1\ndata: x\nend\n"},
      },
      {});
}

TEST(MessageReader, AnswersAnExtendedConnect) {
  const How how{.kind = Kind::kResponse, .to_tunnel = true};
  const std::string refused = "[ ends]\n:status: 502\ncontent-length: 0\nend\n";
  Check(
      {
          {"the tunnel begins",
           "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: "
           "websocket\r\nSec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: c\r\n\r\n\x81\x01x",
           "[ tunnel]\n:status: 200\nsec-websocket-protocol: c\ndata: \x81\x01x\n"},
          {"it was refused", "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
           "[]\n:status: 403\ncontent-length: 2\ndata: no\nend\n"},
          {"an answer that would be taken for a tunnel",
           "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: b\r\n\r\nno", refused},
          {"one in chunks",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\na: b\r\n\r\n",
           refused},
          {"one of nothing", "HTTP/1.1 204 No Content\r\n\r\n", refused},
          {"a switch to something else",
           "HTTP/1.1 101 \r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n", "bad"},
      },
      how);
}

TEST(MessageReader, SaysWhatIsNoMessageOfOurs) {
  const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n";
  const std::string chunked = get + "Transfer-Encoding: chunked\r\n\r\n";
  std::vector<Case> requests;
  for (const std::string& text : {std::string("\r\n"),
                                  std::string("\r\n\r\n"),
                                  std::string("GET /\r\n\r\n"),
                                  std::string("GET / HTTP/1.0\r\nHost: h\r\n\r\n"),
                                  std::string("GET / HTTP/1.1\r\n\r\n"),
                                  std::string("GET  HTTP/1.1\r\nHost: h\r\n\r\n"),
                                  std::string("GET HTTP/1.1\r\nHost: h\r\n\r\n"),
                                  std::string("GET a HTTP/1.1\r\nHost: h\r\n\r\n"),
                                  std::string("G(T / HTTP/1.1\r\nHost: h\r\n\r\n"),
                                  std::string("GET * HTTP/1.1\r\nHost: h\r\n\r\n"),
                                  std::string("GET / / HTTP/1.1\r\nHost: h\r\n\r\n"),
                                  std::string("CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n"),
                                  std::string("CONNECT / HTTP/1.1\r\nHost: h\r\n\r\n"),
                                  std::string("GET / HTTP/1.1\r\nHost:\r\n\r\n"),
                                  get + "Host: h\r\n\r\n",
                                  get + "a\r\n\r\n",
                                  get + ": b\r\n\r\n",
                                  get + "a b: c\r\n\r\n",
                                  get + "a : c\r\n\r\n",
                                  get + "a: b\nc: d\r\n\r\n",
                                  get + "a: b\rc: d\r\n\r\n",
                                  get + "a: \x01\r\n\r\n",
                                  get + " a: b\r\n\r\n",
                                  get + "Content-Length: x\r\n\r\n",
                                  get + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
                                  get + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                                  get + "Transfer-Encoding: gzip\r\n\r\n",
                                  get + "\r\nx",
                                  get + "Content-Length: 1\r\n\r\nxy",
                                  chunked + "x",
                                  chunked + "\r\n",
                                  chunked + "1;a=b\r\n",
                                  chunked + "1\rx",
                                  chunked + "1\r\nxy",
                                  chunked + "1\r\nx\ry",
                                  chunked + "10000000000000000\r\n",
                                  chunked + "0\r\nx\r\n\r\n",
                                  chunked + "0\r\na: \x01\r\n\r\n",
                                  chunked + "0\r\n\r\nx"}) {
    requests.push_back({"a request", text, "bad"});
  }
  Check(requests, {});
  std::vector<Case> responses;
  for (const std::string& text :
       {std::string("HTTP/1.1 200 OK\r\n\r\n"), std::string("HTTP/1.0 200 OK\r\n\r\n"),
        std::string("HTTP/1.1 20\r\n\r\n"), std::string("HTTP/1.1 2000 OK\r\n\r\n"),
        std::string("HTTP/1.1 600 x\r\nContent-Length: 0\r\n\r\n"),
        std::string("HTTP/1.1 0xx OK\r\nContent-Length: 0\r\n\r\n"),
        std::string("HTTP/1.1 100 x\r\nContent-Length: 0\r\n\r\n"),
        std::string("HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx")}) {
    responses.push_back({"an answer", text, "bad"});
  }
  Check(responses, {.kind = Kind::kResponse});
}

TEST(MessageReader, SaysThatDataIsThereWithoutHandingItOut) {
  ReaderScratch scratch;
  MessageReader reader(scratch);
  reader.Begin(Kind::kResponse, false, false, "http");
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  MessageReader::Step step = reader.Read(head + "5\r\n", 0);
  EXPECT_EQ(step.what, What::kHead);
  EXPECT_EQ(step.consumed, head.size());
  step = reader.Read("5\r\nhello", 0);
  EXPECT_EQ(step.what, What::kData);
  EXPECT_EQ(step.consumed, 3u);
  EXPECT_EQ(step.data, "");
  EXPECT_EQ(reader.Read("", 0).what, What::kNeedMore);
  step = reader.Read("hello", 4);
  EXPECT_EQ(step.data, "hell");
}

TEST(MessageReader, ReachesTheEndWithTheLastByteThatALengthPromised) {
  ReaderScratch scratch;
  MessageReader reader(scratch);
  reader.Begin(Kind::kResponse, false, false, "http");
  reader.Read("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", 0);
  EXPECT_EQ(reader.Read("abcd", 100).data, "abcd");
  EXPECT_EQ(reader.Read("", 0).what, What::kNeedMore);
  EXPECT_EQ(reader.Read("abcdef", 100).data, "abcdef");
  EXPECT_EQ(reader.Read("", 0).what, What::kEnd);
}

TEST(MessageReader, SharesItsScratchWithOthersWhoseHeadsComeInPieces) {
  ReaderScratch scratch;
  std::vector<MessageReader> readers;
  for (int i = 0; i < 40; ++i) readers.emplace_back(scratch);
  const std::string text = "GET /x?y HTTP/1.1\r\nHost: a.example\r\nX-A: b\r\n\r\n";
  for (int round = 0; round < 3; ++round) {
    for (MessageReader& reader : readers) reader.Begin(Kind::kRequest, false, false, "https");
    for (size_t i = 0; i + 1 < text.size(); ++i) {
      for (MessageReader& reader : readers) {
        EXPECT_EQ(reader.Read(text.substr(i, 1), 9).what, What::kNeedMore);
      }
    }
    for (MessageReader& reader : readers) {
      EXPECT_EQ(reader.Read("\n", 9).what, What::kHead);
      EXPECT_EQ(Lines(reader.head().fields), kPseudo + "x-a: b\n");
    }
  }
}

TEST(MessageReader, HoldsNoMoreOfAHeadThanThereCanBe) {
  ReaderScratch scratch;
  MessageReader reader(scratch);
  reader.Begin(Kind::kRequest, false, false, "https");
  const std::string piece(64 * 1024, 'x');
  What what = What::kNeedMore;
  for (int i = 0; i < 20 && what == What::kNeedMore; ++i) what = reader.Read(piece, 0).what;
  EXPECT_EQ(what, What::kBad);
}

}  // namespace
}  // namespace rondo::http2
