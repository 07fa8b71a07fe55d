#include "tls/wire_bytes.h"

#include <openssl/bio.h>

#include <algorithm>
#include <climits>
#include <cstring>

namespace rondo::tls {
namespace {

WireBytes& WireOf(BIO* bio) { return *static_cast<WireBytes*>(BIO_get_data(bio)); }

int Read(BIO* bio, char* out, int room) {
  BIO_clear_retry_flags(bio);
  WireBytes& wire = WireOf(bio);
  if (room <= 0) return 0;
  if (wire.received.empty()) {
    BIO_set_retry_read(bio);  // the end of the stream is the caller's to know, not OpenSSL's
    return -1;
  }
  const size_t bytes = std::min(static_cast<size_t>(room), wire.received.size());
  std::memcpy(out, wire.received.data(), bytes);
  wire.received.remove_prefix(bytes);
  return static_cast<int>(bytes);
}

int Write(BIO* bio, const char* from, int length) {
  BIO_clear_retry_flags(bio);
  if (length <= 0) return 0;
  WireBytes& wire = WireOf(bio);
  const auto bytes = static_cast<size_t>(length);
  if (wire.direct != nullptr && bytes <= wire.direct_room) {
    std::memcpy(wire.direct, from, bytes);
    wire.direct += bytes;
    wire.direct_room -= bytes;
  } else {
    wire.direct_room = 0;  // nothing may overtake
    wire.sent.append(from, bytes);
  }
  return length;
}

long Control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

int Create(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}

BIO_METHOD* MakeMethod() {
  BIO_METHOD* const method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wire bytes");
  if (method == nullptr) return nullptr;
  BIO_meth_set_read(method, Read);
  BIO_meth_set_write(method, Write);
  BIO_meth_set_ctrl(method, Control);
  BIO_meth_set_create(method, Create);
  return method;
}

}  // namespace

bool Attach(SSL* ssl, WireBytes& wire) {
  static const BIO_METHOD* const method = MakeMethod();
  BIO* const bio = method == nullptr ? nullptr : BIO_new(method);
  if (bio == nullptr) return false;
  BIO_set_data(bio, &wire);
  SSL_set_bio(ssl, bio, bio);
  return true;
}

}  // namespace rondo::tls
