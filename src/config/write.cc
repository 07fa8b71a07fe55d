#include "rondo/config/write.h"

#include <absl/strings/ascii.h>

#include <algorithm>
#include <array>

#include "config/document.h"
#include "config/text.h"
#include "rondo/config/edit.h"

namespace rondo::config {
namespace {

// Behind this many bytes YAML takes no text for a key that stands by itself.
constexpr size_t kKeyBytesMax = 500;
constexpr int kIndent = 2;

// Whether YAML reads `text` as it is: neither as nothing nor as anything but text on one line.
bool IsPlain(std::string_view text) {
  constexpr std::array<std::string_view, 3> kNulls = {"null", "Null", "NULL"};
  const auto allowed = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
           std::string_view("_./:%*-").find(c) != std::string_view::npos;
  };
  if (text.empty() || std::ranges::find(kNulls, text) != kNulls.end()) return false;
  const auto first = static_cast<unsigned char>(text.front());
  return (absl::ascii_isalnum(first) || first == '/') && text.back() != ':' &&
         std::ranges::all_of(text, allowed);
}

void AppendEscaped(std::string& out, unsigned code) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out.push_back(kDigits[(code >> shift) & 15]);
}

// The code point of the two or three bytes at `i`, where it is one that YAML takes for a control
// character, a line's end or a byte order mark; with how many bytes it has.
std::pair<unsigned, size_t> SpecialAt(std::string_view text, size_t i) {
  const auto byte = [&](size_t k) {
    return i + k < text.size() ? static_cast<unsigned char>(text[i + k]) : 0u;
  };
  if (byte(0) == 0xc2 && byte(1) < 0xa0) return {byte(1), 2};
  if (byte(0) == 0xe2 && byte(1) == 0x80 && (byte(2) == 0xa8 || byte(2) == 0xa9)) {
    return {0x2000 + (byte(2) & 0x3f), 3};
  }
  if (byte(0) == 0xef && byte(1) == 0xbb && byte(2) == 0xbf) return {0xfeff, 3};
  return {0, 0};
}

std::string Scalar(std::string_view text) {
  if (IsPlain(text)) return std::string(text);
  std::string out = "\"";
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (code < 0x20 || code == 0x7f) {
      AppendEscaped(out, code);
    } else if (const auto [special, bytes] = SpecialAt(text, i); bytes > 0) {
      AppendEscaped(out, special);
      i += bytes - 1;
    } else {
      out.push_back(c);
    }
  }
  return out + "\"";
}

// A dollar sign stands for a variable where it is not written twice; keys have none.
std::string ValueText(std::string_view text) {
  std::string doubled;
  for (const char c : text) doubled.append(c == '$' ? 2 : 1, c);
  return Scalar(doubled);
}

std::string Leaf(const Document& value) {
  if (value.is_string()) return ValueText(value.get_ref<const std::string&>());
  if (value.is_object()) return "{}";
  if (value.is_array()) return "[]";
  return value.dump();
}

bool IsBranch(const Document& value) { return value.is_structured() && !value.empty(); }

// Writes a map or a list that is not empty, each line behind `indent` spaces. Where the first line
// stands behind something already, as `- ` of a list, it has none.
void Write(std::string& out, const Document& branch, int indent, bool begun) {
  for (const auto& [key, value] : branch.items()) {
    if (!begun) out.append(static_cast<size_t>(indent), ' ');
    begun = false;
    if (branch.is_array()) {
      out += "- ";
      if (IsBranch(value)) {
        Write(out, value, indent + kIndent, true);
      } else {
        out += Leaf(value) + "\n";
      }
      continue;
    }
    const std::string name = Scalar(key);
    if (name.size() > kKeyBytesMax) {
      out += "? " + name + "\n";
      out.append(static_cast<size_t>(indent), ' ');
    } else {
      out += name;
    }
    out.push_back(':');
    if (IsBranch(value)) {
      out.push_back('\n');
      Write(out, value, indent + kIndent, false);
    } else {
      out += " " + Leaf(value) + "\n";
    }
  }
}

std::string Dumped(const Document& document) {
  return document.dump(-1, ' ', false, Document::error_handler_t::replace);
}

// Of a configuration or an upstream.
template <class T>
Document Shown(const T& whole, Extent extent, Secrets secrets) {
  if (secrets == Secrets::kShown) return DocumentOf(whole, extent);
  T copy = whole;
  HideSecrets(copy);
  return DocumentOf(copy, extent);
}

}  // namespace

std::string WriteYaml(const Config& config, Secrets secrets) {
  std::string out;
  Write(out, Shown(config, Extent::kDifferences, secrets), 0, false);
  return out;
}

std::string WriteConfigJson(const Config& config) {
  return Dumped(Shown(config, Extent::kAll, Secrets::kHidden));
}

std::string WriteUpstreamJson(const Upstream& upstream, Secrets secrets) {
  return Dumped(Shown(upstream, Extent::kAll, secrets));
}

std::string WriteBackendJson(const Backend& backend) {
  return Dumped(DocumentOf(backend, Extent::kAll));
}

std::vector<std::string> UnreloadableChanges(const Config& old, const Config& now) {
  std::vector<std::string> keys;
  const auto check = [&](std::string_view key, bool is_same) {
    if (!is_same) keys.emplace_back(key);
  };
  check("process.workers", old.process.workers == now.process.workers);
  check("process.engine", old.process.engine == now.process.engine);
  check("process.user", old.process.user == now.process.user);
  check("process.pid_file", old.process.pid_file == now.process.pid_file);
  check("process.state_file", old.process.state_file == now.process.state_file);
  check("logging.access.path", old.logging.access.path == now.logging.access.path);
  check("logging.access.format", old.logging.access.format == now.logging.access.format);
  const bool same_admin = old.admin.has_value() == now.admin.has_value() &&
                          (!old.admin || old.admin->listen == now.admin->listen);
  check("admin.listen", same_admin);
  return keys;
}

}  // namespace rondo::config
