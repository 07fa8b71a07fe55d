// The names that certificates are for and that clients ask for. Private to tls/.
#pragma once

#include <openssl/x509.h>

#include <string>
#include <string_view>
#include <vector>

namespace rondo::tls {

// What a certificate is for, in its order and without doubles: DNS names in lower case, addresses
// as text; the common name only where there are no alternative names. Names that no host can have
// are left out.
std::vector<std::string> NamesOf(X509* certificate);

// `name` in lower case and without a dot at its end; empty where no host has such a name.
std::string HostName(std::string_view name);
bool IsAddress(std::string_view name);

}  // namespace rondo::tls
