// A ringchan owner's peer that is no ringchan program: verbs and rdma_cm, and of the library nothing but the layout of
// what travels. It keeps what a direct grant's frame has told it and uses that whenever it is told to. Commands come by
// standard input, each is answered by a line:
//   connect ADDRESS PORT     one more channel, the one that is used from now on; those before stay open
//   grant                    waits for the channel's next direct grant: the one that is used from now on
//   forge BITS               changes these bits of the key that was kept
//   write|read|add AT BYTES  at that distance from the grant's first byte, whatever it allows; answers with the NIC's
//                            word for how it ended, and the first word of what this process has then
#include <rdma/rdma_cma.h>
#include <rdma/rdma_verbs.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <list>
#include <string>

#include "backends/rdma/mail.h"
#include "backends/rdma/parley.h"
#include "core/op_wire.h"

namespace {

constexpr size_t kRingBytes = 4096, kOpRingBytes = 65536, kBytes = 65536;

void check(bool good, const char* what) {
  if (good) return;
  perror(what);
  exit(1);
}

// What the NIC reads and writes here for one channel.
struct Memory {
  alignas(rc::kPair) uint8_t inbox[rc::kRingOffset + kRingBytes + kOpRingBytes] = {};
  rc::RdmaHello out = {}, offer = {}, go = {};
  uint8_t bytes[kBytes];
};

struct Grant {
  uint64_t address;
  uint32_t key;
};

class Channel {
 public:
  Channel(const char* address, const char* port) {
    find(address, port);
    mr_ = ibv_reg_mr(id_->pd, &memory_, sizeof memory_, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
    check(mr_ != nullptr, "ibv_reg_mr");
    rc::clear_mail(reinterpret_cast<rc::Inbox*>(memory_.inbox));
    for (rc::RdmaHello* in : {&memory_.offer, &memory_.go})
      check(rdma_post_recv(id_, nullptr, in, sizeof *in, mr_) == 0, "rdma_post_recv");
    connect();
    say(rc::Hello::kAsk);
    hear(memory_.offer);
    memory_.out.inbox = reinterpret_cast<uintptr_t>(memory_.inbox);
    memory_.out.rkey = mr_->rkey;
    say(rc::Hello::kAccept);
    hear(memory_.go);
  }

  // What the owner announces lies in the op ring, below a tail that its NIC has written.
  Grant next_grant() {
    const rc::Letter& tail = rc::mail_of(reinterpret_cast<rc::Inbox*>(memory_.inbox)).op_tail;
    for (;;) {
      uint64_t to;
      while (!tail.whole(&to) || to == read_) sched_yield();
      rc::OpFrame frame;
      memcpy(&frame, memory_.inbox + rc::kRingOffset + rc::op_ring_at(kRingBytes) + read_, sizeof frame);
      read_ += sizeof frame + rc::padded(frame.bytes);
      if (frame.type == rc::kOpGrant && (frame.word & rc::kDirect) != 0) return {frame.offset, frame.request};
    }
  }

  ibv_wc_status use(const Grant& grant, ibv_wr_opcode opcode, uint64_t at, uint32_t bytes, uint64_t* word) {
    memset(memory_.bytes, opcode == IBV_WR_RDMA_WRITE ? 3 : 0, sizeof memory_.bytes);
    ibv_sge here = {reinterpret_cast<uintptr_t>(memory_.bytes), bytes, mr_->lkey};
    ibv_send_wr wr = {}, *bad = nullptr;
    wr.sg_list = &here;
    wr.num_sge = 1;
    wr.opcode = opcode;
    wr.send_flags = IBV_SEND_SIGNALED;
    if (opcode == IBV_WR_ATOMIC_FETCH_AND_ADD) {
      wr.wr.atomic = {grant.address + at, 1, 0, grant.key};
    } else {
      wr.wr.rdma = {grant.address + at, grant.key};
    }
    check(ibv_post_send(id_->qp, &wr, &bad) == 0, "ibv_post_send");
    ibv_wc wc = {};
    check(rdma_get_send_comp(id_, &wc) > 0, "rdma_get_send_comp");
    memcpy(word, memory_.bytes, sizeof *word);
    return wc.status;
  }

 private:
  // An id without an event channel: each of its calls waits for its end.
  void find(const char* address, const char* port) {
    rdma_addrinfo hints = {}, *found = nullptr;
    hints.ai_port_space = RDMA_PS_TCP;
    check(rdma_getaddrinfo(address, port, &hints, &found) == 0, "rdma_getaddrinfo");
    ibv_qp_init_attr init = {};
    init.cap = {4, 4, 1, 1, 0};
    init.qp_type = IBV_QPT_RC;
    check(rdma_create_ep(&id_, found, nullptr, &init) == 0, "rdma_create_ep");
    rdma_freeaddrinfo(found);
  }
  void connect() {
    rc::Card card = {rc::kHelloMagic, rc::kWireVersion, 0, rc::kLayoutHash, rc::kMtuMost, 0};
    rdma_conn_param param = {};
    param.private_data = &card;
    param.private_data_len = sizeof card;
    param.initiator_depth = 1;
    param.responder_resources = 1;
    param.retry_count = 1;
    check(rdma_connect(id_, &param) == 0, "rdma_connect");
  }
  void say(rc::Hello::Kind kind) {
    rc::Hello& hello = memory_.out.hello;
    hello.magic = rc::kHelloMagic;
    hello.version = rc::kWireVersion;
    hello.kind = kind;
    hello.layout = rc::kLayoutHash;
    hello.ring_bytes = kRingBytes;
    hello.op_ring_bytes = kOpRingBytes;
    hello.requests = 1;
    ibv_wc wc = {};
    check(rdma_post_send(id_, nullptr, &memory_.out, sizeof memory_.out, mr_, IBV_SEND_SIGNALED) == 0 &&
              rdma_get_send_comp(id_, &wc) > 0 && wc.status == IBV_WC_SUCCESS,
          "saying a hello");
  }
  void hear(const rc::RdmaHello& hello) {
    ibv_wc wc = {};
    check(rdma_get_recv_comp(id_, &wc) > 0 && wc.status == IBV_WC_SUCCESS && hello.hello.code == 0, hello.hello.text);
  }

  rdma_cm_id* id_ = nullptr;  // ends with the process, as all that hangs on it
  ibv_mr* mr_ = nullptr;
  uint64_t read_ = 0;  // of the op ring
  Memory memory_;
};

ibv_wr_opcode opcode_of(const std::string& verb) {
  return verb == "write" ? IBV_WR_RDMA_WRITE : verb == "read" ? IBV_WR_RDMA_READ : IBV_WR_ATOMIC_FETCH_AND_ADD;
}

}  // namespace

int main() {
  std::list<Channel> channels;
  Grant grant = {};
  for (std::string verb; std::cin >> verb;) {
    if (verb == "connect") {
      std::string address, port;
      std::cin >> address >> port;
      channels.emplace_back(address.c_str(), port.c_str());
      puts("connected");
    } else if (verb == "grant") {
      grant = channels.back().next_grant();
      printf("granted %#jx key %#x\n", uintmax_t{grant.address}, grant.key);
    } else if (verb == "forge") {
      uint32_t bits = 0;
      std::cin >> bits;
      grant.key ^= bits;
      printf("forged key %#x\n", grant.key);
    } else {
      int64_t at = 0;
      uint32_t bytes = 0;
      uint64_t word = 0;
      std::cin >> at >> bytes;
      ibv_wc_status status = channels.back().use(grant, opcode_of(verb), static_cast<uint64_t>(at), bytes, &word);
      printf("%s %jd %u: %s, %jx\n", verb.c_str(), intmax_t{at}, bytes, ibv_wc_status_str(status), uintmax_t{word});
    }
    fflush(stdout);
  }
  _exit(0);  // who attacks does not tidy up: the kernel does
}
