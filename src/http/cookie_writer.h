// A Cookie field without one of its cookies.
#pragma once

#include <string_view>

#include "head_writer.h"
#include "rondo/http/field.h"

namespace rondo::http {

// Writes `field`, a Cookie field, without the pairs named `name`: nothing where no other is left.
// The others stay as they came, but for empty pieces and white space at the ends. Never writes more
// than the field as it is.
void WriteCookieWithout(std::string_view name, const Field& field, HeadWriter& writer);

}  // namespace rondo::http
