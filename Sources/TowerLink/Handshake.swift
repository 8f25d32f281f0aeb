import CBORCodec
import Crypto
import FoundationEssentials

/// The version of the protocol that is spoken here, and no other.
package let towerLinkVersion: Int64 = 1

/// What lets its holder into a tower for a while: made by the server, relayed unread.
package struct SessionToken: Sendable {
    package let tower: TowerID
    package let payload: [UInt8]
    package let payloadAuth: [UInt8]
    /// What only the token's holder and the tower have.
    package let seed: Secret

    package init(tower: TowerID, payload: [UInt8], payloadAuth: [UInt8], seed: Secret) {
        self.tower = tower
        self.payload = payload
        self.payloadAuth = payloadAuth
        self.seed = seed
    }
}

/// The beginning of a session, seen from the one who asks for it.
package struct Handshake: Sendable {
    package static let nonceLength = 16
    static let sessionIDLength = 8
    package static let keyLength = 32

    /// The content of the packet that asks.
    package let request: [UInt8]

    private let token: SessionToken
    private let nonce: [UInt8]
    private let dialect: Dialect

    /// - Parameter now: seconds since 1970.
    package init(
        _ token: SessionToken, at now: Int64, _ dialect: Dialect = .own,
        random: RandomBytes = systemRandom
    ) {
        self.token = token
        self.dialect = dialect
        nonce = random(Self.nonceLength)
        request = Packet(
            .requestSession,
            [
                .version: .int(towerLinkVersion), .timestamp: .int(now),
                .requestNonce: .bytes(nonce), .payload: .bytes(token.payload),
                .payloadAuth: .bytes(token.payloadAuth),
            ]
        ).encoded(dialect)
    }

    /// What the tower's answer makes of it.
    ///
    /// - Throws: ``TowerLinkError/refused(code:message:)`` where it says so. That is not authentic: nobody has a key yet.
    package func session(
        from answer: [UInt8], random: @escaping RandomBytes = systemRandom
    ) throws(TowerLinkError) -> SecureSession {
        let packet = try Packet(answer, dialect)
        switch packet.message {
        case .sessionError: throw try Self.refusal(packet)
        case .grantSession: break
        default: throw .malformed("\(packet.message.rawValue) in answer to requestSession")
        }
        let version = try packet.int(.version)
        guard version == towerLinkVersion else {
            throw .malformed("version \(version) in answer to version \(towerLinkVersion)")
        }
        let grantNonce = try packet.bytes(.grantNonce, count: Self.nonceLength)
        let payload = try packet.bytes(.payload)
        let keys = SealingKeys(
            from: token.seed, salt: nonce + grantNonce, purpose: "grant", tower: token.tower)
        // The request is part of it, as it was sent: whoever changed a word of it on its way is found out.
        let values: [CBOR] = [
            .text("grant"), .bytes(Array(SHA256.hash(data: request))), .int(version),
            .int(try packet.int(.timestamp)), .bytes(grantNonce), .bytes(payload),
        ]
        guard keys.isAuthentic(values, try packet.bytes(.payloadAuth)) else {
            throw .forged("the grant of a session")
        }
        let grant = try Packet(try keys.decrypt(payload), dialect)
        guard grant.message == .grantSessionPayload else {
            throw .malformed("\(grant.message.rawValue) in the grant of a session")
        }
        return SecureSession(
            id: try grant.bytes(.sessionID, count: Self.sessionIDLength),
            key: Secret(try grant.bytes(.sessionKey, count: Self.keyLength)),
            tower: token.tower, dialect: dialect, random: random)
    }

    /// What a tower's refusal says.
    package static func refusal(_ packet: Packet) throws(TowerLinkError) -> TowerLinkError {
        .refused(
            code: Int(try packet.int(.errorCode)),
            message: String((packet.fields[.errorMessage]?.textValue ?? "").prefix(200)))
    }
}
