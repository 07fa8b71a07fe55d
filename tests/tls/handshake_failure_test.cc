// Handshakes that fail, what they are called, and what they say to the peer; on both sides.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rondo/tls/client_setup.h"
#include "rondo/tls/handshake.h"
#include "rondo/tls/server_setup.h"
#include "tls/channel_pair.h"
#include "tls/openssl_peer.h"
#include "tls/test_certificates.h"

namespace rondo::tls {
namespace {

using Side = OpensslPeer::Side;
using Step = Handshake::Step;

const TestAuthority& Authority() {
  static const TestAuthority authority;
  return authority;
}

std::unique_ptr<PlainServerContext> ServerWith(const TestPair& pair, void (*prepare)(SSL_CTX*)) {
  UniqueSslContext context = MakeContext(Side::kServer);
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  UseCertificate(context.get(), pair);
  if (prepare != nullptr) prepare(context.get());
  return std::make_unique<PlainServerContext>(std::move(context));
}

struct ClientFault {
  const char* what;
  void (*server)(SSL_CTX*);
  void (*client)(SSL_CTX*);
  const char* reason;
};

const ClientFault kClientFaults[] = {
    {"an old version", nullptr,
     [](SSL_CTX* client) {
       SSL_CTX_set_security_level(client, 0);
       SSL_CTX_set_min_proto_version(client, TLS1_VERSION);
       SSL_CTX_set_max_proto_version(client, TLS1_1_VERSION);
     },
     "unsupported_version"},
    {"TLS 1.2 where only 1.3 is spoken",
     [](SSL_CTX* server) { SSL_CTX_set_min_proto_version(server, TLS1_3_VERSION); },
     [](SSL_CTX* client) { SSL_CTX_set_max_proto_version(client, TLS1_2_VERSION); },
     "unsupported_version"},
    {"no cipher in common", nullptr,
     [](SSL_CTX* client) {
       SSL_CTX_set_max_proto_version(client, TLS1_2_VERSION);
       SSL_CTX_set_cipher_list(client, "ECDHE-RSA-AES128-GCM-SHA256");
     },
     "no_shared_cipher"},
    {"no group in common", [](SSL_CTX* server) { SSL_CTX_set1_groups_list(server, "X25519"); },
     [](SSL_CTX* client) {
       SSL_CTX_set_min_proto_version(client, TLS1_3_VERSION);
       SSL_CTX_set1_groups_list(client, "P-521");
     },
     "no_shared_cipher"},
    {"no certificate where one is required",
     [](SSL_CTX* server) {
       SSL_CTX_set_verify(server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
     },
     nullptr, "client_certificate_missing"},
    {"a certificate of nobody known",
     [](SSL_CTX* server) { SSL_CTX_set_verify(server, SSL_VERIFY_PEER, nullptr); },
     [](SSL_CTX* client) {
       UseCertificate(client, TestAuthority("Somebody else").IssueForClient("intruder"));
     },
     "client_certificate_bad"},
    {"a client that does not trust us", nullptr,
     [](SSL_CTX* client) { SSL_CTX_set_verify(client, SSL_VERIFY_PEER, nullptr); }, "peer_alert"},
    {"no protocol in common",
     [](SSL_CTX* server) {
       SSL_CTX_set_alpn_select_cb(
           server,
           [](SSL*, const unsigned char**, unsigned char*, const unsigned char*, unsigned, void*) {
             return SSL_TLSEXT_ERR_ALERT_FATAL;
           },
           nullptr);
     },
     [](SSL_CTX* client) {
       SSL_CTX_set_alpn_protos(client, reinterpret_cast<const unsigned char*>("\x02h9"), 3);
     },
     "no_application_protocol"},
};

TEST(HandshakeFailure, OfClientsHasItsReasonAndIsSaidToThem) {
  const TestPair pair = Authority().Issue("example.com");
  for (const ClientFault& test : kClientFaults) {
    for (const size_t piece : {size_t{1}, SIZE_MAX}) {
      const auto context = ServerWith(pair, test.server);
      const UniqueSslContext client_context = MakeContext(Side::kClient);
      if (test.client != nullptr) test.client(client_context.get());
      OpensslPeer client(client_context.get(), Side::kClient);
      const std::unique_ptr<Handshake> handshake = MakeServerHandshake(*context);
      EXPECT_EQ(Meet(*handshake, client, piece).step, Step::kFailed) << test.what;
      EXPECT_STREQ(handshake->reason(), test.reason) << test.what << ": " << handshake->detail();
      EXPECT_NE(handshake->detail(), "") << test.what;
      client.Step();
      if (client.done()) client.Read();
      EXPECT_TRUE(client.failed()) << test.what;
    }
  }
}

TEST(HandshakeFailure, OfThingsThatAreNoTls) {
  const TestPair pair = Authority().Issue("example.com");
  const auto context = ServerWith(pair, nullptr);
  const struct {
    std::string bytes;
    const char* reason;
  } cases[] = {
      {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "not_tls"},
      {"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n", "not_tls"},
      {"SSH-2.0-OpenSSH_9.2\r\n", "not_tls"},
      {std::string("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16), "not_tls"},
      {std::string("\x16\x03\x01\x00\x05hello world, this is no handshake", 38), "protocol"},
      {std::string("\x16\x03\x01\xff\xff", 5) + std::string(100, 'x'), "protocol"},
      {std::string("\x17\x03\x03\x00\x20", 5) + std::string(100, 'x'), "not_tls"},
      {std::string("\x15\x03\x01\x00\x02\x02\x28", 7), "protocol"},
  };
  for (const auto& test : cases) {
    for (const size_t piece : {size_t{1}, size_t{3}, SIZE_MAX}) {
      const std::unique_ptr<Handshake> handshake = MakeServerHandshake(*context);
      Step step = Step::kNeedMore;
      for (size_t at = 0; at < test.bytes.size() && step == Step::kNeedMore;) {
        size_t consumed = 0;
        step = handshake->Advance(std::string_view(test.bytes).substr(at, piece), &consumed);
        at += consumed;
      }
      EXPECT_EQ(step, Step::kFailed) << test.bytes;
      EXPECT_STREQ(handshake->reason(), test.reason) << test.bytes << ": " << handshake->detail();
    }
  }
}

// A peer may go away, and this object with it, behind each byte.
TEST(HandshakeFailure, ByGoingAwayAtAnyByteLeavesNothingBehind) {
  const TestPair pair = Authority().Issue("example.com");
  const auto context = ServerWith(pair, nullptr);
  const UniqueSslContext client_context = MakeContext(Side::kClient);
  OpensslPeer client(client_context.get(), Side::kClient);
  client.Step();
  const std::string hello = client.TakeSent();
  for (size_t size = 0; size < hello.size(); ++size) {
    const std::unique_ptr<Handshake> handshake = MakeServerHandshake(*context);
    size_t consumed = 0;
    EXPECT_EQ(handshake->Advance(std::string_view(hello).substr(0, size), &consumed),
              Step::kNeedMore);
    EXPECT_EQ(handshake->output(), "");
  }
}

TEST(HandshakeFailure, ByAFlippedByteNeverSucceeds) {
  const TestPair pair = Authority().Issue("example.com");
  const auto context = ServerWith(pair, nullptr);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const UniqueSslContext client_context = MakeContext(Side::kClient);
    SSL_CTX_set_max_proto_version(client_context.get(), version);
    for (size_t flip = 0; flip < 600; flip += 7) {
      OpensslPeer client(client_context.get(), Side::kClient);
      const std::unique_ptr<Handshake> handshake = MakeServerHandshake(*context);
      Step step = Step::kNeedMore;
      size_t at = 0;
      bool flipped = false;
      for (int round = 0; round < 4 && step == Step::kNeedMore; ++round) {
        client.Step();
        std::string sent = client.TakeSent();
        if (sent.empty()) break;
        // Not the length of a record: that one would be waited for.
        if (flip >= at && flip - at < sent.size() && flip - at > 5) {
          sent[flip - at] = static_cast<char>(sent[flip - at] ^ 0x10);
          flipped = true;
        }
        at += sent.size();
        size_t consumed = 0;
        step = handshake->Advance(sent, &consumed);
        client.Receive(handshake->output());
        handshake->OutputTaken();
      }
      if (flipped) EXPECT_NE(step, Step::kDone) << flip;
    }
  }
}

struct ServerFault {
  const char* what;
  TestPair pair;
  const char* name;
  const char* reason;
};

TEST(HandshakeFailure, OfBackendsHasItsReason) {
  LeafOptions expired;
  expired.names = {"backend.internal"};
  expired.not_before = -7200;
  expired.not_after = -3600;
  LeafOptions future = expired;
  future.not_before = 3600;
  future.not_after = 7200;
  const std::vector<ServerFault> faults = {
      {"another name", Authority().Issue("other.internal"), "backend.internal", "name_mismatch"},
      {"another address", Authority().Issue("127.0.0.1"), "127.0.0.2", "name_mismatch"},
      {"expired", Authority().Issue(expired), "backend.internal", "expired"},
      {"not yet valid", Authority().Issue(future), "backend.internal", "expired"},
      {"unknown authority", TestAuthority("Another").Issue("backend.internal"), "backend.internal",
       "bad_certificate"},
  };
  ClientSettings settings;
  settings.ca = Authority().pem();
  const auto setup = ClientSetup::Make(settings, 1);
  ASSERT_TRUE(setup.ok()) << setup.status();
  for (const ServerFault& test : faults) {
    UniqueSslContext server_context = MakeContext(Side::kServer);
    UseCertificate(server_context.get(), test.pair);
    OpensslPeer server(server_context.get(), Side::kServer);
    const std::unique_ptr<Handshake> handshake =
        MakeClientHandshake((*setup)->ForWorker(0), test.name, nullptr, 1);
    EXPECT_EQ(Meet(*handshake, server, SIZE_MAX).step, Step::kFailed) << test.what;
    EXPECT_STREQ(handshake->reason(), test.reason) << test.what << ": " << handshake->detail();
    server.Step();
    EXPECT_TRUE(server.failed()) << test.what;
  }
  const std::unique_ptr<Handshake> plain =
      MakeClientHandshake((*setup)->ForWorker(0), "backend.internal", nullptr, 1);
  size_t consumed = 0;
  ASSERT_EQ(plain->Advance({}, &consumed), Step::kNeedMore);
  EXPECT_NE(plain->output(), "");
  plain->OutputTaken();
  EXPECT_EQ(plain->Advance("HTTP/1.1 400 Bad Request\r\n\r\n", &consumed), Step::kFailed);
  EXPECT_STREQ(plain->reason(), "not_tls");
}

}  // namespace
}  // namespace rondo::tls
