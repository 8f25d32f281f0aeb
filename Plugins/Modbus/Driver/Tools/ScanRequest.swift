package import BusKit
package import JSONLines
package import LockerKit

/// What a scan looks for and where, as one line of JSON tells it.
package struct ScanRequest: Sendable {
    /// A board profile that a found board may be of.
    package struct Candidate: Sendable {
        package let name: String
        package let profile: BoardProfile
        package let lockers: Int
        package let maturity: String
        package let doubts: [String]
    }

    /// A rate and parity to try; nil over TCP, where there is none.
    package struct Setting: Sendable, Equatable {
        package let baud: Int
        package let parity: LinkSettings.Parity
    }

    package let transport: LinkSettings.Transport
    /// In the order in which they are tried; over TCP one that means nothing.
    package let settings: [Setting]
    package private(set) var units: ClosedRange<Int>
    /// How long each unit is waited for, beside the time that the bytes take on the line.
    package let patience: Duration
    /// Whether the other settings are tried when one has found boards.
    package let isThorough: Bool
    package let candidates: [Candidate]

    /// - Parameter json: `{"device" or "host", "port"?, "bauds"?, "parities"?, "firstUnit"?, "lastUnit"?, "patienceMs"?,
    ///   "thorough"?, "boards"?}`.
    package init(_ json: JSONObject) throws(LockerError) {
        let options = Options(json)
        let device = try options.optionalString("device")
        let bauds = try options.has("bauds") ? options.integers("bauds") : Self.usualBauds
        if let unknown = bauds.first(where: { !LinkSettings.bauds.contains($0) }) {
            throw LockerError(.invalidRequest, "\(unknown) baud is not a rate that can be set")
        }
        let words =
            json["parities"]?.arrayValue?.compactMap(\.stringValue) ?? ["none", "even", "odd"]
        let parities = words.compactMap(LinkSettings.Parity.init(rawValue:))
        guard parities.count == words.count, !parities.isEmpty, !bauds.isEmpty else {
            throw LockerError(.invalidRequest, "parities are none, even and odd")
        }
        if let device {
            transport = .serial(Self.serial(device, Setting(baud: bauds[0], parity: parities[0])))
            settings = parities.flatMap { parity in bauds.map { Setting(baud: $0, parity: parity) }
            }
        } else {
            let port = try options.optionalInteger("port", in: 1...65_535) ?? 502
            transport = .tcp(host: try options.string("host"), port: port)
            settings = [Setting(baud: 0, parity: .none)]
        }
        let first = try options.optionalInteger("firstUnit", in: Limits.unit) ?? 1
        let last = try options.optionalInteger("lastUnit", in: first...247) ?? 247
        units = first...last
        patience = .milliseconds(
            try options.optionalInteger("patienceMs", in: 20...1000) ?? (device == nil ? 300 : 100))
        isThorough = try options.optionalBoolean("thorough") ?? false
        candidates = try Self.candidates(json["boards"]?.objectValue ?? JSONObject())
    }

    /// The same for other units.
    func asking(_ units: ClosedRange<Int>) -> ScanRequest {
        var request = self
        request.units = units
        return request
    }

    /// The commonest first: a scan ends with the first rate that somebody answers at.
    private static let usualBauds = [9600, 19_200, 115_200, 38_400, 4800, 57_600]

    static func serial(_ device: String, _ setting: Setting) -> LinkSettings.Serial {
        LinkSettings.Serial(
            device: device, baud: setting.baud, parity: setting.parity, stopBits: 1,
            direction: .auto)
    }

    private static func candidates(_ boards: JSONObject) throws(LockerError) -> [Candidate] {
        try boards.members.map { member throws(LockerError) in
            let board = member.value.objectValue ?? JSONObject()
            return Candidate(
                name: member.key, profile: try BoardProfile(Options(board, path: "board.")),
                lockers: board["lockers"]?.intValue ?? 8,
                maturity: board["maturity"]?.stringValue ?? "guessed",
                doubts: board["doubts"]?.arrayValue?.compactMap(\.stringValue) ?? [])
        }
    }
}
