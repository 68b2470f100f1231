#include "harness/mesh/runner.h"

#include <stdlib.h>

#include <chrono>

#include "core/deadline.h"

namespace meshes {
namespace {

constexpr std::chrono::seconds kPatience(20);

}  // namespace

Runner::Runner(const Place& place) {
  rc_config config = {};
  config.size = sizeof config;
  config.channels_max = place.channels_max;
  config.rings_max = 32;
  config.ring_bytes = 65536;
  if (rc_open(&config, &ctx_) != RC_OK) abort();
  thread_ = std::thread([this, place] { run(place); });
}

Runner::~Runner() {
  rc_stop(ctx_);
  thread_.join();
  rc_close(ctx_);
}

void Runner::run(Place place) {
  if (place.first) place.first();
  rc_mesh_config config = {};
  config.size = sizeof config;
  config.flags = (place.partial ? RC_MESH_PARTIAL : 0) | (place.id >= 0 ? RC_MESH_ID : 0);
  config.id = place.id >= 0 ? static_cast<uint32_t>(place.id) : 0;
  config.hosts = place.hosts.c_str();
  config.members = place.members;
  config.name = place.name.c_str();
  rc_channel_config channel = {};
  channel.size = sizeof channel;
  channel.wait = place.wait;
  channel.ring_bytes = place.ring_bytes;
  channel.token = place.token.empty() ? nullptr : place.token.c_str();
  config.channel = &channel;
  int32_t code = rc_mesh_open(ctx_, &config, place.timeout_ns, &mesh_);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    open_done_ = true;
    open_code_ = code;
    if (code != RC_OK) reason_ = rc_reason();
  }
  news_.notify_all();
  while (code == RC_OK) {
    Event event = {};
    event.what.size = sizeof event.what;
    event.code = rc_mesh_event(mesh_, &event.what, RC_FOREVER);
    event.at_ns = rc::now_ns();
    if (event.code != RC_OK) event.reason = rc_reason();
    if (event.code == RC_E_STOPPED) return;
    if (event.code == RC_E_BUSY) continue;  // the test itself is in it
    code = event.code == RC_E_CLOSING || event.code == RC_E_HANDLE ? event.code : RC_OK;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      events_.push_back(event);
    }
    news_.notify_all();
  }
}

int32_t Runner::opened() {
  std::unique_lock<std::mutex> lock(mutex_);
  news_.wait(lock, [this] { return open_done_; });
  return open_code_;
}

template <class Match>
bool Runner::wait_until(Match match, size_t count) {
  std::unique_lock<std::mutex> lock(mutex_);
  return news_.wait_for(lock, kPatience, [&] {
    size_t found = 0;
    for (const Event& e : events_) found += match(e) ? 1 : 0;
    return found >= count;
  });
}

bool Runner::wait_for(uint32_t kind, uint32_t member, size_t count) {
  return wait_until([&](const Event& e) { return e.code == RC_OK && e.what.kind == kind && e.what.member == member; },
                    count);
}

bool Runner::wait_for_code(int32_t code) {
  return wait_until([&](const Event& e) { return e.code == code; }, 1);
}

std::string Runner::reason_of(int32_t code, uint32_t member) {
  auto match = [&](const Event& e) { return e.code == code && e.what.member == member; };
  if (!wait_until(match, 1)) return "";
  for (const Event& e : events()) {
    if (match(e)) return e.reason;
  }
  return "";
}

std::vector<Runner::Event> Runner::events() {
  std::lock_guard<std::mutex> lock(mutex_);
  return events_;
}

}  // namespace meshes
