// Clients of rdma_cm that are no ringchan peers: whatever they say, the listener goes on, and says why where it can.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <string.h>

#include <mutex>
#include <vector>

#include "backends/rdma/endpoint.h"
#include "harness/conformance/pair.h"
#include "harness/conformance/rdma_address.h"

namespace conformance {
namespace {

using rc::g_verbs;

// One that connects by hand.
class Stranger {
 public:
  explicit Stranger(const std::string& uri) {
    size_t colon = uri.rfind(':');
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(std::stoi(uri.substr(colon + 1))));
    inet_pton(AF_INET, uri.substr(strlen("rdma://"), colon - strlen("rdma://")).c_str(), &to.sin_addr);
    channel_ = g_verbs.create_event_channel();
    EXPECT_EQ(0, g_verbs.create_id(channel_, &id_, nullptr, RDMA_PS_TCP));
    EXPECT_EQ(0, g_verbs.resolve_addr(id_, nullptr, reinterpret_cast<sockaddr*>(&to), 2000));
    EXPECT_EQ(RDMA_CM_EVENT_ADDR_RESOLVED, next());
    EXPECT_EQ(0, g_verbs.resolve_route(id_, 2000));
    EXPECT_EQ(RDMA_CM_EVENT_ROUTE_RESOLVED, next());
    pd_ = g_verbs.alloc_pd(id_->verbs);
    cq_ = g_verbs.create_cq(id_->verbs, 8, nullptr, nullptr, 0);
    ibv_qp_init_attr init = {};
    init.send_cq = init.recv_cq = cq_;
    init.qp_type = IBV_QPT_RC;
    init.cap = {4, 4, 1, 1, 64};
    e_.id = id_;
    e_.mtu = 4096;
    e_.qp = g_verbs.create_qp(pd_, &init);
    rc::Uri named;
    EXPECT_EQ(rc::kOk, named.parse("rdma://h:1"));
    EXPECT_EQ(rc::kOk, rc::read_knobs(named, "", &knobs_));
    ibv_qp_attr attr;
    int mask = 0;
    EXPECT_EQ(rc::kOk, rc::propose(&e_, IBV_QPS_INIT, &attr, &mask));
    EXPECT_EQ(rc::kOk, rc::enter_init(knobs_, attr, mask, &e_));
  }
  ~Stranger() {
    rc::drop_connection(&e_);
    g_verbs.destroy_qp(e_.qp);
    if (mr_ != nullptr) g_verbs.dereg_mr(mr_);
    g_verbs.destroy_cq(cq_);
    g_verbs.dealloc_pd(pd_);
    g_verbs.destroy_id(id_);
    g_verbs.destroy_event_channel(channel_);
  }
  rdma_cm_event_type connect(const void* data, size_t bytes) {
    rdma_conn_param p = {};
    p.private_data = data;
    p.private_data_len = static_cast<uint8_t>(bytes);
    p.retry_count = 3;
    p.qp_num = e_.qp->qp_num;
    EXPECT_EQ(0, g_verbs.connect(id_, &p));
    rdma_cm_event_type type = next();
    if (type != RDMA_CM_EVENT_CONNECT_RESPONSE) return type;
    EXPECT_EQ(rc::kOk, rc::enter_connection(knobs_, 4096, &e_));
    EXPECT_EQ(0, g_verbs.establish(id_));
    return RDMA_CM_EVENT_ESTABLISHED;
  }
  // The next event; `answer` is its card.
  rdma_cm_event_type next() {
    rdma_cm_event* event = nullptr;
    if (g_verbs.get_cm_event(channel_, &event) != 0) return RDMA_CM_EVENT_TIMEWAIT_EXIT;
    rdma_cm_event_type type = event->event;
    if (event->param.conn.private_data != nullptr && event->param.conn.private_data_len >= sizeof answer)
      memcpy(&answer, event->param.conn.private_data, sizeof answer);
    g_verbs.ack_cm_event(event);
    return type;
  }
  void send_bytes(size_t n) {
    static uint8_t bytes[2048];
    ibv_mr* mr = g_verbs.reg_mr(pd_, bytes, sizeof bytes, 0);
    ibv_sge sge = {reinterpret_cast<uintptr_t>(bytes), static_cast<uint32_t>(n), mr->lkey};
    ibv_send_wr wr = {}, *bad = nullptr;
    wr.sg_list = &sge;
    wr.num_sge = 1;
    wr.opcode = IBV_WR_SEND;
    wr.send_flags = IBV_SEND_SIGNALED;
    EXPECT_EQ(0, ibv_post_send(e_.qp, &wr, &bad));
    ibv_wc wc;
    while (ibv_poll_cq(cq_, 1, &wc) == 0) sched_yield();
    g_verbs.dereg_mr(mr);
  }

