/* Lets the n-th file operation fail: a library to be preloaded (LD_PRELOAD) into Node, its workers and
 * its child processes, native modules included. It stands between them and the C library, so what it
 * gives back is what the kernel would give back.
 *
 * Operations are counted over all threads and processes in one file that they share (FAULT_STATE), when
 * they concern a path below FAULT_ROOT. Whoever runs the commands writes into that file what is to
 * happen, and reads from it how many operations there were:
 *
 *   u64 count, u64 at (0 = never), u32 kind, u32 fired, u32 log
 *
 * With `log`, each operation is appended to FAULT_LOG, without it the one that is struck: number,
 * class, name, path.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct state {
  unsigned long long count, at;
  unsigned int kind, fired, log;
};

/* What may go wrong with an operation depends on what it does. */
enum class { LOOK, OPEN, MAKE, READ, WRITE, SYNC, CHANGE };
static const char *const classes[] = {"look", "open", "make", "read", "write", "sync", "change"};

enum kind { NONE, KILL, SHORT, FAIL /* + errno */ };

static struct state *shared;
static const char *root;
static size_t root_length;
static int log_fd = -1;

enum { most_files = 1 << 16 };
static char *names[most_files];
static unsigned char written[most_files];

static void prepare(void) {
  static int once;
  if (__atomic_exchange_n(&once, 1, __ATOMIC_SEQ_CST)) return;
  const char *path = getenv("FAULT_STATE");
  root = getenv("FAULT_ROOT");
  if (!path || !root) return;
  root_length = strlen(root);
  int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void *at = mmap(0, sizeof(struct state), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  syscall(SYS_close, fd);
  if (at == MAP_FAILED) return;
  const char *log = getenv("FAULT_LOG");
  if (log) {
    fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    log_fd = fcntl(fd, F_DUPFD_CLOEXEC, 900);
    syscall(SYS_close, fd);
  }
  __atomic_store_n(&shared, at, __ATOMIC_SEQ_CST);
}

__attribute__((constructor)) static void begin(void) { prepare(); }

static int is_below(const char *path) {
  return !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

/* The absolute path where it is one that counts, else 0; `into` holds PATH_MAX. */
static const char *wanted(int folder, const char *path, char *into) {
  prepare();
  if (!shared || !path) return 0;
  if (*path == '/') return is_below(path) ? path : 0;
  char link[40];
  size_t length;
  if (folder == AT_FDCWD) {
    if (syscall(SYS_getcwd, into, PATH_MAX) < 0) return 0;
    length = strlen(into);
  } else {
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t got = syscall(SYS_readlinkat, AT_FDCWD, link, into, PATH_MAX - 1);
    if (got < 0) return 0;
    length = got;
  }
  snprintf(into + length, PATH_MAX - length, "/%s", path);
  return is_below(into) ? into : 0;
}

static const char *name_of(int fd) { return fd >= 0 && fd < most_files ? names[fd] : 0; }

/* Counts one operation. 0: let it happen; -1: `errno` says what went wrong; 1: do half of it. */
static int strike(enum class class, const char *name, const char *path) {
  if (!shared || !path) return 0;
  unsigned long long number = __atomic_add_fetch(&shared->count, 1, __ATOMIC_SEQ_CST);
  /* With `log` all operations are told, else the one that is struck. */
  if ((shared->log || number == shared->at) && log_fd >= 0) {
    char line[PATH_MAX + 64];
    int length =
        snprintf(line, sizeof line, "%llu %s %s %s\n", number, classes[class], name, path);
    syscall(SYS_write, log_fd, line, length);
  }
  if (number != shared->at) return 0;
  shared->fired = 1;
  if (shared->kind == KILL) {
    syscall(SYS_kill, 0, SIGKILL);
    for (;;) pause();
  }
  if (shared->kind == SHORT) return 1;
  errno = shared->kind - FAIL;
  return -1;
}

static void opened(int fd, const char *path, int flags) {
  if (fd < 0 || fd >= most_files) return;
  char *old = __atomic_exchange_n(&names[fd], path ? strdup(path) : 0, __ATOMIC_SEQ_CST);
  free(old);
  written[fd] = (flags & O_ACCMODE) != O_RDONLY;
}

#define NEXT(name)                                            \
  static __typeof__(&name) next;                              \
  if (!next) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* The mode is there only where a file may be made. */
#define OPEN(name, folder, parameters, arguments)                                        \
  int name parameters {                                                                  \
    NEXT(name);                                                                          \
    mode_t mode = 0;                                                                     \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                 \
      va_list rest;                                                                      \
      va_start(rest, flags);                                                             \
      mode = va_arg(rest, mode_t);                                                       \
      va_end(rest);                                                                      \
    }                                                                                    \
    char into[PATH_MAX];                                                                 \
    const char *full = wanted(folder, path, into);                                       \
    if (strike(flags & (O_CREAT | O_TRUNC) ? MAKE : OPEN, "open", full) < 0) return -1;  \
    int fd = next arguments;                                                             \
    opened(fd, full, flags);                                                             \
    return fd;                                                                           \
  }
OPEN(open, AT_FDCWD, (const char *path, int flags, ...), (path, flags, mode))
OPEN(open64, AT_FDCWD, (const char *path, int flags, ...), (path, flags, mode))
OPEN(openat, folder, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))
OPEN(openat64, folder, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))

