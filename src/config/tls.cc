// TLS on either side. Files are only named here: control/ reads them and checks what is in them.
#include <algorithm>
#include <chrono>

#include "config/build.h"
#include "config/host_checks.h"
#include "config/text.h"
#include "rondo/config/scalar.h"

namespace rondo::config {
namespace {

constexpr std::string_view kCertificatesPath = "listeners.*.tls.certificates[]";

// A key that means nothing without another one, which was left out.
void CheckNeeds(const Section& section, std::string_view leaf, std::string_view needed) {
  const Entry* entry = section.Find(leaf);
  if (entry == nullptr || !section.Missing(needed)) return;
  section.context().AddError(entry->where, Cat("`", leaf, "` has a meaning only with `", needed,
                                               "`: write that too, or remove it"));
}

// A certificate's file and its key's: both.
void BuildPair(const Section& section, std::string_view what, std::string& cert, std::string& key) {
  ReadPath(section, "cert", cert);
  ReadPath(section, "key", key);
  Context& context = section.context();
  if (section.Missing("cert")) {
    context.AddError(section.where(), Cat(what,
                                          " has no `cert`: name the file of the certificate, as in "
                                          "{cert: web.pem, key: web.key}"));
  }
  if (section.Missing("key")) {
    context.AddError(section.where(),
                     Cat(what,
                         " has no `key`: name the file of the certificate's private key, as "
                         "in {cert: web.pem, key: web.key}"));
  }
}

void BuildCertificates(const Section& section, std::vector<CertificateFiles>& certificates) {
  Context& context = section.context();
  const std::optional<std::vector<const Node*>> list = section.ReadList("certificates");
  if (!list && section.Missing("certificates")) {
    context.AddError(section.where(),
                     "this `tls` has no `certificates`: write at least one, such as [{cert: "
                     "web.pem, key: web.key}]");
  }
  if (!list) return;
  if (list->empty()) {
    context.AddError(section.Find("certificates")->value->mark,
                     "`certificates` is empty: write at least one, such as {cert: web.pem, key: "
                     "web.key}");
  }
  for (const Node* node : *list) {
    if (!context.Visit(node->mark)) return;
    if (node->kind != Node::Kind::kMap) {
      context.AddError(node->mark,
                       "a certificate must be a map of keys, such as {cert: web.pem, key: "
                       "web.key}");
      continue;
    }
    const Section one(context, kCertificatesPath, *node, node->mark);
    CertificateFiles files;
    files.where = {node->mark};
    BuildPair(one, "this certificate", files.cert, files.key);
    ReadPath(one, "ocsp", files.ocsp);
    const bool is_known =
        std::ranges::find(certificates, files.cert, &CertificateFiles::cert) != certificates.end();
    if (is_known && !files.cert.empty()) {
      context.AddError(one.Find("cert")->value->mark,
                       Cat("`certificates` has ", Quoted(files.cert), " twice"));
    }
    certificates.push_back(std::move(files));
  }
}

// That of the first certificate may stand beside the list.
void BuildOcsp(const Section& section, std::vector<CertificateFiles>& certificates) {
  std::string ocsp;
  ReadPath(section, "ocsp", ocsp);
  if (ocsp.empty() || certificates.empty()) return;
  if (!certificates.front().ocsp.empty()) {
    section.context().AddError(
        section.Find("ocsp")->where,
        "`ocsp` is that of the first certificate, which has one already: write it there alone");
  }
  certificates.front().ocsp = std::move(ocsp);
}

void BuildAlpn(const Section& section, std::vector<std::string>& alpn) {
  const std::optional<std::vector<const Node*>> list = section.ReadList("alpn");
  if (!list) return;
  const Key& key = *FindKey("listeners.*.tls", "alpn");
  const std::vector<std::string_view> words = SplitChoices(key.choices);
  Context& context = section.context();
  alpn.clear();
  for (const Node* node : *list) {
    const std::optional<Text> text =
        ReadElement(context, *node, "alpn", "a protocol such as http/1.1");
    if (!text) continue;
    const std::string& value = text->value;
    if (std::ranges::find(words, value) == words.end()) {
      context.AddError(text->where,
                       Cat("`alpn` has ", Quoted(value), ", but takes ", QuotedList(words, "or")));
    } else if (std::ranges::find(alpn, value) != alpn.end()) {
      context.AddError(text->where, Cat("`alpn` has ", Quoted(value), " twice"));
    } else {
      alpn.push_back(value);
    }
  }
}

void BuildHsts(const Section& section, std::optional<Duration>& hsts) {
  if (section.Find("hsts") == nullptr) return;
  Duration duration{};
  section.ReadDuration("hsts", duration);
  if (duration % std::chrono::seconds(1) != Duration(0)) {
    section.context().AddError(section.Find("hsts")->value->mark,
                               "`hsts` must be whole seconds: the header knows nothing finer");
  }
  hsts = duration;
}

void BuildClientAuth(const Section& section, ListenerTls& tls) {
  ReadPath(section, "client_ca", tls.client_ca);
  ReadPath(section, "crl", tls.crl);
  for (const std::string_view leaf : {"client_auth", "crl", "client_headers"}) {
    CheckNeeds(section, leaf, "client_ca");
  }
  const std::optional<std::string> auth = section.ReadChoice("client_auth");
  bool client_headers = true;
  section.ReadBool("client_headers", client_headers);
  if (tls.client_ca.empty()) return;
  tls.client_auth = auth == "optional" ? ClientAuth::kOptional : ClientAuth::kRequired;
  tls.client_headers = client_headers;
}

}  // namespace

void ReadPath(const Section& section, std::string_view leaf, std::string& path) {
  const std::optional<Text> text = section.ReadText(leaf);
  if (!text) return;
  if (text->value.empty()) {
    section.context().AddError(text->where,
                               Cat("`", leaf, "` is empty: write a path, or remove the key"));
  }
  path = section.context().ResolvePath(text->value);
}

void BuildListenerTls(const Section& listener, std::optional<ListenerTls>& config) {
  const std::optional<Section> section = listener.ReadSection("tls");
  if (!section) return;
  ListenerTls& tls = config.emplace();
  tls.where = {section->where()};
  BuildCertificates(*section, tls.certificates);
  BuildOcsp(*section, tls.certificates);
  tls.tls13_only = section->ReadChoice("min_version") == "1.3";
  BuildAlpn(*section, tls.alpn);
  BuildHsts(*section, tls.hsts);
  BuildClientAuth(*section, tls);
  ReadPath(*section, "ticket_keys", tls.ticket_keys);
}

void BuildAdminTls(const Section& admin, std::optional<AdminTls>& config) {
  const std::optional<Section> section = admin.ReadSection("tls");
  if (!section) return;
  AdminTls& tls = config.emplace();
  tls.where = {section->where()};
  BuildPair(*section, "this `tls`", tls.cert, tls.key);
  ReadPath(*section, "client_ca", tls.client_ca);
}

void BuildUpstreamTls(const Section& upstream, std::optional<UpstreamTls>& config) {
  const std::optional<Section> section = upstream.ReadSection("tls");
  if (!section) return;
  UpstreamTls& tls = config.emplace();
  tls.where = {section->where()};
  section->ReadBool("verify", tls.verify);
  ReadPath(*section, "ca", tls.ca);
  ReadPath(*section, "cert", tls.cert);
  ReadPath(*section, "key", tls.key);
  ReadChecked(*section, "sni", CheckServerName, tls.sni);
  CheckNeeds(*section, "cert", "key");
  CheckNeeds(*section, "key", "cert");
  if (!tls.verify && section->Find("ca") != nullptr) {
    section->context().AddError(section->Find("ca")->where,
                                "`ca` has no meaning with `verify: false`, which takes any "
                                "certificate: remove one of them");
  }
}

}  // namespace rondo::config
