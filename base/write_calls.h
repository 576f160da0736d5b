// The system calls that make and change files. All of thimble's files but SQLite's go through them, so that a
// test can make any one of them fail (CONTRIBUTING.md, "Failing writes"): the environment variable
// THIMBLE_FAIL_WRITE holds
//   N        the N-th call of the process (from 1) fails as on a full disk,
//   N+       so does every later one,
//   N:ERROR  the N-th (N+:ERROR: and every later one) fails with EACCES, EDQUOT, EFBIG, EIO, ENOSPC or EROFS,
//   N:KILL   the process is killed instead of the N-th call,
//   COUNT    nothing fails; how many calls there were is said on standard error at the end.
// Each returns what the call of that name returns, with errno set.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace thimble::write_calls {

int Open(const char* path, int flags);  // close-on-exec; a new file is 0644
ssize_t Write(int file, const void* bytes, size_t size);
int Reserve(int file, uint64_t bytes);  // the file has that size and the disk the room: posix_fallocate
int Sync(int file);
int Rename(const char* from, const char* to);
int Exchange(const char* one, const char* other);  // both exist; one step: renameat2
int MakeDirectory(const char* path);

}  // namespace thimble::write_calls
