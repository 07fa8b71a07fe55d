// How connections to backends begin: PROXY headers and TLS handshakes, and what becomes of requests
// where these fail.
#include "proxy/edge_world.h"
#include "rondo/proxyproto/header.h"

namespace rondo::proxy::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ToBackends : public ::testing::Test {
 protected:
  // Backends expect a header, and then TLS where that is set up.
  void ExpectHeaders() {
    edge.on_backend = [this](EdgePeer& backend) {
      auto answer = backend.on_bytes;
      backend.on_bytes = [this, answer](EdgePeer& of) {
        const proxyproto::Parsed parsed = proxyproto::ParseHeader(of.received);
        ASSERT_NE(parsed.state, proxyproto::Parse::kBad) << of.received;
        if (parsed.state == proxyproto::Parse::kNeedMore) return;
        headers.push_back(of.received.substr(0, parsed.size));
        parsed_headers.push_back(parsed.header);
        const std::string rest = of.received.substr(parsed.size);
        of.received.clear();
        if (edge.backend_tls != nullptr) {
          of.Shake(tls::MakeServerHandshake(edge.backend_tls->ForWorker(0)));
        }
        const auto after = answer;  // of the callback that is replaced now
        EdgePeer& peer = of;
        peer.on_bytes = after;
        if (!rest.empty()) peer.Feed(rest);
      };
    };
  }
  void SpeakTls(const tls::TestPair& pair, const std::string& ca) {
    edge.backend_tls = ServerWith(pair);
    edge.upstream_tls = ClientTrusting(ca);
    edge.upstream().tls = config::UpstreamTls{};
    edge.upstream().tls->sni = "backend.test";
  }
  void ExpectAnswer(EdgePeer& client, const std::string& start) {
    client.received.clear();
    client.Send(EdgeWorld::Get());
    ASSERT_TRUE(edge.RunUntil([&] {
      return client.received.starts_with(start) && client.received.size() > start.size() + 20;
    })) << client.received;
  }

  EdgeWorld edge;
  std::vector<std::string> headers;
  std::vector<proxyproto::Header> parsed_headers;
};

TEST_F(ToBackends, AreToldOfTheClientInEitherVersion) {
  for (const config::SendProxy send : {config::SendProxy::kV1, config::SendProxy::kV2}) {
    EdgeWorld own;
    std::string got;
    own.upstream().send_proxy = send;
    own.on_backend = [&got](EdgePeer& backend) {
      backend.on_bytes = [&got, answer = backend.on_bytes](EdgePeer& of) {
        const proxyproto::Parsed parsed = proxyproto::ParseHeader(of.received);
        if (got.empty() && parsed.state == proxyproto::Parse::kDone) {
          got = of.received.substr(0, parsed.size);
          EXPECT_EQ(parsed.header.source->ip, *IpAddress::Parse(EdgeWorld::kClient));
          EXPECT_NE(parsed.header.source->port, 0);
          EXPECT_EQ(parsed.header.destination->ip, Address(EdgeWorld::kListen).ip);
          EXPECT_EQ(parsed.header.destination->port, 443);
        }
        answer(of);
      };
    };
    own.Start();
    EdgePeer& client = own.Connect();
    client.Send(EdgeWorld::Get());
    ASSERT_TRUE(own.RunUntil([&] { return EdgeWorld::Answered(client); }));
    EXPECT_EQ(got.starts_with("PROXY TCP4 "), send == config::SendProxy::kV1);
    EXPECT_EQ(got.size() == 28, send == config::SendProxy::kV2);
  }
}

TEST_F(ToBackends, AConnectionServesTheClientItWasMadeForAlone) {
  edge.upstream().send_proxy = config::SendProxy::kV2;
  ExpectHeaders();
  edge.Start();
  EdgePeer& first = edge.Connect();
  EdgePeer& second = edge.Connect();
  for (int round = 0; round < 3; ++round) {
    ExpectAnswer(first, "HTTP/1.1 200");
    ExpectAnswer(second, "HTTP/1.1 200");
    edge.world.RunFor(milliseconds(20));
  }
  ASSERT_EQ(headers.size(), 2u);
  EXPECT_NE(headers[0], headers[1]);  // two ports of one address
}

