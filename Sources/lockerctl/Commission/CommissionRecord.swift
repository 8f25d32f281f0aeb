import ControlClient
import Glibc
import JSONLines
import SiteConfig

/// What a commissioning has found, kept beside the configuration: who saw what, and when.
struct CommissionRecord {
    let controller: String
    let link: String
    let driver: String
    let observations: [Observation]
    let labels: [Int: String]
    let changes: [Change]
    let remarks: [String]
    private let at = Self.now()

    init(
        controller: String, link: String, driver: String, observations: [Observation],
        labels: [Int: String], changes: [Change], remarks: [String]
    ) {
        self.controller = controller
        self.link = link
        self.driver = driver
        self.observations = observations
        self.labels = labels
        self.changes = changes
        self.remarks = remarks
    }

    var json: JSONObject {
        [
            "controller": .string(controller), "link": .string(link), "driver": .string(driver),
            "at": .string(at), "by": .string(Self.person()),
            "lockerctl": .string(lockerctlVersion),
            "lockers": .array(
                observations.map { one in
                    var object: JSONObject = [
                        "address": .string(one.address), "verdict": .string(one.verdict.word),
                        "sensor": .bool(one.hasSensor),
                        "outcome": one.result?.outcome.map { .string($0.rawValue) } ?? .null,
                        "moved": .array(
                            one.moves.map {
                                [
                                    "address": .string($0.address),
                                    "door": .string($0.door.rawValue),
                                ]
                            }),
                    ]
                    object["doorMs"] = one.doorMs.map { .double($0) }
                    object["label"] = labels[one.number].map { .string($0) }
                    object["refusal"] = one.refusal.map { .string($0) }
                    return .object(object)
                }),
            "changes": .array(
                changes.map { change in
                    var object: JSONObject = [
                        "key": .string(change.key), "value": change.value ?? .null,
                    ]
                    object["locker"] = change.locker.map { .int(Int64($0)) }
                    return .object(object)
                }),
            "remarks": .array(remarks.map(JSON.string)),
        ]
    }

    /// Writes it to `commissioning/CONTROLLER.json` below the config folder, in place of the one before; returns its path.
    ///
    /// - Parameter part: the range of lockers, where not all were fired: then it takes nothing of the record of all of them away.
    func write(below config: String, part: String?) throws(Failure) -> String {
        let folder = "\(config)/commissioning"
        let path = "\(folder)/\(controller)\(part.map { ".\($0)" } ?? "").json"
        mkdir(folder, 0o755)
        let draft = "\(path).new"
        let handle = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard handle >= 0 else { throw failure(path) }
        defer { close(handle) }
        let bytes = JSON.object(json).encoded + [UInt8(ascii: "\n")]
        guard Glibc.write(handle, bytes, bytes.count) == bytes.count, fsync(handle) == 0,
            rename(draft, path) == 0
        else { throw failure(path) }
        return path
    }

    private func failure(_ path: String) -> Failure {
        Failure(
            .failed, "the record \(path) cannot be written: \(String(cString: strerror(errno)))")
    }

    /// The time of day in UTC.
    private static func now() -> String {
        var seconds = time(nil)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return
            "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))Z"
    }

    /// The user's name, of whoever became root as well.
    private static func person() -> String {
        if let name = Environment.value("SUDO_USER") { return name }
        guard let entry = getpwuid(getuid()) else { return "uid \(getuid())" }
        return String(cString: entry.pointee.pw_name)
    }
}
