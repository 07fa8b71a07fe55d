// Which certificates answer a name. Pure; immutable after making; any thread. Private to tls/.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "rondo/tls/certificate.h"

namespace rondo::tls {

// At most one certificate of each kind: the client's algorithms pick among them.
struct CertificateSet {
  static constexpr size_t kKinds = 3;
  static constexpr uint32_t kNone = UINT32_MAX;
  std::array<uint32_t, kKinds> of{kNone, kNone, kNone};  // by KeyPair::Kind: index of a certificate

  friend bool operator==(const CertificateSet&, const CertificateSet&) = default;
};

class SniTable {
 public:
  // REQUIRES: not empty. Where two certificates of one kind have a name, the first has it.
  explicit SniTable(const std::vector<const KeyPair*>& certificates);

  // What answers `name` (any case, with or without a dot at its end): the certificates that have
  // it, else those with a star for its first label, else the default ones: the first certificate,
  // and of every other kind the first that has all names of it. Empty: the default ones.
  const CertificateSet& Find(std::string_view name) const;
  const CertificateSet& default_set() const { return default_; }

 private:
  using Sets = absl::flat_hash_map<std::string, CertificateSet>;
  CertificateSet default_;
  Sets exact_;
  Sets wildcard_;  // by what stands behind "*."
};

}  // namespace rondo::tls
