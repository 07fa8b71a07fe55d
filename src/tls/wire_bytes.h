// What an SSL object takes for its transport: bytes in memory, in and out. Private to tls/.
#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace rondo::tls {

struct WireBytes {
  std::string_view received;  // what may be read; what is read goes from its front
  std::string sent;           // what was written
  // Where set, what is written goes there instead, as long as there is room.
  char* direct = nullptr;
  size_t direct_room = 0;
};

// Gives `ssl` these bytes for its transport. They outlive it. False: out of memory.
[[nodiscard]] bool Attach(SSL* ssl, WireBytes& wire);

}  // namespace rondo::tls
