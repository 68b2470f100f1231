// The first byte says what is expected; the rest is the packet that came.
#include <string.h>

#include "core/backend.h"
#include "core/hello.h"
#include "core/result.h"
#include "harness/fuzz/targets.h"

namespace fuzz {
namespace {

constexpr uint64_t kRingMax = 65536;

rc::ChannelParams listener(uint8_t choice) {
  rc::ChannelParams params = {};
  params.ring_bytes_max = kRingMax;
  params.ring_bytes = (choice & 4) != 0 ? 4096 : 0;
  if ((choice & 8) != 0) strcpy(params.token, "token");
  return params;
}

bool ends(const char* text, size_t bytes) { return memchr(text, 0, bytes) != nullptr; }

}  // namespace

void hello(const uint8_t* data, size_t bytes) {
  if (bytes == 0) return;
  uint8_t choice = *data++;
  --bytes;
  auto kind = static_cast<rc::Hello::Kind>(1 + choice % 4);
  rc::Hello h = {};
  memcpy(&h, data, bytes < sizeof h ? bytes : sizeof h);
  rc::Code code = rc::check_hello(h, bytes, kind);
  PROMISE(strcmp(rc::code_name(code), "RC_E_UNKNOWN") != 0);
  if (code != rc::kOk) {
    PROMISE(code <= rc::kInvalid);
    check_reason(rc::reason());
    return;
  }
  PROMISE(bytes == sizeof h && h.magic == rc::kHelloMagic && h.version == rc::kWireVersion &&
          h.layout == rc::kLayoutHash);
  PROMISE(h.kind == kind && h.code == 0 && h.heavy_fence <= 1);
  PROMISE(ends(h.identity, sizeof h.identity) && ends(h.token, sizeof h.token) && ends(h.text, sizeof h.text));
  if (kind != rc::Hello::kAsk) return;
  rc::ChannelParams mine = listener(choice);
  uint64_t ring_bytes = 0;
  code = rc::judge_ask(h, mine, &ring_bytes);
  if (code != rc::kOk) {
    PROMISE(code == rc::kSize || code == rc::kNoPermission);
    check_reason(rc::reason());
    return;
  }
  PROMISE(ring_bytes >= 1 && ring_bytes <= kRingMax && (mine.ring_bytes == 0 || ring_bytes == mine.ring_bytes));
  PROMISE(h.ring_bytes == 0 || h.ring_bytes == ring_bytes);
  PROMISE(memcmp(h.token, mine.token, sizeof h.token) == 0);
}

std::vector<Input> hello_seeds() {
  std::vector<Input> seeds;
  for (int choice = 0; choice < 16; choice += 1 + (choice >= 4) * 3) {
    rc::ChannelParams speaker = listener(static_cast<uint8_t>(choice));
    strcpy(speaker.identity, "seed");
    rc::Hello h = rc::make_hello(static_cast<rc::Hello::Kind>(1 + choice % 4), speaker, 4096);
    Input seed(1 + sizeof h);
    seed[0] = static_cast<uint8_t>(choice);
    memcpy(&seed[1], &h, sizeof h);
    seeds.push_back(seed);
  }
  rc::fail_plain(rc::kSize, "no");
  rc::Hello refusal = rc::make_refusal(listener(0), rc::kSize);
  Input seed(1 + sizeof refusal);
  seed[0] = 1;
  memcpy(&seed[1], &refusal, sizeof refusal);
  seeds.push_back(seed);
  return seeds;
}

}  // namespace fuzz
