// The resolver of a test: it knows names of the form "A,B", of numbers, which have several addresses.
#include <dlfcn.h>
#include <netdb.h>

#include <string>

extern "C" int getaddrinfo(const char* host, const char* service, const addrinfo* hints, addrinfo** found) {
  static auto* real = reinterpret_cast<decltype(&getaddrinfo)>(dlsym(RTLD_NEXT, "getaddrinfo"));
  const std::string all = host;
  size_t comma = all.find(',');
  int error = real(all.substr(0, comma).c_str(), service, hints, found);
  if (error != 0 || comma == std::string::npos) return error;
  addrinfo* last = *found;
  while (last->ai_next != nullptr) last = last->ai_next;
  return getaddrinfo(all.c_str() + comma + 1, service, hints, &last->ai_next);
}
