/* Records what would survive a power cut: preloaded into a process, it keeps of each file below $POWER_CUT_ROOT the
 * content it had when its last fsync began, of each directory the names it had then, and the moment of each HTTP answer.
 *
 * $POWER_CUT_LOG gets one line for each event, in the order in which they happened:
 *   file INODE COPY       content of a file is safe; COPY is the number of the file that holds it, higher ones are newer
 *   names INODE COPY      the names in a directory are safe; COPY holds lines "INODE TYPE NAME"
 *   answer STATUS REQUEST an HTTP answer begins to leave
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static int copies;

static void append(const char *line) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/log", getenv("POWER_CUT_LOG"));
  int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (write(file, line, strlen(line)) < 0) abort();
  close(file);
}

static int target(int number) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/%d", getenv("POWER_CUT_LOG"), number);
  return open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

static void copy_content(int from, int to) {
  char buffer[1 << 16];
  off_t place = 0;
  ssize_t got;
  while ((got = pread(from, buffer, sizeof buffer, place)) > 0) {
    if (write(to, buffer, got) != got) abort();
    place += got;
  }
}

static void copy_names(const char *path, int to) {
  DIR *directory = opendir(path);
  struct dirent *entry;
  while (directory && (entry = readdir(directory)))
    if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
      dprintf(to, "%llu %d %s\n", (unsigned long long)entry->d_ino, entry->d_type == DT_DIR, entry->d_name);
  if (directory) closedir(directory);
}

/* Copy what this fsync will make safe; the line that says so, to be written once it is done. */
static void keep(int descriptor, char line[128]) {
  char link[64], path[PATH_MAX];
  struct stat about;
  const char *root = getenv("POWER_CUT_ROOT");
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (!root || length < 0 || fstat(descriptor, &about)) return;
  path[length] = 0;
  if (strncmp(path, root, strlen(root))) return;
  pthread_mutex_lock(&turn);
  int number = ++copies, to = target(number);
  if (S_ISDIR(about.st_mode)) {
    copy_names(path, to);
  } else {
    int from = open(link, O_RDONLY | O_CLOEXEC);
    copy_content(from, to);
    close(from);
  }
  close(to);
  snprintf(line, 128, "%s %llu %d\n", S_ISDIR(about.st_mode) ? "names" : "file", (unsigned long long)about.st_ino,
           number);
  pthread_mutex_unlock(&turn);
}

static int synced(int (*real)(int), int descriptor) {
  char line[128] = "";
  keep(descriptor, line);
  int result = real(descriptor);
  if (result || !line[0]) return result;
  pthread_mutex_lock(&turn);
  append(line);
  pthread_mutex_unlock(&turn);
  return result;
}

int fsync(int descriptor) {
  return synced(dlsym(RTLD_NEXT, "fsync"), descriptor);
}

int fdatasync(int descriptor) {
  return synced(dlsym(RTLD_NEXT, "fdatasync"), descriptor);
}

static void answer(const void *bytes, size_t length) {
  char head[4096], line[256], *request;
  if (!getenv("POWER_CUT_ROOT") || length < 12 || memcmp(bytes, "HTTP/1.1 ", 9)) return;
  size_t kept = length < sizeof head - 1 ? length : sizeof head - 1;
  memcpy(head, bytes, kept);
  head[kept] = 0;
  request = strcasestr(head, "request-id: ");
  snprintf(line, sizeof line, "answer %.3s %.40s\n", head + 9, request ? request + 12 : "-");
  pthread_mutex_lock(&turn);
  append(line);
  pthread_mutex_unlock(&turn);
}

ssize_t send(int socket, const void *bytes, size_t length, int flags) {
  ssize_t (*real)(int, const void *, size_t, int) = dlsym(RTLD_NEXT, "send");
  answer(bytes, length);
  return real(socket, bytes, length, flags);
}

ssize_t sendmsg(int socket, const struct msghdr *message, int flags) {
  ssize_t (*real)(int, const struct msghdr *, int) = dlsym(RTLD_NEXT, "sendmsg");
  if (message->msg_iovlen) answer(message->msg_iov[0].iov_base, message->msg_iov[0].iov_len);
  return real(socket, message, flags);
}
