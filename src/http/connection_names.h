// Which fields Connection makes hop-by-hop (RFC 9110 §7.6.1).
#pragma once

#include <string_view>
#include <vector>

#include "rondo/http/field.h"

namespace rondo::http {

// Asked only where a head's connection_names_fields says that Connection names anything unusual.
inline bool IsNamedByConnection(const std::vector<Field>& fields, std::string_view name) {
  for (const Field& field : fields) {
    if (field.id != FieldId::kConnection) continue;
    std::string_view rest = field.value;
    std::string_view member;
    while (NextListMember(&rest, &member)) {
      if (EqualsIgnoreCase(member, name)) return true;
    }
  }
  return false;
}

}  // namespace rondo::http
