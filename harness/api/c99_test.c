/* The C ABI from plain C99: two processes over shm, every function called, nothing but rc.h and libc. */
#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rc.h"

#define PATIENCE (INT64_C(20) * 1000 * 1000 * 1000)
#define RING 4096

static const char* g_who = "server";

#define WANT(what, condition)                                                       \
  do {                                                                              \
    if (!(condition)) {                                                             \
      fprintf(stderr, "%s, line %d: %s; %s\n", g_who, __LINE__, what, rc_reason()); \
      exit(1);                                                                      \
    }                                                                               \
  } while (0)
#define WANT_CODE(code, call) WANT(#call " is not " #code, (call) == (code))
#define WANT_OK(call) WANT_CODE(RC_OK, call)

/* What each side fills its bytes with: i * step + first. */
static void fill(unsigned char* bytes, size_t n, unsigned first) {
  size_t i;
  for (i = 0; i < n; ++i) bytes[i] = (unsigned char)(first + i * 7);
}

static int filled(const unsigned char* bytes, size_t n, unsigned first) {
  size_t i;
  for (i = 0; i < n; ++i) {
    if (bytes[i] != (unsigned char)(first + i * 7)) return 0;
  }
  return 1;
}

/* Everything one side does with bytes; the other side does serve(). */
static void ask(rc_channel ch) {
  static unsigned char out[3 * RING], in[3 * RING];
  rc_const_span pieces[2];
  rc_span places[2], room[2];
  rc_const_span view[2];
  size_t done = 0, size = 0, readable = 0, writable = 0;
  uint32_t imm = 41, got_imm = 0, has_imm = 0;

  fill(out, sizeof out, 1);
  /* rc_put, rc_get: more than a ring, there and back. */
  WANT_OK(rc_put(ch, out, sizeof out, PATIENCE, &done));
  WANT("all was put", done == sizeof out);
  WANT_OK(rc_get(ch, in, sizeof in, PATIENCE, &done));
  WANT("the same came back", done == sizeof in && filled(in, sizeof in, 1));

  /* The forms that do not wait, batches, pieces, places: 100 bytes each time. */
  WANT_OK(rc_try_put(ch, out, 100));
  WANT_OK(rc_get(ch, in, 100, PATIENCE, NULL));
  WANT_CODE(RC_E_WOULD_BLOCK, rc_try_get(ch, in, 1));
  WANT_OK(rc_put_some(ch, out, 100, &done));
  WANT("all fitted", done == 100);
  WANT_OK(rc_get_some(ch, in, 1, PATIENCE, &done));
  WANT_OK(rc_get(ch, in + 1, 99, PATIENCE, NULL));
  WANT("the same came back", filled(in, 100, 1));
  WANT_OK(rc_put_more(ch, out, 60, PATIENCE, &done));
  WANT_OK(rc_put_more(ch, out + 60, 40, PATIENCE, &done));
  WANT_OK(rc_flush(ch));
  WANT_OK(rc_sync(ch, PATIENCE));
  pieces[0].data = out;
  pieces[0].bytes = 30;
  pieces[1].data = out + 30;
  pieces[1].bytes = 70;
  places[0].data = in;
  places[0].bytes = 99;
  places[1].data = in + 99;
  places[1].bytes = 1;
  WANT_OK(rc_getv(ch, places, 2, PATIENCE, &done));
  WANT("the same came back", done == 100 && filled(in, 100, 1));
  WANT_OK(rc_putv(ch, pieces, 2, PATIENCE, &done));
  WANT_OK(rc_peek(ch, 100, PATIENCE, view));
  WANT("all is in view", view[0].bytes + view[1].bytes == 100);
  WANT("the same came back", filled((const unsigned char*)view[0].data, view[0].bytes, 1));
  WANT_OK(rc_release(ch, 100));
  WANT_OK(rc_reserve(ch, 100, PATIENCE, room));
  fill((unsigned char*)room[0].data, room[0].bytes < 100 ? room[0].bytes : 100, 1);
  if (room[0].bytes < 100) memcpy(room[1].data, out + room[0].bytes, 100 - room[0].bytes);
  WANT_OK(rc_commit(ch, 100));
  WANT_OK(rc_get(ch, in, 100, PATIENCE, NULL));
  WANT("the same came back", filled(in, 100, 1));
  WANT_OK(rc_ready(ch, &readable, &writable));
  WANT("nothing is left", readable == 0 && writable > 0);
  WANT_OK(rc_progress(ch));

  /* A message with an immediate. */
  WANT_OK(rc_send(ch, out, 2 * RING, &imm, PATIENCE, &done));
  WANT_OK(rc_recv(ch, in, sizeof in, &size, &got_imm, &has_imm, PATIENCE));
  WANT("the message came back", size == 2 * RING && has_imm == 1 && got_imm == 42 && filled(in, size, 1));
}

/* Sends back what comes. */
static void serve(rc_channel ch) {
  static unsigned char bytes[3 * RING];
  size_t i, size = 0;
  uint32_t imm = 0, has_imm = 0;
  WANT_OK(rc_get(ch, bytes, sizeof bytes, PATIENCE, NULL));
  WANT_OK(rc_put(ch, bytes, sizeof bytes, PATIENCE, NULL));
  for (i = 0; i < 5; ++i) {
    WANT_OK(rc_get(ch, bytes, 100, PATIENCE, NULL));
    WANT_OK(rc_put(ch, bytes, 100, PATIENCE, NULL));
  }
  WANT_OK(rc_recv(ch, bytes, sizeof bytes, &size, &imm, &has_imm, PATIENCE));
  ++imm;
  WANT_OK(rc_send(ch, bytes, size, &imm, PATIENCE, NULL));
}

