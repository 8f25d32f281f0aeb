import Glibc

/// The folder for what survives a restart, held against every other daemon.
///
/// The lock goes with the process, however that ends.
struct StateFolder: ~Copyable {
    let path: String
    private let lock: Int32

    /// The database's file.
    var file: String { "\(path)/journal.sqlite" }

    /// Makes the folder where there is none (not its parents), sees that it is ours alone, and locks it. The failure is
    /// `isTaken` where another daemon holds it.
    init(_ path: String) throws(StoreFailure) {
        self.path = path
        try Self.makeOwn(path)
        let name = "\(path)/lock"
        let handle = retrying { Glibc.open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600) }
        guard handle >= 0 else { throw StoreFailure(name, "cannot be opened", errno) }
        guard retrying({ flock(handle, LOCK_EX | LOCK_NB) }) == 0 else {
            let problem = errno
            let holder = Self.pid(in: handle)
            close(handle)
            guard problem == EWOULDBLOCK else {
                throw StoreFailure(name, "cannot be locked", problem)
            }
            throw StoreFailure(holding: path, holder)
        }
        lock = handle
        // For people and for the message above; the lock does not depend on it, so a full disk is no reason to stop.
        let text = Array("\(getpid())\n".utf8)
        _ = ftruncate(handle, 0)
        _ = retrying { Int32(truncatingIfNeeded: pwrite(handle, text, text.count, 0)) }
    }

    /// Unlocks before it closes: a child that was forked this very moment has the handle, too, and would keep the lock until it
    /// has become another program.
    deinit {
        flock(lock, LOCK_UN)
        close(lock)
    }

    /// Makes sure that the database's file is there and nobody else's to read. Call it only while no connection is open:
    /// closing any handle of a file drops the locks that SQLite holds on it.
    func prepareFile() throws(StoreFailure) {
        let handle = retrying {
            Glibc.open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o600)
        }
        guard handle >= 0 else { throw StoreFailure(file, "cannot be opened", errno) }
        defer { close(handle) }
        var facts = stat()
        guard fstat(handle, &facts) == 0 else { throw StoreFailure(file, "cannot be read", errno) }
        guard facts.st_mode & S_IFMT == S_IFREG else {
            throw StoreFailure(file: file, cause: "it is no regular file; move it away")
        }
        if facts.st_mode & 0o077 != 0 { _ = fchmod(handle, 0o600) }
    }

    private static func makeOwn(_ path: String) throws(StoreFailure) {
        if mkdir(path, 0o700) != 0, errno != EEXIST {
            throw StoreFailure(path, "cannot be made", errno)
        }
        let handle = retrying { Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard handle >= 0 else { throw StoreFailure(path, "cannot be opened", errno) }
        defer { close(handle) }
        var facts = stat()
        guard fstat(handle, &facts) == 0 else {
            throw StoreFailure(path, "cannot be read", errno)
        }
        guard facts.st_uid == geteuid() else {
            throw StoreFailure(
                file: path,
                cause: "it belongs to uid \(facts.st_uid), not to \(geteuid()); chown it")
        }
        guard facts.st_mode & 0o022 == 0 else {
            throw StoreFailure(file: path, cause: "others may write to it; chmod 0700 it")
        }
        // Who opened what is nobody else's business.
        if facts.st_mode & 0o055 != 0 { _ = fchmod(handle, 0o700) }
    }

    private static func pid(in handle: Int32) -> Int32? {
        var bytes = [UInt8](repeating: 0, count: 16)
        let count = pread(handle, &bytes, bytes.count, 0)
        return Int32(
            String(decoding: bytes.prefix(max(0, count)).prefix { $0 != 0x0A }, as: UTF8.self))
    }
}

/// Calls until no signal comes between.
private func retrying(_ call: () -> Int32) -> Int32 {
    while true {
        let result = call()
        if result >= 0 || errno != EINTR { return result }
    }
}
