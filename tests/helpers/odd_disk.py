"""A file system that shows a folder as an odd disk would: odd_disk.py FOLDER MOUNTPOINT ODDITY..."""

import errno
import os
import sys

from fusepy import FUSE, FuseOSError, Operations

TEN_SECONDS = 10 * 10**9
QUOTA = 2 * 1024 * 1024


class OddDisk(Operations):
    """Passes everything on, but for its oddities:

    modes: chmod fails with EPERM           times: utime fails with EPERM
    syncs: fsync of a folder is EINVAL      broken-syncs: it is EIO
    links: link fails with EPERM            coarse: times are kept in steps of ten seconds
    folds: names are kept in lower case, and found in any
    statfs: it is ENOSYS                    zeros: it says 0 of everything
    quota: of a file the first 2 MiB are taken, then it is EDQUOT
    late-quota: everything is taken, and the fsync of what is larger is EDQUOT, as on NFS
    """

    def __init__(self, root, oddities):
        self.root = root
        self.odd = set(oddities)

    def __call__(self, op, path, *args):
        return super().__call__(op, self.real(path), *args)

    def real(self, path):
        return self.root + (path.lower() if "folds" in self.odd else path)

    def getattr(self, path, fh=None):
        stat = os.lstat(path)
        keys = ("st_atime_ns", "st_ctime_ns", "st_mtime_ns", "st_gid", "st_mode", "st_nlink", "st_size", "st_uid")
        # use_ns: fusepy takes whole nanoseconds under the names without _ns.
        return {key.removesuffix("_ns"): getattr(stat, key) for key in keys}

    use_ns = True

    def chmod(self, path, mode):
        if "modes" in self.odd:
            raise FuseOSError(errno.EPERM)
        os.chmod(path, mode)

    def utimens(self, path, times):
        if "times" in self.odd:
            raise FuseOSError(errno.EPERM)
        if "coarse" in self.odd:
            times = tuple(time - time % TEN_SECONDS for time in times)
        os.utime(path, ns=times)

    def fsyncdir(self, path, datasync, fh):
        if "syncs" in self.odd:
            raise FuseOSError(errno.EINVAL)
        if "broken-syncs" in self.odd:
            raise FuseOSError(errno.EIO)

    def link(self, target, source):
        if "links" in self.odd:
            raise FuseOSError(errno.EPERM)
        os.link(self.real(source), target)

    def rename(self, old, new):
        os.rename(old, self.real(new))

    def create(self, path, mode, fi=None):
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    def open(self, path, flags):
        return os.open(path, flags & ~os.O_NOFOLLOW)

    def read(self, path, size, offset, fh):
        return os.pread(fh, size, offset)

    def write(self, path, data, offset, fh):
        if "quota" in self.odd and offset + len(data) > QUOTA:
            raise FuseOSError(errno.EDQUOT)
        return os.pwrite(fh, data, offset)

    def truncate(self, path, length, fh=None):
        os.truncate(path, length)

    def flush(self, path, fh):
        pass

    def fsync(self, path, datasync, fh):
        if "late-quota" in self.odd and os.fstat(fh).st_size > QUOTA:
            raise FuseOSError(errno.EDQUOT)
        os.fsync(fh)

    def release(self, path, fh):
        os.close(fh)

    def readdir(self, path, fh):
        return [".", "..", *os.listdir(path)]

    def statfs(self, path):
        if "statfs" in self.odd:
            raise FuseOSError(errno.ENOSYS)
        stat = os.statvfs(path)
        return {key: 0 if "zeros" in self.odd else getattr(stat, key) for key in dir(stat) if key.startswith("f_") and key != "f_fsid"}

    mkdir = staticmethod(os.mkdir)
    rmdir = staticmethod(os.rmdir)
    unlink = staticmethod(os.unlink)


if __name__ == "__main__":
    folder, mountpoint, *oddities = sys.argv[1:]
    FUSE(OddDisk(folder, oddities), mountpoint, foreground=False, nothreads=True, use_ino=False)
