import CBORCodec

/// Puts packets together from what a tower notifies, piece by piece.
///
/// A packet is a byte string of CBOR; where it ends its own head says. What follows it is the beginning of the next one.
package struct PacketFramer {
    /// The longest content of a packet that is accepted, in bytes.
    package static let longestPacket = 8192

    private var gathered: [UInt8] = []

    package init() {}

    /// Whether a packet has begun and not ended.
    package var isInPacket: Bool { !gathered.isEmpty }

    package mutating func append(_ piece: some Sequence<UInt8>) { gathered += piece }

    /// The content of the next packet; nil where it is not whole yet.
    ///
    /// After an error nothing that is left can be understood: the connection has to begin anew.
    package mutating func next() throws(TowerLinkError) -> [UInt8]? {
        let size: (head: Int, content: Int)?
        do {
            size = try CBORReader.byteString(at: gathered[...])
        } catch {
            throw .malformed("a packet: \(error)")
        }
        guard let size else { return nil }
        guard size.content <= Self.longestPacket else {
            throw .malformed(
                "a packet of \(size.content) bytes; want at most \(Self.longestPacket)")
        }
        guard gathered.count >= size.head + size.content else { return nil }
        let content = Array(gathered[size.head..<size.head + size.content])
        gathered.removeFirst(size.head + size.content)
        return content
    }

    /// A packet as it is written.
    package static func framed(_ content: [UInt8]) -> [UInt8] { CBOR.bytes(content).encoded }
}

/// What is wrong with what a tower, or somebody in its place, has sent.
package enum TowerLinkError: Error, Equatable, CustomStringConvertible {
    /// It is not what the protocol has, whoever sent it.
    case malformed(String)
    /// It was not sent by whom it should be, or was changed on its way.
    case forged(String)
    /// It was taken already, or overtaken.
    case replayed(String)
    /// The other side refuses, in its own words.
    case refused(code: Int, message: String)

    package var description: String {
        switch self {
        case .malformed(let what): "malformed: \(what)"
        case .forged(let what): "not authentic: \(what)"
        case .replayed(let what): "replayed: \(what)"
        case .refused(let code, let message): "refused with \(code): \(message)"
        }
    }
}