  rc::Card answer = {};

 protected:
  rdma_event_channel* channel_ = nullptr;
  rdma_cm_id* id_ = nullptr;
  rc::Endpoint e_ = {};
  rc::Knobs knobs_;
  ibv_pd* pd_ = nullptr;
  ibv_cq* cq_ = nullptr;
  ibv_mr* mr_ = nullptr;
};

// One that knows the handshake, and behaves only until it is over.
class Impostor : public Stranger {
 public:
  using Stranger::Stranger;

  void shake_hands(uint32_t path) {
    mr_ = g_verbs.reg_mr(pd_, &desk_, sizeof desk_, IBV_ACCESS_LOCAL_WRITE);
    for (rc::RdmaHello& in : desk_.in) {
      ibv_sge sge = {reinterpret_cast<uintptr_t>(&in), sizeof in, mr_->lkey};
      ibv_recv_wr wr = {}, *bad = nullptr;
      wr.wr_id = kReceived;
      wr.sg_list = &sge;
      wr.num_sge = 1;
      ASSERT_EQ(0, ibv_post_recv(e_.qp, &wr, &bad));
    }
    rc::Card card = rc::make_card(rc::kOk, path);
    ASSERT_EQ(RDMA_CM_EVENT_ESTABLISHED, connect(&card, sizeof card));
    rc::ChannelParams params = {};
    desk_.out.hello = rc::make_hello(rc::Hello::kAsk, params, 0);
    send(sizeof desk_.out);
    ASSERT_EQ(IBV_WC_SUCCESS, next_of(kReceived));
    desk_.out.hello = rc::make_hello(rc::Hello::kAccept, params, desk_.in[0].hello.ring_bytes);
    desk_.out.inbox = 4096;
    desk_.out.receives = path == rc::kPathSend ? 64 : 0;
    send(sizeof desk_.out);
    ASSERT_EQ(IBV_WC_SUCCESS, next_of(kReceived));
  }
  const rc::RdmaHello& offer() const { return desk_.in[0]; }
  void send(size_t bytes) { EXPECT_EQ(IBV_WC_SUCCESS, post(IBV_WR_SEND, bytes, 0, 0)); }
  void send_message(const rc::MessageHead& head, size_t bytes) {
    memcpy(static_cast<void*>(&desk_.out), &head, sizeof head);
    send(bytes);
  }
  ibv_wc_status write(uint64_t to, uint32_t rkey) { return post(IBV_WR_RDMA_WRITE, 8, to, rkey); }

 private:
  enum : uint64_t { kReceived = 1, kPosted = 2 };

  ibv_wc_status post(ibv_wr_opcode opcode, size_t bytes, uint64_t to, uint32_t rkey) {
    ibv_sge sge = {reinterpret_cast<uintptr_t>(&desk_.out), static_cast<uint32_t>(bytes), mr_->lkey};
    ibv_send_wr wr = {}, *bad = nullptr;
    wr.wr_id = kPosted;
    wr.sg_list = &sge;
    wr.num_sge = 1;
    wr.opcode = opcode;
    wr.send_flags = IBV_SEND_SIGNALED;
    wr.wr.rdma.remote_addr = to;
    wr.wr.rdma.rkey = rkey;
    EXPECT_EQ(0, ibv_post_send(e_.qp, &wr, &bad));
    return next_of(kPosted);
  }
  // Both kinds come from one queue.
  ibv_wc_status next_of(uint64_t id) {
    for (;;) {
      for (auto at = come_.begin(); at != come_.end(); ++at) {
        if (at->wr_id != id) continue;
        ibv_wc_status status = at->status;
        come_.erase(at);
        return status;
      }
      ibv_wc wc;
      while (ibv_poll_cq(cq_, 1, &wc) == 0) sched_yield();
      come_.push_back(wc);
    }
  }

