// A note lands as a NIC pleases, in pieces and over an older one. Needs no RDMA.
#include "backends/rdma/note.h"

#include <gtest/gtest.h>
#include <string.h>

#include <string>

namespace {

rc::SealedNote note_of(uint64_t tail, uint64_t credit, uint64_t at, const std::string& bytes) {
  rc::SealedNote note;
  memset(&note, 0x5a, sizeof note);
  rc::fill_note(&note, tail, credit, tail / 2, at, bytes.data(), bytes.size());
  return note;
}

// The first `landed` bytes of a note.
void land(rc::Note* place, const rc::SealedNote& note, size_t landed) {
  memcpy(static_cast<void*>(place), &note, landed);
}

bool same(const rc::SealedNote& a, const rc::SealedNote& b) {
  return a.tail == b.tail && a.credit == b.credit && a.taken == b.taken && a.place == b.place &&
         memcmp(a.words, b.words, a.bytes()) == 0;
}

}  // namespace

TEST(RdmaNote, ArrivesAsItWasSent) {
  for (size_t n = 1; n <= rc::kNoteBytes; ++n) {
    rc::Note place = {};
    std::string bytes(n, 'x');
    for (size_t i = 0; i < n; ++i) bytes[i] = static_cast<char>(i * 7 + n);
    rc::SealedNote sent = note_of(1000 + n, 70, 4096 - n, bytes), got;
    EXPECT_LE(sent.size(), 40 + n + 7);
    land(&place, sent, sent.size());
    ASSERT_TRUE(place.whole(&got)) << n;
    EXPECT_EQ(got.tail, 1000 + n);
    EXPECT_EQ(got.credit, 70u);
    EXPECT_EQ(got.at(), 4096 - n);
    ASSERT_EQ(got.bytes(), n);
    EXPECT_EQ(memcmp(got.words, bytes.data(), n), 0) << n;
  }
}

// Of the new note every number of bytes is there, in either order; the rest is the old one's.
TEST(RdmaNote, IsNotThereBeforeItsLastByte) {
  rc::SealedNote old = note_of(0x1111, 0x22, 100, "an older note, longer"),
                 fresh = note_of(0x3333, 0x44, 180, "the news"), got;
  for (size_t landed = 0; landed < fresh.size(); ++landed) {
    rc::Note place = {};
    land(&place, old, old.size());
    land(&place, fresh, landed);
    bool there = place.whole(&got);
    EXPECT_TRUE(!there || same(got, old)) << landed;
    land(&place, old, old.size());
    size_t from = fresh.size() - landed;
    memcpy(reinterpret_cast<uint8_t*>(&place) + from, reinterpret_cast<const uint8_t*>(&fresh) + from, landed);
    there = place.whole(&got);
    EXPECT_TRUE(!there || same(got, old)) << landed;
  }
}

// What a hostile peer can write there is either no note or one whose place the link checks.
TEST(RdmaNote, OfMoreBytesThanThereIsRoomForIsNone) {
  rc::SealedNote note = note_of(9, 9, 0, "12345678"), got;
  for (uint64_t bytes : {rc::kNoteBytes + 1, size_t{200}, size_t{255}}) {
    rc::Note place = {};
    note.place = bytes;
    land(&place, note, sizeof note);
    EXPECT_FALSE(place.whole(&got)) << bytes;
  }
}
