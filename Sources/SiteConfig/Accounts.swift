import Glibc

/// Looks up users and groups by name. Tests put their own in.
package struct Accounts: Sendable {
    let uid: @Sendable (String) -> UInt32?
    let gid: @Sendable (String) -> UInt32?

    package init(
        uid: @escaping @Sendable (String) -> UInt32?, gid: @escaping @Sendable (String) -> UInt32?
    ) {
        self.uid = uid
        self.gid = gid
    }

    /// The machine's own, through the name service.
    package static let system = Accounts(
        uid: { name in
            var entry = passwd()
            var found: UnsafeMutablePointer<passwd>?
            return withScratch { getpwnam_r(name, &entry, $0, $1, &found) } && found != nil
                ? entry.pw_uid : nil
        },
        gid: { name in
            var entry = group()
            var found: UnsafeMutablePointer<group>?
            return withScratch { getgrnam_r(name, &entry, $0, $1, &found) } && found != nil
                ? entry.gr_gid : nil
        })

    /// Calls with a growing buffer as long as the C library says that it is too small; a group can have thousands of members.
    private static func withScratch(
        _ call: (UnsafeMutablePointer<CChar>, Int) -> Int32
    ) -> Bool {
        var size = 4096
        while size <= 1 << 22 {
            let result = withUnsafeTemporaryAllocation(of: CChar.self, capacity: size) { buffer in
                buffer.baseAddress.map { call($0, size) } ?? ENOMEM
            }
            if result != ERANGE { return result == 0 }
            size *= 4
        }
        return false
    }
}
