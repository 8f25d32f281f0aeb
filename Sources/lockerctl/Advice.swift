import ControlClient
import Glibc

/// Turns errors into sentences that name the remedy, and into exit codes.
enum Advice {
    static func failure(
        _ error: ControlError, path: String, daemon: DaemonVersion? = nil
    ) -> Failure {
        switch error {
        case .unreachable(let path, let code):
            // Whoever may not even connect lacks a permission; the daemon is there.
            Failure(
                code == EACCES || code == EPERM ? .notPermitted : .unreachable,
                unreachable(path, code))
        case .refused(let fault):
            Failure(fault.code == "NOT_PERMITTED" ? .notPermitted : .failed, refused(fault, daemon))
        case .connectionLost(_, let reason), .closed(let reason):
            Failure(.unreachable, "the connection to lockerd at \(path) was lost: \(reason)")
        case .timedOut(let method, let limit):
            Failure(
                .unreachable,
                "lockerd at \(path) did not answer \(method) within \(limit.components.seconds) s; "
                    + "\"systemctl status lockerd\" shows whether it is well")
        case .malformed(let problem):
            Failure(
                .failed,
                "the answer of \(path) cannot be understood: \(problem); "
                    + "\"lockerctl version\" shows whether lockerd and lockerctl fit together")
        case .abandoned, .eventsOverflowed:
            Failure(.failed, error.description)
        }
    }

    // MARK: Nobody there

    private static let otherSocket = "name another socket with --socket or LOCKERD_SOCKET"

    static func unreachable(_ path: String, _ code: Int32) -> String {
        switch code {
        case ENOENT, ENOTDIR:
            "lockerd is not running at \(path); start it with \"systemctl start lockerd\", or "
                + otherSocket
        case ECONNREFUSED where isSocket(path):
            "lockerd is not running: the socket \(path) is there but nobody serves it, so lockerd has "
                + "crashed or is being started; see \"systemctl status lockerd\", start it with "
                + "\"systemctl start lockerd\", or \(otherSocket)"
        case EACCES, EPERM: denied(path)
        case EAGAIN:
            "lockerd at \(path) has more clients waiting than it takes; try again in a moment"
        case ENAMETOOLONG:
            "the socket path \(path) is longer than the 107 bytes a Unix socket may have; "
                + otherSocket
        case ECONNREFUSED, ENOTSOCK, EPROTOTYPE:
            "\(path) is not the socket of lockerd; \(otherSocket)"
        case ETIMEDOUT:
            "lockerd at \(path) does not take the connection; see \"systemctl status lockerd\""
        default:
            "lockerd at \(path) cannot be reached: \(words(for: code)); \(otherSocket)"
        }
    }

    private static func isSocket(_ path: String) -> Bool {
        var info = stat()
        return stat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFSOCK
    }

    /// Names the group that would let the caller in: the socket's, or that of the folder which hides the socket.
    private static func denied(_ path: String) -> String {
        var place = path
        var info = stat()
        while stat(place, &info) != 0 {
            guard let slash = place.lastIndex(of: "/"), slash != place.startIndex else {
                return "no permission to connect to \(path); run this as root, or \(otherSocket)"
            }
            place = String(place[..<slash])
        }
        let problem =
            place == path
            ? "no permission to connect to \(path)"
            : "no permission to enter \(place), where \(path) is"
        guard info.st_gid != 0, let group = groupName(info.st_gid) else {
            return "\(problem), which belongs to root alone; run this as root, or \(otherSocket)"
        }
        return "\(problem): it is for the group \"\(group)\"; add yourself to group \(group) with "
            + "\"sudo usermod -aG \(group) \(userName())\" and log in again, or \(otherSocket)"
    }

    private static func groupName(_ id: gid_t) -> String? {
        var entry = group()
        var found: UnsafeMutablePointer<group>?
        var buffer = [CChar](repeating: 0, count: 16 << 10)
        guard getgrgid_r(id, &entry, &buffer, buffer.count, &found) == 0, found != nil else {
            return nil
        }
        return String(cString: entry.gr_name)
    }

    private static func userName() -> String {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 16 << 10)
        guard getpwuid_r(getuid(), &entry, &buffer, buffer.count, &found) == 0, found != nil else {
            return "$USER"
        }
        return String(cString: entry.pw_name)
    }

    static func words(for code: Int32) -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard strerror_r(code, &buffer, buffer.count) == 0 else { return "errno \(code)" }
        let text = buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:))
        return String(decoding: text, as: UTF8.self)
    }

    // MARK: Refused

    /// What the daemon said, and what to do about it.
    private static func refused(_ fault: DaemonFault, _ daemon: DaemonVersion?) -> String {
        if fault.isUnknownMethod {
            let who = daemon.map { "\($0.daemon) \($0.version)" } ?? "this lockerd"
            return
                "\(who) does not know this command (\(fault.message)); it is older than lockerctl "
                + "\(lockerctlVersion), or built without it"
        }
        return [fault.message, remedy(fault)].compactMap { $0 }.joined(separator: "; ")
    }

    static func remedy(_ fault: DaemonFault) -> String? {
        switch fault.code {
        case "NOT_PERMITTED":
            if let rule = fault.rule, !fault.message.contains(rule) {
                "the rule that would allow it: \(rule)"
            } else {
                nil
            }
        case "UNKNOWN_LOCKER": "\"lockerctl status\" lists the lockers"
        case "UNKNOWN_CONTROLLER": "\"lockerctl controllers\" lists the controllers"
        case "UNKNOWN_OPERATION":
            "operations are kept for a day, without a state folder only until lockerd ends"
        case "CONFLICT": conflict(fault)
        case "DUTY_LIMIT": fault.retryAfterMs.map { "again in \(Words.wait($0))" }
        // Whoever gets an earlier answer again gets it in a moment, too.
        case "STOPPING", "BUSY": fault.isReplayed ? nil : "try again in a moment"
        case "KEY_REUSED": "use a new --key for a new command"
        default: nil
        }
    }

    /// Of an open that its locker's state or the journal's forbids.
    private static func conflict(_ fault: DaemonFault) -> String? {
        let maintenance = "--maintenance opens it all the same, with the right \"maintenance\""
        if fault.message.contains("a maintenance open is needed") { return maintenance }
        if fault.message.contains("only a maintenance open is possible") {
            return "\"lockerctl status\" says what keeps lockerd from writing; \(maintenance)"
        }
        if fault.message.contains("whether the key was used before cannot be read") {
            return "\"lockerctl status\" says what keeps lockerd from reading its journal"
        }
        return nil
    }
}
