// Crash points. In test builds (-DRC_STEPS) each numbered step of the protocol calls a hook that may kill the process
// there; in the product they are nothing.
#ifndef CORE_STEP_H_
#define CORE_STEP_H_

#ifdef RC_STEPS
extern "C" void rc_step(const char* name);  // defined by the test program
#define RC_STEP(name) rc_step(name)
#else
#define RC_STEP(name) static_cast<void>(0)
#endif

#endif  // CORE_STEP_H_