  struct {
    rc::RdmaHello out, in[2];
  } desk_ = {};
  std::vector<ibv_wc> come_;
};

// What this process registers from now on.
struct Registered {
  uint64_t at;
  uint32_t rkey;
  int access;
};
std::mutex g_registering;
std::vector<Registered> g_registered;
decltype(rc::Verbs::reg_mr) g_register;

ibv_mr* register_and_note(ibv_pd* pd, void* at, size_t bytes, int access) noexcept {
  ibv_mr* mr = g_register(pd, at, bytes, access);
  std::lock_guard<std::mutex> lock(g_registering);
  if (mr != nullptr) g_registered.push_back({reinterpret_cast<uintptr_t>(at), mr->rkey, access});
  return mr;
}

// The listener's end of a channel with an impostor.
class Impostors : public testing::TestWithParam<uint32_t> {
 protected:
  void SetUp() override {
    g_register = g_verbs.reg_mr;
    g_verbs.reg_mr = register_and_note;
    uri_ = rdma_uri(path() == rc::kPathSend ? "?path=send" : "");
    ASSERT_RC(RC_OK, rc_open(nullptr, &ctx_));
    ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), nullptr, &listener_));
  }
  void TearDown() override {
    EXPECT_RC(RC_OK, rc_close(ctx_));
    g_verbs.reg_mr = g_register;
  }
  static uint32_t path() { return GetParam(); }

  std::unique_ptr<Impostor> accept() {
    Doing accepting([this] { return rc_accept(listener_, kPatience, &channel_); });
    g_registered.clear();
    auto impostor = std::make_unique<Impostor>(uri_);
    impostor->shake_hands(path());
    EXPECT_DONE(RC_OK, accepting);
    return impostor;
  }
  void expect_over(int32_t code) {
    uint8_t byte;
    EXPECT_RC(code, rc_get(channel_, &byte, 1, kPatience, nullptr));
    EXPECT_RC(RC_OK, rc_channel_close(channel_));
  }

  std::string uri_;
  rc_ctx ctx_{0};
  rc_listener listener_{0};
  rc_channel channel_{0};
};

class Strangers : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_RC(RC_OK, rc_open(nullptr, &ctx_));
    ASSERT_RC(RC_OK, rc_listen(ctx_, uri_.c_str(), nullptr, &listener_));
    accepting_ = std::make_unique<Doing>([this] { return rc_accept(listener_, kPatience, &channel_); });
  }
  // A true client is served all the same.
  void TearDown() override {
    rc_channel client{0};
    EXPECT_RC(RC_OK, rc_connect(ctx_, uri_.c_str(), nullptr, kPatience, &client));
    EXPECT_DONE(RC_OK, *accepting_);
    EXPECT_RC(RC_OK, rc_put(client, "x", 1, kPatience, nullptr));
    uint8_t byte;
    EXPECT_RC(RC_OK, rc_get(channel_, &byte, 1, kPatience, nullptr));
    EXPECT_RC(RC_OK, rc_close(ctx_));
  }

  std::string uri_ = rdma_uri("");
  rc_ctx ctx_{0};
  rc_listener listener_{0};
  rc_channel channel_{0};
  std::unique_ptr<Doing> accepting_;
};

}  // namespace

// With path=send even who has guessed every key and every address writes nowhere; else the inbox is what it can reach.
TEST_P(Impostors, WriteNowhereButWhereTheyMay) {
  size_t reached = 0;
  for (size_t i = 0;; ++i) {
    SCOPED_TRACE(i);
    std::unique_ptr<Impostor> impostor = accept();
    if (HasFatalFailure() || i == g_registered.size()) break;
    Registered to = g_registered[i];
    bool open = (to.access & (IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_ATOMIC)) != 0;
    ibv_wc_status status = impostor->write(to.at, to.rkey);
    EXPECT_EQ(open, status == IBV_WC_SUCCESS) << status;
    EXPECT_TRUE(open || status == IBV_WC_REM_ACCESS_ERR || status == IBV_WC_REM_INV_REQ_ERR) << status;
    reached += open;
    impostor.reset();
    expect_over(RC_E_PEER_DEAD);
  }
  EXPECT_EQ(path() == rc::kPathSend ? 0u : 1u, reached);
  EXPECT_EQ(RC_OK, rc_channel_close(channel_));
}

