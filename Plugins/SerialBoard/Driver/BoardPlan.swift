package import LockerKit

/// One controller with its lockers' channels, checked: all that can be known without the hardware.
package struct BoardPlan: Sendable {
    /// The wires of one locker.
    package struct Wires: Sendable, Equatable {
        package let channel: Int
        package let hasSensor: Bool
        /// The level of its feedback while the door is open; nil where nobody has said it.
        package let openLevel: Bool?
    }

    package let id: String
    package let profile: BoardProfile
    package let codec: any Codec
    package let wires: [Int: Wires]
    /// The lockers with sensors, by rising number.
    package let sensed: [Int]

    package init(_ description: ControllerDescription) throws(LockerError) {
        id = description.id
        profile = try BoardProfile(description.board)
        let family = profile.family
        let address = UInt8(try description.options.integer("address", in: family.codec.addresses))
        codec =
            switch family {
            case .kerong: KerongCodec(address: address)
            case .hex: HexCodec(address: address, order: profile.stateOrder)
            case .winnsen: WinnsenCodec(address: address)
            case .wkly: WKLYCodec(address: address)
            }
        let said = try description.options.optionalInteger("open_level", in: 0...1)
        let openLevel = said.map { $0 == 1 } ?? profile.openLevel
        let channels = family.codec.channels
        var wires: [Int: Wires] = [:]
        for locker in description.lockers {
            let channel = try locker.options.optionalInteger("channel") ?? locker.number
            guard channels.contains(channel) else {
                throw LockerError(
                    .invalidRequest,
                    "locker \(locker.number) of \(description.id) has channel \(channel); want \(channels.lowerBound)-\(channels.upperBound) on a \(family.rawValue) board"
                )
            }
            let isInverted = try locker.options.optionalBoolean("sensor_inverted") ?? false
            wires[locker.number] = Wires(
                channel: channel, hasSensor: locker.hasSensor,
                openLevel: openLevel.map { $0 != isInverted })
        }
        self.wires = wires
        sensed = wires.filter(\.value.hasSensor).keys.sorted()
        let owners = Dictionary(grouping: wires.keys) { wires[$0]?.channel }
        if let shared = owners.values.first(where: { $0.count > 1 })?.sorted() {
            throw LockerError(
                .invalidRequest,
                "lockers \(shared[0]) and \(shared[1]) of \(description.id) have one channel, \(wires[shared[0]]?.channel ?? 0)"
            )
        }
    }

    /// Whether the doors are told, and nobody knows what is told.
    var lacksPolarity: Bool { sensed.contains { wires[$0]?.openLevel == nil } }

    /// The question that tells of this locker's door; of a locker without a sensor it tells only that the board is there.
    func question(about locker: Int) -> Question {
        profile.readsAll ? .all : .one(channel: wires[locker]?.channel ?? 1)
    }

    /// One door in an answer; nil where the locker has no sensor.
    func door(of locker: Int, in levels: [Int: Bool]) -> DoorState? {
        guard let wires = wires[locker], wires.hasSensor else { return nil }
        guard let openLevel = wires.openLevel, let level = levels[wires.channel] else {
            return .unknown
        }
        return level == openLevel ? .open : .closed
    }

    /// What this controller can do and prove.
    package var capabilities: Capabilities {
        Capabilities(
            pulseTiming: .board, evidence: profile.answersOrders ? .echo : .none,
            maximumTogether: profile.atOnce, polarityKnown: true, doorSensors: !sensed.isEmpty)
    }
}
