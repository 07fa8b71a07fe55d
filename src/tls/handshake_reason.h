// Why a handshake failed, in words of ours. Private to tls/.
#pragma once

#include <openssl/ssl.h>

#include <string>

namespace rondo::tls {

// Of what this thread's last call on `ssl` left in OpenSSL's queue of errors, which is empty
// afterwards. `first_byte`: of all that the peer sent; -1: nothing. The word is static.
const char* TakeReason(const SSL* ssl, int first_byte, std::string* detail);

}  // namespace rondo::tls