#define FOPEN(name)                                                                      \
  FILE *name(const char *path, const char *mode) {                                       \
    NEXT(name);                                                                          \
    char into[PATH_MAX];                                                                 \
    const char *full = wanted(AT_FDCWD, path, into);                                     \
    if (strike(*mode == 'r' ? OPEN : MAKE, "fopen", full) < 0) return 0;                 \
    FILE *file = next(path, mode);                                                       \
    if (file) opened(fileno(file), full, *mode == 'r' ? O_RDONLY : O_WRONLY);            \
    return file;                                                                         \
  }
FOPEN(fopen)
FOPEN(fopen64)

/* Before a file is closed. @returns 0, or the error that closing it is to end in */
static int closing(int fd) {
  char *name = fd >= 0 && fd < most_files ? __atomic_exchange_n(&names[fd], 0, __ATOMIC_SEQ_CST) : 0;
  if (!name) return 0;
  /* Only what was written can be lost when it is closed. */
  int struck = written[fd] ? strike(SYNC, "close", name) : 0;
  int code = struck < 0 ? errno : 0;
  free(name);
  return code;
}

int close(int fd) {
  NEXT(close);
  int code = closing(fd);
  int closed = next(fd);
  if (!code) return closed;
  errno = code;
  return -1;
}

/* libuv closes files by the number of the call. */
long syscall(long number, ...) {
  NEXT(syscall);
  va_list rest;
  va_start(rest, number);
  long a[6];
  for (int i = 0; i < 6; i++) a[i] = va_arg(rest, long);
  va_end(rest);
  int code = number == SYS_close ? closing(a[0]) : 0;
  long result = next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  if (!code) return result;
  errno = code;
  return -1;
}

#define HALF(n) ((n) > 1 ? (n) / 2 : (n))

