// Handshakes towards backends that are OpenSSL's servers, and the channel that stays OpenSSL's.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rondo/tls/client_setup.h"
#include "rondo/tls/handshake.h"
#include "tls/channel_pair.h"
#include "tls/openssl_peer.h"
#include "tls/test_certificates.h"

namespace rondo::tls {
namespace {

using Side = OpensslPeer::Side;
using Step = Handshake::Step;

class ClientHandshakeOf : public testing::TestWithParam<std::tuple<int, size_t>> {
 protected:
  ClientHandshakeOf() : server_context_(MakeContext(Side::kServer)) {
    UseCertificate(server_context_.get(), authority_.Issue("backend.internal"));
    SSL_CTX_set_max_proto_version(server_context_.get(), std::get<0>(GetParam()));
    SSL_CTX_set_num_tickets(server_context_.get(), 2);
    ClientSettings settings;
    settings.ca = authority_.pem();
    auto setup = ClientSetup::Make(settings, 1);
    EXPECT_TRUE(setup.ok()) << setup.status();
    if (setup.ok()) setup_ = *setup;
  }
  size_t piece() const { return std::get<1>(GetParam()); }
  bool tls13() const { return std::get<0>(GetParam()) == TLS1_3_VERSION; }

  struct Connected {
    HandshakeResult result;
    std::unique_ptr<Channel> channel;
    std::string behind;
  };
  Connected Connect(OpensslPeer& server, SessionStore* sessions) {
    const std::unique_ptr<Handshake> handshake =
        MakeClientHandshake(setup_->ForWorker(0), "backend.internal", sessions, 7);
    Met met = Meet(*handshake, server, piece());
    EXPECT_EQ(met.step, Step::kDone) << handshake->detail();
    if (met.step != Step::kDone) return {};
    server.Step();
    EXPECT_TRUE(server.done());
    return {handshake->TakeResult(), handshake->TakeChannel(), std::move(met.behind)};
  }
  // Both ways; the server's tickets come with its first bytes.
  void Talk(Connected& connected, OpensslPeer& server) {
    Channel& channel = *connected.channel;
    server.Receive(SealAll(channel, "ping"));
    EXPECT_EQ(server.Read(), "ping");
    server.Write("pong");
    std::string waiting = connected.behind;
    std::string plain;
    for (const char byte : server.TakeSent()) {
      waiting += byte;
      const OpenedBytes opened = OpenInPlace(channel, waiting);
      EXPECT_EQ(opened.incoming, Incoming::kOpen);
      plain += opened.plain;
      waiting = opened.rest;
    }
    EXPECT_EQ(plain, "pong");
    const std::string big(50'000, 'x');
    server.Write(big);
    EXPECT_TRUE(OpenInPlace(channel, server.TakeSent()).plain == big);
    const std::vector<iovec> parts = {
        {const_cast<char*>(big.data()), 3}, {nullptr, 0}, {const_cast<char*>(big.data()), 10'000}};
    std::vector<char> sealed(channel.SealedSize(9'999));
    const size_t bytes = channel.Seal(parts, 1, 9'999, sealed.data());
    ASSERT_GT(bytes, 9'999u);
    ASSERT_LE(bytes, sealed.size());
    server.Receive({sealed.data(), bytes});
    EXPECT_EQ(server.Read().size(), 9'999u);
  }

  TestAuthority authority_;
  UniqueSslContext server_context_;
  std::shared_ptr<const ClientSetup> setup_;
};

INSTANTIATE_TEST_SUITE_P(EachVersion, ClientHandshakeOf,
                         testing::Combine(testing::Values(TLS1_2_VERSION, TLS1_3_VERSION),
                                          testing::Values(size_t{1}, size_t{7}, SIZE_MAX)));

TEST_P(ClientHandshakeOf, ConnectsAndTalks) {
  OpensslPeer server(server_context_.get(), Side::kServer);
  Connected connected = Connect(server, nullptr);
  ASSERT_NE(connected.channel, nullptr);
  EXPECT_EQ(connected.result.version, tls13() ? Version::kTls13 : Version::kTls12);
  EXPECT_FALSE(connected.result.resumed);
  Talk(connected, server);
  connected.channel->Shrink();
  connected.behind.clear();
  Talk(connected, server);
  SSL_shutdown(server.ssl());
  EXPECT_EQ(OpenInPlace(*connected.channel, server.TakeSent() + "noise").incoming,
            Incoming::kClosed);
  connected.channel->Close();
  EXPECT_EQ(connected.channel->Seal({}, 0, 1, nullptr), 0u);
  server.Receive(TakeAll(*connected.channel));
  server.Read();
  EXPECT_TRUE(server.closed());
}

TEST_P(ClientHandshakeOf, ResumesTheLatestSession) {
  const std::unique_ptr<SessionStore> sessions = SessionStore::Make();
  for (int connection = 0; connection < 4; ++connection) {
    OpensslPeer server(server_context_.get(), Side::kServer);
    Connected connected = Connect(server, sessions.get());
    ASSERT_NE(connected.channel, nullptr);
    EXPECT_EQ(connected.result.resumed, connection > 0);
    Talk(connected, server);
    // It ends without a farewell, as connections of a pool do.
  }
}

TEST_P(ClientHandshakeOf, FollowsKeyUpdates) {
  if (!tls13()) return;
  OpensslPeer server(server_context_.get(), Side::kServer);
  Connected connected = Connect(server, nullptr);
  Talk(connected, server);
  connected.behind.clear();
  for (int update = 0; update < 3; ++update) {
    SSL_key_update(server.ssl(), SSL_KEY_UPDATE_REQUESTED);
    Talk(connected, server);
  }
}

TEST_P(ClientHandshakeOf, FailsOnAForgedRecord) {
  for (const bool in_header : {false, true}) {
    OpensslPeer server(server_context_.get(), Side::kServer);
    Connected connected = Connect(server, nullptr);
    Talk(connected, server);
    server.Write("secret");
    std::string record = server.TakeSent();
    if (in_header) {
      record[3] = '\x7f';
    } else {
      record.back() = static_cast<char>(record.back() ^ 1);
    }
    EXPECT_EQ(connected.channel->RecordSize(record) > kRecordHeader, !in_header);
    const OpenedBytes opened = OpenInPlace(*connected.channel, record);
    EXPECT_EQ(opened.plain, "");
    EXPECT_EQ(opened.incoming, Incoming::kFailed);
    EXPECT_GT(connected.channel->pending(), 0u);
    EXPECT_EQ(SealAll(*connected.channel, "x"), "");
    server.Receive(TakeAll(*connected.channel));
    server.Read();
    EXPECT_TRUE(server.failed());
  }
}

TEST_P(ClientHandshakeOf, OpensNoMoreThanHasRoom) {
  OpensslPeer server(server_context_.get(), Side::kServer);
  Connected connected = Connect(server, nullptr);
  Talk(connected, server);
  const std::string big(kRecordPlainMax, 'b');
  server.Write(big);
  server.Write(big);
  std::string sealed = server.TakeSent();
  for (int record = 0; record < 2; ++record) {
    const OpenedBytes none = OpenApart(*connected.channel, sealed, 10'000);
    EXPECT_EQ(none.plain, "");
    EXPECT_EQ(none.rest.size(), sealed.size());
    const OpenedBytes one = OpenApart(*connected.channel, sealed, kRecordPlainMax);
    EXPECT_TRUE(one.plain == big);
    sealed = one.rest;
  }
}

}  // namespace
}  // namespace rondo::tls
