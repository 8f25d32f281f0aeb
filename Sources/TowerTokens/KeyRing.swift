package import TowerLink

/// What a tower and whoever issues tokens for it have in common.
package struct TowerKey: Sendable, Equatable {
    /// Bytes of its secret.
    package static let length = 32

    /// Where a key stands in its life.
    package enum State: Sendable, Equatable {
        /// Tokens are made with it and taken.
        case installed
        /// No new ones are made; those that were are taken until then, in seconds since 1970.
        case sunset(until: Int64)
        /// Nothing made with it is taken any more.
        case revoked
    }

    package let id: Int64
    /// Which one of the keys with this id, counted up.
    package let rotation: Int64
    package let secret: Secret
    package var state: State
    /// Not to be used from then on, in seconds since 1970; nil where it does not end by itself.
    package let expires: Int64?

    /// Nil where the secret is not ``length`` bytes, or a number is negative.
    package init?(
        id: Int64, rotation: Int64, secret: Secret, state: State = .installed,
        expires: Int64? = nil
    ) {
        guard secret.byteCount == Self.length, id >= 0, rotation >= 0 else { return nil }
        self.id = id
        self.rotation = rotation
        self.secret = secret
        self.state = state
        self.expires = expires
    }
}

/// The keys of one tower.
package struct KeyRing: Sendable {
    /// How many keys it holds: more of them would only be more to try.
    package static let mostKeys = 16

    package private(set) var keys: [TowerKey] = []

    package init() {}

    /// Nil where these are more than ``mostKeys``, or two have the same id and rotation.
    package init?(_ keys: [TowerKey]) {
        let names = Set(keys.map { [$0.id, $0.rotation] })
        guard keys.count <= Self.mostKeys, names.count == keys.count else { return nil }
        self.keys = keys
    }

    /// Adds a key. What was installed under its id before is no longer used for new tokens, and goes out as `sunset` says.
    ///
    /// - Parameter sunset: until when tokens of the one before are taken, in seconds since 1970.
    package mutating func install(_ key: TowerKey, sunset: Int64) throws(KeyRefusal) {
        let same = keys.filter { $0.id == key.id }
        if let newest = same.map(\.rotation).max(), newest >= key.rotation {
            throw .rotation(key.rotation, newest: newest)
        }
        guard keys.count < Self.mostKeys else { throw .full }
        for index in keys.indices where keys[index].id == key.id && keys[index].state == .installed
        {
            keys[index].state = .sunset(until: sunset)
        }
        keys.append(key)
    }

    /// Lets a key go out; a key that goes out sooner already, or was revoked, stays as it is.
    package mutating func sunset(
        _ id: Int64, rotation: Int64, until: Int64
    ) throws(KeyRefusal) {
        let index = try place(id, rotation)
        switch keys[index].state {
        case .installed: keys[index].state = .sunset(until: until)
        case .sunset(let sooner): keys[index].state = .sunset(until: min(until, sooner))
        case .revoked: break
        }
    }

    /// Refuses all that was made with it, at once and for good.
    package mutating func revoke(_ id: Int64, rotation: Int64) throws(KeyRefusal) {
        keys[try place(id, rotation)].state = .revoked
    }

    /// Drops what can never be used again, so that there is room.
    package mutating func forgetUseless(at now: Int64) {
        keys.removeAll { key in
            if let expires = key.expires, expires <= now { return true }
            if case .sunset(let until) = key.state { return until <= now }
            return false
        }
    }

    /// The key that new tokens are made with: the newest rotation of the highest id that is installed.
    func issuing(at now: Int64) throws(KeyRefusal) -> TowerKey {
        let usable = keys.filter { $0.state == .installed && ($0.expires ?? .max) > now }
        guard let key = usable.max(by: { ($0.id, $0.rotation) < ($1.id, $1.rotation) }) else {
            throw .none
        }
        return key
    }

    /// The key that a token names, where it may still be used.
    func verifying(_ id: Int64, rotation: Int64, at now: Int64) throws(TokenRefusal) -> TowerKey {
        guard let key = keys.first(where: { $0.id == id && $0.rotation == rotation }) else {
            throw .keyUnknown(id: id, rotation: rotation)
        }
        if key.state == .revoked { throw .keyRevoked(id: id, rotation: rotation) }
        if let expires = key.expires, expires <= now {
            throw .keyExpired(id: id, rotation: rotation)
        }
        if case .sunset(let until) = key.state, until <= now {
            throw .keyExpired(id: id, rotation: rotation)
        }
        return key
    }

    private func place(_ id: Int64, _ rotation: Int64) throws(KeyRefusal) -> Int {
        guard let index = keys.firstIndex(where: { $0.id == id && $0.rotation == rotation })
        else { throw .unknown(id: id, rotation: rotation) }
        return index
    }
}

/// Why a ring of keys does not do what it is asked for.
package enum KeyRefusal: Error, Equatable, CustomStringConvertible {
    case rotation(Int64, newest: Int64)
    case full
    case none
    case unknown(id: Int64, rotation: Int64)

    package var description: String {
        switch self {
        case .rotation(let rotation, let newest):
            "rotation \(rotation) of a key; want one above \(newest), which is there"
        case .full: "\(KeyRing.mostKeys) keys are there already"
        case .none: "no key is installed that could be used now"
        case .unknown(let id, let rotation): "no key \(id), rotation \(rotation)"
        }
    }
}
