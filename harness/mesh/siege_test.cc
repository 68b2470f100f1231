// The short form of "harness/run hostile mesh".
#include "harness/mesh/siege.h"

#include <gtest/gtest.h>

namespace meshes {
namespace {

TEST(Siege, DisturbsNoMember) {
  Siege siege = besiege(3, 3, 1);
  EXPECT_EQ("", siege.wrong);
  EXPECT_GT(siege.attacks, 50u);
  EXPECT_GT(siege.exchanges, 50u);
  printf("%lu connections of strangers, %lu numbers exchanged, memory grown by %ld KB\n",
         static_cast<unsigned long>(siege.attacks), static_cast<unsigned long>(siege.exchanges),
         static_cast<long>(siege.grown_kb));
}

}  // namespace
}  // namespace meshes
