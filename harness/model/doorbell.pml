/* Sleep and wake between two processes of which either may die at any point (core/doorbell.h, Channel::wait_for).
 *
 * The putter puts MESSAGES messages into a ring of CAPACITY, sleeping for credit; the getter gets them, sleeping for
 * bytes. Checked: nobody sleeps for ever (no invalid end state), the getter gets all that was published before the putter
 * died, and all MESSAGES if nobody died. No sleep has a deadline here: a deadline would hide a lost wake-up.
 *
 * Processors delay stores (TSO): each process stores into its own buffer, which drains into memory some time later and in
 * order. A fence waits until it has drained. With -DMEMBARRIER the ringer has no fence at all, and the sleeper's drains the
 * buffers of both, as membarrier(2) with GLOBAL_EXPEDITED does.
 *
 * -DFAULT_... plants a fault, which must be found:
 *   NO_SLEEPER_FENCE  no fence between arming and the last look
 *   NO_RINGER_FENCE   no fence between the store and the look at the arm count; with MEMBARRIER: it drains one side only
 *   NO_LAST_LOOK      sleeps after arming without looking again
 *   EAT_AFTER_LOOK    throws away doorbells after the last look instead of before arming
 *   RING_FIRST        looks at the arm count before it stores
 *   NO_HANGUP         death of the peer wakes nobody
 *   NO_FINAL_LOOK     after the peer's death does not look once more for what it has published
 */
#ifndef MESSAGES
#define MESSAGES 3
#endif
#ifndef CAPACITY
#define CAPACITY 1
#endif

#define PUTTER 0
#define GETTER 1

/* Words in shared memory: what the putter stores, then what the getter stores. */
#define TAIL 0
#define ARMED_PUT 1
#define CREDIT 2
#define ARMED_GET 3
byte word[4];

/* Store buffers, one per process. */
chan buffer[2] = [3] of { byte, byte };

/* What the kernel knows. */
bool rung[2];    /* the doorbell of that process is readable */
bool dead[2];    /* that process is gone, by death or in order */
bool hung_up[2]; /* its socket is closed: the peer's poll wakes */

/* Who is to die now. */
bool kill[2];
bool killed;

byte got;

/* A processor lets one store of each process reach memory at a time, whenever it likes, also after its death. */
active proctype processor() {
  byte a, v;
end:
  do
  :: atomic { buffer[PUTTER]?a,v -> word[a] = v; a = 0; v = 0 }
  :: atomic { buffer[GETTER]?a,v -> word[a] = v; a = 0; v = 0 }
  od
}

/* The kernel closes the socket of a dead process, after its stores have reached memory. */
active proctype kernel() {
end:
  do
  :: atomic { dead[PUTTER] && !hung_up[PUTTER] && empty(buffer[PUTTER]) -> hung_up[PUTTER] = true }
  :: atomic { dead[GETTER] && !hung_up[GETTER] && empty(buffer[GETTER]) -> hung_up[GETTER] = true }
  od
}

/* At most one of the two is killed, at any time. */
active proctype killer() {
  if
  :: true
  :: atomic { kill[PUTTER] = true; killed = true }
  :: atomic { kill[GETTER] = true; killed = true }
  fi
}

inline store(me, a, v) { buffer[me]!a,v }

inline full_fence(me) { empty(buffer[me]) }

inline heavy_fence(me) {
#ifndef FAULT_NO_SLEEPER_FENCE
  full_fence(me);
#if defined(MEMBARRIER) && !defined(FAULT_NO_RINGER_FENCE)
  full_fence(1 - me);
#endif
#endif
  skip
}

inline light_fence(me) {
#if !defined(MEMBARRIER) && !defined(FAULT_NO_RINGER_FENCE)
  full_fence(me);
#endif
  skip
}

/* One load of the peer's arm count; rings if it has armed since. */
inline ring_if_armed(me, arm_word, rung_for) {
  now = word[arm_word];
  if
  :: now != rung_for -> rung_for = now; rung[1 - me] = true
  :: else
  fi
}

inline eat_doorbell(me) { rung[me] = false }

inline sleep(me) {
#ifdef FAULT_EAT_AFTER_LOOK
  eat_doorbell(me);
#endif
#ifdef FAULT_NO_HANGUP
  rung[me]
#else
  rung[me] || hung_up[1 - me]
#endif
}

active proctype putter() {
  byte put, now, armed, rung_for;
  {
    do
    :: put == MESSAGES -> break
    :: else ->
      /* Wait for space. */
      do
      :: put - word[CREDIT] < CAPACITY -> break
      :: else ->
#ifndef FAULT_EAT_AFTER_LOOK
        eat_doorbell(PUTTER);
#endif
        if
        :: hung_up[GETTER] -> goto over
        :: else
        fi;
        armed++;
        store(PUTTER, ARMED_PUT, armed);
        heavy_fence(PUTTER);
#ifndef FAULT_NO_LAST_LOOK
        if
        :: put - word[CREDIT] < CAPACITY -> break
        :: else
        fi;
#endif
        sleep(PUTTER)
      od;
      put++;
#ifdef FAULT_RING_FIRST
      ring_if_armed(PUTTER, ARMED_GET, rung_for);
      store(PUTTER, TAIL, put)
#else
      store(PUTTER, TAIL, put);
      light_fence(PUTTER);
      ring_if_armed(PUTTER, ARMED_GET, rung_for)
#endif
    od;
over:
    skip
  } unless { kill[PUTTER] };
  dead[PUTTER] = true
}

active proctype getter() {
  byte now, armed, rung_for;
  bool peer_died;
  {
    do
    :: got == MESSAGES -> break
    :: else ->
      /* Wait for bytes. */
      do
      :: word[TAIL] > got -> break
      :: else ->
#ifndef FAULT_EAT_AFTER_LOOK
        eat_doorbell(GETTER);
#endif
        if
        :: hung_up[PUTTER] ->
#ifndef FAULT_NO_FINAL_LOOK
          if
          :: word[TAIL] > got -> break
          :: else
          fi;
#endif
          peer_died = true;
          goto over
        :: else
        fi;
        armed++;
        store(GETTER, ARMED_GET, armed);
        heavy_fence(GETTER);
#ifndef FAULT_NO_LAST_LOOK
        if
        :: word[TAIL] > got -> break
        :: else
        fi;
#endif
        sleep(GETTER)
      od;
      got++;
#ifdef FAULT_RING_FIRST
      ring_if_armed(GETTER, ARMED_PUT, rung_for);
      store(GETTER, CREDIT, got)
#else
      store(GETTER, CREDIT, got);
      light_fence(GETTER);
      ring_if_armed(GETTER, ARMED_PUT, rung_for)
#endif
    od;
over:
    /* What the dead putter had published has been got; a living one leaves only when all has been put. */
    assert(!peer_died || got == word[TAIL]);
    assert(got == MESSAGES || killed)
  } unless { kill[GETTER] };
  dead[GETTER] = true
}

/* Both leave in the end, whatever happens: no sleep and no endless round of looking. Needs fair scheduling (pan -a -f). */
ltl both_leave { <> (dead[PUTTER] && dead[GETTER]) }
