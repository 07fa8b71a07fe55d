#include "rondo/http/forwarding.h"

namespace rondo::http {
namespace {

// "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80"; none for all
// else.
std::optional<IpAddress> ParseNode(std::string_view text) {
  if (!text.empty() && text.front() == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    return IpAddress::Parse(text.substr(1, close - 1));
  }
  const size_t colon = text.find(':');
  if (colon != std::string_view::npos && text.find(':', colon + 1) == std::string_view::npos) {
    text = text.substr(0, colon);
  }
  return IpAddress::Parse(text);
}

// for=… of one element of Forwarded (RFC 7239 §4): for="[2001:db8::1]:80";proto=https
std::optional<IpAddress> ParseForwardedElement(std::string_view element) {
  while (!element.empty()) {
    const size_t semicolon = element.find(';');
    const std::string_view pair = TrimOws(element.substr(0, semicolon));
    element =
        semicolon == std::string_view::npos ? std::string_view() : element.substr(semicolon + 1);
    if (!EqualsIgnoreCase(pair.substr(0, 4), "for=")) continue;
    std::string_view node = pair.substr(4);
    if (node.size() >= 2 && node.front() == '"' && node.back() == '"') {
      node = node.substr(1, node.size() - 2);
    }
    return ParseNode(node);
  }
  return std::nullopt;
}

// The members of all fields of one name, as one list read from its end: the nearest hop stands
// last.
class ChainReader {
 public:
  ChainReader(const RequestHead& head, FieldId id)
      : fields_(head.fields), id_(id), next_(head.fields.size()) {}

  // None at the beginning of the list, and for a member that is no address.
  std::optional<IpAddress> Next() {
    while (rest_.empty()) {
      do {
        if (next_ == 0) return std::nullopt;
        --next_;
      } while (fields_[next_].id != id_);
      rest_ = fields_[next_].value;
    }
    const size_t comma = rest_.rfind(',');
    const bool last = comma == std::string_view::npos;
    const std::string_view member = TrimOws(last ? rest_ : rest_.substr(comma + 1));
    rest_ = last ? std::string_view() : rest_.substr(0, comma);
    return id_ == FieldId::kForwarded ? ParseForwardedElement(member) : ParseNode(member);
  }

 private:
  const std::vector<Field>& fields_;
  FieldId id_;
  size_t next_;
  std::string_view rest_;
};

FieldId ChainField(const RequestHead& head) {
  if (head.known.Has(FieldId::kXForwardedFor)) return FieldId::kXForwardedFor;
  if (head.known.Has(FieldId::kForwarded)) return FieldId::kForwarded;
  return FieldId::kXRealIp;
}

}  // namespace

bool IsIn(const IpAddress& address, std::span<const Network> networks) {
  for (const Network& network : networks) {
    if (network.Contains(address)) return true;
  }
  return false;
}

IpAddress ClientAddress(const RequestHead& head, const IpAddress& peer,
                        std::span<const Network> trusted) {
  if (!IsIn(peer, trusted)) return peer;
  return ClientAddressBehind(head, trusted).value_or(peer);
}

std::optional<IpAddress> ClientAddressBehind(const RequestHead& head,
                                             std::span<const Network> trusted) {
  ChainReader chain(head, ChainField(head));
  std::optional<IpAddress> client;
  while (std::optional<IpAddress> next = chain.Next()) {
    client = next;
    if (!IsIn(*next, trusted)) break;
  }
  return client;
}

}  // namespace rondo::http
