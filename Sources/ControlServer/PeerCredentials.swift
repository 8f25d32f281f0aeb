import CPosixShim
import Glibc
import LockerCore

extension Peer {
    /// Most groups the kernel gives a process (NGROUPS_MAX).
    private static let groupLimit = 65_536

    /// Asks the kernel who connected. A negative `errno` comes back where it will not say.
    static func connected(to socket: Int32) -> Result<Peer, PeerUnknown> {
        var credentials = lkd_peer()
        let problem = lkd_peer_credentials(socket, &credentials)
        guard problem == 0 else { return .failure(PeerUnknown(code: -problem)) }
        var groups = [UInt32](repeating: 0, count: 64)
        var count = lkd_peer_groups(socket, &groups, Int32(groups.count))
        if count == -ERANGE {
            groups = [UInt32](repeating: 0, count: groupLimit)
            count = lkd_peer_groups(socket, &groups, Int32(groups.count))
        }
        // A kernel without SO_PEERGROUPS leaves the primary group: fewer rights, never more.
        var known = Array(groups.prefix(max(0, Int(count))))
        if !known.contains(credentials.gid) { known.append(credentials.gid) }
        return .success(
            Peer(
                uid: credentials.uid, gid: credentials.gid, groups: known, pid: credentials.pid,
                process: processName(credentials.pid)))
    }

    /// What the process calls itself, for the audit; rights never go by it.
    private static func processName(_ pid: Int32) -> String? {
        let file = open("/proc/\(pid)/comm", O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = read(file, &bytes, bytes.count)
        guard count > 0 else { return nil }
        let name = String(decoding: bytes.prefix(count).prefix { $0 != 0x0A }, as: UTF8.self)
        return name.isEmpty ? nil : name
    }

    struct PeerUnknown: Error {
        let code: Int32
    }
}