TEST_F(ToBackends, AClientBehindProxiesHasAnAddressAndNoPort) {
  edge.TrustClients();
  edge.upstream().send_proxy = config::SendProxy::kV2;
  ExpectHeaders();
  edge.Start();
  EdgePeer& proxy = edge.Connect();
  for (const char* client : {"203.0.113.5", "203.0.113.6", "203.0.113.5"}) {
    proxy.received.clear();
    proxy.Send(std::string("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: ") + client + "\r\n\r\n");
    ASSERT_TRUE(edge.RunUntil([&] { return EdgeWorld::Answered(proxy); }));
    edge.world.RunFor(milliseconds(20));
  }
  ASSERT_EQ(parsed_headers.size(), 2u);  // the third found the connection of the first
  EXPECT_EQ(parsed_headers[0].source, (proxyproto::Endpoint{*IpAddress::Parse("203.0.113.5"), 0}));
  EXPECT_EQ(parsed_headers[1].source, (proxyproto::Endpoint{*IpAddress::Parse("203.0.113.6"), 0}));
}

TEST_F(ToBackends, WhatAHeaderSaidIsPassedOn) {
  edge.TrustClients();
  edge.listener().proxy_protocol = true;
  edge.upstream().send_proxy = config::SendProxy::kV1;
  ExpectHeaders();
  edge.Start();
  EdgePeer& client = edge.Connect();
  client.Send("PROXY TCP6 2001:db8::9 2001:db8::1 5555 8443\r\n" + EdgeWorld::Get());
  ASSERT_TRUE(edge.RunUntil([&] { return EdgeWorld::Answered(client); }));
  ASSERT_EQ(headers.size(), 1u);
  EXPECT_EQ(headers[0], "PROXY TCP6 2001:db8::9 2001:db8::1 5555 8443\r\n");
}

TEST_F(ToBackends, TlsIsSpokenAndSessionsGoOn) {
  const EdgeCertificates& certificates = EdgeCertificates::Get();
  SpeakTls(certificates.backend, certificates.authority.pem());
  edge.upstream().keepalive.idle = 0;  // a connection each
  edge.Start();
  EdgePeer& client = edge.Connect();
  for (int round = 0; round < 3; ++round) ExpectAnswer(client, "HTTP/1.1 200");
  ASSERT_EQ(edge.backends.size(), 3u);
  for (const auto& backend : edge.backends) EXPECT_TRUE(backend->secured());
  EXPECT_EQ(edge.backends[0]->result().server_name, "backend.test");
  EXPECT_FALSE(edge.backends[0]->result().resumed);
  EXPECT_TRUE(edge.backends[1]->result().resumed);
  EXPECT_TRUE(edge.backends[2]->result().resumed);
}

TEST_F(ToBackends, TlsConnectionsAreKeptAndUsedAgain) {
  const EdgeCertificates& certificates = EdgeCertificates::Get();
  SpeakTls(certificates.backend, certificates.authority.pem());
  edge.Start();
  EdgePeer& client = edge.Connect();
  EdgePeer& other = edge.Connect();
  for (int round = 0; round < 3; ++round) {
    ExpectAnswer(client, "HTTP/1.1 200");
    edge.world.RunFor(milliseconds(20));
    ExpectAnswer(other, "HTTP/1.1 200");
    edge.world.RunFor(milliseconds(20));
  }
  EXPECT_EQ(edge.backends.size(), 1u);
  // A backend that closes one says so, and the next request takes another.
  edge.backends[0]->Close();
  edge.world.RunFor(milliseconds(50));
  ExpectAnswer(client, "HTTP/1.1 200");
  EXPECT_EQ(edge.backends.size(), 2u);
}

