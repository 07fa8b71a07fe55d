// What TLS costs a connection: a record sealed and opened, beside SSL_write and SSL_read on the
// same bytes; a handshake, beside OpenSSL alone; and the memory that an idle connection keeps.
#include <benchmark/benchmark.h>
#include <malloc.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rondo/tls/handshake.h"
#include "rondo/tls/server_setup.h"
#include "tls/contexts.h"
#include "tls/record_channel.h"

namespace {

using namespace rondo::tls;

// This thread's own time: other programs do not count.
struct Clock {
  using duration = std::chrono::nanoseconds;
  static duration now() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + duration(time.tv_nsec);
  }
};

std::string TextOf(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<size_t>(size));
  BIO_free(bio);
  return text;
}

// A certificate for itself, on P-256.
std::shared_ptr<const KeyPair> MakePair() {
  EVP_PKEY* const key = EVP_EC_gen("P-256");
  X509* const leaf = X509_new();
  X509_set_version(leaf, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(leaf), 1);
  X509_gmtime_adj(X509_getm_notBefore(leaf), -3600);
  X509_gmtime_adj(X509_getm_notAfter(leaf), 24 * 3600);
  X509_set_pubkey(leaf, key);
  X509_NAME* const name = X509_get_subject_name(leaf);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(leaf, name);
  X509_sign(leaf, key, EVP_sha256());
  BIO* const cert_text = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(cert_text, leaf);
  BIO* const key_text = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(key_text, key, nullptr, nullptr, 0, nullptr, nullptr);
  X509_free(leaf);
  EVP_PKEY_free(key);
  auto pair = KeyPair::Parse(TextOf(cert_text), TextOf(key_text));
  return pair.ok() ? *pair : nullptr;
}

const ServerSetup& Setup() {
  static const std::shared_ptr<const ServerSetup> setup = [] {
    ServerSettings settings;
    settings.certificates.push_back({MakePair(), ""});
    return *ServerSetup::Make(settings, 1, std::make_shared<TicketKeys>());
  }();
  return *setup;
}

const UniqueSslContext& ClientContext(int version) {
  static const UniqueSslContext contexts[2] = {UniqueSslContext(SSL_CTX_new(TLS_client_method())),
                                               UniqueSslContext(SSL_CTX_new(TLS_client_method()))};
  const UniqueSslContext& context = contexts[version == TLS1_3_VERSION ? 1 : 0];
  SSL_CTX_set_max_proto_version(context.get(), version);
  return context;
}

void Move(BIO* from, BIO* to) {
  char buffer[32768];
  while (BIO_ctrl_pending(from) > 0) {
    const int bytes = BIO_read(from, buffer, sizeof buffer);
    BIO_write(to, buffer, bytes);
  }
}

