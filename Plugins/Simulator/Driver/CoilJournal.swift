import Glibc
import LockerKit

/// A file with one JSON line for each coil switched on or off, for tests that kill processes and look afterwards.
///
/// `atMs` counts from the moment the module was configured, `monotonicMs` from the start of the machine, so that lines of
/// different lives can be compared; `pid` tells the lives apart. Each line is one `write` to the end of the file and is there
/// before the call ends; that blocks no longer than the page cache takes.
final class CoilJournal: Sendable {
    /// A coil that goes on or off.
    struct Switching {
        let controller: String
        let locker: Int
        let isOn: Bool
        let timing: Capabilities.PulseTiming
        /// Since the module was configured.
        let moment: Duration
        /// How far that lies ahead.
        var delay: Duration = .zero
        /// Which open it was, where the open had a token.
        var token: OpenToken?
    }

    private let descriptor: Int32

    init(path: String) throws(LockerError) {
        descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw LockerError(
                .invalidRequest, "journal \(path) cannot be opened: errno \(errno)")
        }
    }

    deinit { close(descriptor) }

    func note(_ switching: Switching) {
        let token = switching.token.map { ",\"token\":\"\(Self.escaped($0.payload))\"" } ?? ""
        let line = Array(
            """
            {"atMs":\(Self.milliseconds(switching.moment + switching.delay)),\
            "monotonicMs":\(Self.milliseconds(Self.sinceBoot() + switching.delay)),"pid":\(getpid()),\
            "controller":"\(Self.escaped(switching.controller))","locker":\(switching.locker),\
            "coil":"\(switching.isOn ? "on" : "off")","timing":"\(switching.timing.rawValue)"\(token)}

            """.utf8)
        _ = line.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    }

    /// With three decimals.
    private static func milliseconds(_ duration: Duration) -> String {
        let microseconds =
            duration.components.seconds * 1_000_000
            + duration.components.attoseconds / 1_000_000_000_000
        return "\(microseconds / 1000).\(String(1000 + microseconds % 1000).dropFirst())"
    }

    private static func sinceBoot() -> Duration {
        var now = timespec()
        clock_gettime(CLOCK_BOOTTIME, &now)
        return .seconds(now.tv_sec) + .nanoseconds(now.tv_nsec)
    }

    private static func escaped(_ text: String) -> String {
        String(text.unicodeScalars.filter { $0.value >= 0x20 && $0 != "\"" && $0 != "\\" })
    }
}
