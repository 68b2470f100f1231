// hosts: the bytes are a host list. mesh_identity: they are what a peer calls itself.
#include <string.h>

#include <string>

#include "core/hosts.h"
#include "core/mesh_identity.h"
#include "core/result.h"
#include "harness/fuzz/targets.h"

namespace fuzz {
namespace {

constexpr uint32_t kRoom = 8;

}  // namespace

void hosts(const uint8_t* data, size_t bytes) {
  const std::string text(reinterpret_cast<const char*>(data), bytes);
  rc::Host hosts[kRoom + 1];
  memset(static_cast<void*>(hosts), 0x5a, sizeof hosts);
  rc::HostList list = {hosts, kRoom, 0, ""};
  rc::Code code = list.read_text(text.c_str());
  uint32_t untouched;
  memcpy(&untouched, &hosts[kRoom], sizeof untouched);
  PROMISE(untouched == 0x5a5a5a5a);
  if (code != rc::kOk) {
    PROMISE(code == rc::kHosts);
    check_reason(rc::reason());
    return;
  }
  PROMISE(list.count >= 1 && list.count <= kRoom);
  std::string again;
  for (uint32_t i = 0; i < list.count; ++i) {
    PROMISE(hosts[i].line != 0);
    rc::Uri uri;
    PROMISE(uri.parse(hosts[i].uri) == rc::kOk);
    for (uint32_t j = 0; j < i; ++j) PROMISE(strcmp(hosts[i].uri, hosts[j].uri) != 0);
    again += std::to_string(i) + " " + hosts[i].uri + "\n";
  }
  // What was read, written as a list, is read as the same.
  rc::Host others[kRoom];
  rc::HostList copy = {others, kRoom, 0, ""};
  PROMISE(copy.read_text(again.c_str()) == rc::kOk && copy.count == list.count);
  for (uint32_t i = 0; i < list.count; ++i) PROMISE(strcmp(hosts[i].uri, others[i].uri) == 0);
}

void mesh_identity(const uint8_t* data, size_t bytes) {
  char text[rc::kIdentityBytes] = "";
  memcpy(text, data, bytes < sizeof text ? bytes : sizeof text - 1);  // a hello's, which check_hello has seen to end
  text[sizeof text - 1] = '\0';
  rc::Printable printable(text);
  PROMISE(strlen(printable.text) == strlen(text));
  for (const char* c = printable.text; *c != '\0'; ++c) PROMISE(*c >= ' ' && *c <= '~');
  rc::MeshIdentity who;
  if (!who.read(text)) return;
  PROMISE(strnlen(who.name, sizeof who.name) < sizeof who.name && who.id <= 9999 && who.members <= 9999);
  PROMISE(who.process >> rc::kProcessBits == 0);
  PROMISE(who.same_mesh(who));
  char written[rc::kIdentityBytes];
  who.write(written);
  rc::MeshIdentity back;
  PROMISE(back.read(written) && back.same_mesh(who) && back.id == who.id && back.process == who.process);
}

std::vector<Input> hosts_seeds() {
  std::vector<Input> seeds;
  for (const char* text :
       {"0 127.0.0.1:7000\n1 127.0.0.1:7001\n", "# two\n1 shm:b # here\n\n0\tshm:/tmp/a.sock\r\n",
        "0 tcp://[::1]:7000?timeout_ms=1000", "1 a:1\n0 b:2\n2 c:3\n3 d:4\n4 e:5\n5 f:6\n6 g:7\n7 h:8\n", "8 a:1",
        "0 a:1\n2 b:1", "0 a:1\n0 b:1", "0 a:1\n1 a:1", "x a:1", "0", "0 a:1 b", "0 a:0", "0 a", "", "#"}) {
    seeds.emplace_back(text, text + strlen(text));
  }
  seeds.push_back(Input(300, '0'));
  return seeds;
}

std::vector<Input> mesh_identity_seeds() {
  std::vector<Input> seeds;
  for (const char* text :
       {"mesh:mesh:0/2", "mesh:a:b/c:12/4096#0c0ffee", "mesh::0/1", "mesh:x:1/", "mesh:", "printer", ""})
    seeds.emplace_back(text, text + strlen(text));
  seeds.push_back(Input(80, 'm'));
  return seeds;
}

}  // namespace fuzz
