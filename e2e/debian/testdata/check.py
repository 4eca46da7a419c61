"""Runs in the guest: looks whether the kernel shows the corpus as its layers have it."""

import os
import stat
import subprocess
import sys

SPECIAL = "/srv/special/"
problems = []


def check(what, got, want):
    if got != want:
        problems.append(f"{what}: {got!r}, want {want!r}")


def mode(name):
    return stat.S_IMODE(os.lstat(SPECIAL + name).st_mode)


for octal in ("0000", "4755", "2755", "7777"):
    check("mode " + octal, mode("modes/file" + octal), int(octal, 8))
check("mode of dir1777", mode("modes/dir1777"), 0o1777)
owner = os.lstat(SPECIAL + "modes/owner4294967294")
check("owner", (owner.st_uid, owner.st_gid), (4294967294, 4294967287))
check("time", int(os.lstat(SPECIAL + "times/4294967295").st_mtime), 4294967295)

device = os.lstat(SPECIAL + "nodes/largest")
check("device", (stat.S_ISCHR(device.st_mode), os.major(device.st_rdev), os.minor(device.st_rdev)), (True, 4095, 1048575))
check("fifo", stat.S_ISFIFO(os.lstat(SPECIAL + "nodes/fifo").st_mode), True)

check("climbing symlink", os.readlink(SPECIAL + "links/climbing"), "../../../../../../../../etc/passwd")
lower = os.lstat(SPECIAL + "links/lower")
check("hard link", os.lstat(SPECIAL + "links/from-app").st_ino, lower.st_ino)
check("hard link count", lower.st_nlink, 3)

capability = os.getxattr(SPECIAL + "xattrs/capability", "security.capability")
check("capability", capability[:8].hex(), "0100000200200000")
check("user xattr", os.getxattr(SPECIAL + "xattrs/user", "user.note"), b"a note")
check("trusted xattr", os.getxattr(SPECIAL + "xattrs/trusted", "trusted.note"), b"for root")

names = os.listdir(SPECIAL.encode() + b"names")
check("name of 255 bytes", b"n" * 255 in names, True)
check("name that is not UTF-8", b"\xff\xfe not UTF-8 \x80" in names, True)
check("many names", len(os.listdir(SPECIAL + "names/crowd")), 5000)

for i, want in enumerate([[], None, [], ["old"], None, None]):
    path = SPECIAL + f"hidden{i}"
    check(path, os.listdir(path) if os.path.isdir(path) else None, want)
check("a file in place of a folder", open(SPECIAL + "hidden4").read(), "a file in place of a folder\n")

huge = SPECIAL + "sparse/huge"
check("size of the huge file", os.lstat(huge).st_size, (5 << 30) + 12345)
with open(huge, "rb") as f:
    f.seek((4 << 30) + 77)
    check("text past four GiB", f.read(14), b"past four GiB\n")

with open(SPECIAL + "written", "w") as f:
    f.write("to the overlay")
check("what was written", open(SPECIAL + "written").read(), "to the overlay")

dpkg = subprocess.run(["dpkg-query", "--show", "--showformat=${Status}", "python3-numpy"], capture_output=True, text=True)
check("dpkg", dpkg.stdout, "install ok installed")

for problem in problems:
    print("corpus: wrong:", problem, flush=True)
print("corpus:", "checks failed" if problems else "checks passed", flush=True)

sys.stdout.flush()
os.execv("/usr/bin/python3", ["python3", "/opt/app/main.py"])
