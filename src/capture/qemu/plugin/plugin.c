/*
 * A QEMU TCG plugin (user mode) that tells which translation blocks a program executes, in order,
 * and every system call that changes what code lies where.
 *
 * It writes frames to a pipe; `../frames.ts` reads them and documents the format. Debian's QEMU
 * has plugins on but ships no header, so the few functions it needs are declared here.
 *
 * What has not been sent yet lies in a shared memory file per virtual CPU (argument `tails`), so
 * that nothing is lost when the program dies of a signal, which ends QEMU without a farewell.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* QEMU's plugin interface, as far as it is used. */
typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef struct {
  const char *target_name;
  struct {
    int min;
    int cur;
  } version;
  bool system_emulation;
  int smp_vcpus, max_vcpus;
} qemu_info_t;

#define EXPORT __attribute__((visibility("default")))
extern void qemu_plugin_register_vcpu_init_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, unsigned));
extern void qemu_plugin_register_vcpu_exit_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, unsigned));
extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t,
                                                  void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, void (*)(unsigned, void *),
                                                 int flags, void *);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
extern void *qemu_plugin_insn_haddr(const struct qemu_plugin_insn *);
extern void qemu_plugin_register_vcpu_syscall_cb(
    qemu_plugin_id_t, void (*)(qemu_plugin_id_t, unsigned, int64_t, uint64_t, uint64_t, uint64_t,
                               uint64_t, uint64_t, uint64_t, uint64_t, uint64_t));
extern void qemu_plugin_register_vcpu_syscall_ret_cb(qemu_plugin_id_t,
                                                     void (*)(qemu_plugin_id_t, unsigned, int64_t,
                                                              int64_t));
extern void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, void *), void *);

#ifndef API_VERSION
#define API_VERSION 1
#endif
EXPORT int qemu_plugin_version = API_VERSION;

/* Frames: a header, then `length` bytes. Numbers are little endian. */
enum { FRAME_BLOCKS = 1, FRAME_TB = 2, FRAME_SYSCALL = 3, FRAME_MAPS = 4, FRAME_THREAD_END = 5 };
struct header {
  uint32_t type, vcpu, length, zero;
};

/* What happened, in terms that do not depend on the system call table. */
enum {
  CALL_MMAP = 1,
  CALL_MPROTECT,
  CALL_MUNMAP,
  CALL_MREMAP,
  CALL_SIGACTION,
  CALL_SIGRETURN,
  CALL_EXECVE,
  CALL_FORK,
  CALL_CLONE,
  CALL_EXIT,
};

enum { TAIL_IDS = 16384, MAX_VCPUS = 4096 };
/* Executed translation blocks that have not been sent. Lies in a file, see above. */
struct tail {
  uint32_t count, reserved;
  uint32_t ids[TAIL_IDS];
};
struct vcpu {
  struct tail *tail;
  uint64_t args[6];
};

static struct vcpu vcpus[MAX_VCPUS];
static int out = -1;
static const char *tails;
static bool is_i386;
static bool is_started;
static uint64_t guest_base;
static uint32_t next_id;
static volatile bool is_child;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void send_all(const void *data, size_t length) {
  const char *at = data;
  while (length > 0) {
    ssize_t n = write(out, at, length);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) _exit(97); /* Nobody listens any more. */
    at += n;
    length -= (size_t)n;
  }
}

static void send_frame(uint32_t type, uint32_t vcpu, const void *a, uint32_t a_length, const void *b,
                       uint32_t b_length) {
  struct header header = {type, vcpu, a_length + b_length, 0};
  send_all(&header, sizeof header);
  send_all(a, a_length);
  if (b_length > 0) send_all(b, b_length);
}

static void flush_locked(uint32_t vcpu) {
  struct tail *tail = vcpus[vcpu].tail;
  if (tail == NULL || tail->count == 0) return;
  /* A kill between these two lines repeats the frame as a tail; the reader knows by `reserved`. */
  send_frame(FRAME_BLOCKS, vcpu, tail->ids, tail->count * 4, NULL, 0);
  tail->reserved++;
  tail->count = 0;
}

static void on_exec(unsigned vcpu, void *data) {
  struct tail *tail = vcpus[vcpu].tail;
  tail->ids[tail->count] = (uint32_t)(uintptr_t)data;
  if (++tail->count < TAIL_IDS) return;
  if (is_child) {
    tail->count = 0;
    return;
  }
  pthread_mutex_lock(&lock);
  flush_locked(vcpu);
  pthread_mutex_unlock(&lock);
}

