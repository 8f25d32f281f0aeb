package import TowerLink

/// What the holder of a session may do.
package enum Permission: Int64, Sendable, CaseIterable {
    /// Carries events and commands between tower and server.
    case sync
    case pickup
    case delivery
    case owner
    case technician
    case developer
}

/// What a session token says.
package struct SessionClaims: Sendable, Equatable {
    /// Bytes of ``client`` at most, in UTF-8.
    package static let longestClient = 64

    package let issued: Int64
    package let expires: Int64
    package let permissions: Set<Permission>
    /// Who asked for it, for the tower's log.
    package let client: String
    package let seed: Secret
}

/// What an open token says.
package struct OpenClaims: Sendable, Equatable {
    /// Bytes of ``clientInfo`` at most, in UTF-8.
    package static let longestInfo = 500

    /// Which locker; nil for one that the tower chooses by its token.
    package let locker: Int64?
    package let issued: Int64
    package let expires: Int64
    /// Names this token: a tower opens for it once.
    package let id: [UInt8]
    /// Whether the locker is free afterwards; nil where that stays as it is.
    package let leavesAvailable: Bool?
    package let clientInfo: String
}

/// Why a token is not taken. The order is that of the checks: nothing of a token is believed before its signature.
package enum TokenRefusal: Error, Equatable, CustomStringConvertible {
    /// It is no token, or says what no token says.
    case malformed(String)
    case keyUnknown(id: Int64, rotation: Int64)
    case keyRevoked(id: Int64, rotation: Int64)
    case keyExpired(id: Int64, rotation: Int64)
    /// Not made with the key that it names, not for this tower, or changed since.
    case signature
    case wrongTower(String)
    /// Seconds since 1970.
    case expired(at: Int64)
    case notYetValid(from: Int64)
    /// A token for sessions where one for lockers is wanted, or the other way round.
    case wrongKind(String)

    package var description: String {
        switch self {
        case .malformed(let what): "malformed: \(what)"
        case .keyUnknown(let id, let rotation): "no key \(id), rotation \(rotation)"
        case .keyRevoked(let id, let rotation): "key \(id), rotation \(rotation) is revoked"
        case .keyExpired(let id, let rotation): "key \(id), rotation \(rotation) is over"
        case .signature: "its signature is not right"
        case .wrongTower(let tower): "it is for tower \(tower)"
        case .expired(let at): "it was good until \(at)"
        case .notYetValid(let from): "it is good from \(from) only"
        case .wrongKind(let kind): "it is a \(kind)"
        }
    }
}
