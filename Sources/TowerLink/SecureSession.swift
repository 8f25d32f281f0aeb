import CBORCodec

/// A session that a tower has granted: packs commands so that only the tower can read them, and takes nothing but its answers to them.
///
/// Each direction has its own keys and counts its own packets, so that nothing can be sent back, again, or in another order.
package struct SecureSession: Sendable {
    package let id: [UInt8]
    private let toTower: SealingKeys
    private let fromTower: SealingKeys
    private let dialect: Dialect
    private let random: RandomBytes
    /// The number of the last command.
    private var lastSent: Int64 = 0
    /// The number of the last answer that was taken.
    private var lastTaken: Int64 = 0

    package init(
        id: [UInt8], key: Secret, tower: TowerID, dialect: Dialect = .own,
        random: @escaping RandomBytes = systemRandom
    ) {
        self.id = id
        self.dialect = dialect
        self.random = random
        toTower = SealingKeys(from: key, salt: id, purpose: "to-tower", tower: tower)
        fromTower = SealingKeys(from: key, salt: id, purpose: "from-tower", tower: tower)
    }

    /// A command as the content of a packet.
    package mutating func seal(_ command: Packet) throws(TowerLinkError) -> [UInt8] {
        lastSent += 1
        var inner = command
        inner.fields[.sequence] = .int(lastSent)
        let wrapper = try toTower.encrypt(
            inner.encoded(dialect), random(SealingKeys.blockLength))
        let map: [Int64: CBOR] = [
            dialect.number(of: .sessionID): .bytes(id),
            dialect.number(of: .wrapper): .bytes(wrapper),
            dialect.number(of: .tag): .bytes(toTower.tag(of: values(wrapper))),
        ]
        return CBOR.map(map).encoded
    }

    /// The tower's answer to the last command.
    package mutating func open(_ content: [UInt8]) throws(TowerLinkError) -> Packet {
        let map = try Packet.map(content)
        // Nothing that is not sealed says anything once there is a session.
        guard let wrapper = map[dialect.number(of: .wrapper)]?.bytesValue,
            let tag = map[dialect.number(of: .tag)]?.bytesValue,
            let session = map[dialect.number(of: .sessionID)]?.bytesValue
        else { throw .forged("a packet that is not sealed") }
        guard session == id else { throw .forged("a packet of another session") }
        guard fromTower.isAuthentic(values(wrapper), tag) else {
            throw .forged("a packet of this session")
        }
        var packet = try Packet(try fromTower.decrypt(wrapper), dialect)
        let number = try packet.int(.sequence)
        guard number > lastTaken else {
            throw .replayed("answer \(number) after answer \(lastTaken)")
        }
        guard number <= lastSent else {
            throw .malformed("answer \(number) to command \(lastSent)")
        }
        lastTaken = number
        // What came too late for its own command is not an answer to the one that was sent since.
        guard number == lastSent else {
            throw .replayed("answer \(number) while \(lastSent) is waited for")
        }
        packet.fields[.sequence] = nil
        return packet
    }

    private func values(_ wrapper: [UInt8]) -> [CBOR] {
        [.text("packet"), .bytes(id), .bytes(wrapper)]
    }
}