/* The images that QEMU itself loaded, as the host sees them. */
static void send_maps(uint64_t base) {
  static char text[1 << 20];
  size_t length = 0;
  int file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (file >= 0) {
    ssize_t n;
    while (length < sizeof text && (n = read(file, text + length, sizeof text - length)) > 0)
      length += (size_t)n;
    close(file);
  }
  send_frame(FRAME_MAPS, 0, &base, sizeof base, text, (uint32_t)length);
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
  (void)id;
  if (is_child) return;
  size_t instructions = qemu_plugin_tb_n_insns(tb);
  if (instructions == 0) return;
  struct qemu_plugin_insn *last = qemu_plugin_tb_get_insn(tb, instructions - 1);
  uint64_t start = qemu_plugin_tb_vaddr(tb);
  uint64_t last_start = qemu_plugin_insn_vaddr(last);
  uint32_t size = (uint32_t)(last_start + qemu_plugin_insn_size(last) - start);
  const char *bytes = qemu_plugin_insn_haddr(qemu_plugin_tb_get_insn(tb, 0));
  pthread_mutex_lock(&lock);
  if (!is_started) {
    is_started = true;
    guest_base = (uint64_t)(uintptr_t)bytes - start;
    send_maps(guest_base);
  }
  struct {
    uint64_t start;
    uint32_t id, size, last, instructions;
  } body = {start, next_id++, size, (uint32_t)(last_start - start), (uint32_t)instructions};
  send_frame(FRAME_TB, 0, &body, sizeof body, bytes, size);
  pthread_mutex_unlock(&lock);
  qemu_plugin_register_vcpu_tb_exec_cb(tb, on_exec, 0, (void *)(uintptr_t)body.id);
}

static int call_of(int64_t number) {
  if (is_i386) switch (number) {
      case 90: case 192: return CALL_MMAP;
      case 125: return CALL_MPROTECT;
      case 91: return CALL_MUNMAP;
      case 163: return CALL_MREMAP;
      case 67: case 174: return CALL_SIGACTION;
      case 119: case 173: return CALL_SIGRETURN;
      case 11: case 358: return CALL_EXECVE;
      case 2: case 190: return CALL_FORK;
      case 120: case 435: return CALL_CLONE;
      case 252: return CALL_EXIT;
      default: return 0;
    }
  switch (number) {
    case 9: return CALL_MMAP;
    case 10: return CALL_MPROTECT;
    case 11: return CALL_MUNMAP;
    case 25: return CALL_MREMAP;
    case 13: return CALL_SIGACTION;
    case 15: return CALL_SIGRETURN;
    case 59: case 322: return CALL_EXECVE;
    case 57: case 58: return CALL_FORK;
    case 56: case 435: return CALL_CLONE;
    case 231: return CALL_EXIT;
    default: return 0;
  }
}

static void send_call(unsigned vcpu, int call, int64_t result, const uint64_t *args, const char *path) {
  struct {
    uint32_t call, zero;
    int64_t result;
    uint64_t args[6];
  } body = {(uint32_t)call, 0, result, {0}};
  memcpy(body.args, args, sizeof body.args);
  pthread_mutex_lock(&lock);
  flush_locked(vcpu);
  send_frame(FRAME_SYSCALL, vcpu, &body, sizeof body, path, (uint32_t)strlen(path));
  pthread_mutex_unlock(&lock);
}

static void on_syscall(qemu_plugin_id_t id, unsigned vcpu, int64_t number, uint64_t a, uint64_t b,
                       uint64_t c, uint64_t d, uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
  (void)id, (void)g, (void)h;
  uint64_t *args = vcpus[vcpu].args;
  args[0] = a, args[1] = b, args[2] = c, args[3] = d, args[4] = e, args[5] = f;
  if (is_child) return;
  int call = call_of(number);
  /* These do not come back; what they leave behind must be sent now. */
  if (call == CALL_EXIT) send_call(vcpu, call, 0, args, "");
  if (call == CALL_EXECVE) {
    const char *path = (const char *)(uintptr_t)(guest_base + (number == 322 || number == 358 ? b : a));
    send_call(vcpu, call, 0, args, path);
  }
  if (call == CALL_SIGRETURN) send_call(vcpu, call, 0, args, "");
}

