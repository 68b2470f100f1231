// Config structs of any size the caller was compiled with become checked values.
#ifndef CAPI_CONFIG_H_
#define CAPI_CONFIG_H_

#include "capi/rc.h"
#include "core/attach.h"
#include "core/context.h"
#include "core/mesh.h"

namespace rc {

Code read_limits(const rc_config* config, Limits* limits, void** memory, uint64_t* memory_bytes) noexcept;
Code read_channel_params(const rc_channel_config* config, const Limits& limits, ChannelParams* params) noexcept;
Code read_mesh_params(const rc_mesh_config* config, const Limits& limits, MeshParams* params) noexcept;
Code read_attach_params(const rc_attach_config* config, AttachParams* params) noexcept;

Code read_raw_address(const rc_raw_address* address, RawAddress* to) noexcept;

// Copies as much of an answer as the caller's struct holds; its first field keeps the caller's size.
Code write_answer(void* answer, uint32_t answer_bytes, const void* full, uint32_t full_bytes,
                  const char* name) noexcept;

}  // namespace rc

#endif  // CAPI_CONFIG_H_
