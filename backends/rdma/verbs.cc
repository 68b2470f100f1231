#include "backends/rdma/build.h"
#if RC_HAVE_VERBS
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backends/rdma/verbs.h"

namespace rc {

Verbs g_verbs;

namespace {

constexpr char kInstall[] = "apt-get install rdma-core libibverbs1 ibverbs-providers librdmacm1";
constexpr char kCmDevice[] = "/dev/infiniband/rdma_cm";

pthread_once_t g_once = PTHREAD_ONCE_INIT;
bool g_opened = false;
char g_problem[256];

struct Entry {
  void* to;
  const char* symbol;
};

// The functions of one library. POSIX has them as plain pointers.
bool fill(const char* file, const Entry* entries, size_t n) noexcept {
  void* library = dlopen(file, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  for (size_t i = 0; library != nullptr && i < n; ++i) {
    void* symbol = dlsym(library, entries[i].symbol);
    if (symbol == nullptr) library = nullptr;
    memcpy(entries[i].to, &symbol, sizeof symbol);
  }
  if (library != nullptr) return true;
  const char* said = dlerror();
  snprintf(g_problem, sizeof g_problem, "%s", said != nullptr ? said : file);
  return false;
}

void open_libraries() noexcept {
  Verbs& v = g_verbs;
  const Entry verbs[] = {
      {&v.get_device_list, "ibv_get_device_list"},
      {&v.free_device_list, "ibv_free_device_list"},
      {&v.get_device_name, "ibv_get_device_name"},
      {&v.get_device_guid, "ibv_get_device_guid"},
      {&v.open_device, "ibv_open_device"},
      {&v.close_device, "ibv_close_device"},
      {&v.get_async_event, "ibv_get_async_event"},
      {&v.ack_async_event, "ibv_ack_async_event"},
      {&v.query_device, "ibv_query_device"},
      {&v.query_port, "ibv_query_port"},
      {&v.alloc_pd, "ibv_alloc_pd"},
      {&v.dealloc_pd, "ibv_dealloc_pd"},
      {&v.reg_mr, "ibv_reg_mr"},
      {&v.dereg_mr, "ibv_dereg_mr"},
      {&v.create_comp_channel, "ibv_create_comp_channel"},
      {&v.destroy_comp_channel, "ibv_destroy_comp_channel"},
      {&v.create_cq, "ibv_create_cq"},
      {&v.destroy_cq, "ibv_destroy_cq"},
      {&v.get_cq_event, "ibv_get_cq_event"},
      {&v.ack_cq_events, "ibv_ack_cq_events"},
      {&v.create_qp, "ibv_create_qp"},
      {&v.modify_qp, "ibv_modify_qp"},
      {&v.query_qp, "ibv_query_qp"},
      {&v.destroy_qp, "ibv_destroy_qp"},
      {&v.query_gid, "ibv_query_gid"},
      {&v.query_pkey, "ibv_query_pkey"},
  };
  const Entry cm[] = {
      {&v.create_event_channel, "rdma_create_event_channel"},
      {&v.destroy_event_channel, "rdma_destroy_event_channel"},
      {&v.create_id, "rdma_create_id"},
      {&v.destroy_id, "rdma_destroy_id"},
      {&v.migrate_id, "rdma_migrate_id"},
      {&v.set_option, "rdma_set_option"},
      {&v.bind_addr, "rdma_bind_addr"},
      {&v.listen, "rdma_listen"},
      {&v.resolve_addr, "rdma_resolve_addr"},
      {&v.resolve_route, "rdma_resolve_route"},
      {&v.init_qp_attr, "rdma_init_qp_attr"},
      {&v.connect, "rdma_connect"},
      {&v.establish, "rdma_establish"},
      {&v.accept, "rdma_accept"},
      {&v.notify, "rdma_notify"},
      {&v.reject, "rdma_reject"},
      {&v.disconnect, "rdma_disconnect"},
      {&v.get_cm_event, "rdma_get_cm_event"},
      {&v.ack_cm_event, "rdma_ack_cm_event"},
  };
  g_opened = fill("libibverbs.so.1", verbs, sizeof verbs / sizeof *verbs) &&
             fill("librdmacm.so.1", cm, sizeof cm / sizeof *cm);
}

// What a process can be short of; the device is not the cause then.
bool is_shortage(int error) noexcept { return error == EMFILE || error == ENFILE || error == ENOMEM; }

// One that can be opened will do.
Code open_any(ibv_device** list, int devices) noexcept {
  Code code = kOk;
  for (int i = 0; i < devices; ++i) {
    ibv_context* verbs = nullptr;
    code = open_device(list[i], &verbs);
    if (code != kOk) continue;
    g_verbs.close_device(verbs);
    break;
  }
  return code;
}

}  // namespace

Code open_device(ibv_device* device, ibv_context** to) noexcept {
  *to = g_verbs.open_device(device);
  if (*to != nullptr) return kOk;
  if (is_shortage(errno)) return fail_errno(kSystem, "opening an RDMA device", errno);
  // Without the error: where the user may not open the file, rdma-core says that there is none.
  return fail(kNoDevice,
              "RDMA device %s: this process cannot open /dev/infiniband/%s: see that it is there, and that this user "
              "may use it (ls -l); a container is given it by --device /dev/infiniband/%s",
              g_verbs.get_device_name(device), device->dev_name, device->dev_name);
}

Code open_verbs() noexcept {
  pthread_once(&g_once, open_libraries);
  if (!g_opened) return fail(kNoDevice, "rdma-core is not installed here (%s); %s", g_problem, kInstall);
  int devices = 0;
  ibv_device** list = g_verbs.get_device_list(&devices);
  Code code = list != nullptr ? open_any(list, devices) : kOk;
  if (list != nullptr) g_verbs.free_device_list(list);
  if (list == nullptr || devices == 0) {
    // rdma-core lists no device whose file is not there.
    if (access("/sys/class/infiniband_verbs/uverbs0", F_OK) == 0) {
      return fail_plain(
          kNoDevice,
          "this machine has an RDMA device, but there is no /dev/infiniband/uverbs0; a container is given "
          "it by --device /dev/infiniband/uverbs0 --device /dev/infiniband/rdma_cm");
    }
    return fail_plain(kNoDevice,
                      "this machine has no RDMA device; soft-RoCE makes one: modprobe rdma_rxe && "
                      "rdma link add rxe0 type rxe netdev eth0");
  }
  return code;
}

Code open_rdma_cm() noexcept {
  Code code = open_verbs();
  if (code != kOk) return code;
  // librdmacm would print its complaint.
  int fd = open(kCmDevice, O_RDWR | O_CLOEXEC);
  if (fd >= 0) {
    close(fd);
    return kOk;
  }
  if (is_shortage(errno)) return fail_errno(kSystem, "opening rdma_cm", errno);
  return fail(kNoDevice,
              "%s cannot be opened: %s; modprobe rdma_ucm, and see that this user may use it; a container is given it "
              "by --device %s",
              kCmDevice, strerror(errno), kCmDevice);
}

}  // namespace rc
#endif
