// The members of a job that was started by a launcher which speaks PMIx: Open MPI's mpirun, prun, srun --mpi=pmix.

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <stdexcept>

#include "harness/mesh/members.h"

#if RC_HAVE_PMIX
#include "pmix.h"

namespace meshes {
namespace {

constexpr char kKey[] = "ringchan.mesh.address";
pmix_proc_t g_self;
int g_held = -1;  // keeps the port ours until the process ends

void must(pmix_status_t status, const char* what) {
  if (status != PMIX_SUCCESS) throw std::runtime_error(std::string(what) + ": " + PMIx_Error_string(status));
}

// Where the other machines of a job find this one: its first address that is up and not the loopback's.
std::string own_address() {
  ifaddrs* all = nullptr;
  std::string found = "127.0.0.1";
  if (getifaddrs(&all) != 0) return found;
  for (const ifaddrs* i = all; i != nullptr; i = i->ifa_next) {
    if (i->ifa_addr == nullptr || i->ifa_addr->sa_family != AF_INET) continue;
    if ((i->ifa_flags & IFF_UP) == 0 || (i->ifa_flags & IFF_LOOPBACK) != 0) continue;
    char text[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(i->ifa_addr)->sin_addr, text, sizeof text);
    found = text;
    break;
  }
  freeifaddrs(all);
  return found;
}

uint32_t number_of(const pmix_proc_t& about, const char* key) {
  pmix_value_t* value = nullptr;
  must(PMIx_Get(&about, key, nullptr, 0, &value), key);
  uint32_t number = value->data.uint32;
  PMIX_VALUE_RELEASE(value);
  return number;
}

std::string address_of(uint32_t rank) {
  pmix_proc_t proc = g_self;
  proc.rank = rank;
  pmix_value_t* value = nullptr;
  must(PMIx_Get(&proc, kKey, nullptr, 0, &value), "PMIx_Get of a member's address");
  std::string address = value->type == PMIX_STRING ? value->data.string : "";
  PMIX_VALUE_RELEASE(value);
  return address;
}

void tell_address(const std::string& address) {
  pmix_value_t value;
  memset(&value, 0, sizeof value);
  value.type = PMIX_STRING;
  value.data.string = const_cast<char*>(address.c_str());  // PMIx_Put copies
  must(PMIx_Put(PMIX_GLOBAL, kKey, &value), "PMIx_Put");
  must(PMIx_Commit(), "PMIx_Commit");
}

void fence(bool collect) {
  pmix_info_t info;
  PMIX_INFO_CONSTRUCT(&info);
  PMIX_INFO_LOAD(&info, PMIX_COLLECT_DATA, &collect, PMIX_BOOL);
  must(PMIx_Fence(nullptr, 0, &info, 1), "PMIx_Fence");
  PMIX_INFO_DESTRUCT(&info);
}

}  // namespace

std::optional<Members> from_pmix() {
  if (getenv("PMIX_RANK") == nullptr || getenv("PMIX_NAMESPACE") == nullptr) return std::nullopt;
  must(PMIx_Init(&g_self, nullptr, 0), "PMIx_Init");
  pmix_proc_t job = g_self;
  job.rank = PMIX_RANK_WILDCARD;
  Members m;
  m.id = g_self.rank;
  m.total = number_of(job, PMIX_JOB_SIZE);
  m.from = "PMIx";
  tell_address(own_address() + ":" + std::to_string(free_port(&g_held)));
  fence(true);
  for (uint32_t rank = 0; rank < m.total; ++rank) m.hosts += std::to_string(rank) + " " + address_of(rank) + "\n";
  return m;
}

void leave_pmix() {
  if (g_held < 0) return;
  fence(false);
  PMIx_Finalize(nullptr, 0);
}

}  // namespace meshes

#else  // without libpmix-dev: a job's members need a host list

namespace meshes {

std::optional<Members> from_pmix() {
  if (getenv("PMIX_RANK") == nullptr) return std::nullopt;
  throw std::runtime_error("started by a PMIx launcher, but built without libpmix-dev; install it, or give --hosts");
}

void leave_pmix() {}

}  // namespace meshes

#endif