UniqueSsl NewClient(int version, SSL_SESSION* session = nullptr) {
  UniqueSsl client(SSL_new(ClientContext(version).get()));
  SSL_set_bio(client.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  BIO_set_mem_eof_return(SSL_get_rbio(client.get()), -1);
  SSL_set_connect_state(client.get());
  if (session != nullptr) SSL_set_session(client.get(), session);
  return client;
}

// The server's side by OpenSSL alone, over memory BIOs.
struct OpensslServer {
  OpensslServer() : ssl(Openssl(Setup().ForWorker(0)).NewSsl()) {
    SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    BIO_set_mem_eof_return(SSL_get_rbio(ssl.get()), -1);
  }
  // True: done.
  bool Advance(SSL* client) {
    Move(SSL_get_wbio(client), SSL_get_rbio(ssl.get()));
    const auto begin = Clock::now();
    const bool done = SSL_do_handshake(ssl.get()) == 1;
    spent += Clock::now() - begin;
    Move(SSL_get_wbio(ssl.get()), SSL_get_rbio(client));
    return done;
  }

  UniqueSsl ssl;
  Clock::duration spent{};
};

struct OurServer {
  bool Advance(SSL* client) {
    char bytes[32768];
    const int size = BIO_read(SSL_get_wbio(client), bytes, sizeof bytes);
    size_t consumed = 0;
    const auto begin = Clock::now();
    const bool done = handshake->Advance({bytes, static_cast<size_t>(size < 0 ? 0 : size)},
                                         &consumed) == Handshake::Step::kDone;
    if (done) channel = handshake->TakeChannel();
    spent += Clock::now() - begin;
    const std::string_view output = handshake->output();
    if (!output.empty()) {
      BIO_write(SSL_get_rbio(client), output.data(), static_cast<int>(output.size()));
    }
    handshake->OutputTaken();
    return done;
  }

  std::unique_ptr<Handshake> handshake = MakeServerHandshake(Setup().ForWorker(0));
  std::unique_ptr<Channel> channel;
  Clock::duration spent{};
};

template <class Server>
void Meet(Server& server, SSL* client) {
  for (bool done = false; !done;) {
    SSL_do_handshake(client);
    done = server.Advance(client);
  }
  SSL_do_handshake(client);
  char byte;
  SSL_read(client, &byte, 1);  // tickets
}

// -- records --

Suite SuiteOf(int64_t number) {
  switch (number) {
    case 0:
      return {Version::kTls13, Aead::kAes128Gcm, Hash::kSha256};
    case 1:
      return {Version::kTls13, Aead::kAes256Gcm, Hash::kSha384};
    case 2:
      return {Version::kTls13, Aead::kChaCha20Poly1305, Hash::kSha256};
    default:
      return {Version::kTls12, Aead::kAes128Gcm, Hash::kSha256};
  }
}

// One record there and opened in place, as the engine does.
void BM_RecordChannel(benchmark::State& state) {
  const auto size = static_cast<size_t>(state.range(0));
  const Suite suite = SuiteOf(state.range(1));
  TrafficKeys keys;
  keys.key.fill(7);
  RecordChannel sender({.suite = suite}, keys, keys);
  RecordChannel receiver({.suite = suite}, keys, keys);
  std::string plain(size, 'x');
  std::vector<char> wire(kRecordMax);
  const iovec part{plain.data(), plain.size()};
  for (auto _ : state) {
    const size_t sealed = sender.Seal({&part, 1}, 0, size, wire.data());
    const std::span<char> record(wire.data(), sealed);
    const Channel::Opened opened = receiver.Open(record, record);
    if (opened.produced != size) state.SkipWithError("not opened");
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * size));
}
BENCHMARK(BM_RecordChannel)->ArgsProduct({{128, 1024, 16384}, {0, 1, 2, 3}});

// Keys are made again for each record: what an idle connection costs when it wakes up.
void BM_RecordChannelAfterShrink(benchmark::State& state) {
  const Suite suite = SuiteOf(state.range(0));
  TrafficKeys keys;
  RecordChannel sender({.suite = suite}, keys, keys);
  RecordChannel receiver({.suite = suite}, keys, keys);
  std::string plain(128, 'x');
  std::vector<char> wire(kRecordMax);
  const iovec part{plain.data(), plain.size()};
  for (auto _ : state) {
    const size_t sealed = sender.Seal({&part, 1}, 0, plain.size(), wire.data());
    const std::span<char> record(wire.data(), sealed);
    benchmark::DoNotOptimize(receiver.Open(record, record));
    sender.Shrink();
    receiver.Shrink();
  }
}
BENCHMARK(BM_RecordChannelAfterShrink)->Arg(0)->Arg(2);

// The same by SSL_write and SSL_read, over memory BIOs. An iteration is 16 of each.
void BM_OpensslReadWrite(benchmark::State& state) {
  const auto size = static_cast<size_t>(state.range(0));
  const int version = state.range(1) == 3 ? TLS1_2_VERSION : TLS1_3_VERSION;
  const UniqueSsl client = NewClient(version);
  OpensslServer server;
  Meet(server, client.get());
  std::string plain(size, 'x');
  std::vector<char> out(kRecordMax);
  constexpr int kBatch = 16;
  for (auto _ : state) {
    Clock::duration spent = -Clock::now();
    for (int i = 0; i < kBatch; ++i) {
      SSL_write(server.ssl.get(), plain.data(), static_cast<int>(size));
    }
    spent += Clock::now();
    Move(SSL_get_wbio(server.ssl.get()), SSL_get_rbio(client.get()));
    for (int i = 0; i < kBatch; ++i) {
      SSL_read(client.get(), out.data(), static_cast<int>(out.size()));
      SSL_write(client.get(), plain.data(), static_cast<int>(size));
    }
    Move(SSL_get_wbio(client.get()), SSL_get_rbio(server.ssl.get()));
    spent -= Clock::now();
    int read = 0;
    for (int i = 0; i < kBatch; ++i) {
      read += SSL_read(server.ssl.get(), out.data(), static_cast<int>(out.size()));
    }
    spent += Clock::now();
    if (read != kBatch * static_cast<int>(size)) state.SkipWithError("not opened");
    state.SetIterationTime(std::chrono::duration<double>(spent).count());
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kBatch));
}
BENCHMARK(BM_OpensslReadWrite)->ArgsProduct({{128, 1024, 16384}, {0, 3}})->UseManualTime();

