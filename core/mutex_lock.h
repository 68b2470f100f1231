#ifndef CORE_MUTEX_LOCK_H_
#define CORE_MUTEX_LOCK_H_

#include <pthread.h>

namespace rc {

// Holds a mutex as long as it lives.
class MutexLock {
 public:
  explicit MutexLock(pthread_mutex_t* mutex) noexcept : mutex_(mutex) { pthread_mutex_lock(mutex_); }
  ~MutexLock() { pthread_mutex_unlock(mutex_); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  pthread_mutex_t* mutex_;
};

}  // namespace rc

#endif  // CORE_MUTEX_LOCK_H_
