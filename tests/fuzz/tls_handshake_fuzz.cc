// Received bytes at a server's handshake: any bytes, and a client's real first flight with some of
// it changed. It never ends well by accident, needs no more than is there, and splits do not
// matter.
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "fuzz/fuzz_check.h"
#include "rondo/tls/handshake.h"
#include "rondo/tls/server_setup.h"
#include "tls/test_certificates.h"

namespace {

using namespace rondo::tls;

const ServerSetup& Setup() {
  static const std::shared_ptr<const ServerSetup> setup = [] {
    const TestPair pair = TestAuthority().Issue("example.com");
    ServerSettings settings;
    settings.certificates.push_back({*KeyPair::Parse(pair.cert, pair.key), ""});
    settings.alpn = {"http/1.1"};
    return *ServerSetup::Make(settings, 1, std::make_shared<TicketKeys>());
  }();
  return *setup;
}

// Once for the process: what is fuzzed is what is changed in it.
const std::string& ClientHello() {
  static const std::string hello = [] {
    SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
    SSL* const ssl = SSL_new(context);
    BIO* const sent = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), sent);
    SSL_set_tlsext_host_name(ssl, "example.com");
    SSL_set_connect_state(ssl);
    SSL_do_handshake(ssl);
    std::string bytes(BIO_ctrl_pending(sent), '\0');
    BIO_read(sent, bytes.data(), static_cast<int>(bytes.size()));
    SSL_free(ssl);
    SSL_CTX_free(context);
    return bytes;
  }();
  return hello;
}

struct Outcome {
  Handshake::Step step = Handshake::Step::kNeedMore;
  std::string reason;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome Receive(std::string_view bytes, size_t piece) {
  const std::unique_ptr<Handshake> handshake = MakeServerHandshake(Setup().ForWorker(0));
  Outcome outcome;
  while (!bytes.empty() && outcome.step == Handshake::Step::kNeedMore) {
    const std::string_view some = bytes.substr(0, piece);
    size_t consumed = 0;
    outcome.step = handshake->Advance(some, &consumed);
    FUZZ_CHECK(consumed <= some.size());
    FUZZ_CHECK(outcome.step != Handshake::Step::kNeedMore || consumed == some.size());
    FUZZ_CHECK(handshake->output().size() < 16 * 1024);
    handshake->OutputTaken();
    bytes.remove_prefix(consumed);
  }
  // Nobody here has the keys that a Finished is made with.
  FUZZ_CHECK(outcome.step != Handshake::Step::kDone);
  outcome.reason = handshake->reason();
  FUZZ_CHECK(outcome.reason.empty() == (outcome.step == Handshake::Step::kNeedMore));
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 2, size - 2);
  const size_t piece = 1 + data[0] % 96;
  FUZZ_CHECK(Receive(input, piece) == Receive(input, SIZE_MAX));
  // Changed places: an offset of two bytes, and what is put there; then bytes behind it.
  std::string hello = ClientHello();
  size_t at = 0;
  for (int change = 0; change < data[1] % 8 && at + 3 <= input.size(); ++change, at += 3) {
    const size_t place = (static_cast<size_t>(static_cast<uint8_t>(input[at])) << 8 |
                          static_cast<uint8_t>(input[at + 1])) %
                         hello.size();
    hello[place] = input[at + 2];
  }
  hello += input.substr(at);
  FUZZ_CHECK(Receive(hello, piece) == Receive(hello, SIZE_MAX));
  return 0;
}
