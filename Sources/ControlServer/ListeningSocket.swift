import CPosixShim
import Glibc

/// Why the control socket cannot be served; the message names the path and the remedy.
package struct SocketError: Error, Sendable, Equatable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }

    init(_ doing: String, errno code: Int32) {
        description = "\(doing): \(String(cString: strerror(code)))"
    }
}

/// The Unix socket that clients connect to, bound but not yet listening.
///
/// Every call here is local and returns at once, the look-up of a group apart, which happens once at the start.
struct ListeningSocket {
    let descriptor: Int32
    /// What to remove at the end; nil where somebody else made the socket.
    let file: File?

    struct File {
        let path: String
        let device: UInt64
        let inode: UInt64

        /// Removes the socket unless another one has taken its place.
        func remove() {
            var now = stat()
            guard lstat(path, &now) == 0, UInt64(now.st_dev) == device, UInt64(now.st_ino) == inode
            else { return }
            unlink(path)
        }
    }

    /// Longest path of a Unix socket: `sun_path` without its final zero.
    static let pathLimit = 107

    /// Takes a socket that the service manager made and bound.
    init(adopting descriptor: Int32) throws(SocketError) {
        var isListening: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &isListening, &length) == 0 else {
            throw SocketError("descriptor \(descriptor) is not a socket", errno: errno)
        }
        guard isListening == 1 else {
            throw SocketError("descriptor \(descriptor) is not a listening socket")
        }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        self.descriptor = descriptor
        file = nil
    }

    /// Makes the socket at `path`, mode 0660, owned by `group` where one is named.
    ///
    /// What a dead daemon left there is removed; where somebody answers, or where the path is no socket, nothing is touched.
    init(path: String, group: String?) throws(SocketError) {
        guard (1...Self.pathLimit).contains(path.utf8.count), path.utf8.allSatisfy({ $0 != 0 })
        else {
            throw SocketError(
                "control socket \(path): \(path.utf8.count) bytes; want 1 to \(Self.pathLimit)")
        }
        let folder = try Self.openFolder(of: path)
        defer { close(folder) }
        // Two daemons that start together must not take each other's new socket for a dead one.
        guard flock(folder, LOCK_EX | LOCK_NB) == 0 else {
            throw SocketError("control socket \(path): another daemon is just making it")
        }
        try Self.clear(path)
        let descriptor = socket(
            AF_UNIX,
            Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
                | Int32(SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { throw SocketError("control socket \(path)", errno: errno) }
        do {
            file = try Self.bind(descriptor, path: path, group: group)
        } catch {
            close(descriptor)
            throw error
        }
        self.descriptor = descriptor
    }

    private static func openFolder(of path: String) throws(SocketError) -> Int32 {
        let end = path.lastIndex(of: "/")
        let folder = end.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        if mkdir(folder, 0o755) != 0, errno != EEXIST {
            throw SocketError("folder \(folder) of the control socket", errno: errno)
        }
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw SocketError("folder \(folder) of the control socket", errno: errno)
        }
        return descriptor
    }

    private static func clear(_ path: String) throws(SocketError) {
        var found = stat()
        guard lstat(path, &found) == 0 else {
            if errno == ENOENT { return }
            throw SocketError("control socket \(path)", errno: errno)
        }
        guard found.st_mode & S_IFMT == S_IFSOCK else {
            throw SocketError("control socket \(path): something that is no socket stands there")
        }
        let probe = socket(
            AF_UNIX,
            Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
                | Int32(SOCK_NONBLOCK.rawValue), 0)
        guard probe >= 0 else { throw SocketError("control socket \(path)", errno: errno) }
        defer { close(probe) }
        let isDead = withAddress(path) { connect(probe, $0, $1) != 0 && errno == ECONNREFUSED }
        guard isDead else {
            throw SocketError("control socket \(path): a daemon serves it already")
        }
        guard unlink(path) == 0 || errno == ENOENT else {
            throw SocketError("dead control socket \(path)", errno: errno)
        }
    }

    private static func bind(
        _ descriptor: Int32, path: String, group: String?
    ) throws(SocketError) -> File {
        guard withAddress(path, { Glibc.bind(descriptor, $0, $1) }) == 0 else {
            throw SocketError("control socket \(path)", errno: errno)
        }
        // Nobody can connect before it listens, so the mode is right before it matters.
        do throws(SocketError) {
            guard chmod(path, 0o660) == 0 else {
                throw SocketError("mode of control socket \(path)", errno: errno)
            }
            if let group { try own(path, group: group) }
            var made = stat()
            guard lstat(path, &made) == 0 else {
                throw SocketError("control socket \(path)", errno: errno)
            }
            return File(path: path, device: UInt64(made.st_dev), inode: UInt64(made.st_ino))
        } catch {
            unlink(path)
            throw error
        }
    }

    private static func own(_ path: String, group: String) throws(SocketError) {
        var id: UInt32 = 0
        let problem = lkd_group_id(group, &id)
        if problem == -ENOENT {
            // A group may also be given by its number, which needs no entry anywhere.
            guard let number = UInt32(group) else {
                throw SocketError("control socket \(path): no group \(group) on this machine")
            }
            id = number
        }
        guard problem == 0 || problem == -ENOENT else {
            throw SocketError("group \(group) of control socket \(path)", errno: -problem)
        }
        guard chown(path, uid_t.max, id) == 0 else {
            let code = errno
            let problem = SocketError("group \(group) of control socket \(path)", errno: code)
            guard code == EPERM else { throw problem }
            throw SocketError(
                "\(problem); add the daemon's user to that group (SupplementaryGroups= in the unit)"
            )
        }
    }

    private static func withAddress<Result>(
        _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { space in
            space.copyBytes(from: path.utf8.prefix(space.count - 1))
        }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}

extension ControlServer {
    /// The listening socket that the service manager handed over by `LISTEN_FDS`, if it did so to this process.
    package static func inheritedSocket(
        environment: [String: String], pid: Int32
    ) throws(SocketError) -> Int32? {
        guard environment["LISTEN_PID"] == String(pid), let count = environment["LISTEN_FDS"] else {
            return nil
        }
        guard count == "1" else {
            throw SocketError("LISTEN_FDS is \(count); want 1 socket")
        }
        // The protocol of socket activation: passed descriptors begin at 3.
        return 3
    }
}
