// The header section of a head: llhttp takes it apart, and what llhttp lets through that a proxy
// must not is checked here, for requests and responses alike, each with its reason.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "rondo/http/message.h"

namespace rondo::http {

// What Connection, Content-Length, Transfer-Encoding and Upgrade say, gathered over all fields.
struct FramingFields {
  int content_lengths = 0;
  int transfer_encodings = 0;
  int upgrades = 0;
  int hosts = 0;
  bool chunked = false;  // every Transfer-Encoding is exactly "chunked"
  uint64_t content_length = 0;
  bool close = false;
  bool keep_alive = false;
  bool connection_upgrade = false;
  bool connection_te = false;
  bool connection_names_fields = false;
  bool te_trailers = false;
  std::string_view host;
  std::string_view upgrade;
  std::string_view expect;
  std::string_view keep_alive_value;
};

// Splits `section`, which ScanHead() has found to be `lines` lines that end in CRLF and an empty
// one, into `fields`, their names into `known`, and what they say about framing into `framing`.
// Refuses what cannot be read, and framing that could be read in two ways (RFC 9112 §6.1, §6.3):
// Content-Length with Transfer-Encoding, several of either, a length that is not a plain decimal
// number below 2^63, a coding that is not just "chunked", chunked in HTTP/1.0.
Refusal ParseHeaderSection(std::string_view section, size_t lines, int minor_version,
                           std::vector<Field>& fields, FieldSet& known, FramingFields* framing);

// The same for a section whose lines are known to be "name: value", each name a token and each
// value without control characters and without white space at its ends. `*size`: what it took of
// `bytes`; 0 where its end is not here yet.
Refusal SplitOwnSection(std::string_view bytes, int minor_version, std::vector<Field>& fields,
                        FieldSet& known, FramingFields* framing, size_t* size);

}  // namespace rondo::http
