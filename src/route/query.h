// The parameters of a query, in the form that forms and nearly all servers give them
// (application/x-www-form-urlencoded): "a=1&b=two+words&c=%C3%A4".
#pragma once

#include <string>
#include <string_view>

namespace rondo::route {

// One "name=value", both still escaped; the value is empty where there is no '='.
struct RawParameter {
  std::string_view name;
  std::string_view value;
};

// Takes the next pair off `rest`, passing over empty ones ("&&"). False at the end.
bool NextParameter(std::string_view* rest, RawParameter* parameter);

// Whether `raw` decodes to something else than itself.
bool NeedsDecoding(std::string_view raw);

// Appends `raw` with %XX decoded and '+' as a space; a '%' without two hex digits stays as it is.
// Appends at most raw.size() bytes.
void AppendDecoded(std::string_view raw, std::string& out);

// Whether `raw` decodes to exactly `text`. No allocation.
bool DecodesTo(std::string_view raw, std::string_view text);

}  // namespace rondo::route
