// A server's handshakes against OpenSSL's client, and whether the record channel that takes over
// continues where OpenSSL stopped.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "rondo/tls/handshake.h"
#include "tls/channel_pair.h"
#include "tls/openssl_peer.h"
#include "tls/record_channel.h"
#include "tls/test_certificates.h"

namespace rondo::tls {
namespace {

using Side = OpensslPeer::Side;
using Step = Handshake::Step;

const TestAuthority& Authority() {
  static const TestAuthority authority;
  return authority;
}
const TestPair& Pair(TestKey key) {
  static const TestPair ecdsa = Authority().Issue("example.com", TestKey::kEcdsa);
  static const TestPair rsa = Authority().Issue("example.com", TestKey::kRsa);
  return key == TestKey::kRsa ? rsa : ecdsa;
}
const TestPair& ClientPair() {
  static const TestPair pair = Authority().IssueForClient("somebody");
  return pair;
}

struct Cipher {
  int version;
  const char* name;
  TestKey key;
};
const Cipher kCiphers[] = {
    {TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", TestKey::kEcdsa},
    {TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384", TestKey::kRsa},
    {TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256", TestKey::kEcdsa},
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", TestKey::kEcdsa},
    {TLS1_2_VERSION, "ECDHE-RSA-AES128-GCM-SHA256", TestKey::kRsa},
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384", TestKey::kEcdsa},
    {TLS1_2_VERSION, "ECDHE-RSA-AES256-GCM-SHA384", TestKey::kRsa},
    {TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", TestKey::kEcdsa},
    {TLS1_2_VERSION, "ECDHE-RSA-CHACHA20-POLY1305", TestKey::kRsa},
};

UniqueSslContext ClientFor(const Cipher& cipher) {
  UniqueSslContext context = MakeContext(Side::kClient);
  SSL_CTX_set_min_proto_version(context.get(), cipher.version);
  SSL_CTX_set_max_proto_version(context.get(), cipher.version);
  EXPECT_EQ(cipher.version == TLS1_3_VERSION ? SSL_CTX_set_ciphersuites(context.get(), cipher.name)
                                             : SSL_CTX_set_cipher_list(context.get(), cipher.name),
            1);
  return context;
}

// Data both ways, both ways' key updates, and the end.
void Talk(Channel& channel, OpensslPeer& client, std::string behind) {
  // Before the client has looked at anything that came behind the handshake.
  client.Receive(SealAll(channel, "the server speaks first"));
  EXPECT_EQ(client.Read(), "the server speaks first");
  client.Write("hello");
  OpenedBytes opened = OpenInPlace(channel, behind + client.TakeSent());
  EXPECT_EQ(opened.plain, "hello");
  const std::string big(100'000, 'b');
  for (size_t at = 0; at < big.size(); at += 10'000) {
    client.Receive(SealAll(channel, std::string_view(big).substr(at, 10'000)));
  }
  EXPECT_TRUE(client.Read() == big);
  client.Write(big);
  EXPECT_TRUE(OpenInPlace(channel, client.TakeSent()).plain == big);
  for (int update = 0; SSL_version(client.ssl()) == TLS1_3_VERSION && update < 3; ++update) {
    ASSERT_EQ(SSL_key_update(client.ssl(),
                             update == 0 ? SSL_KEY_UPDATE_NOT_REQUESTED : SSL_KEY_UPDATE_REQUESTED),
              1);
    client.Write("under new keys");
    EXPECT_EQ(OpenInPlace(channel, client.TakeSent()).plain, "under new keys");
    EXPECT_EQ(channel.pending() > 0, update > 0);
    client.Receive(SealAll(channel, "so are these"));
    EXPECT_EQ(client.Read(), "so are these");
  }
  channel.Close();
  client.Receive(TakeAll(channel));
  client.Read();
  EXPECT_TRUE(client.closed());
  SSL_shutdown(client.ssl());
  EXPECT_EQ(OpenInPlace(channel, client.TakeSent()).incoming, Incoming::kClosed);
  EXPECT_FALSE(client.failed());
}

struct ServedClient {
  HandshakeResult result;
  std::unique_ptr<Channel> channel;
  std::string behind;
};

ServedClient Serve(ServerContext& context, OpensslPeer& client, size_t piece) {
  const std::unique_ptr<Handshake> handshake = MakeServerHandshake(context);
  Met met = Meet(*handshake, client, piece);
  EXPECT_EQ(met.step, Step::kDone) << handshake->reason() << ": " << handshake->detail();
  if (met.step != Step::kDone) return {};
  ServedClient served{handshake->TakeResult(), handshake->TakeChannel(), std::move(met.behind)};
  client.Step();
  EXPECT_TRUE(client.done());
  return served;
}

bool IsRecordChannel(const Channel& channel) {
  return dynamic_cast<const RecordChannel*>(&channel) != nullptr;
}

constexpr size_t kPieces[] = {1, 7, SIZE_MAX};

class ServerHandshakeWith : public testing::TestWithParam<std::tuple<Cipher, size_t>> {
 protected:
  const Cipher& cipher() const { return std::get<0>(GetParam()); }
  size_t piece() const { return std::get<1>(GetParam()); }
  UniqueSslContext ServerContextOf() const {
    UniqueSslContext context = MakeContext(Side::kServer);
    UseCertificate(context.get(), Pair(cipher().key));
    return context;
  }
};

INSTANTIATE_TEST_SUITE_P(EachCipher, ServerHandshakeWith,
                         testing::Combine(testing::ValuesIn(kCiphers), testing::ValuesIn(kPieces)),
                         [](const testing::TestParamInfo<std::tuple<Cipher, size_t>>& info) {
                           std::string name = std::get<0>(info.param).name;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           const size_t piece = std::get<1>(info.param);
                           return name +
                                  (piece == SIZE_MAX ? "_whole" : "_by_" + std::to_string(piece));
                         });

TEST_P(ServerHandshakeWith, IsTakenOverAndContinued) {
  PlainServerContext context(ServerContextOf());
  const UniqueSslContext client_context = ClientFor(cipher());
  OpensslPeer client(client_context.get(), Side::kClient);
  ServedClient served = Serve(context, client, piece());
  ASSERT_NE(served.channel, nullptr);
  EXPECT_TRUE(IsRecordChannel(*served.channel));
  EXPECT_EQ(served.result.version,
            cipher().version == TLS1_3_VERSION ? Version::kTls13 : Version::kTls12);
  EXPECT_STREQ(served.result.cipher, cipher().name);
  EXPECT_FALSE(served.result.resumed);
  EXPECT_EQ(served.result.client, nullptr);
  Talk(*served.channel, client, served.behind);
}

TEST_P(ServerHandshakeWith, CountsHoweverManyTicketsThereAre) {
  for (const size_t tickets : {0u, 2u, 5u}) {
    UniqueSslContext ssl_context = ServerContextOf();
    SSL_CTX_set_num_tickets(ssl_context.get(), tickets);
    PlainServerContext context(std::move(ssl_context));
    const UniqueSslContext client_context = ClientFor(cipher());
    OpensslPeer client(client_context.get(), Side::kClient);
    ServedClient served = Serve(context, client, piece());
    ASSERT_NE(served.channel, nullptr);
    Talk(*served.channel, client, served.behind);
  }
}

TEST_P(ServerHandshakeWith, IsResumed) {
  PlainServerContext context(ServerContextOf());
  const UniqueSslContext client_context = ClientFor(cipher());
  SSL_SESSION* session = nullptr;
  for (int connection = 0; connection < 4; ++connection) {
    OpensslPeer client(client_context.get(), Side::kClient);
    if (session != nullptr) {
      SSL_set_session(client.ssl(), session);
      SSL_SESSION_free(session);
    }
    ServedClient served = Serve(context, client, piece());
    ASSERT_NE(served.channel, nullptr);
    EXPECT_TRUE(IsRecordChannel(*served.channel));
    EXPECT_EQ(served.result.resumed, connection > 0);
    Talk(*served.channel, client, served.behind);
    session = SSL_get1_session(client.ssl());
  }
  SSL_SESSION_free(session);
}

TEST_P(ServerHandshakeWith, AsksAgainForAnotherKeyShare) {
  UniqueSslContext ssl_context = ServerContextOf();
  SSL_CTX_set1_groups_list(ssl_context.get(), "P-384");
  PlainServerContext context(std::move(ssl_context));
  const UniqueSslContext client_context = ClientFor(cipher());
  SSL_CTX_set1_groups_list(client_context.get(), "X25519:P-384:P-256");
  OpensslPeer client(client_context.get(), Side::kClient);
  ServedClient served = Serve(context, client, piece());
  ASSERT_NE(served.channel, nullptr);
  Talk(*served.channel, client, served.behind);
}

TEST_P(ServerHandshakeWith, SeesTheCertificateOfTheClientAlsoWhenResumed) {
  UniqueSslContext ssl_context = ServerContextOf();
  Trust(ssl_context.get(), Authority());
  SSL_CTX_set_session_id_context(ssl_context.get(), reinterpret_cast<const unsigned char*>("x"), 1);
  SSL_CTX_set_verify(ssl_context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  PlainServerContext context(std::move(ssl_context));
  const UniqueSslContext client_context = ClientFor(cipher());
  UseCertificate(client_context.get(), ClientPair());
  SSL_SESSION* session = nullptr;
  for (int connection = 0; connection < 2; ++connection) {
    OpensslPeer client(client_context.get(), Side::kClient);
    if (session != nullptr) SSL_set_session(client.ssl(), session);
    ServedClient served = Serve(context, client, piece());
    ASSERT_NE(served.channel, nullptr);
    EXPECT_EQ(served.result.resumed, connection == 1);
    ASSERT_NE(served.result.client, nullptr);
    EXPECT_NE(served.result.client->subject.find("somebody"), std::string::npos);
    Talk(*served.channel, client, served.behind);
    SSL_SESSION_free(session);
    session = SSL_get1_session(client.ssl());
  }
  SSL_SESSION_free(session);
}

// Small records split the handshake's messages, tickets with certificates among them.
TEST_P(ServerHandshakeWith, KeepsRecordsAsSmallAsTheClientAsks) {
  for (const auto code : {TLSEXT_max_fragment_length_512, TLSEXT_max_fragment_length_2048}) {
    UniqueSslContext ssl_context = ServerContextOf();
    Trust(ssl_context.get(), Authority());
    SSL_CTX_set_verify(ssl_context.get(), SSL_VERIFY_PEER, nullptr);
    PlainServerContext context(std::move(ssl_context));
    const UniqueSslContext client_context = ClientFor(cipher());
    UseCertificate(client_context.get(), ClientPair());
    SSL_CTX_set_tlsext_max_fragment_length(client_context.get(), static_cast<uint8_t>(code));
    OpensslPeer client(client_context.get(), Side::kClient);
    ServedClient served = Serve(context, client, piece());
    ASSERT_NE(served.channel, nullptr);
    EXPECT_GT(served.channel->SealedSize(16384), 16384u + 150);
    Talk(*served.channel, client, served.behind);
  }
}

// The client's last flight and what it says behind that, in the same bytes.
TEST_P(ServerHandshakeWith, LeavesWhatFollowsFinishedToTheChannel) {
  PlainServerContext context(ServerContextOf());
  const UniqueSslContext client_context = ClientFor(cipher());
  SSL_SESSION* session = nullptr;
  // In TLS 1.2 the client has the last word only where a session is resumed.
  for (int connection = 0; connection < 2; ++connection) {
    OpensslPeer client(client_context.get(), Side::kClient);
    if (session != nullptr) SSL_set_session(client.ssl(), session);
    const std::unique_ptr<Handshake> handshake = MakeServerHandshake(context);
    std::string behind;
    Step step = Step::kNeedMore;
    size_t said = 0;
    while (step == Step::kNeedMore) {
      client.Step();
      if (client.done() && said == 0) {
        client.Write("early");
        if (cipher().version == TLS1_3_VERSION) {
          SSL_key_update(client.ssl(), SSL_KEY_UPDATE_REQUESTED);
        }
        client.Write(" bird");
        said = 10;
      }
      behind += client.TakeSent();
      while (!behind.empty() && step == Step::kNeedMore) {
        size_t consumed = 0;
        step = handshake->Advance(std::string_view(behind).substr(0, piece()), &consumed);
        behind.erase(0, consumed);
      }
      client.Receive(handshake->output());
      handshake->OutputTaken();
    }
    ASSERT_EQ(step, Step::kDone);
    const std::unique_ptr<Channel> channel = handshake->TakeChannel();
    if (said > 0) {
      EXPECT_EQ(OpenInPlace(*channel, behind).plain, "early bird");
      behind.clear();
    } else {
      client.Step();
    }
    Talk(*channel, client, behind);
    SSL_SESSION_free(session);
    session = SSL_get1_session(client.ssl());
  }
  SSL_SESSION_free(session);
}

TEST(ServerHandshake, GoesWellHoweverTheClientsBytesAreSplit) {
  for (const Cipher& cipher : {kCiphers[0], kCiphers[3]}) {
    UniqueSslContext ssl_context = MakeContext(Side::kServer);
    UseCertificate(ssl_context.get(), Pair(cipher.key));
    PlainServerContext context(std::move(ssl_context));
    const UniqueSslContext client_context = ClientFor(cipher);
    for (int flight = 0; flight < 2; ++flight) {
      for (size_t split = 1; split < 400; ++split) {
        OpensslPeer client(client_context.get(), Side::kClient);
        const std::unique_ptr<Handshake> handshake = MakeServerHandshake(context);
        Step step = Step::kNeedMore;
        std::string rest;
        for (int round = 0; step == Step::kNeedMore && round < 3; ++round) {
          client.Step();
          rest += client.TakeSent();
          if (client.done()) client.Write("x");
          rest += client.TakeSent();
          for (const bool first : {true, false}) {
            const size_t end =
                first && round == flight ? std::min(split, rest.size()) : rest.size();
            if (step != Step::kNeedMore || end == 0) continue;
            size_t consumed = 0;
            step = handshake->Advance(std::string_view(rest).substr(0, end), &consumed);
            rest.erase(0, consumed);
            client.Receive(handshake->output());
            handshake->OutputTaken();
          }
        }
        ASSERT_EQ(step, Step::kDone) << handshake->detail();
        const std::unique_ptr<Channel> channel = handshake->TakeChannel();
        std::string plain = OpenInPlace(*channel, rest).plain;
        if (plain.empty()) {
          client.Step();
          client.Write("x");
          plain = OpenInPlace(*channel, client.TakeSent()).plain;
        }
        ASSERT_EQ(plain, "x") << split;
      }
    }
  }
}

// Nobody's default: but where a context allows it, it works, by OpenSSL.
TEST(ServerHandshake, StaysWithOpensslForCiphersThatTheRecordLayerDoesNotHave) {
  for (const size_t piece : kPieces) {
    UniqueSslContext ssl_context = MakeContext(Side::kServer);
    UseCertificate(ssl_context.get(), Pair(TestKey::kRsa));
    PlainServerContext context(std::move(ssl_context));
    const UniqueSslContext client_context =
        ClientFor({TLS1_2_VERSION, "ECDHE-RSA-AES128-SHA256", TestKey::kRsa});
    OpensslPeer client(client_context.get(), Side::kClient);
    ServedClient served = Serve(context, client, piece);
    ASSERT_NE(served.channel, nullptr);
    EXPECT_FALSE(IsRecordChannel(*served.channel));
    Talk(*served.channel, client, served.behind);
  }
}

}  // namespace
}  // namespace rondo::tls
