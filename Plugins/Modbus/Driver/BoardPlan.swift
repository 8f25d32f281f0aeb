package import LockerKit

/// One controller with its lockers' wires, checked: all that can be known without the hardware.
package struct BoardPlan: Sendable, Equatable {
    /// The wires of one locker.
    package struct Wires: Sendable, Equatable {
        package let coil: UInt16
        /// The address that takes a pulse length; nil where the host ends pulses.
        package let flash: UInt16?
        /// The point of the door sensor; nil without one.
        package let door: Int?
        package let openLevel: Bool
    }

    package let id: String
    package let unit: UInt8
    package let profile: BoardProfile
    package let wires: [Int: Wires]
    /// The one read that covers every sensor; nil without sensors.
    package let doors: ReadRequest?
    /// The one read that shows which coils are on; nil where nothing would come of it.
    package let coils: ReadRequest?

    package init(_ description: ControllerDescription) throws(LockerError) {
        id = description.id
        unit = UInt8(try description.options.integer("unit", in: Limits.unit))
        profile = try BoardProfile(description.board)
        var wires: [Int: Wires] = [:]
        for locker in description.lockers { wires[locker.number] = try Wires(locker, profile) }
        self.wires = wires
        let owners = Dictionary(grouping: wires.keys) { wires[$0]?.coil }
        if let shared = owners.values.first(where: { $0.count > 1 })?.sorted() {
            throw LockerError(
                .invalidRequest,
                "lockers \(shared[0]) and \(shared[1]) of \(description.id) have one coil, \(wires[shared[0]]?.coil ?? 0)"
            )
        }
        doors = try Self.doors(profile, wires, description.id)
        coils = Self.coils(profile, wires)
    }

    private static func doors(
        _ profile: BoardProfile, _ wires: [Int: Wires], _ id: String
    ) throws(LockerError) -> ReadRequest? {
        let points = wires.values.compactMap(\.door)
        guard let function = profile.doors?.function, !points.isEmpty else { return nil }
        guard let request = ReadRequest(function, covering: points) else {
            throw LockerError(
                .invalidRequest,
                "the door sensors of \(id) are too far apart; want at most \(function.mostPerRead) \(function.word) from first to last"
            )
        }
        return request
    }

    /// None where the board ends its pulses itself, where nobody knows how a released coil reads, or where the board tells of
    /// other things when it is asked for its coils: on some boards that shows the doors.
    private static func coils(_ profile: BoardProfile, _ wires: [Int: Wires]) -> ReadRequest? {
        let function = profile.write.readBack
        let coils = wires.values.map { Int($0.coil) }
        let showsDoors =
            profile.doors?.function == function
            && !Set(coils).isDisjoint(
                with: wires.values.compactMap { $0.door.map { $0 / function.pointsPerAddress } })
        guard profile.flash == nil, profile.readBack, profile.readsOff != nil, !showsDoors else {
            return nil
        }
        return ReadRequest(function, covering: coils.map { $0 * function.pointsPerAddress })
    }

    /// Whether a coil may be on, by an answer to ``coils``; nil where that does not tell.
    func mayBeOn(_ locker: Int, in values: [UInt16]) -> Bool? {
        guard let wires = wires[locker], let off = profile.readsOff,
            let value = coils?.value(at: Int(wires.coil), in: values)
        else { return nil }
        return value != off
    }

    /// An order to this board.
    func order(_ address: UInt16, _ value: UInt16) -> CoilOrder {
        CoilOrder(unit: unit, function: profile.write, address: address, value: value)
    }

    /// What this controller can do and prove.
    package var capabilities: Capabilities {
        Capabilities(
            pulseTiming: profile.flash == nil ? .host : .board, evidence: .echo,
            maximumTogether: profile.atOnce, polarityKnown: profile.polarityKnown,
            doorSensors: doors != nil)
    }

    /// The doors in an answer to ``doors``, by rising locker number.
    package func doors(
        in values: [UInt16], takenAt: ContinuousClock.Instant
    ) -> [DoorReading] {
        wires.keys.sorted().compactMap { number in
            door(of: number, in: values).map {
                DoorReading(locker: number, door: $0, takenAt: takenAt)
            }
        }
    }

    /// One door in such an answer; nil where the locker has no sensor.
    package func door(of locker: Int, in values: [UInt16]) -> DoorState? {
        guard let wires = wires[locker], let point = wires.door else { return nil }
        guard let level = doors?.level(of: point, in: values) else { return .unknown }
        return level == wires.openLevel ? .open : .closed
    }
}

extension BoardPlan.Wires {
    fileprivate init(
        _ locker: LockerDescription, _ profile: BoardProfile
    ) throws(LockerError) {
        let coil =
            try locker.options.optionalInteger("coil", in: Limits.address)
            ?? profile.firstCoil + locker.number - 1
        guard let address = UInt16(exactly: coil) else {
            throw LockerError(
                .invalidRequest, "locker \(locker.number) has coil \(coil); want 0-65535")
        }
        self.coil = address
        flash = try profile.flash.map { flash throws(LockerError) in
            let address = flash.first + coil - profile.firstCoil
            guard let address = UInt16(exactly: address) else {
                throw LockerError(
                    .invalidRequest,
                    "locker \(locker.number) has pulse address \(address); want 0-65535")
            }
            return address
        }
        let inverted = try locker.options.optionalBoolean("sensor_inverted") ?? false
        openLevel = (profile.doors?.openLevel ?? true) != inverted
        guard let doors = profile.doors, locker.hasSensor else {
            door = nil
            return
        }
        door =
            try locker.options.optionalInteger("input") ?? doors.first + (locker.number - 1)
            * doors.step
    }
}
