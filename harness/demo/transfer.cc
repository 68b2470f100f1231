// A file through the channel. First a message with its size, then its bytes, then a message with the sender's checksum;
// the receiver answers with its own.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "harness/demo/checksum.h"
#include "harness/demo/parts.h"
#include "harness/demo/processes.h"
#include "harness/demo/progress.h"

namespace demo {
namespace {

constexpr size_t kPiece = 256 * 1024;
constexpr uint64_t kReadAheadMost = uint64_t{1} << 30;

class File {
 public:
  explicit File(const std::string& path) : path_(path), fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (fd_ < 0) fail();
  }
  ~File() { close(fd_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  uint64_t size() const {
    struct stat s;
    if (fstat(fd_, &s) != 0) fail();
    if (!S_ISREG(s.st_mode)) throw std::runtime_error(path_ + ": not a regular file");
    return static_cast<uint64_t>(s.st_size);
  }
  // The next n bytes or fewer, not none.
  size_t read(void* to, size_t n) const {
    ssize_t got = ::read(fd_, to, n);
    if (got < 0) fail();
    if (got == 0) throw std::runtime_error(path_ + ": became shorter while it was read");
    return static_cast<size_t>(got);
  }

 private:
  [[noreturn]] void fail() const { throw std::runtime_error(path_ + ": " + strerror(errno)); }

  std::string path_;
  int fd_;
};

void send_word(rc_channel channel, uint64_t word) {
  must(rc_send(channel, &word, sizeof word, nullptr, kPatience, nullptr), "rc_send");
}
uint64_t receive_word(rc_channel channel) {
  uint64_t word = 0;
  size_t n = 0;
  must(rc_recv(channel, &word, sizeof word, &n, nullptr, nullptr, kPatience), "rc_recv");
  return word;
}

void send_file(rc_channel channel, const std::string& path) {
  File file(path);
  uint64_t size = file.size();
  std::vector<uint8_t> piece(kPiece);
  Crc32c sum;
  Progress progress(size);
  send_word(channel, size);
  for (uint64_t done = 0; done < size;) {
    size_t n = file.read(piece.data(), static_cast<size_t>(std::min<uint64_t>(kPiece, size - done)));
    sum.add(piece.data(), n);
    must(rc_put(channel, piece.data(), n, kPatience, nullptr), "rc_put");
    done += n;
    progress.show(done);
  }
  send_word(channel, sum.value());
  uint64_t theirs = receive_word(channel);
  progress.finish();
  bool equal = theirs == sum.value();
  printf("   sent      %s bytes, CRC-32C %08x\n", with_commas(size).c_str(), sum.value());
  printf("   received  %s bytes, CRC-32C %08x: %s\n", with_commas(size).c_str(), static_cast<uint32_t>(theirs),
         equal ? "equal" : "DIFFERENT");
  if (!equal) throw std::runtime_error("the file arrived changed");
}

void receive_file(rc_channel channel) {
  std::vector<uint8_t> piece(kPiece);
  Crc32c sum;
  uint64_t size = receive_word(channel);
  for (uint64_t done = 0; done < size;) {
    size_t n = 0;
    size_t most = static_cast<size_t>(std::min<uint64_t>(kPiece, size - done));
    must(rc_get_some(channel, piece.data(), most, kPatience, &n), "rc_get_some");
    sum.add(piece.data(), n);
    done += n;
  }
  uint64_t theirs = receive_word(channel);
  send_word(channel, sum.value());
  if (theirs != sum.value()) throw std::runtime_error("the file arrived changed");
}

// Reads the file once, so that what is shown then is the channel and not the disk. Not a file that may not stay in
// memory.
void read_ahead(const std::string& path) {
  File file(path);
  uint64_t size = file.size();
  if (size > kReadAheadMost) return;
  std::vector<uint8_t> piece(kPiece);
  Progress progress(size);
  for (uint64_t done = 0; done < size;) done += file.read(piece.data(), kPiece);
  printf("   read once beforehand, in %.2f s, so that the channel shows and not the disk\n", progress.seconds());
}

}  // namespace

bool transfer(const std::string& backend, const std::string& given) {
  int mib = backend == "rdma" ? 64 : 1024;  // soft-RoCE in an emulated guest moves some 40 MB/s
  std::string path = given.empty() ? find_large_file(int64_t{mib} << 20) : given;
  if (path.empty()) {
    printf("2. A file: there is none to be found under /usr; name one\n");
    return false;
  }
  struct stat s = {};
  stat(path.c_str(), &s);
  printf("2. A file: %s, %s", path.c_str(), size_text(static_cast<uint64_t>(s.st_size)).c_str());
  if (given.empty()) printf(" (the largest up to %d MiB found under /usr)", mib);
  printf("\n");
  read_ahead(path);
  return run_both(
      random_uri(backend, "file"), [](rc_channel channel) { receive_file(channel); },
      [&](rc_channel channel) { send_file(channel, path); });
}

}  // namespace demo
