// The lines of a head, or of trailers, that our own writers wrote: taken apart, in lower case, with
// what HTTP/2 says in other ways left out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rondo/http2/outgoing.h"

namespace rondo::http2 {

// Pseudo-headers stand in front of the fields, whose number is known last.
inline constexpr size_t kPseudoMax = 5;

struct OutgoingSection {
  bool is_request = false;  // given; of answers, Host and TE mean nothing
  std::string_view first_line = {};
  std::string_view host = {};  // empty: none
  std::string_view websocket_key = {};
  uint64_t content_length = 0;
  bool has_content_length = false;
  bool chunked = false;
  bool upgrade = false;  // to WebSocket, and Connection names it
};

// Reads the lines at the beginning of `text`, up to and with their blank line, and says how many
// bytes they are. Of heads, the fields go behind kPseudoMax empty ones; of trailers, they begin at
// once. `names` is for those that have to be put into lower case. False: they are none of ours, or
// not whole.
bool ReadHeadSection(std::string_view text, std::vector<OutgoingField>& fields, std::string& names,
                     OutgoingSection* section, size_t* size);
bool ReadTrailerSection(std::string_view text, std::vector<OutgoingField>& fields,
                        std::string& names, size_t* size);

}  // namespace rondo::http2