TEST_F(ToBackends, AHeaderGoesInFrontOfTls) {
  const EdgeCertificates& certificates = EdgeCertificates::Get();
  SpeakTls(certificates.backend, certificates.authority.pem());
  edge.upstream().send_proxy = config::SendProxy::kV1;
  ExpectHeaders();
  edge.server_tls = ServerWith(certificates.server);
  edge.Start();
  EdgePeer& client = edge.ConnectSecure();
  ExpectAnswer(client, "HTTP/1.1 200");
  ASSERT_EQ(headers.size(), 1u);
  EXPECT_TRUE(headers[0].starts_with("PROXY TCP4 192.0.2.7 10.0.0.1 ")) << headers[0];
}

TEST_F(ToBackends, ACertificateThatIsNotTrustedIsNotSpokenTo) {
  const EdgeCertificates& certificates = EdgeCertificates::Get();
  SpeakTls(certificates.backend, certificates.other.pem());
  edge.Start();
  EdgePeer& client = edge.Connect();
  ExpectAnswer(client, "HTTP/1.1 502");
  EXPECT_NE(client.received.find("tls_failed"), std::string::npos) << client.received;
  edge.world.RunFor(seconds(1));
  EXPECT_NE(edge.log.text.find("\"reason\":\"tls_failed\",\"detail\":\""), std::string::npos)
      << edge.log.text;
  for (const auto& backend : edge.backends) EXPECT_EQ(backend->received, "");
  EXPECT_EQ(edge.snapshot->upstreams[0]->backends[0]->last_failure.load(),
            upstream::Outcome::kTlsFailed);
}

TEST_F(ToBackends, ACertificateForAnotherNameIsNotSpokenTo) {
  const EdgeCertificates& certificates = EdgeCertificates::Get();
  SpeakTls(certificates.server, certificates.authority.pem());
  edge.Start();
  EdgePeer& client = edge.Connect();
  ExpectAnswer(client, "HTTP/1.1 502");
  edge.world.RunFor(seconds(1));
  EXPECT_NE(edge.log.text.find("name_mismatch"), std::string::npos) << edge.log.text;
}

TEST_F(ToBackends, AnotherBackendTakesWhatOneCouldNotBeAsked) {
  const EdgeCertificates& certificates = EdgeCertificates::Get();
  SpeakTls(certificates.backend, certificates.authority.pem());
  config::Backend second;
  second.id = "10.0.1.2:80";
  second.address = Address(second.id);
  edge.upstream().backends.push_back(second);
  // The second one speaks no TLS at all.
  sim::SimAcceptor plain(edge.world, *edge.backend_engine, second.address, [&](int fd) {
    edge.backends.push_back(std::make_unique<EdgePeer>(edge.world, *edge.backend_engine));
    edge.backends.back()->on_bytes = [](EdgePeer& of) {
      of.peer.Send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    };
    edge.backends.back()->peer.Adopt(fd);
  });
  edge.Start();
  EdgePeer& client = edge.Connect();
  for (int round = 0; round < 4; ++round) {
    // Also what may not be done twice: nothing of it had left.
    client.received.clear();
    client.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    ASSERT_TRUE(edge.RunUntil([&] { return EdgeWorld::Answered(client); })) << client.received;
    EXPECT_TRUE(client.received.starts_with("HTTP/1.1 200")) << client.received;
  }
  EXPECT_GT(edge.snapshot->upstreams[0]->backends[1]->failure_run.load(), 0u);
  plain.Stop();
}

