#include "tls/pem.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <ctime>
#include <utility>

namespace rondo::tls {
namespace {

constexpr char kHex[] = "0123456789abcdef";

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// d2i reads from the front and leaves the rest: here nothing may be left.
bool WholeRead(const unsigned char* end, std::string_view der) {
  return end == Bytes(der) + der.size();
}

// Where the next line that begins a block stands, at `from` or later.
size_t NextBlock(std::string_view text, size_t from) {
  constexpr std::string_view kBegin = "-----BEGIN ";
  size_t at = text.find(kBegin, from);
  while (at != std::string_view::npos && at != 0 && text[at - 1] != '\n') {
    at = text.find(kBegin, at + 1);
  }
  return at;
}

// `text` begins with the block.
bool ReadBlock(std::string_view text, PemBlock& block) {
  ForgetOpensslErrors();
  const UniqueBio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  char* label = nullptr;
  char* header = nullptr;
  unsigned char* data = nullptr;
  long size = 0;
  if (bio == nullptr || PEM_read_bio(bio.get(), &label, &header, &data, &size) != 1) return false;
  block.label = label;
  block.encrypted = std::string_view(header).find("ENCRYPTED") != std::string_view::npos;
  block.der.assign(reinterpret_cast<char*>(data), static_cast<size_t>(size));
  OPENSSL_free(label);
  OPENSSL_free(header);
  OPENSSL_clear_free(data, static_cast<size_t>(size));
  return true;
}

std::string CannotRead(size_t number) {
  return "block " + std::to_string(number) +
         " of the PEM text cannot be read: " + TakeOpensslError();
}

}  // namespace

PemBlock::~PemBlock() { OPENSSL_cleanse(der.data(), der.size()); }

absl::StatusOr<std::vector<PemBlock>> ReadPem(std::string_view text) {
  if (text.size() > kPemBytesMax) return Wrong("the PEM text is longer than 8 MiB");
  std::vector<PemBlock> blocks;
  for (size_t at = NextBlock(text, 0); at != std::string_view::npos;) {
    const size_t next = NextBlock(text, at + 1);
    if (blocks.size() == kPemBlocksMax) return Wrong("the PEM text has more than 16384 blocks");
    PemBlock block;
    if (!ReadBlock(text.substr(at, next - at), block)) return Wrong(CannotRead(blocks.size() + 1));
    blocks.push_back(std::move(block));
    at = next;
  }
  return blocks;
}

UniqueX509 CertificateFromDer(std::string_view der, OSSL_LIB_CTX* library) {
  UniqueX509 made(X509_new_ex(library, nullptr));
  if (made == nullptr) return nullptr;
  X509* raw = made.release();
  const unsigned char* end = Bytes(der);
  const bool read = d2i_X509(&raw, &end, static_cast<long>(der.size())) != nullptr;
  made.reset(raw);  // which d2i may have freed, and says so
  if (!read || !WholeRead(end, der)) made = nullptr;
  return made;
}

UniqueCrl RevocationListFromDer(std::string_view der, OSSL_LIB_CTX* library) {
  UniqueCrl made(X509_CRL_new_ex(library, nullptr));
  if (made == nullptr) return nullptr;
  X509_CRL* raw = made.release();
  const unsigned char* end = Bytes(der);
  const bool read = d2i_X509_CRL(&raw, &end, static_cast<long>(der.size())) != nullptr;
  made.reset(raw);
  if (!read || !WholeRead(end, der)) made = nullptr;
  return made;
}

UniqueKey KeyFromDer(std::string_view der, OSSL_LIB_CTX* library, int type) {
  const unsigned char* end = Bytes(der);
  const long size = static_cast<long>(der.size());
  if (type == EVP_PKEY_NONE) {
    return UniqueKey(d2i_AutoPrivateKey_ex(nullptr, &end, size, library, nullptr));
  }
  return UniqueKey(d2i_PrivateKey_ex(type, nullptr, &end, size, library, nullptr));
}

std::string DerOf(const X509* certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate, &der);
  if (size <= 0) return {};
  std::string text(reinterpret_cast<char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return text;
}

std::string NameText(const X509_NAME* name) {
  UniqueBio bio(BIO_new(BIO_s_mem()));
  // Control characters and what is not ASCII are escaped: the text goes to logs and headers.
  if (bio == nullptr || X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253) < 0) return {};
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return size <= 0 ? std::string() : std::string(text, static_cast<size_t>(size));
}

std::string FingerprintOf(const X509* certificate) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest, &size) != 1) return {};
  std::string text;
  text.reserve(size_t{2} * size);
  for (unsigned int i = 0; i < size; ++i) {
    text += kHex[digest[i] >> 4];
    text += kHex[digest[i] & 15];
  }
  return text;
}

int64_t SecondsOf(const ASN1_TIME* time) {
  tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) return 0;
  return static_cast<int64_t>(timegm(&parts));
}

std::string TakeOpensslError() {
  const unsigned long error = ERR_peek_last_error();
  ForgetOpensslErrors();
  if (error == 0) return "no reason given";
  const char* reason = ERR_reason_error_string(error);
  if (reason != nullptr) return reason;
  char text[128];
  ERR_error_string_n(error, text, sizeof(text));
  return text;
}

void ForgetOpensslErrors() { ERR_clear_error(); }

}  // namespace rondo::tls