static void on_syscall_return(qemu_plugin_id_t id, unsigned vcpu, int64_t number, int64_t result) {
  (void)id;
  if (is_child) return;
  int call = call_of(number);
  if (call == 0 || call == CALL_EXIT || call == CALL_SIGRETURN) return;
  if (is_i386) result = (int32_t)result;
  if (call == CALL_EXECVE) { /* Came back, so it failed. */
    send_call(vcpu, call, result, vcpus[vcpu].args, "");
    return;
  }
  if (result < 0 && result > -4096) return;
  uint64_t args[6];
  memcpy(args, vcpus[vcpu].args, sizeof args);
  char path[4096] = "";
  if (call == CALL_MMAP) {
    if (is_i386) result = (uint32_t)result;
    if (is_i386 && number == 90) { /* The old call passes a structure. */
      const uint32_t *six = (const uint32_t *)(uintptr_t)(guest_base + args[0]);
      for (int i = 0; i < 6; i++) args[i] = six[i];
    } else if (is_i386) {
      args[5] = (uint64_t)(uint32_t)args[5] * 4096;
    }
    if ((args[3] & 0x20 /* MAP_ANONYMOUS */) == 0) {
      char link[64];
      snprintf(link, sizeof link, "/proc/self/fd/%d", (int)args[4]);
      ssize_t n = readlink(link, path, sizeof path - 1);
      path[n > 0 ? n : 0] = 0;
    }
  }
  if (call == CALL_SIGACTION) {
    if (args[1] == 0) return;
    const void *action = (const void *)(uintptr_t)(guest_base + args[1]);
    args[2] = is_i386 ? *(const uint32_t *)action : *(const uint64_t *)action;
  }
  if (call == CALL_CLONE && result == 0) return;
  send_call(vcpu, call, result, args, path);
}

static void on_vcpu_init(qemu_plugin_id_t id, unsigned vcpu) {
  (void)id;
  if (vcpu >= MAX_VCPUS) _exit(98);
  char name[4096];
  snprintf(name, sizeof name, "%s/%u.tail", tails, vcpu);
  int file = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0 || ftruncate(file, sizeof(struct tail)) != 0) _exit(98);
  void *memory = mmap(NULL, sizeof(struct tail), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (memory == MAP_FAILED) _exit(98);
  /* A CPU's number is used again after its thread has ended. */
  if (vcpus[vcpu].tail != NULL) munmap(vcpus[vcpu].tail, sizeof(struct tail));
  vcpus[vcpu].tail = memory;
}

static void on_vcpu_exit(qemu_plugin_id_t id, unsigned vcpu) {
  (void)id;
  if (is_child) return;
  pthread_mutex_lock(&lock);
  flush_locked(vcpu);
  send_frame(FRAME_THREAD_END, vcpu, "", 0, NULL, 0);
  pthread_mutex_unlock(&lock);
}

static void on_exit_all(qemu_plugin_id_t id, void *data) {
  (void)id, (void)data;
  if (is_child) return;
  pthread_mutex_lock(&lock);
  for (uint32_t i = 0; i < MAX_VCPUS; i++) flush_locked(i);
  pthread_mutex_unlock(&lock);
}

/* A forked child is another process: it goes on unrecorded, in memory of its own. */
static void before_fork(void) { pthread_mutex_lock(&lock); }
static void after_fork_parent(void) { pthread_mutex_unlock(&lock); }
static void after_fork_child(void) {
  pthread_mutex_unlock(&lock);
  is_child = true;
  for (uint32_t i = 0; i < MAX_VCPUS; i++) {
    struct tail *tail = vcpus[i].tail;
    if (tail == NULL) continue;
    mmap(tail, sizeof *tail, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  }
  close(out);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
  if (info->system_emulation) return 1;
  is_i386 = strcmp(info->target_name, "i386") == 0;
  int given = -1;
  for (int i = 0; i < argc; i++) {
    if (strncmp(argv[i], "fd=", 3) == 0) given = atoi(argv[i] + 3);
    if (strncmp(argv[i], "tails=", 6) == 0) tails = argv[i] + 6;
  }
  if (given < 0 || tails == NULL) return 1;
  /* Out of the program's way: it gets the descriptor numbers it would have had without us. */
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  rlim_t high = limit.rlim_cur > 65536 ? 65536 : limit.rlim_cur;
  out = fcntl(given, F_DUPFD_CLOEXEC, (int)high - 8);
  if (out < 0) return 1;
  close(given);
  tails = strdup(tails);
  pthread_atfork(before_fork, after_fork_parent, after_fork_child);
  qemu_plugin_register_vcpu_init_cb(id, on_vcpu_init);
  qemu_plugin_register_vcpu_exit_cb(id, on_vcpu_exit);
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
  qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
  qemu_plugin_register_vcpu_syscall_ret_cb(id, on_syscall_return);
  qemu_plugin_register_atexit_cb(id, on_exit_all, NULL);
  return 0;
}
