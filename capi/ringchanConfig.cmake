# find_package(ringchan): targets ringchan::ringchan (shared) and ringchan::ringchan_static.
get_filename_component(_rc_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
include(CMakeFindDependencyMacro)
find_dependency(Threads)
if(NOT TARGET ringchan::ringchan)
  add_library(ringchan::ringchan SHARED IMPORTED)
  set_target_properties(ringchan::ringchan PROPERTIES
    IMPORTED_LOCATION "${_rc_prefix}/lib/libringchan.so.0"
    IMPORTED_SONAME "libringchan.so.0"
    INTERFACE_INCLUDE_DIRECTORIES "${_rc_prefix}/include")
  add_library(ringchan::ringchan_static STATIC IMPORTED)
  set_target_properties(ringchan::ringchan_static PROPERTIES
    IMPORTED_LOCATION "${_rc_prefix}/lib/libringchan.a"
    INTERFACE_INCLUDE_DIRECTORIES "${_rc_prefix}/include"
    INTERFACE_LINK_LIBRARIES Threads::Threads)
endif()
unset(_rc_prefix)
