import CBORCodec
import Foundation
import JSONLines
import Locks
import TestSupport
import Testing
import TowerLink
import TowerTokens

/// The vectors of an independent implementation, `Tests/Bench/tower/link.py`.
struct Vectors {
    let json: JSON

    init() throws {
        let data = try Data(contentsOf: URL(fileURLWithPath: Self.path))
        json = try JSONReader.parse([UInt8](data))
    }

    static let path = "\(Checkout.root)/Tests/Golden/tower-link.json"

    /// A value by its path, as "session.grant".
    func at(_ path: String) -> JSON {
        path.split(separator: ".").reduce(json) { ($0[String($1)] ?? .null) }
    }

    func text(_ path: String) -> String { at(path).stringValue ?? "" }
    func bytes(_ path: String) -> [UInt8] { hexBytes(text(path)) }
    func int(_ path: String) -> Int64 { Int64(at(path).intValue ?? -1) }

    var tower: TowerID { get throws { try #require(TowerID(bytes("tower"))) } }
    var now: Int64 { int("now") }

    func ring() throws -> KeyRing {
        var ring = KeyRing()
        try ring.install(try key(), sunset: now)
        return ring
    }

    func key(rotation: Int64? = nil) throws -> TowerKey {
        try #require(
            TowerKey(
                id: int("key.id"), rotation: rotation ?? int("key.rotation"),
                secret: Secret(bytes("key.secret"))))
    }

    func sessionToken() throws -> SessionToken {
        SessionToken(
            tower: try tower, payload: bytes("sessionToken.payload"),
            payloadAuth: bytes("sessionToken.payloadAuth"),
            seed: Secret(bytes("sessionToken.seed")))
    }

    /// A session as the vectors begin it.
    func session(_ random: RandomBytes? = nil) throws -> SecureSession {
        try Handshake(
            try sessionToken(), at: int("session.requestAt"),
            random: fixed([bytes("session.requestNonce")])
        ).session(from: bytes("session.grant"), random: random ?? systemRandom)
    }
}

/// Bytes in the order in which they are asked for.
func fixed(_ values: [[UInt8]]) -> RandomBytes {
    let left = Mutex(values)
    return { count in
        left.withLock { left in
            guard let first = left.first, first.count == count else { return [] }
            left.removeFirst()
            return first
        }
    }
}

/// What a tower would do, as far as the tests have to invent what no tower has said.
struct FakeTower {
    let keys: SealingKeys
    let id: [UInt8]

    init(_ vectors: Vectors, direction: String = "from-tower") throws {
        id = vectors.bytes("session.sessionID")
        keys = SealingKeys(
            from: Secret(vectors.bytes("session.sessionKey")), salt: id, purpose: direction,
            tower: try vectors.tower)
    }

    func seal(_ message: Dialect.Message, _ sequence: Int64) throws -> [UInt8] {
        let dialect = Dialect.own
        let inner = Packet(message, [.sequence: .int(sequence)]).encoded(dialect)
        let wrapper = try keys.encrypt(inner, systemRandom(16))
        return CBOR.map([
            dialect.number(of: .sessionID): .bytes(id),
            dialect.number(of: .wrapper): .bytes(wrapper),
            dialect.number(of: .tag): .bytes(
                keys.tag(of: [.text("packet"), .bytes(id), .bytes(wrapper)])),
        ]).encoded
    }
}
