import Glibc
import LockerCore
import Locks

/// Ends the process at a named step of an open, as a power cut would, where `LOCKERD_END_AT=STEP:COUNT` says so. For tests that
/// look at what such an end leaves; a release build does not know it.
enum EndAt {
    #if DEBUG
        static func passing(
            _ environment: [String: String]
        ) -> @Sendable (OpenStep) -> Void {
            let parts = environment["LOCKERD_END_AT"]?.split(separator: ":") ?? []
            guard parts.count == 2, let step = OpenStep(rawValue: String(parts[0])),
                let count = Int(parts[1])
            else { return { _ in } }
            let left = Mutex(count)
            return { passed in
                guard passed == step else { return }
                let isNow = left.withLock { left in
                    left -= 1
                    return left == 0
                }
                if isNow { kill(getpid(), SIGKILL) }
            }
        }
    #else
        static func passing(_: [String: String]) -> @Sendable (OpenStep) -> Void { { _ in } }
    #endif
}
