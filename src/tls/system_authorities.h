// The authorities that the system trusts, one store of them for each worker, shared by all
// upstreams that use them: they are many. Private to tls/.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tls/authorities.h"

namespace rondo::tls {

class SystemAuthorities {
 public:
  // Reads the system's file anew, and gives what is already there where that did not change. Stores
  // for `workers` at least. Any thread.
  static absl::StatusOr<std::shared_ptr<const SystemAuthorities>> Get(size_t workers);

  X509_STORE* ForWorker(size_t worker) const { return stores_[worker].get(); }

 private:
  std::string text_;
  std::vector<UniqueStore> stores_;
};

}  // namespace rondo::tls
