/* A plain C client of ringchan: hello URI
 *
 *     cc -std=c99 -pedantic hello.c libringchan.a -pthread -o hello
 */
#include <stdio.h>
#include <string.h>

#include "rc.h"

#define TEN_SECONDS (INT64_C(10) * 1000 * 1000 * 1000)

static int failed(const char* call) {
  fprintf(stderr, "hello: %s: %s\n", call, rc_reason());
  return 1;
}

int main(int argc, char** argv) {
  const char* hello = "hello from C";
  char answer[100];
  size_t n = 0;
  rc_ctx ctx;
  rc_channel channel;

  if (argc != 2) {
    fprintf(stderr, "usage: hello URI, for example hello shm:demo\n");
    return 2;
  }
  if (rc_open(NULL, &ctx) != RC_OK) return failed("rc_open");
  if (rc_connect(ctx, argv[1], NULL, TEN_SECONDS, &channel) != RC_OK) return failed("rc_connect");
  if (rc_send(channel, hello, strlen(hello), NULL, TEN_SECONDS, NULL) != RC_OK) return failed("rc_send");
  if (rc_recv(channel, answer, sizeof answer - 1, &n, NULL, NULL, TEN_SECONDS) != RC_OK) return failed("rc_recv");
  answer[n] = '\0';
  printf("   C client:   sent \"%s\", the server answered \"%s\"\n", hello, answer);
  rc_close(ctx);
  return 0;
}
