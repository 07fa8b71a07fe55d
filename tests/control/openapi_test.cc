// The description of the admin API is true: it has every call and no other, and real answers are as
// it says.
#include "control/openapi.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <regex>
#include <set>
#include <string>

#include "control/admin_world.h"

namespace rondo::control {
namespace {

using nlohmann::json;

const json& Document() {
  static const json document = json::parse(OpenApiJson());
  return document;
}

const json& Resolve(const json& node) {
  if (!node.is_object() || !node.contains("$ref")) return node;
  return Document().at(json::json_pointer(node["$ref"].get<std::string>().substr(1)));
}

bool IsType(const json& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  if (type == "null") return value.is_null();
  ADD_FAILURE() << "a type that this test does not know: " << type;
  return false;
}

// What is wrong with `value` by `schema`: as much of JSON Schema as the document uses. Empty:
// nothing.
std::string Problem(const json& value, const json& node, const std::string& at);

std::string ObjectProblem(const json& value, const json& schema, const std::string& at) {
  for (const auto& name : schema.value("required", json::array())) {
    if (!value.contains(name.get<std::string>())) return at + " lacks " + name.dump();
  }
  const json properties = schema.value("properties", json::object());
  for (const auto& [name, member] : value.items()) {
    if (properties.contains(name)) {
      const std::string problem = Problem(member, properties[name], at + "." + name);
      if (!problem.empty()) return problem;
    } else if (!schema.value("additionalProperties", true)) {
      return at + " has " + name + ", which is not described";
    }
  }
  return {};
}

std::string Problem(const json& value, const json& node, const std::string& at) {
  const json& schema = Resolve(node);
  if (schema.contains("const") && schema["const"] != value)
    return at + " is not " + schema["const"].dump();
  if (schema.contains("oneOf")) {
    int fitting = 0;
    for (const json& choice : schema["oneOf"])
      fitting += Problem(value, choice, at).empty() ? 1 : 0;
    if (fitting != 1) return at + " fits " + std::to_string(fitting) + " of oneOf: " + value.dump();
  }
  if (schema.contains("type")) {
    bool fits = false;
    const json types = schema["type"].is_array() ? schema["type"] : json::array({schema["type"]});
    for (const json& type : types) fits = fits || IsType(value, type.get<std::string>());
    if (!fits) return at + " is no " + types.dump() + ": " + value.dump();
  }
  if (schema.contains("enum")) {
    const auto& choices = schema["enum"];
    if (std::find(choices.begin(), choices.end(), value) == choices.end())
      return at + " is none of the enum";
  }
  if (value.is_number() && schema.contains("minimum") && value < schema["minimum"])
    return at + " is too small";
  if (value.is_string() && schema.value("format", "") == "date-time") {
    static const std::regex kTime(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)");
    if (!std::regex_match(value.get<std::string>(), kTime)) return at + " is no date-time";
  }
  if (value.is_array() && schema.contains("items")) {
    for (size_t i = 0; i < value.size(); ++i) {
      const std::string problem =
          Problem(value[i], schema["items"], at + "[" + std::to_string(i) + "]");
      if (!problem.empty()) return problem;
    }
  }
  return value.is_object() ? ObjectProblem(value, schema, at) : std::string();
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

// "get /v1/status" for each call.
std::set<std::string> DescribedCalls() {
  static const std::set<std::string> kMethods = {"get",   "put",  "post",   "delete",
                                                 "patch", "head", "options"};
  std::set<std::string> calls;
  for (const auto& [path, item] : Document()["paths"].items()) {
    for (const auto& [method, operation] : item.items()) {
      if (kMethods.contains(method)) calls.insert(method + " " + path);
    }
  }
  return calls;
}

std::set<std::string> ParametersIn(const AdminRoute& route, const std::string& in) {
  const json& item = Document()["paths"][std::string(route.pattern)];
  std::set<std::string> names;
  for (const json& owner : {item, item[Lower(route.method)]}) {
    for (const json& parameter : owner.value("parameters", json::array())) {
      if (parameter["in"] == in) names.insert(parameter["name"]);
    }
  }
  return names;
}

TEST(OpenApi, DescribesEveryCallAndNoOther) {
  std::set<std::string> calls;
  for (const AdminRoute& route : AdminRoutes())
    calls.insert(Lower(route.method) + " " + std::string(route.pattern));
  EXPECT_EQ(DescribedCalls(), calls);
}

TEST(OpenApi, DescribesEveryParameterAndNoOther) {
  for (const AdminRoute& route : AdminRoutes()) {
    std::set<std::string> query;
    std::string names(route.query);
    for (size_t at = 0; at < names.size();) {
      const size_t end = std::min(names.find(' ', at), names.size());
      query.insert(names.substr(at, end - at));
      at = end + 1;
    }
    EXPECT_EQ(ParametersIn(route, "query"), query) << route.method << route.pattern;
    std::set<std::string> path;
    const std::string pattern(route.pattern);
    for (size_t at = 0; (at = pattern.find('{', at)) != std::string::npos; ++at) {
      path.insert(pattern.substr(at + 1, pattern.find('}', at) - at - 1));
    }
    EXPECT_EQ(ParametersIn(route, "path"), path) << route.method << route.pattern;
  }
}

TEST(OpenApi, SaysWhichCallsNeedNoToken) {
  for (const AdminRoute& route : AdminRoutes()) {
    const json& operation = Document()["paths"][std::string(route.pattern)][Lower(route.method)];
    EXPECT_EQ(operation.contains("security"), route.open) << route.pattern;
    EXPECT_EQ(operation["responses"].contains("401"), !route.open) << route.pattern;
  }
}

TEST(OpenApi, IsWhole) {
  EXPECT_EQ(Document()["openapi"], "3.1.0");
  std::set<std::string> ids;
  std::set<std::string> used;
  const std::string text = Document().dump();
  static const std::regex kRef(R"re("\$ref":"#([^"]*)")re");
  for (auto it = std::sregex_iterator(text.begin(), text.end(), kRef); it != std::sregex_iterator();
       ++it) {
    EXPECT_TRUE(Document().contains(json::json_pointer((*it)[1].str()))) << (*it)[1].str();
    used.insert((*it)[1].str());
  }
  for (const auto& [name, schema] : Document()["components"]["schemas"].items()) {
    EXPECT_TRUE(used.contains("/components/schemas/" + name)) << name << " is used nowhere";
  }
  for (const auto& [path, item] : Document()["paths"].items()) {
    for (const auto& [method, operation] : item.items()) {
      if (!operation.is_object()) continue;
      EXPECT_TRUE(ids.insert(operation["operationId"]).second) << path;
      EXPECT_FALSE(operation["summary"].get<std::string>().empty()) << path;
    }
  }
}

// A real answer against what the document says of the call and its status.
void ExpectDescribed(const AdminReply& reply, const std::string& method,
                     const std::string& pattern) {
  const std::string what = method + " " + pattern + " " + std::to_string(reply.status);
  const json& operation = Document()["paths"][pattern][Lower(method)];
  const std::string status = std::to_string(reply.status);
  ASSERT_TRUE(operation["responses"].contains(status)) << what << ": " << reply.body;
  const json& response = Resolve(operation["responses"][status]);
  const std::string type = reply.content_type.substr(0, reply.content_type.find(';'));
  ASSERT_TRUE(response["content"].contains(type)) << what << " " << type;
  if (reply.status < 400) {
    EXPECT_EQ(reply.etag.has_value(), response.value("headers", json::object()).contains("ETag"))
        << what;
  }
  if (type != "application/json") return;
  const json body = JsonOf(reply);
  ASSERT_FALSE(body.is_discarded()) << what << ": " << reply.body;
  EXPECT_EQ(Problem(body, response["content"][type]["schema"], "body"), "")
      << what << ": " << reply.body;
}

TEST(OpenApi, AnswersAreAsDescribed) {
  AdminWorld world;
  world.AllUp();
  world.Check("api", "127.0.0.1:3002", false);
  world.process.traffic.p99 = std::chrono::milliseconds(3);
  world.process.status.p50 = std::chrono::microseconds(1500);
  struct Case {
    const char* method;
    const char* pattern;
    std::string target;
    std::string body;
    int status;
  };
  const std::string u = "/v1/upstreams/{upstream}";
  const std::string b = u + "/backends/{backend}";
  const std::string list = u + "/backends";
  const std::string drain = b + "/drain";
  const std::string one = "/v1/upstreams/api/backends/127.0.0.1:3001";
  const std::string config = world.Call("GET", "/v1/config").body;
  const Case cases[] = {
      {"GET", "/", "/", "", 200},
      {"GET", "/healthz", "/healthz", "", 200},
      {"GET", "/readyz", "/readyz?all", "", 200},
      {"GET", "/readyz", "/readyz?upstream=x", "", 404},
      {"GET", "/metrics", "/metrics", "", 200},
      {"GET", "/v1/status", "/v1/status", "", 200},
      {"GET", "/v1/events", "/v1/events", "", 200},
      {"GET", "/v1/openapi.json", "/v1/openapi.json", "", 200},
      {"GET", "/v1/explain", "/v1/explain?url=/", "", 200},
      {"GET", "/v1/explain", "/v1/explain?url=http://a:81/static/x?y", "", 200},
      {"GET", "/v1/explain", "/v1/explain", "", 400},
      {"GET", "/v1/upstreams", "/v1/upstreams", "", 200},
      {"GET", u.c_str(), "/v1/upstreams/api", "", 200},
      {"GET", u.c_str(), "/v1/upstreams/x", "", 404},
      {"PUT", u.c_str(), "/v1/upstreams/new", R"({"backends": ["127.0.0.1:1"]})", 201},
      {"PUT", u.c_str(), "/v1/upstreams/new", R"({"backends": ["127.0.0.1:2"]})", 200},
      {"PUT", u.c_str(), "/v1/upstreams/new", R"({"backends": 1, "balance": 2})", 400},
      {"DELETE", u.c_str(), "/v1/upstreams/api", "", 409},
      {"GET", list.c_str(), "/v1/upstreams/api/backends", "", 200},
      {"POST", list.c_str(), "/v1/upstreams/api/backends", R"({"address": "127.0.0.1:5"})", 201},
      {"POST", list.c_str(), "/v1/upstreams/api/backends", R"({"address": "127.0.0.1:5"})", 200},
      {"POST", list.c_str(), "/v1/upstreams/api/backends", R"({"address": "x"})", 400},
      {"POST", list.c_str(), "/v1/upstreams/x/backends", R"({"address": "127.0.0.1:5"})", 404},
      {"GET", b.c_str(), one, "", 200},
      {"GET", b.c_str(), one + "9", "", 404},
      {"GET", drain.c_str(), one + "/drain", "", 200},
      {"GET", drain.c_str(), one + "/drain?wait=true", "", 409},
      {"PATCH", b.c_str(), one, R"({"weight": 4})", 200},
      {"PATCH", b.c_str(), one, R"({"weight": true})", 400},
      {"GET", "/v1/diff", "/v1/diff", "", 200},
      {"GET", "/v1/export", "/v1/export", "", 200},
      {"GET", "/v1/config", "/v1/config", "", 200},
      {"POST", "/v1/config/check", "/v1/config/check", config, 200},
      {"POST", "/v1/config/check", "/v1/config/check", "{}", 400},
      {"PUT", "/v1/config", "/v1/config", config, 200},
  };
  for (const Case& c : cases) {
    const AdminReply reply = world.Call(c.method, c.target, c.body);
    EXPECT_EQ(reply.status, c.status) << c.method << " " << c.target << " " << reply.body;
    ExpectDescribed(reply, c.method, c.pattern);
  }
}

TEST(OpenApi, WhatLeavesIsAsDescribed) {
  AdminWorld world;
  world.AllUp();
  const std::string list = "/v1/upstreams/{upstream}/backends";
  const std::string b = list + "/{backend}";
  const std::string one = "/v1/upstreams/api/backends/127.0.0.1:3001";
  world.cluster().FindBackend("api", "127.0.0.1:3001")->shared->in_flight.store(1);
  ExpectDescribed(world.Call("PATCH", one, R"({"state": "draining"})"), "PATCH", b);
  ExpectDescribed(world.Call("GET", one + "/drain"), "GET", b + "/drain");
  ExpectDescribed(world.Call("GET", one), "GET", b);
  ExpectDescribed(world.Call("DELETE", one), "DELETE", b);
  ExpectDescribed(world.Call("GET", "/v1/upstreams"), "GET", "/v1/upstreams");
  ExpectDescribed(
      world.Call("PUT", "/v1/upstreams/api/backends", R"({"backends": ["127.0.0.1:7"]})"), "PUT",
      list);
  ExpectDescribed(world.Call("PATCH", one, R"({"weight": 1})", "\"1000\""), "PATCH", b);
  ExpectDescribed(world.Call("DELETE", "/v1/diff"), "DELETE", "/v1/diff");
  ExpectDescribed(world.Call("POST", "/v1/reload"), "POST", "/v1/reload");
  ExpectDescribed(world.Call("PUT", "/v1/upstreams/new", R"({"backends": ["127.0.0.1:1"]})"), "PUT",
                  "/v1/upstreams/{upstream}");
  ExpectDescribed(world.Call("DELETE", "/v1/upstreams/new"), "DELETE", "/v1/upstreams/{upstream}");
  AdminRequest request;
  request.method = "POST";
  request.target = "/v1/upstreams/api/backends";
  request.body = "{}";
  ExpectDescribed(world.Send(request), "POST", list);
}

}  // namespace
}  // namespace rondo::control