#define TRANSFER(result, name, class, parameters, arguments, halved) \
  result name parameters {                                           \
    NEXT(name);                                                      \
    int struck = strike(class, #name, name_of(fd));                  \
    if (struck < 0) return -1;                                       \
    if (struck > 0) return next halved;                              \
    return next arguments;                                           \
  }

TRANSFER(ssize_t, read, READ, (int fd, void *to, size_t n), (fd, to, n), (fd, to, HALF(n)))
TRANSFER(ssize_t, pread, READ, (int fd, void *to, size_t n, off_t at), (fd, to, n, at),
         (fd, to, HALF(n), at))
TRANSFER(ssize_t, pread64, READ, (int fd, void *to, size_t n, off64_t at), (fd, to, n, at),
         (fd, to, HALF(n), at))
TRANSFER(ssize_t, write, WRITE, (int fd, const void *from, size_t n), (fd, from, n),
         (fd, from, HALF(n)))
TRANSFER(ssize_t, pwrite, WRITE, (int fd, const void *from, size_t n, off_t at), (fd, from, n, at),
         (fd, from, HALF(n), at))
TRANSFER(ssize_t, pwrite64, WRITE, (int fd, const void *from, size_t n, off64_t at),
         (fd, from, n, at), (fd, from, HALF(n), at))

/* Half of several buffers: half of the first one. */
#define FIRST (struct iovec){from[0].iov_base, HALF(from[0].iov_len)}
ssize_t readv(int fd, const struct iovec *from, int n) {
  NEXT(readv);
  int struck = strike(READ, "readv", name_of(fd));
  if (struck < 0) return -1;
  return struck > 0 && n > 0 ? next(fd, &FIRST, 1) : next(fd, from, n);
}
ssize_t writev(int fd, const struct iovec *from, int n) {
  NEXT(writev);
  int struck = strike(WRITE, "writev", name_of(fd));
  if (struck < 0) return -1;
  return struck > 0 && n > 0 ? next(fd, &FIRST, 1) : next(fd, from, n);
}
ssize_t preadv(int fd, const struct iovec *from, int n, off_t at) {
  NEXT(preadv);
  int struck = strike(READ, "preadv", name_of(fd));
  if (struck < 0) return -1;
  return struck > 0 && n > 0 ? next(fd, &FIRST, 1, at) : next(fd, from, n, at);
}
ssize_t pwritev(int fd, const struct iovec *from, int n, off_t at) {
  NEXT(pwritev);
  int struck = strike(WRITE, "pwritev", name_of(fd));
  if (struck < 0) return -1;
  return struck > 0 && n > 0 ? next(fd, &FIRST, 1, at) : next(fd, from, n, at);
}

#define ON_FILE(name, class, parameters, arguments)              \
  int name parameters {                                          \
    NEXT(name);                                                  \
    if (strike(class, #name, name_of(fd)) < 0) return -1;        \
    return next arguments;                                       \
  }
ON_FILE(fsync, SYNC, (int fd), (fd))
ON_FILE(fdatasync, SYNC, (int fd), (fd))
ON_FILE(ftruncate, CHANGE, (int fd, off_t n), (fd, n))
ON_FILE(ftruncate64, CHANGE, (int fd, off64_t n), (fd, n))
ON_FILE(fchmod, CHANGE, (int fd, mode_t mode), (fd, mode))
ON_FILE(fchown, CHANGE, (int fd, uid_t u, gid_t g), (fd, u, g))
ON_FILE(futimens, CHANGE, (int fd, const struct timespec t[2]), (fd, t))

#define ON_PATH(result, none, name, class, folder, parameters, arguments)                \
  result name parameters {                                                               \
    NEXT(name);                                                                          \
    char into[PATH_MAX];                                                                 \
    if (strike(class, #name, wanted(folder, path, into)) < 0) return none;               \
    return next arguments;                                                               \
  }
ON_PATH(int, -1, mkdir, MAKE, AT_FDCWD, (const char *path, mode_t mode), (path, mode))
ON_PATH(int, -1, rmdir, CHANGE, AT_FDCWD, (const char *path), (path))
ON_PATH(int, -1, unlink, CHANGE, AT_FDCWD, (const char *path), (path))
ON_PATH(int, -1, remove, CHANGE, AT_FDCWD, (const char *path), (path))
ON_PATH(int, -1, unlinkat, CHANGE, folder, (int folder, const char *path, int flags),
        (folder, path, flags))
ON_PATH(int, -1, truncate, CHANGE, AT_FDCWD, (const char *path, off_t n), (path, n))
ON_PATH(int, -1, chmod, CHANGE, AT_FDCWD, (const char *path, mode_t mode), (path, mode))
ON_PATH(int, -1, chown, CHANGE, AT_FDCWD, (const char *path, uid_t u, gid_t g), (path, u, g))
ON_PATH(int, -1, access, LOOK, AT_FDCWD, (const char *path, int mode), (path, mode))
ON_PATH(ssize_t, -1, readlink, LOOK, AT_FDCWD, (const char *path, char *to, size_t n),
        (path, to, n))
ON_PATH(char *, 0, realpath, LOOK, AT_FDCWD, (const char *path, char *to), (path, to))
ON_PATH(DIR *, 0, opendir, OPEN, AT_FDCWD, (const char *path), (path))
ON_PATH(int, -1, scandir64, OPEN, AT_FDCWD,
        (const char *path, struct dirent64 ***to, int (*pick)(const struct dirent64 *),
         int (*order)(const struct dirent64 **, const struct dirent64 **)),
        (path, to, pick, order))
ON_PATH(char *, 0, mkdtemp, MAKE, AT_FDCWD, (char *path), (path))

int statx(int folder, const char *restrict path, int flags, unsigned int mask,
          struct statx *restrict to) {
  NEXT(statx);
  char into[PATH_MAX];
  const char *full = *path ? wanted(folder, path, into) : name_of(folder);
  if (strike(LOOK, "statx", full) < 0) return -1;
  return next(folder, path, flags, mask, to);
}

/* A name that is taken away counts like one that is given. */
int rename(const char *from, const char *to) {
  NEXT(rename);
  char into[PATH_MAX];
  if (strike(MAKE, "rename", wanted(AT_FDCWD, to, into)) < 0) return -1;
  return next(from, to);
}
int link(const char *from, const char *to) {
  NEXT(link);
  char into[PATH_MAX];
  if (strike(MAKE, "link", wanted(AT_FDCWD, to, into)) < 0) return -1;
  return next(from, to);
}
int symlink(const char *from, const char *to) {
  NEXT(symlink);
  char into[PATH_MAX];
  if (strike(MAKE, "symlink", wanted(AT_FDCWD, to, into)) < 0) return -1;
  return next(from, to);
}

ssize_t copy_file_range(int in, off64_t *at_in, int out, off64_t *at_out, size_t n, unsigned flags) {
  NEXT(copy_file_range);
  int struck = strike(WRITE, "copy_file_range", name_of(out));
  if (struck < 0) return -1;
  return next(in, at_in, out, at_out, struck > 0 ? HALF(n) : n, flags);
}
ssize_t sendfile64(int out, int in, off64_t *at, size_t n) {
  NEXT(sendfile64);
  int struck = strike(WRITE, "sendfile", name_of(out));
  if (struck < 0) return -1;
  return next(out, in, at, struck > 0 ? HALF(n) : n);
}
