#include "field_checks.h"
#include "rondo/http2/incoming.h"

namespace rondo::http2 {

void TrailerBuilder::Begin(const SessionOptions& options) {
  text_.Begin(options.header_bytes);
  refused_ = nullptr;
  dropped_bytes_ = 0;
  bytes_max_ = options.header_bytes;
  lines_max_ = options.header_count;
  lines_ = 0;
  role_ = options.role;
}

void TrailerBuilder::Add(std::string_view name, std::string_view value) {
  if (refused_ != nullptr) return;
  const auto refuse = [this](const char* reason) { refused_ = reason; };
  if (name.starts_with(':')) return refuse("pseudo_header");
  const http::FieldId id = http::FieldIdOf(name);
  if (!IsFieldName(name, id)) return refuse("header_name");
  if (!IsFieldValue(value)) return refuse("header_value");
  if (IsConnectionField(id)) return refuse("connection_header");
  if (++lines_ > lines_max_) return refuse("too_many_trailers");
  if (http::MayBeTrailer(id)) {
    text_.Line(name, value);
  } else {
    dropped_bytes_ += name.size() + value.size() + 4;
  }
  // With the blank line that ends them.
  if (text_.overflowed() || text_.size() + dropped_bytes_ + 2 > bytes_max_) {
    refuse("trailers_too_large");
  }
}

std::string_view TrailerBuilder::Finish(http::Refusal* refusal) {
  *refusal = {};
  if (refused_ == nullptr) return text_.view();
  switch (role_) {
    case Role::kServer:
      *refusal = {400, refused_};
      break;
    case Role::kClient:
      *refusal = {502, "bad_response", refused_};
      break;
  }
  return {};
}

}  // namespace rondo::http2
