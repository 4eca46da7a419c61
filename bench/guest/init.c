/* The least that an init of an initramfs can be: the mounts of Fledge's init (tools/init), and the program, whose path is
 * fixed. It reads no configuration and tells nothing; the benchmark compares Fledge's with it. */

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
  const char *source, *target, *type;
  unsigned long flags;
  const char *options;
} mounts[] = {
    {"proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""},
    {"sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""},
    {"devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755"},
    {"devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=0620,ptmxmode=0666"},
    {"tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777"},
    {"tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755"},
    {"tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777"},
};

int main(void) {
  for (unsigned i = 0; i < sizeof mounts / sizeof *mounts; i++) {
    mkdir(mounts[i].target, 0755);
    if (mount(mounts[i].source, mounts[i].target, mounts[i].type, mounts[i].flags, mounts[i].options)) return 1;
  }
  char *arguments[] = {"/bin/kestrel", 0};
  execve(arguments[0], arguments, environ);
  return 1;
}