// -- handshakes: the server's share alone --

template <class Server>
void BM_Handshake(benchmark::State& state) {
  const int version = state.range(0) == 12 ? TLS1_2_VERSION : TLS1_3_VERSION;
  const bool resumed = state.range(1) == 1;
  SSL_SESSION* session = nullptr;
  for (auto _ : state) {
    const UniqueSsl client = NewClient(version, session);
    const auto begin = Clock::now();
    auto server = std::make_unique<Server>();
    const auto made = Clock::now();
    Meet(*server, client.get());
    Clock::duration spent = server->spent + (made - begin);
    if (session != nullptr && SSL_session_reused(client.get()) != 1) {
      state.SkipWithError("not resumed");
    }
    if (resumed) {
      SSL_SESSION_free(session);
      session = SSL_get1_session(client.get());
    }
    const auto free_begin = Clock::now();
    server = nullptr;
    spent += Clock::now() - free_begin;
    state.SetIterationTime(std::chrono::duration<double>(spent).count());
    SSL_set_shutdown(client.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  }
  SSL_SESSION_free(session);
}
BENCHMARK(BM_Handshake<OurServer>)->ArgsProduct({{12, 13}, {0, 1}})->UseManualTime();
BENCHMARK(BM_Handshake<OpensslServer>)->ArgsProduct({{12, 13}, {0, 1}})->UseManualTime();

// -- memory --

template <class Connection>
void MeasureIdle(benchmark::State& state, Connection (*make)(int version), int version) {
  constexpr size_t kConnections = 1000;
  std::vector<Connection> connections;
  connections.reserve(kConnections);
  connections.push_back(make(version));
  for (auto _ : state) {
    const size_t before = mallinfo2().uordblks;
    while (connections.size() < kConnections) connections.push_back(make(version));
    state.counters["bytes_each"] =
        static_cast<double>(mallinfo2().uordblks - before) / (kConnections - 1);
  }
}

std::unique_ptr<Channel> MakeTalking(int version) {
  const UniqueSsl client = NewClient(version);
  OurServer server;
  Meet(server, client.get());
  char wire[1024];
  SSL_write(client.get(), "hello", 5);
  const int bytes = BIO_read(SSL_get_wbio(client.get()), wire, sizeof wire);
  const std::span<char> record(wire, static_cast<size_t>(bytes));
  server.channel->Open(record, record);
  char text[] = "hello";
  const iovec part{text, 5};
  server.channel->Seal({&part, 1}, 0, 5, wire);
  return std::move(server.channel);
}

std::unique_ptr<Channel> MakeIdle(int version) {
  std::unique_ptr<Channel> channel = MakeTalking(version);
  channel->Shrink();
  return channel;
}

UniqueSsl MakeOpensslIdle(int version) {
  const UniqueSsl client = NewClient(version);
  OpensslServer server;
  Meet(server, client.get());
  SSL_free_buffers(server.ssl.get());
  SSL_set_bio(server.ssl.get(), nullptr, nullptr);
  return std::move(server.ssl);
}

void BM_MemoryOfARecordChannelInUse(benchmark::State& state) {
  MeasureIdle(state, MakeTalking, static_cast<int>(state.range(0)));
}
void BM_MemoryOfAnIdleRecordChannel(benchmark::State& state) {
  MeasureIdle(state, MakeIdle, static_cast<int>(state.range(0)));
}
void BM_MemoryOfAnIdleSslObject(benchmark::State& state) {
  MeasureIdle(state, MakeOpensslIdle, static_cast<int>(state.range(0)));
}
BENCHMARK(BM_MemoryOfARecordChannelInUse)->Arg(TLS1_2_VERSION)->Arg(TLS1_3_VERSION)->Iterations(1);
BENCHMARK(BM_MemoryOfAnIdleRecordChannel)->Arg(TLS1_2_VERSION)->Arg(TLS1_3_VERSION)->Iterations(1);
BENCHMARK(BM_MemoryOfAnIdleSslObject)->Arg(TLS1_2_VERSION)->Arg(TLS1_3_VERSION)->Iterations(1);

}  // namespace

BENCHMARK_MAIN();
