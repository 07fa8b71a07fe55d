// What a route changes in the fields of a head: compiled once for each snapshot, then read by any
// thread. Pure; nothing here allocates after construction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rondo/http/field.h"

namespace rondo::http {

// As configured. A name in `set` replaces all fields of that name, whether they were received or
// are written by us (X-Forwarded-Proto, say); a name in `remove` only takes them away. A name that
// stands in both is set.
struct HeaderEdits {
  std::vector<std::pair<std::string, std::string>> set;
  std::vector<std::string> remove;

  bool empty() const { return set.empty() && remove.empty(); }
  friend bool operator==(const HeaderEdits&, const HeaderEdits&) = default;
};

// Whether a route may set or remove a field of that name: a token (RFC 9110 §5.6.2) that is not
// Host and says nothing of framing, the connection or the next message on it (Content-Length,
// Transfer-Encoding, Trailer, TE, Connection, Keep-Alive, Proxy-Connection, Upgrade,
// HTTP2-Settings, Expect, Max-Forwards), nor of authentication to a proxy (Proxy-Authenticate,
// Proxy-Authorization, Proxy-Authentication-Info).
bool IsEditableName(std::string_view name);
// Whether it may be set to that value: no control characters but a tab between other characters, no
// white space at the ends. May be empty.
bool IsEditableValue(std::string_view value);

class CompiledEdits {
 public:
  CompiledEdits() = default;
  // REQUIRES: IsEditableName and IsEditableValue of all there is: config/ refuses the rest.
  explicit CompiledEdits(const HeaderEdits& edits);

  // Whether fields of that name are taken away. O(1): for names without an id a length, then one
  // hash of the name decide. `id` is FieldIdOf(name).
  bool Drops(FieldId id, std::string_view name) const {
    if (id != FieldId::kOther) return known_.Has(id);
    return HasLength(name.size()) && DropsOther(name);
  }
  // The same for a name that has an id.
  bool Drops(FieldId id) const { return known_.Has(id); }

  // "Name: value\r\n" for each of `set`, in order.
  std::string_view lines() const { return lines_; }
  // Nothing is taken away or set: pass nullptr instead.
  bool empty() const { return lines_.empty() && known_.empty() && others_.empty(); }

 private:
  static constexpr size_t kLengthMax = 63;  // longer ones share a bit
  struct Other {
    uint64_t hash;
    std::string name;
  };

  bool HasLength(size_t size) const {
    return (lengths_ >> (size < kLengthMax ? size : kLengthMax) & 1) != 0;
  }
  bool DropsOther(std::string_view name) const;
  void Drop(std::string_view name);
  void BuildTable();

  std::string lines_;
  FieldSet known_;
  uint64_t lengths_ = 0;
  std::vector<Other> others_;
  // Open addressing, a power of two of at least twice others_.size() places: an index + 1, or 0.
  std::vector<uint32_t> table_;
};

}  // namespace rondo::http