TEST_P(Impostors, AreToldOfNoMemoryThatIsNotTheirs) {
  std::unique_ptr<Impostor> impostor = accept();
  EXPECT_EQ(path() == rc::kPathSend, impostor->offer().inbox == 0);
  EXPECT_EQ(path() == rc::kPathSend, impostor->offer().rkey == 0);
  impostor.reset();
  expect_over(RC_E_PEER_DEAD);
}

TEST_P(Impostors, SendNonsenseAndAreCorrupt) {
  if (path() != rc::kPathSend) GTEST_SKIP() << "nobody receives what it sends";
  using Head = rc::MessageHead;
  const struct {
    Head head;
    size_t bytes;
  } all[] = {{{0, 0, 0, 1, Head::kBytes, 1, UINT64_MAX}, sizeof(Head) + 1},
             {{0, 0, 0, 1, Head::kBytes, 2, 0}, sizeof(Head) + 1},
             {{0, 0, 0, 0, 99, 0, 0}, sizeof(Head)},
             {{1, 0, 0, 0, Head::kNothing, 0, 0}, sizeof(Head)},
             {{0, 0, 0, UINT64_MAX, Head::kBytes, 1, 0}, sizeof(Head) + 1},
             {{0, 0, 0, 0, Head::kNothing, 0, 0}, sizeof(Head) - 1}};
  for (const auto& a : all) {
    SCOPED_TRACE(&a - all);
    std::unique_ptr<Impostor> impostor = accept();
    impostor->send_message(a.head, a.bytes);
    expect_over(RC_E_CORRUPT);
  }
}

INSTANTIATE_TEST_SUITE_P(Over, Impostors, testing::Values(rc::kPathWrite, rc::kPathSend),
                         [](const auto& test) { return test.param == rc::kPathSend ? "Send" : "Write"; });

TEST_F(Strangers, WithoutACardAreRejectedWithACode) {
  Stranger stranger(uri_);
  EXPECT_EQ(RDMA_CM_EVENT_REJECTED, stranger.connect(nullptr, 0));
  EXPECT_EQ(rc::kHelloMagic, stranger.answer.magic);
  EXPECT_EQ(RC_E_NOT_RINGCHAN, stranger.answer.code);
}

TEST_F(Strangers, EveryFlippedBitOfTheCardIsRejected) {
  rc::Card card = rc::make_card(rc::kOk, rc::kPathWrite);
  for (size_t bit = 0; bit < 8 * sizeof card; ++bit) {
    if (bit / 8 >= offsetof(rc::Card, code) && bit / 8 < offsetof(rc::Card, layout)) continue;  // means nothing here
    SCOPED_TRACE(bit);
    rc::Card flipped = card;
    reinterpret_cast<uint8_t*>(&flipped)[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    Stranger stranger(uri_);
    EXPECT_EQ(RDMA_CM_EVENT_REJECTED, stranger.connect(&flipped, sizeof flipped));
    EXPECT_NE(RC_OK, stranger.answer.code);
  }
}

TEST_F(Strangers, ThatSayNothingOrNonsenseAreDropped) {
  rc::Card card = rc::make_card(rc::kOk, rc::kPathWrite);
  Stranger silent(uri_);
  EXPECT_EQ(RDMA_CM_EVENT_ESTABLISHED, silent.connect(&card, sizeof card));
  for (size_t bytes : {size_t{1}, sizeof(rc::Hello), sizeof(rc::RdmaHello), size_t{2048}}) {
    SCOPED_TRACE(bytes);
    Stranger stranger(uri_);
    EXPECT_EQ(RDMA_CM_EVENT_ESTABLISHED, stranger.connect(&card, sizeof card));
    EXPECT_EQ(card.layout, stranger.answer.layout);
    stranger.send_bytes(bytes);
    rdma_cm_event_type end = stranger.next();  // rejected, if the listener did not know yet that it is established
    EXPECT_TRUE(end == RDMA_CM_EVENT_DISCONNECTED || end == RDMA_CM_EVENT_REJECTED) << end;
  }
}

}  // namespace conformance