static void look(rc_channel ch) {
  rc_info info;
  rc_counters counters;
  int32_t fd = -1;
  memset(&info, 0, sizeof info);
  memset(&counters, 0, sizeof counters);
  info.size = sizeof info;
  counters.size = sizeof counters;
  WANT_OK(rc_channel_info(ch, &info));
  WANT("it is shm", strcmp(info.backend, "shm") == 0 && info.ring_bytes == RING);
  WANT("the peer says who it is", strcmp(info.identity, "the client") == 0);
  WANT_OK(rc_channel_counters(ch, &counters));
  WANT("as much came as went", counters.put_bytes == counters.got_bytes && counters.sent_messages == 1);
  WANT_OK(rc_channel_fd(ch, &fd));
  WANT("it has a descriptor", fd >= 0);
}

static rc_ctx open_context(void) {
  rc_config config;
  rc_ctx ctx;
  uint64_t bytes = 0;
  memset(&config, 0, sizeof config);
  config.size = sizeof config;
  config.ring_bytes = RING;
  config.channels_max = 2;
  WANT_OK(rc_footprint(&config, &bytes));
  config.memory = malloc((size_t)bytes);
  config.memory_bytes = bytes;
  WANT_OK(rc_open(&config, &ctx));
  return ctx;
}

static int client(const char* uri) {
  rc_channel_config config;
  rc_channel ch;
  rc_ctx ctx = open_context();
  memset(&config, 0, sizeof config);
  config.size = sizeof config;
  config.ring_bytes = RING;
  config.identity = "the client";
  g_who = "client";
  WANT_OK(rc_connect(ctx, uri, &config, PATIENCE, &ch));
  ask(ch);
  WANT_OK(rc_channel_close(ch));
  WANT_CODE(RC_E_HANDLE, rc_put(ch, "x", 1, 0, NULL));
  WANT_OK(rc_close(ctx));
  return 0;
}

/* Both ends of memory of one's own. */
static void attached(rc_ctx ctx) {
  uint64_t bytes = rc_attach_overhead() + 100;
  unsigned char* memory = calloc(1, (size_t)(2 * bytes) + 512);
  unsigned char* first = memory + (128 - (size_t)memory % 128);
  unsigned char* second = first + (bytes + 127) / 128 * 128;
  rc_attach_config config;
  rc_channel one, other;
  char text[6] = "";
  memset(&config, 0, sizeof config);
  config.size = sizeof config;
  config.bytes = bytes;
  config.tx = first;
  config.rx = second;
  WANT_OK(rc_attach(ctx, &config, &one));
  config.tx = second;
  config.rx = first;
  WANT_OK(rc_attach(ctx, &config, &other));
  WANT_OK(rc_put(one, "hello", 5, PATIENCE, NULL));
  WANT_OK(rc_get(other, text, 5, PATIENCE, NULL));
  WANT("hello came", strcmp(text, "hello") == 0);
  WANT_OK(rc_channel_close(one));
  WANT_OK(rc_channel_close(other));
  free(memory);
}

int main(void) {
  char uri[64];
  struct timespec now;
  unsigned char byte;
  int32_t fd = -1;
  uint32_t events = 0;
  int status = 0;
  rc_event event;
  rc_ctx ctx;
  rc_listener listener;
  rc_channel ch;
  pid_t child;

  clock_gettime(CLOCK_REALTIME, &now);
  sprintf(uri, "shm:c99-%lx-%lx-%lx", (unsigned long)now.tv_sec, (unsigned long)now.tv_nsec, (unsigned long)getpid());
  child = fork(); /* before rc_open: a context does not survive a fork */
  if (child == 0) return client(uri);

  WANT("rc_version", rc_version() >= 100);
  ctx = open_context();
  WANT_OK(rc_listen(ctx, uri, NULL, &listener));
  WANT_OK(rc_listener_fd(listener, &fd));
  WANT_OK(rc_fd(ctx, &fd));
  WANT_OK(rc_poll(ctx, &event, 1, PATIENCE, &events));
  WANT("the listener is ready", events == 1 && event.kind == RC_EVENT_LISTENER && event.listener.id == listener.id);
  WANT_OK(rc_accept(listener, PATIENCE, &ch));
  WANT_OK(rc_progress_all(ctx));
  serve(ch);
  look(ch);
  WANT_CODE(RC_E_CLOSED, rc_get(ch, &byte, 1, PATIENCE, NULL));
  WANT("the code has a name", strcmp(rc_code_name(RC_E_CLOSED), "RC_E_CLOSED") == 0);
  WANT("there is a reason", rc_reason()[0] != '\0');
  WANT_OK(rc_channel_close(ch));
  WANT_OK(rc_listener_close(listener));
  attached(ctx);
  WANT_OK(rc_stop(ctx));
  WANT_OK(rc_close(ctx));
  WANT("the client ended well", waitpid(child, &status, 0) == child && status == 0);
  puts("every function of rc.h, called from C99 between two processes");
  return 0;
}
