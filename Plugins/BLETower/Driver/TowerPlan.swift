package import BLERadio
package import LockerKit
package import TowerLink

/// One tower as its table describes it, checked: all that can be known without a radio.
package struct TowerPlan: Sendable {
    /// Where what lets into a session comes from.
    package enum Access: Sendable, Equatable {
        /// A file of the tower's keys: session tokens are made from it, for a technician.
        case keys(String)
        /// A file with a session token that was made elsewhere.
        case token(String)
    }

    package let id: String
    package let tower: TowerID
    package let address: BLEAddress
    package let access: Access
    /// The adapter's name, as hci0; nil for whichever there is.
    package let adapter: String?
    package let idle: Duration
    /// How long the tower energises a lock: its own setting.
    package let pulse: Duration
    /// The tower's numbers of the lockers.
    package let numbers: [Int: Int]
    package let sensed: Set<Int>

    package init(_ description: ControllerDescription, link: Options) throws(LockerError) {
        let options = description.options
        id = description.id
        let name = try options.string("tower")
        guard let tower = TowerID(name) else {
            throw Self.wrong(id, "tower", name, "sixteen hexadecimal digits")
        }
        self.tower = tower
        let written = try options.string("address")
        let kind: BLEAddress.Kind = try options.choice("address_type") ?? .random
        guard let address = BLEAddress(written, kind) else {
            throw Self.wrong(id, "address", written, "six bytes as F0:F1:F2:F3:F4:F5")
        }
        self.address = address
        access = try Self.access(options, id)
        adapter = try link.optionalString("adapter")
        idle = .seconds(try link.optionalInteger("idle_s", in: Limits.idle) ?? 10)
        pulse = .milliseconds(try options.optionalInteger("tower_pulse_ms", in: 10...5000) ?? 500)
        let first = try options.optionalInteger("first_tower_locker", in: Limits.firstLocker) ?? 1
        var numbers: [Int: Int] = [:]
        for locker in description.lockers {
            let own = try locker.options.optionalInteger("tower_locker", in: Limits.locker)
            numbers[locker.number] = own ?? locker.number - 1 + first
        }
        self.numbers = numbers
        sensed = Set(description.lockers.filter(\.hasSensor).map(\.number))
        try refuseSharedNumbers()
    }

    private static func access(_ options: Options, _ id: String) throws(LockerError) -> Access {
        let keys = try options.optionalString("key_file")
        let token = try options.optionalString("session_file")
        guard (keys == nil) != (token == nil), let path = keys ?? token else {
            throw LockerError(
                .invalidRequest,
                "\(id) has \(keys == nil ? "neither key_file nor session_file" : "key_file and session_file"); want one of them: what lets into the tower"
            )
        }
        guard path.hasPrefix("/") else {
            throw wrong(id, keys == nil ? "session_file" : "key_file", path, "an absolute path")
        }
        return keys.map { .keys($0) } ?? .token(path)
    }

    /// Two lockers on one number: an open would open a stranger's door.
    private func refuseSharedNumbers() throws(LockerError) {
        var owners: [Int: Int] = [:]
        for (locker, number) in numbers.sorted(by: { $0.key < $1.key }) {
            guard let owner = owners.updateValue(locker, forKey: number) else { continue }
            throw LockerError(
                .invalidRequest,
                "lockers \(owner) and \(locker) of \(id) are both locker \(number) of the tower; want one each"
            )
        }
    }

    private static func wrong(
        _ id: String, _ key: String, _ found: String, _ want: String
    ) -> LockerError {
        LockerError(.invalidRequest, "\(key) of \(id) is \"\(found)\"; want \(want)")
    }

    package var capabilities: Capabilities {
        Capabilities(
            pulseTiming: .board, evidence: .echo, maximumTogether: 1, polarityKnown: true,
            doorSensors: !sensed.isEmpty, actions: Set(DeviceAction.Name.allCases))
    }
}
