// Writes JSON text directly: for answers that may list thousands of backends, where a tree of values would cost
// many times as much. Puts the commas; balance is the caller's.
#pragma once

#include <cmath>
#include <concepts>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace rondo::control {

// `text` in double quotes. Bytes that are not UTF-8 become U+FFFD, so that the document stays valid whatever a
// configuration or a client wrote.
void AppendJsonText(std::string_view text, std::string& out);

class JsonWriter {
 public:
  // Appends to `out`.
  explicit JsonWriter(std::string& out) : out_(out) {}

  JsonWriter& Key(std::string_view name) {
    Comma();
    AppendJsonText(name, out_);
    out_.push_back(':');
    first_ = true;  // its value has no comma before it
    return *this;
  }
  void Text(std::string_view text) {
    Comma();
    AppendJsonText(text, out_);
  }
  void Number(std::integral auto value) {
    Comma();
    out_ += std::to_string(value);
  }
  // With at most three decimals, which is a microsecond where milliseconds are meant.
  void Decimal(double value) {
    Comma();
    char digits[64];
    int size = std::snprintf(digits, sizeof(digits), "%.3f", std::isfinite(value) ? value : 0.0);
    while (size > 0 && digits[size - 1] == '0') --size;
    if (size > 0 && digits[size - 1] == '.') --size;
    out_.append(digits, static_cast<size_t>(size));
  }
  void Bool(bool value) {
    Comma();
    out_ += value ? "true" : "false";
  }
  void Null() {
    Comma();
    out_ += "null";
  }
  // A value that is JSON already.
  void Raw(std::string_view json) {
    Comma();
    out_ += json;
  }
  void BeginObject() { Begin('{'); }
  void EndObject() { End('}'); }
  void BeginArray() { Begin('['); }
  void EndArray() { End(']'); }

 private:
  void Comma() {
    if (!first_) out_.push_back(',');
    first_ = false;
  }
  void Begin(char bracket) {
    Comma();
    out_.push_back(bracket);
    first_ = true;
  }
  void End(char bracket) {
    out_.push_back(bracket);
    first_ = false;
  }

  std::string& out_;
  bool first_ = true;
};

}  // namespace rondo::control
