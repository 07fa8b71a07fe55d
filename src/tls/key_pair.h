// A certificate chain and its key as every context of ours takes them: DER, so that each worker
// makes objects of its own. Private to tls/.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "rondo/tls/certificate.h"
#include "tls/pem.h"

namespace rondo::tls {

class ParsedPair final : public KeyPair {
 public:
  ~ParsedPair() override;

  Kind kind() const override { return kind_; }
  const std::vector<std::string>& names() const override { return names_; }
  const std::string& subject() const override { return subject_; }
  const std::string& fingerprint() const override { return fingerprint_; }
  int64_t not_before() const override { return not_before_; }
  int64_t not_after() const override { return not_after_; }
  absl::StatusOr<int64_t> CheckOcsp(std::string_view der) const override;

  // The leaf first; a self-signed authority at the end is left out: whoever trusts it has it.
  const std::vector<std::string>& chain() const { return chain_; }
  // Objects of a library context's own. null: out of memory.
  UniqueX509 MakeLeaf(OSSL_LIB_CTX* library) const {
    return CertificateFromDer(chain_.front(), library);
  }
  UniqueKey MakeKey(OSSL_LIB_CTX* library) const;

 private:
  friend class KeyPair;
  absl::Status TakeChain(std::string_view pem);
  absl::Status TakeKey(std::string_view pem);
  absl::Status Describe(X509* leaf);

  std::vector<std::string> chain_;
  std::string issuer_;  // the leaf's, also where it is not sent; empty: the file does not have it
  std::string key_;
  Kind kind_ = Kind::kEcdsa;
  std::vector<std::string> names_;
  std::string subject_;
  std::string fingerprint_;
  int64_t not_before_ = 0;
  int64_t not_after_ = 0;
};

// Behind KeyPair: it is always one of these.
inline const ParsedPair& Parsed(const KeyPair& pair) {
  return static_cast<const ParsedPair&>(pair);
}

}  // namespace rondo::tls
