// The main of every conformance test program: it is also the program that its far processes run.
#include <gtest/gtest.h>

#include "harness/conformance/far.h"

int main(int argc, char** argv) {
  conformance::serve_if_far_end(argc, argv);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