TEST_F(ToBackends, ABackendMayGoAwayAtAnyByteOfItsHandshake) {
  const EdgeCertificates& certificates = EdgeCertificates::Get();
  SpeakTls(certificates.backend, certificates.authority.pem());
  size_t cut = 0;
  size_t flight = 0;
  edge.on_backend = [&](EdgePeer& backend) {
    backend.on_bytes = [&](EdgePeer& of) {
      const auto handshake = tls::MakeServerHandshake(edge.backend_tls->ForWorker(0));
      size_t consumed = 0;
      if (handshake->Advance(of.received, &consumed) != tls::Handshake::Step::kNeedMore) return;
      const std::string answer(handshake->output());
      if (answer.empty()) return;
      flight = answer.size();
      of.peer.Send(answer.substr(0, cut));
      of.peer.CloseWhenSent();
    };
  };
  edge.Start();
  EdgePeer& client = edge.Connect();
  do {
    SCOPED_TRACE(cut);
    ExpectAnswer(client, "HTTP/1.1 502");
    EXPECT_NE(client.received.find("tls_failed"), std::string::npos) << client.received;
    cut += cut < 10 ? 1 : 97;
  } while (cut < flight);
}

TEST_F(ToBackends, TheHandshakeIsPartOfTheConnect) {
  const EdgeCertificates& certificates = EdgeCertificates::Get();
  SpeakTls(certificates.backend, certificates.authority.pem());
  edge.upstream().retries.attempts = 0;
  edge.on_backend = [](EdgePeer& backend) { backend.on_bytes = nullptr; };  // it says nothing
  edge.Start();
  EdgePeer& client = edge.Connect();
  const Instant began = edge.world.now();
  ExpectAnswer(client, "HTTP/1.1 504");
  EXPECT_NE(client.received.find("connect_timeout"), std::string::npos) << client.received;
  EXPECT_GE(edge.world.now() - began, edge.upstream().timeouts.connect);
  EXPECT_LE(edge.world.now() - began, edge.upstream().timeouts.connect + milliseconds(100));
  EXPECT_EQ(edge.snapshot->upstreams[0]->backends[0]->last_failure.load(),
            upstream::Outcome::kConnectTimeout);
}

TEST_F(ToBackends, AClientThatLeavesEndsTheHandshake) {
  const EdgeCertificates& certificates = EdgeCertificates::Get();
  SpeakTls(certificates.backend, certificates.authority.pem());
  edge.on_backend = [](EdgePeer& backend) { backend.on_bytes = nullptr; };
  edge.Start();
  EdgePeer& client = edge.Connect();
  client.Send(EdgeWorld::Get());
  ASSERT_TRUE(edge.RunUntil([&] { return !edge.backends.empty(); }));
  edge.world.RunFor(milliseconds(20));
  edge.worker->RequestDrain();
  edge.worker->RequestCancel();
  EXPECT_TRUE(edge.RunUntil([&] { return edge.worker->finished(); }, seconds(2)));
}

TEST_F(ToBackends, AnAnswerThatIsCutIsNotTakenForWhole) {
  const EdgeCertificates& certificates = EdgeCertificates::Get();
  SpeakTls(certificates.backend, certificates.authority.pem());
  // Its end is the end of the connection, but nobody says that this is the end: somebody in between
  // may have cut it.
  bool says_end = false;
  edge.on_backend = [&](EdgePeer& backend) {
    backend.Shake(tls::MakeServerHandshake(edge.backend_tls->ForWorker(0)));
    backend.on_bytes = [&](EdgePeer& of) {
      of.Send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nsome of it, END");
      if (says_end) {
        of.EndSecure();
      } else {
        of.peer.CloseWhenSent();
      }
    };
  };
  edge.Start();
  for (const bool whole : {false, true}) {
    says_end = whole;
    EdgePeer& client = edge.Connect();
    client.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    // To HTTP/1.1 clients it goes out in chunks: only a whole one has its last.
    ASSERT_TRUE(edge.RunUntil(
        [&] { return client.ended() || client.received.ends_with("0\r\n\r\n"); }));
    EXPECT_EQ(client.received.ends_with("0\r\n\r\n"), whole) << client.received;
  }
}

}  // namespace
}  // namespace rondo::proxy::testing
